"""The journal in Redis Cluster: scripts touch only keys they declare, all of one hash tag; shards find their nodes."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from actors.adapters.redis_journal import SCRIPTS, RedisJournal
from actors.runtime.ports import Append, Cell, Commit, Group, Guard, JournalUnavailable, Stored
from models.decision import Address, Due
from tests.contract.journal_backends import free_port
from tests.integration.redis_fixtures import HOUR_MS, ORDER, Box, opened, send, step, version_of

WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"')
HALF = 8192


# --- what the scripts touch ---


@contextmanager
def monitored(box: Box) -> Iterator[list[bytes]]:
    """Collects everything the server carries out, the commands inside scripts included."""
    lines: list[bytes] = []
    line = socket.socket(socket.AF_UNIX)
    line.connect(box.server.socket_path)
    line.sendall(b"MONITOR\r\n")
    reader = line.makefile("rb")
    assert reader.readline() == b"+OK\r\n"

    def collect() -> None:
        while (text := reader.readline()) and b"the end" not in text:
            lines.append(text)

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        yield lines
    finally:
        box.talk("ECHO", "the end")
        thread.join()
        reader.close()
        line.close()


async def test_every_script_touches_only_the_keys_it_declares_and_they_share_one_tag(tmp_path: Path) -> None:
    box = Box(tmp_path)
    try:
        async with opened(box.url, frozenset({"order"})) as journal:
            with monitored(box) as lines:
                await _use_everything(journal)
        assert _checked_scripts(lines) == len(SCRIPTS)
    finally:
        box.kill()


async def _use_everything(journal: RedisJournal) -> None:
    await journal.claim(8)
    await journal.stream_open(3)
    owner = await journal.acquire(Cell(3), "A")
    hot = await journal.acquire(Cell(3, str(ORDER)), "H")
    saga = Address("orchestrator", ORDER.id)
    everything = Group(
        [
            Append(ORDER, 0, [b"a/1 {}", b"b/1 {}"], None, Due(5, pending=True), True, "data key"),
            Append(saga, 0, [b"a/1 {}"], b"snapshot", Due(5, pending=False), True),
        ],
        Guard("g", "v", HOUR_MS),
    )
    commit = Commit(hot.cell, hot.epoch, "H", 1, [everything])
    assert await journal.commit([commit]) == [Stored()]
    refused = Commit(
        hot.cell, hot.epoch, "H", 2, [everything, Group([Append(ORDER, 7, [b"a/1 {}"])], Guard("h", "v", 9))]
    )
    await journal.commit([refused])
    assert await journal.load(hot.cell, [ORDER, saga])
    assert await journal.load(owner.cell, [ORDER, saga]), "retires the dedicated"
    last = Append(ORDER, 2, [], due_changed=True)
    again = await journal.acquire(Cell(3), "A")
    assert await journal.commit([Commit(again.cell, again.epoch, "A", 1, [Group([last])])]) == [Stored()]
    forgotten = Group([Append(ORDER, 2, [], forget=True)])
    assert await journal.commit([Commit(again.cell, again.epoch, "A", 2, [forgotten])]) == [Stored()]
    assert [entry.sequence for entry in await journal.stream_read(3, 0, 9)] == [1]
    await journal.stream_trim(3, 1)
    assert await journal.stream_passed(3, 1)


def _checked_scripts(lines: list[bytes]) -> int:
    """Check each command that a script carried out against the keys its call declared; how many scripts ran."""
    carried_out: dict[bytes, int] = {}
    declared: set[bytes] = set()
    script = b""
    for line in lines:
        words = WORD.findall(line)
        if words[0].upper() == b"EVALSHA":
            script, count = words[1], int(words[2])
            declared = set(words[3 : 3 + count])
            assert len({key[: key.index(b"}")] for key in declared}) == 1, line
        elif b" lua]" in line:
            carried_out[script] = carried_out.get(script, 0) + 1
            assert words[1] in declared, line
    assert sum(carried_out.values()) > 20
    return len(carried_out)


# --- two nodes ---


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[tuple[Box, Box, list[int]]]:
    ports = [free_port(), free_port()]
    boxes = [
        Box(tmp_path / str(port), "--port", str(port), "--bind", "127.0.0.1", "--cluster-enabled", "yes")
        for port in ports
    ]
    try:
        for number, box in enumerate(boxes):
            slots = map(str, range(number * HALF, (number + 1) * HALF))
            assert box.talk("CLUSTER", "ADDSLOTS", *slots) == b"+OK\r\n"
        boxes[1].talk("CLUSTER", "SET-CONFIG-EPOCH", "2")
        boxes[0].talk("CLUSTER", "MEET", "127.0.0.1", str(ports[1]))
        for box in boxes:
            while not (b"cluster_state:ok" in (info := box.talk("CLUSTER", "INFO")) and b"known_nodes:2" in info):
                await asyncio.sleep(0.02)
        yield boxes[0], boxes[1], ports
    finally:
        for box in boxes:
            box.kill()


async def test_shards_live_on_the_nodes_that_serve_them_and_are_followed_when_they_move(
    cluster: tuple[Box, Box, list[int]],
) -> None:
    first, second, ports = cluster
    async with opened(f"redis://127.0.0.1:{ports[0]}") as journal:
        await journal.claim(8)
        owners = [await journal.acquire(Cell(shard), "A") for shard in range(8)]
        assert await journal.commit([step(owner, 1, 0) for owner in owners]) == [Stored()] * 8
        assert [await version_of(journal, cell=Cell(shard)) for shard in range(8)] == [1] * 8
        await journal.renew("A", HOUR_MS)
        assert await journal.lease_of("A") > 0
        held = [box.talk("KEYS", "{s*}:owner").count(b":owner") for box in (first, second)]
        assert sum(held) == 8 and min(held) >= 2, held

        # An empty slot changes hands: shard 99 has nothing yet, and the journal believes it at the old place.
        slot = first.talk("CLUSTER", "KEYSLOT", "{s99}").strip(b":\r\n").decode()
        here, there = (first, second) if int(slot) < HALF else (second, first)
        new_home = there.talk("CLUSTER", "MYID").split(b"\r\n")[1].decode()
        for box in (there, here):
            assert box.talk("CLUSTER", "SETSLOT", slot, "NODE", new_home) == b"+OK\r\n"
        with pytest.raises(JournalUnavailable, match="MOVED"):
            await journal.acquire(Cell(99), "A")
        owner = await journal.acquire(Cell(99), "A")
        assert await send(journal, [step(owner, 1, 0)]) == [Stored()]
        assert there.talk("EXISTS", "{s99}:owner") == b":1\r\n"
