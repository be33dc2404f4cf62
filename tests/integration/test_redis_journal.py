"""The Redis journal against real faults: crashes, torn logs, paused owners, memory running out, lost scripts."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.adapters import redis_layout
from actors.adapters.redis_journal import FORMAT, FORMAT_MIN
from actors.runtime.ports import (
    Append,
    Cell,
    Commit,
    Failed,
    Fenced,
    Group,
    Guard,
    JournalMismatch,
    JournalUnavailable,
    Refused,
    Stored,
    WentBack,
)
from models.decision import Address, Due
from tests.integration.redis_fixtures import HOUR_MS, ORDER, SHARD, Box, opened, send, step, version_of

ROOT = Path(__file__).parents[2]


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path)
    yield made
    made.kill()


# --- durability ---


async def test_what_was_acknowledged_is_there_after_kill_9(box: Box) -> None:
    async with opened(box.url) as journal:
        owner = await journal.acquire(SHARD, "A")
        for number in range(1, 31):
            assert await journal.commit([step(owner, number, number - 1, guard=f"g{number}")]) == [Stored()]
        box.restart()
        assert await send(journal, [step(owner, 30, 29, guard="g30")]) == [Stored()], "sent again, stored before"
        assert await version_of(journal) == 30
        assert [entry.due for entry in await journal.due(SHARD, 99, 9)] == [Due(30, pending=True)]
        assert await journal.commit([step(owner, 31, 30, guard="g7")]) == [Stored((Refused(0, "value of g7"),))]
        assert await journal.commit([step(owner, 32, 30)]) == [Stored()]


async def test_a_commit_cut_off_by_a_crash_is_gone_as_a_whole_and_noticed(box: Box) -> None:
    async with opened(box.url) as journal:
        owner = await journal.acquire(SHARD, "A")
        for number in (1, 2, 3):
            assert await journal.commit([step(owner, number, number - 1, guard=f"g{number}")]) == [Stored()]
        box.kill()
        log = box.log()
        os.truncate(log, log.stat().st_size - 7)
        box.restart()
        assert await send(journal, [step(owner, 4, 3)]) == [WentBack(2)]
        assert await version_of(journal) == 2
        assert [entry.due.at for entry in await journal.due(SHARD, 99, 9)] == [2]
        assert await journal.commit([step(owner, 3, 2, guard="g3")]) == [Stored()], "the guard went with its commit"


async def test_a_journal_that_lost_everything_is_noticed(box: Box) -> None:
    async with opened(box.url) as journal:
        owner = await journal.acquire(SHARD, "A")
        assert await journal.commit([step(owner, 1, 0)]) == [Stored()]
        box.talk("FLUSHALL")
        assert await send(journal, [step(owner, 2, 1)]) == [WentBack(0)]


@pytest.mark.parametrize("by_effects", ["yes", "no"])
async def test_replaying_the_log_gives_exactly_what_was_stored(box: Box, by_effects: str) -> None:
    draw = random.Random(7)
    box.talk("CONFIG", "SET", "lua-replicate-commands", by_effects)  # servers from 7.0 on know effects only
    async with opened(box.url, frozenset({"order"})) as journal:
        await journal.stream_open(SHARD.shard)
        owner = await journal.acquire(SHARD, "A")
        versions: dict[Address, int] = {}
        for number in range(1, 120):
            if number % 40 == 0:
                owner = await journal.acquire(SHARD, f"owner {number}")
                box.talk("SCRIPT", "FLUSH")  # the log has to know it again
            groups = [_random_group(draw, versions) for _ in range(draw.randrange(1, 6))]
            (result,) = await journal.commit([Commit(SHARD, owner.epoch, owner.owner, number, groups)])
            assert isinstance(result, Stored)
            refused = {no.group for no in result.refused}
            for index, group in enumerate(groups):
                for append in group.appends if index not in refused else ():
                    versions[append.address] = append.expected_version + len(append.events)
        await asyncio.sleep(0.05)  # the shortest guards have expired by now
        before = _digest(box)
        assert "e:order" in str(before)
        box.restart()
        assert _digest(box) == before
        box.talk("BGREWRITEAOF")
        while b"aof_rewrite_in_progress:1" in (info := box.talk("INFO", "persistence")) or b"scheduled:1" in info:
            await asyncio.sleep(0.02)
        box.restart()
        assert _digest(box) == before


def _random_group(draw: random.Random, versions: dict[Address, int]) -> Group:
    name = f"ord_{draw.randrange(9)}"
    appends = []
    for kind in ("order", "orchestrator"):
        address = Address(kind, name)
        version = versions.get(address, 0) + (draw.random() < 0.1)
        due = draw.choice([None, Due(draw.randrange(1_000), pending=True), Due(draw.randrange(1_000), pending=False)])
        snapshot = b"snapshot %d" % draw.randrange(99) if draw.random() < 0.1 else None
        events = [b"e/1 %d" % draw.randrange(999) for _ in range(draw.randrange(3))]
        appends.append(Append(address, version, events, snapshot, due, draw.random() < 0.7, draw.choice(["", "key"])))
    ttl = draw.choice([5, HOUR_MS])
    return Group(appends, Guard(f"g{draw.randrange(30)}", name, ttl) if draw.random() < 0.3 else None)


def _digest(box: Box) -> dict[bytes, bytes]:
    """Every key with what DUMP says of it, encodings aside: `DEBUG DIGEST-VALUE` looks at values only."""
    keys = box.talk("KEYS", "{s3}:*").split(b"\r\n")[2::2]
    return {key: box.talk("DEBUG", "DIGEST-VALUE", key.decode()) for key in sorted(keys)}


# --- fencing ---

PAUSED_OWNER = """
import asyncio, sys
from actors.adapters.redis_journal import RedisJournal
from tests.integration.redis_fixtures import SHARD, step

async def main():
    journal = RedisJournal(sys.argv[1])
    owner = await journal.acquire(SHARD, "paused")
    print(await journal.commit([step(owner, 1, 0)]), flush=True)
    sys.stdin.readline()
    print(await journal.commit([step(owner, 2, 1)]), flush=True)
    await journal.close()

asyncio.run(main())
"""


async def test_an_owner_that_was_paused_while_another_took_over_is_fenced(box: Box) -> None:
    paused = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PAUSED_OWNER,
        box.url,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert paused.stdin is not None and paused.stdout is not None
    try:
        assert await paused.stdout.readline() == b"[Stored(refused=())]\n"
        paused.send_signal(signal.SIGSTOP)
        paused.stdin.write(b"go on\n")  # it is in the middle of things when it stops
        async with opened(box.url) as journal:
            owner = await journal.acquire(SHARD, "successor")
            assert await journal.commit([step(owner, 2, 1)]) == [Stored()]
            paused.send_signal(signal.SIGCONT)
            assert await paused.stdout.readline() == b"[Fenced()]\n"
            assert await version_of(journal) == 2
    finally:
        paused.kill()
        await paused.wait()


# --- faults that must never look like fencing ---


async def test_forgotten_scripts_are_loaded_again(box: Box) -> None:
    async with opened(box.url) as journal:
        owner = await journal.acquire(SHARD, "A")
        for number, size in ((1, 10), (2, 20_000)):
            box.talk("SCRIPT", "FLUSH")
            assert await journal.commit([step(owner, number, number - 1, size=size)]) == [Stored()]
        box.talk("SCRIPT", "FLUSH")
        assert (await journal.acquire(SHARD, "B")).number == 2
        assert await version_of(journal) == 2


@pytest.mark.parametrize("size", [10, 20_000])
async def test_without_memory_a_commit_fails_and_is_stored_once_when_sent_again(box: Box, size: int) -> None:
    async with opened(box.url) as journal:
        owner = await journal.acquire(SHARD, "A")
        assert await journal.commit([step(owner, 1, 0)]) == [Stored()]
        box.talk("CONFIG", "SET", "maxmemory", "1")
        commits = [step(owner, 2, 1, size=size, guard="g")]
        (failed,) = await journal.commit(commits)
        assert isinstance(failed, Failed)
        assert "OOM" in failed.cause
        assert await version_of(journal) == 1
        box.talk("CONFIG", "SET", "maxmemory", "0")
        assert await send(journal, commits) == [Stored()]
        assert await journal.commit(commits) == [Stored()]
        assert await version_of(journal) == 2


async def test_a_server_that_is_gone_makes_commits_fail_and_the_rest_unavailable(box: Box) -> None:
    async with opened(box.url) as journal:
        owner = await journal.acquire(SHARD, "A")
        box.kill()
        (failed,) = await journal.commit([step(owner, 1, 0)])
        assert isinstance(failed, Failed)
        with pytest.raises(JournalUnavailable):
            await journal.load(SHARD, [ORDER])
        with pytest.raises(JournalUnavailable):
            await journal.acquire(SHARD, "A")
        with pytest.raises(JournalUnavailable):
            await journal.renew("A", 1_000)
        box.restart()
        assert await send(journal, [step(owner, 1, 0)]) == [Stored()]


async def test_a_call_that_is_cancelled_leaves_no_answer_for_the_next_one(box: Box) -> None:
    async with opened(box.url) as journal:
        owner = await journal.acquire(SHARD, "A")
        box.talk("CLIENT", "PAUSE", "100")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(journal.commit([step(owner, 1, 0)]), 0.02)
        assert await journal.lease_of("nobody") == 0
        assert await journal.commit([step(owner, 1, 0)]) == [Stored()]
        assert await version_of(journal) == 1


@pytest.mark.parametrize(
    "answer", [b"-LOADING Redis is loading the dataset in memory\r\n", b"-BUSY running a script\r\n", b""]
)
async def test_a_server_that_is_loading_or_hangs_up_is_unavailable(answer: bytes) -> None:
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while answer and (await reader.read(65536)):
            writer.write(answer * 10)
        writer.close()
        await writer.wait_closed()
        gone.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(JournalUnavailable):
            async with opened(f"redis://127.0.0.1:{port}"):
                raise AssertionError("it opened")
        await gone.wait()


# --- what it refuses to work with ---


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--appendfsync", "everysec"), "appendfsync is everysec.*CONFIG SET appendfsync always"),
        (("--appendonly", "no"), "appendonly is no.*CONFIG SET appendonly yes"),
        (("--maxmemory-policy", "allkeys-lru"), "maxmemory-policy is allkeys-lru"),
        (("--rename-command", "CONFIG", ""), "appendonly is hidden.*let Dray's user run CONFIG GET"),
        (("--replicaof", "127.0.0.1", "1"), "replica"),
    ],
)
async def test_a_server_that_may_lose_orders_is_refused(
    tmp_path: Path, options: tuple[str, ...], complaint: str
) -> None:
    box = Box(tmp_path, *options)
    try:
        with pytest.raises(JournalMismatch, match=complaint):
            async with opened(box.url):
                raise AssertionError("it opened")
    finally:
        box.kill()


async def test_a_server_that_becomes_unfit_is_refused_on_the_next_connection(box: Box) -> None:
    async with opened(box.url) as journal:
        owner = await journal.acquire(SHARD, "A")
        box.restart("--appendfsync", "no")
        await journal.commit([step(owner, 1, 0)])
        (failed,) = await journal.commit([step(owner, 1, 0)])
        assert isinstance(failed, Failed)
        assert "appendfsync is no" in failed.cause


async def test_another_shard_count_or_format_is_refused(box: Box) -> None:
    async with opened(box.url) as journal:
        await journal.claim(64)
        with pytest.raises(JournalMismatch, match="64 shards, not 32"):
            await journal.claim(32)
        box.talk("HSET", "{dray}:system", "format", "99")
        with pytest.raises(JournalMismatch, match="format 99"):
            await journal.claim(64)


async def test_an_older_format_that_is_read_becomes_this_one_so_that_older_versions_refuse_it(box: Box) -> None:
    async with opened(box.url) as journal:
        await journal.claim(64)
        box.talk("HSET", "{dray}:system", "format", str(FORMAT_MIN))
        await journal.claim(64)
        assert b"\r\n%d\r\n" % FORMAT in box.talk("HGET", "{dray}:system", "format")
        box.talk("HSET", "{dray}:system", "format", str(FORMAT_MIN - 1))
        with pytest.raises(JournalMismatch, match=f"format {FORMAT_MIN - 1}; this Dray reads formats"):
            await journal.claim(64)


async def test_a_password_is_taken_from_the_url(tmp_path: Path) -> None:
    box = Box(tmp_path, "--requirepass", "s3cret")
    try:
        async with opened(box.url.replace("unix://", "unix://:s3cret@")) as journal:
            assert (await journal.acquire(SHARD, "A")).epoch == 1
        for login in ("", ":wrong@"):
            with pytest.raises(JournalMismatch, match="another user or password"):
                async with opened(box.url.replace("unix://", f"unix://{login}")):
                    raise AssertionError("it opened")
    finally:
        box.kill()


# --- what an operator sees ---


async def test_health_tells_memory_and_the_state_of_the_log(box: Box) -> None:
    async with opened(box.url) as journal:
        before = await journal.health()
        assert before.version.split(".")[0] >= "6"
        assert before.limit_bytes == 0 and before.aof_writable and not before.rewriting
        owner = await journal.acquire(SHARD, "A")
        await journal.commit([step(owner, 1, 0, size=500_000)])
        after = await journal.health()
        assert after.used_bytes > before.used_bytes + 500_000
        assert after.aof_bytes > before.aof_bytes + 500_000


async def test_an_erased_data_key_leaves_the_disk(box: Box) -> None:
    async with opened(box.url) as journal:
        owner = await journal.acquire(SHARD, "A")
        group = Group([Append(ORDER, 0, [b"a/1 {}"], data_key="the wrapped key")])
        assert await journal.commit([Commit(SHARD, owner.epoch, "A", 1, [group])]) == [Stored()]
        assert b"the wrapped key" in _disk(box)
        await journal.erase_data_keys(SHARD.shard, [ORDER])
        await journal.rewrite_log()
        while (await journal.health()).rewriting:
            await asyncio.sleep(0.02)
        assert b"the wrapped key" not in _disk(box)
        assert b"a/1 {}" in _disk(box)


def _disk(box: Box) -> bytes:
    return b"".join(path.read_bytes() for path in box.server.directory.rglob("*") if path.is_file())


async def test_cells_of_many_shards_share_a_pipeline(box: Box) -> None:
    async with opened(box.url) as journal:
        owners = [await journal.acquire(Cell(shard), "A") for shard in range(40)]
        await journal.acquire(Cell(5), "B")
        results = await journal.commit([step(owner, 1, 0, size=1_000) for owner in owners])
        assert [isinstance(result, Fenced) for result in results] == [shard == 5 for shard in range(40)]
        assert all(result == Stored() for shard, result in enumerate(results) if shard != 5)


@pytest.mark.parametrize("by_effects", ["yes", "no"])
async def test_a_commit_that_cannot_be_stored_holds_up_nobody_but_its_shard(box: Box, by_effects: str) -> None:
    async with opened(box.url) as journal:
        box.talk("CONFIG", "SET", "lua-replicate-commands", by_effects)
        owners = [await journal.acquire(Cell(shard), "A") for shard in range(4)]
        box.talk("SET", f"{{s1}}:e:{ORDER}", "not a list")
        commits = [step(owner, 1, 0) for owner in owners]
        first, broken, *behind = await journal.commit(commits)
        assert first == Stored() and isinstance(broken, Failed) and "WRONGTYPE" in broken.cause
        assert all(isinstance(result, Failed) for result in behind), "not tried: a failure ends the run"
        first, broken, *behind = await journal.commit(commits)
        assert isinstance(broken, Failed) and [first, *behind] == [Stored()] * 3, "it goes last from now on"
        box.restart()
        assert await send(journal, commits[:1]) == [Stored()]
        assert (await journal.acquire(Cell(2), "B")).number == 1
        assert (await journal.acquire(Cell(1), "B")).number == 0


async def test_more_than_one_run_can_carry_goes_as_several(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_layout, "CALL_ARGUMENTS_MAX", 20)
    async with opened(box.url) as journal:
        owners = [await journal.acquire(Cell(shard), "A") for shard in range(20)]
        assert await journal.commit([step(owner, 1, 0) for owner in owners]) == [Stored()] * 20
        assert await journal.commit([step(owner, 2, 1) for owner in owners]) == [Stored()] * 20
