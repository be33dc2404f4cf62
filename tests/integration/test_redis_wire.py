"""Connections to Redis when the other end misbehaves: every call ends, soon, and with nobody else's answer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import hiredis
import pytest
import uvloop

from actors.adapters.redis_wire import SETTINGS, Node, Wire, pack
from actors.runtime.ports import JournalUnavailable

INFO = b"redis_version:7.0.0\r\nrole:master\r\nloading:0\r\n"
PING = [pack("PING")]
LONG_S = 20.0

Answering = Callable[[int], bytes | None]
"""What the n-th PING, from 1, is answered; None: the server hangs up instead."""


class Server:
    """Says what a fit Redis says when a connection is checked, and to PING whatever it is told, each after a pause."""

    def __init__(self, answering: Answering, pause_s: float = 0.0) -> None:
        self._answering = answering
        self._pause_s = pause_s
        self.connections = self.ended = self._pings = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with contextlib.suppress(ConnectionError):
                await self._talk(reader, writer)
        finally:
            writer.close()
            self.ended += 1

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = hiredis.Reader()
        while data := await reader.read(65_536):
            asked.feed(data)
            await asyncio.sleep(self._pause_s)
            while (command := asked.gets()) is not False:
                answer = self._answer(command)
                if answer is None:
                    return
                writer.write(answer)

    def _answer(self, command: Any) -> bytes | None:
        if command[0] == b"INFO":
            return b"$%d\r\n%b\r\n" % (len(INFO), INFO)
        if command[0] == b"CONFIG":
            name, setting = command[2], SETTINGS[command[2].decode()].encode()
            return b"*2\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(name), name, len(setting), setting)
        self._pings += 1
        return self._answering(self._pings)


def told(server: Server, story: Callable[[Node], Coroutine[Any, Any, None]], *, timeout_s: float = LONG_S) -> None:
    """Run a story with the way to this server, on the event loop that hosts have."""

    async def run() -> None:
        async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            wire = Wire(f"redis://127.0.0.1:{port}", [], timeout_s=timeout_s)
            try:
                await story(wire.seed)
            finally:
                await wire.close()
                while server.ended < server.connections:
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


async def fails_soon(call: Awaitable[Any]) -> None:
    began = time.monotonic()
    with pytest.raises(JournalUnavailable):
        await call
    assert time.monotonic() - began < LONG_S / 2


def test_a_server_that_hangs_up_at_once_is_noticed_though_the_loop_was_busy() -> None:
    """Its end is seen by the stream that redis-py has made, before ours takes over."""
    listener = socket.create_server(("127.0.0.1", 0))

    def hang_up() -> None:
        with contextlib.suppress(OSError):
            while True:
                listener.accept()[0].close()

    async def busy() -> None:
        while True:
            time.sleep(0.003)
            await asyncio.sleep(0)

    async def story() -> None:
        wire = Wire(f"redis://127.0.0.1:{listener.getsockname()[1]}", [], timeout_s=LONG_S)
        working = asyncio.create_task(busy())
        for _ in range(5):
            await fails_soon(wire.seed.call(PING))
        working.cancel()
        await wire.close()

    ending = threading.Thread(target=hang_up)
    ending.start()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(story())
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        ending.join()


@pytest.mark.parametrize("said", [b"$10\r\nhalf", b"", b"?what\r\n"], ids=["half", "nothing", "nonsense"])
def test_what_is_no_answer_ends_the_call_in_time(said: bytes) -> None:
    async def story(node: Node) -> None:
        await fails_soon(node.call(PING))
        assert await node.call(PING) == [b"PONG"], "the next call has a connection of its own"

    told(Server(lambda n: said if n == 1 else b"+PONG\r\n"), story, timeout_s=0.5)


@pytest.mark.parametrize("first", [b"+PONG\r\n", b"-NOSCRIPT No matching script\r\n"], ids=["connecting", "again"])
def test_all_that_a_call_takes_has_one_deadline(first: bytes) -> None:
    """A new connection, its check, the answer and what is sent again: any of it would be in time by itself."""
    server = Server(lambda n: first if n == 1 else b"+PONG\r\n", pause_s=0.6 if first.startswith(b"+") else 0.4)

    async def story(node: Node) -> None:
        with pytest.raises(JournalUnavailable, match="in time"):
            await node.call(PING)

    told(server, story, timeout_s=1.0)


def test_a_connection_that_breaks_amid_a_pipeline_fails_it_at_once() -> None:
    async def story(node: Node) -> None:
        await fails_soon(node.call(PING * 2))

    told(Server(lambda n: b"+PONG\r\n" if n == 1 else None), story)


def test_what_nobody_asked_for_is_nobody_elses_answer() -> None:
    async def story(node: Node) -> None:
        first = asyncio.create_task(node.call(PING))
        await asyncio.wait([first])
        await asyncio.sleep(0.05)  # the second line may come by itself
        assert await node.call(PING) == [b"right"]

    told(Server(lambda n: b"+right\r\n+wrong\r\n" if n == 1 else b"+right\r\n"), story)


def test_a_connection_that_was_closed_while_it_was_idle_is_replaced() -> None:
    server = Server(lambda _: b"+PONG\r\n")

    async def story(node: Node) -> None:
        await node.call(PING)
        (link,) = node._idle
        link._transport.abort()
        await asyncio.sleep(0.05)
        assert await node.call(PING) == [b"PONG"]

    told(server, story)
    assert server.connections == 2


def test_a_call_that_ends_after_the_end_leaves_no_connection_open() -> None:
    async def story(node: Node) -> None:
        calling = asyncio.create_task(node.call(PING))
        await asyncio.sleep(0)
        await node.close()
        await calling
        assert not node._idle

    told(Server(lambda _: b"+PONG\r\n"), story)
