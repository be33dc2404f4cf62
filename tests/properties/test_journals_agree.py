"""Two journals, the same history: whatever is done to both, memory and Redis give the same answers.

The simulator finds bugs on the journal in memory; they are only found for production if the two do not differ.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from actors.adapters.redis_journal import RedisJournal
from actors.runtime.local_journal import MemoryJournal
from actors.runtime.ports import Append, Cell, Commit, CommitResult, Group, Guard, Ownership, Stored
from models.decision import Address, Due
from scripts import redis_server
from scripts.redis_server import RunningRedis
from tests.contract.journal_backends import talk

KINDS = frozenset({"order"})
CELLS = [Cell(1), Cell(2), Cell(1, "order:1o1"), Cell(2, "order:2o2")]
NAMES = [f"o{n}" for n in range(5)]
HOUR_MS = 3_600_000
STEPS = 150


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRedis]:
    started = redis_server.start(Path(tmp_path_factory.mktemp("agree")))
    yield started
    started.stop()


@pytest.fixture
async def both(server: RunningRedis) -> AsyncIterator[tuple[MemoryJournal, RedisJournal]]:
    talk(server, b"FLUSHALL\r\n")
    redis = RedisJournal(server.url, stream_kinds=KINDS)
    await redis.open()
    yield MemoryJournal(stream_kinds=KINDS), redis
    await redis.close()


class History:
    """Draws what happens next from what owners believe, which is often out of date."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.beliefs: dict[tuple[Cell, str], Ownership] = {}
        self.versions: dict[Address, int] = {}
        self.sent: list[Commit] = []
        self.lost = [(cell, "owner 0") for cell in CELLS]

    def acquisitions(self) -> list[tuple[Cell, str]]:
        """At first every cell; later what was lost, and now and then what somebody else holds."""
        wanted, self.lost = self.lost, []
        if self.draw.random() < 0.05:
            wanted.append((self.draw.choice(CELLS), f"owner {self.draw.randrange(3)}"))
        return wanted

    def commits(self) -> list[Commit]:
        """Up to three commits for one pipeline, one of them perhaps an old one sent again."""
        draw = self.draw
        chosen = [self._commit(draw.choice(list(self.beliefs.values()))) for _ in range(draw.randrange(1, 4))]
        if self.sent and draw.random() < 0.3:
            chosen.append(draw.choice(self.sent[-6:]))
        self.sent += chosen
        return chosen

    def _commit(self, belief: Ownership) -> Commit:
        number = belief.number + (1 if self.draw.random() < 0.9 else self.draw.randrange(4))
        groups = [self._group(belief.cell.shard) for _ in range(self.draw.randrange(4))]
        return Commit(belief.cell, belief.epoch, belief.owner, number, groups)

    def _group(self, shard: int) -> Group:
        draw = self.draw
        name = f"{draw.choice(NAMES)}"
        kinds = draw.sample(("order", "orchestrator", "sku"), draw.randrange(1, 4))
        guard = Guard(f"g{draw.randrange(12)}", f"{name} {draw.random()}", HOUR_MS) if draw.random() < 0.2 else None
        return Group([self._append(Address(kind, f"{shard}{name}")) for kind in kinds], guard)

    def _append(self, address: Address) -> Append:
        draw = self.draw
        version = self.versions.get(address, 0) + (draw.random() < 0.05)
        if draw.random() < 0.05:
            kept = Due(draw.randrange(50), pending=False) if draw.random() < 0.3 else None
            return Append(address, version, (), due=kept, forget=True)
        events = [b"e/1 %d" % draw.randrange(10**6) for _ in range(draw.randrange(4))]
        return Append(
            address,
            version,
            events,
            snapshot=b"s %d" % draw.randrange(10**6) if draw.random() < 0.15 else None,
            due=draw.choice([None, Due(draw.randrange(50), pending=True), Due(draw.randrange(50), pending=False)]),
            due_changed=draw.random() < 0.6,
            data_key=draw.choice(["", "", f"key {draw.random()}"]),
            restored=draw.randrange(len(events) + 1) if draw.random() < 0.2 else 0,
        )

    def learn(self, commit: Commit, result: CommitResult) -> None:
        """What an owner believes after an answer: it counts on, or gives up what it has lost, sooner or later."""
        belief = self.beliefs[commit.cell, commit.owner]
        if isinstance(result, Stored) and commit.number == belief.number + 1 and commit.epoch == belief.epoch:
            self.beliefs[commit.cell, commit.owner] = belief._replace(number=commit.number)
        elif not isinstance(result, Stored) and self.draw.random() < 0.5:
            self.lost.append((commit.cell, commit.owner))


@pytest.mark.parametrize("seed", range(6))
async def test_memory_and_redis_tell_the_same_story(both: tuple[MemoryJournal, RedisJournal], seed: int) -> None:
    history = History(seed)
    told: Counter[str] = Counter()
    for step in range(STEPS):
        for cell, owner in history.acquisitions():
            here, there = [await journal.acquire(cell, owner) for journal in both]
            assert here == there
            history.beliefs[cell, owner] = here
        if history.draw.random() < 0.05:
            for journal in both:
                await journal.stream_open(1)
        commits = history.commits()
        here_all, there_all = [await journal.commit(commits) for journal in both]
        assert _plain(here_all) == _plain(there_all), f"seed {seed}, step {step}: {commits}"
        told.update(type(result).__name__ for result in here_all)
        told["refused"] += sum(len(result.refused) for result in here_all if isinstance(result, Stored))
        for commit, result in zip(commits, here_all, strict=True):
            history.learn(commit, result)
        if step % 10 == 9:
            await _same_contents(both, history)
    assert told["Stored"] > 50 and told["refused"] > 20 and told["Fenced"] > 5 and told["WentBack"] > 0, told


async def _same_contents(both: tuple[MemoryJournal, RedisJournal], history: History) -> None:
    for shard in (1, 2):
        names = [Address(kind, f"{shard}{name}") for kind in ("order", "orchestrator", "sku") for name in NAMES]
        # Reading as the pooled owner ends dedications, so it does not always.
        cell = Cell(shard) if history.draw.random() < 0.5 else Cell(shard, "order:none")
        here, there = [list(await journal.load(cell, names)) for journal in both]
        assert here == there
        history.versions.update({name: record.version for name, record in zip(names, here, strict=True)})
        for limit in (3, 100):
            for until in (10, 100):
                due_here, due_there = [list(await journal.due(Cell(shard), until, limit)) for journal in both]
                assert due_here == due_there
            page_here, page_there = [list(await journal.pending(Cell(shard), None, limit)) for journal in both]
            assert page_here == page_there
        found_here, found_there = [sorted(await journal.addresses(shard)) for journal in both]
        assert found_here == found_there
        stream_here, stream_there = [await journal.stream_read(shard, 0, 10_000) for journal in both]
        assert [_lists(entry.appends) for entry in stream_here] == [_lists(entry.appends) for entry in stream_there]


def _lists(appends: Sequence[tuple[Address, int, Sequence[bytes]]]) -> list[tuple[Address, int, list[bytes]]]:
    return [(address, version, list(events)) for address, version, events in appends]


def _plain(results: Sequence[CommitResult]) -> list[CommitResult]:
    return [replace(r, refused=tuple(r.refused)) if isinstance(r, Stored) else r for r in results]
