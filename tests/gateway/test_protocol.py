"""The short way out of the server: what a client sees must be what uvicorn's usual way would have shown it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from gateway.endpoint import WHOLE, Answer, send_answer
from gateway.protocol import Protocol
from gateway.server import config_of
from tests.gateway.serving import serving

STATE = SimpleNamespace(gateway=SimpleNamespace(stop=lambda: None))
ANSWER = Answer(200, b'{"a":1}', ((b"etag", b'"7"'),))
GET = b"GET %s HTTP/1.1\r\nHost: dray\r\n\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """`/short` takes the short way, `/usual` the usual one, `/broken` has a header that is none, `/later` waits."""
    path = scope["path"]
    if path == "/later":
        await asyncio.sleep(0.05)
    if path == "/door":
        scope[WHOLE](AWAY.status, AWAY.headers, AWAY.body)
        return
    if path == "/broken":
        scope[WHOLE](200, ((b"location", b"/\r\nset-cookie: a=b"),), b"")
    headers = (*ANSWER.headers, (b"content-type", ANSWER.content_type))
    if path == "/usual" or not scope[WHOLE](200, headers, ANSWER.body):
        await send_answer(send, ANSWER)
    if path == "/short":
        assert (await receive())["type"] == "http.disconnect"


def served(story: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    """Run a story on the port of a server of its own."""

    async def run() -> None:
        app.state = STATE  # type: ignore[attr-defined]  # what the server tells of its end
        async with serving(app) as port:  # type: ignore[arg-type]
            await asyncio.wait_for(story(port), 20)

    asyncio.run(run())


async def told(port: int, request: bytes) -> bytes:
    """All that the server says until it closes the connection, but for the date."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    said = await reader.read()
    writer.close()
    lines = said.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.startswith(b"date: "))


CLOSING = b"Connection: close\r\n\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        (GET % b"%s")[:-2] + CLOSING,
        b"HEAD %s HTTP/1.1\r\nHost: dray\r\n" + CLOSING,
        b"GET %s HTTP/1.0\r\nHost: dray\r\n\r\n",
        b"POST %s HTTP/1.1\r\nHost: dray\r\nContent-Length: 3\r\n" + CLOSING + b"abc",
    ],
    ids=["1.1", "head", "1.0", "post"],
)
def test_both_ways_say_the_same(request_: bytes) -> None:
    async def story(port: int) -> None:
        usual, short = [await told(port, request_ % path) for path in (b"/usual", b"/short")]
        assert b"200 OK" in short
        assert sorted(short.split(b"\r\n")) == sorted(usual.split(b"\r\n"))  # headers have no order

    served(story)


def test_requests_that_follow_on_one_connection_are_answered_in_their_order() -> None:
    async def story(port: int) -> None:
        together = GET % b"/short" + GET % b"/usual" + GET % b"/short" + (GET % b"/short")[:-2] + CLOSING
        said = await told(port, together)
        assert said.count(b"HTTP/1.1 200 OK\r\n") == 4
        assert said.count(ANSWER.body) == 4
        assert said.endswith(ANSWER.body)

    served(story)


AWAY = Answer(429, b"away", ((b"retry-after", b"1"),))
POST = b"POST /door HTTP/1.1\r\nHost: dray\r\nContent-Length: 5\r\n\r\n"


def turned_away(story: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    """Run a story on a server whose door lets nobody in."""

    def turns_away(scope: Scope) -> bool:
        whole: bool = scope[WHOLE](AWAY.status, AWAY.headers, AWAY.body)
        return whole

    app.doors = {("POST", "/door"): turns_away}  # type: ignore[attr-defined]
    try:
        served(story)
    finally:
        del app.doors  # type: ignore[attr-defined]


def test_who_is_turned_away_is_told_before_its_body_has_come_and_may_ask_for_something_else() -> None:
    async def story(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(POST + b"ab")
        assert (await reader.readuntil(AWAY.body)).startswith(b"HTTP/1.1 429")
        writer.write(b"cde" + GET % b"/short")
        said = await reader.readuntil(ANSWER.body)
        assert said.startswith(b"HTTP/1.1 200 OK")
        writer.close()

    turned_away(story)


@pytest.mark.parametrize("first", [b"", GET % b"/later"], ids=["at_once", "behind_another"])
def test_however_many_are_turned_away_together_each_is_told(first: bytes) -> None:
    """Those that wait for another's answer have their turns one after the other, not one inside the other."""

    async def story(port: int) -> None:
        many = 3_000
        said = await told(port, first + (POST + b"abcde") * many + (GET % b"/short")[:-2] + CLOSING)
        answers = said.split(b"HTTP/1.1 ")[1:]
        expected = [b"200"] * bool(first) + [b"429"] * many + [b"200"]
        assert [answer[:3] for answer in answers] == expected

    turned_away(story)


async def test_where_the_short_way_is_shut_the_door_is_not_asked_before_the_application_is() -> None:
    """What it counts there, it would not answer."""
    asked: list[Scope] = []
    begun: list[Any] = []

    def turns_away(scope: Scope) -> bool:
        asked.append(scope)
        return True

    def begin(run: Any) -> asyncio.Future[None]:
        begun.append(run)
        run.close()
        return asyncio.get_running_loop().create_future()

    app.doors = {("POST", "/door"): turns_away}  # type: ignore[attr-defined]
    try:
        nothing: Any = app
        config = config_of(nothing)
        config.load()
        loop: Any = SimpleNamespace(create_task=begin)
        protocol = Protocol(config, server_state=ServerState(), app_state={}, _loop=loop)
        protocol.flow = FlowControl(SimpleNamespace())  # type: ignore[arg-type]
        protocol.flow.pause_writing()
        protocol.data_received(POST + b"abcde")
    finally:
        del app.doors  # type: ignore[attr-defined]
    assert (len(begun), asked) == (1, [])


def test_a_header_with_a_line_break_is_never_sent() -> None:
    async def story(port: int) -> None:
        said = await told(port, GET % b"/broken")
        assert said.startswith(b"HTTP/1.1 500")
        assert b"set-cookie" not in said

    served(story)


class Later:
    """A loop whose clock is set by hand, and which remembers what it was asked to call."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[[], None]) -> object:
        self.timers.append((self.now + seconds, call))
        return object()

    def until(self, now: float) -> None:
        """Let what is due by then happen."""
        while self.timers and self.timers[0][0] <= now:
            self.now, call = self.timers.pop(0)
            call()
        self.now = now


def test_one_timer_waits_for_all_requests_of_a_connection_and_closes_it_once_it_has_been_idle_for_long() -> None:
    nothing: Any = app
    config = config_of(nothing)
    config.load()
    loop: Any = Later()
    protocol = Protocol(config, server_state=ServerState(), app_state={}, _loop=loop)
    closed: list[float] = []
    transport = SimpleNamespace(
        is_closing=lambda: bool(closed), close=lambda: closed.append(loop.now), resume_reading=lambda: None
    )
    protocol.transport = transport  # type: ignore[assignment]
    protocol.flow = FlowControl(transport)  # type: ignore[arg-type]
    for second in range(1, 61):
        loop.until(float(second))
        protocol.data_received(b"")  # something comes in: the connection is in use
        protocol.on_response_complete()
    assert len(loop.timers) == 1
    loop.until(100.0)
    assert not closed
    protocol.data_received(b"")
    loop.until(1000.0)
    assert not closed, "however long an answer takes"
    protocol.on_response_complete()
    loop.until(1074.9)
    assert not closed
    loop.until(1075.1)
    assert closed == [1075.0]


def test_the_gateway_is_served_by_it() -> None:
    nothing: Any = app
    assert config_of(nothing).http is Protocol


@pytest.mark.parametrize("path", [b"/short", b"/usual"])
def test_requests_that_are_over_leave_nothing_for_the_collector(path: bytes) -> None:
    """A gateway's collector looks for garbage by samples: what each request left would pile up for an hour."""

    async def story(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        gc.disable()
        try:
            for _ in range(50):
                writer.write(GET % path)
                await reader.readuntil(ANSWER.body)
            left = sum(type(each) is RequestResponseCycle for each in gc.get_objects())
        finally:
            gc.enable()
            writer.close()
        assert left <= 2, "the last one, and perhaps one before it"

    served(story)
