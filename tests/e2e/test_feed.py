"""The feed of a running system: whatever is killed, whoever follows it holds exactly what the journal holds."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from actors.adapters.redis_reader import RedisReader
from actors.runtime.codec import Answered
from models.catalogue import decode_event
from models.decision import Address
from models.feed import OWNER, published, supplier_bit
from models.order.evolve import evolve
from models.order.state import Order
from tests.e2e.system import System
from tests.e2e.test_read_side import projector

KILLS = 3
ORDERS_BETWEEN = 4
CAUGHT_UP_S = 30.0
UNAVAILABLE = (OSError, http.client.HTTPException)

Told = tuple[str, int, str, str]
"""Order, sequence, type and id of an event."""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    found = System(tmp_path_factory.mktemp("e2e") / "data", DRAY_PAYMENTS="simulated")
    found.up("--gateways", "2")
    try:
        found.stock("mug", "MUG-1")
        yield found
    finally:
        found.down()


class Follower(threading.Thread):
    """A client that follows by its own `step`, and begins again from its cursor whenever that breaks off."""

    def __init__(self, system: System, key: str, step: Callable[[Follower], None]) -> None:
        super().__init__(daemon=True)
        self.url = system.url
        self.told: list[Told] = []
        self.cursor = ""
        self.breaks = 0
        self.broken_by: Exception | None = None
        self.over = False
        self._headers = {"Authorization": f"Bearer {key}"}
        self._step = step

    def run(self) -> None:
        while not self.over:
            try:
                self._step(self)
            except UNAVAILABLE as error:
                self.breaks += 1
                self.broken_by = error
                time.sleep(0.1)

    def open(self, path: str, **headers: str) -> Any:
        request = urllib.request.Request(self.url + path, headers=self._headers | headers)
        return urllib.request.urlopen(request, timeout=20)

    def take(self, event: dict[str, Any]) -> None:
        self.told.append((event["order"], event["sequence"], event["type"], event["id"]))


def poll(client: Follower) -> None:
    with client.open(f"/v1/events?after={client.cursor}&limit=7&wait=2") as answer:
        page = json.load(answer)
    for event in page["data"]:
        client.take(event)
    client.cursor = page["next_cursor"]


def listen(client: Follower) -> None:
    """As a browser does: events count when their frame is whole, and with it its id. Without a place to begin at the
    stream would begin when it is accepted, so the first page is polled for."""
    if not client.cursor:
        poll(client)
        return
    with client.open("/v1/stream", **{"Last-Event-ID": client.cursor}) as stream:
        frame: dict[str, str] = {}
        while not client.over and (line := stream.readline()):
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                frame[name] = value
                continue
            if "data" in frame:
                client.take(json.loads(frame["data"]))
            client.cursor = frame.get("id", client.cursor)
            frame = {}


def journal_of(system: System, orders: list[str], bit: int) -> list[Told]:
    """What the journal's events are to this reader, order by order."""

    async def read() -> list[Told]:
        reader = RedisReader(system.run["redis"])
        await reader.open()
        try:
            found: list[Told] = []
            for id_ in orders:
                (stored,) = await reader.events(int(id_[4:7], 16), [Address("order", id_)])
                found += told_of(id_, stored, bit)
            return found
        finally:
            await reader.close()

    return asyncio.run(read())


def told_of(id_: str, stored: Any, bit: int) -> Iterator[Told]:
    order, number, sequence = Order(), 0, 0
    for happened in map(decode_event, stored):
        if type(happened) is Answered:
            continue
        before, order = order, evolve(order, happened)
        for type_, _, _, mask in published(before, happened, order):
            number += 1
            if mask & bit or not bit:
                sequence += 1
                yield (id_, sequence, type_, f"evt_{id_[4:]}_{number}")


def in_order(told: list[Told], orders: list[str]) -> list[Told]:
    """Grouped by order, each order's events as they came."""
    return [event for id_ in orders for event in told if event[0] == id_]


def kill_a_gateway(system: System, number: int) -> None:
    pid = system.run["processes"][f"gateway-{number}"]["pid"]
    psutil.Process(pid).send_signal(signal.SIGKILL)


def settled(system: System, id_: str) -> str:
    """How the order ends, asked of gateways that may be gone at the moment."""
    deadline = time.monotonic() + CAUGHT_UP_S
    while True:
        try:
            return system.settled(id_)
        except UNAVAILABLE:
            assert time.monotonic() < deadline, "the gateways stay away"
            time.sleep(0.2)


def test_followers_hold_exactly_what_the_journal_holds(system: System) -> None:
    keys = system.keys
    readers = [(keys["retailers"]["acme"], OWNER), (keys["suppliers"]["north"], supplier_bit(1)), (keys["ops"], 0)]
    followers = [Follower(system, key, step) for key, _ in readers for step in (poll, listen)]
    for follower in followers:
        follower.start()
    placed: list[str] = []
    for round_ in range(KILLS):
        placed += [system.place("mug")["id"] for _ in range(ORDERS_BETWEEN)]
        projector(system).kill()
        placed += [system.place("mug")["id"] for _ in range(ORDERS_BETWEEN)]
        kill_a_gateway(system, round_ % 2)
    assert {settled(system, id_) for id_ in placed} == {"confirmed"}
    deadline = time.monotonic() + CAUGHT_UP_S
    for follower, (_, bit) in zip(followers, [reader for reader in readers for _ in range(2)], strict=True):
        while True:
            expected = journal_of(system, placed, bit)
            if len(follower.told) >= len(expected) or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        assert len(expected) >= 2 * len(placed)
        assert in_order(follower.told, placed) == expected, follower.broken_by
        assert len(follower.told) == len(expected)
    assert sum(follower.breaks for follower in followers) > 0, "nobody noticed the gateways that were killed"
    for follower in followers:
        follower.over = True
