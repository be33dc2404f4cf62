"""What piles up for one actor is decided in one turn, and nobody pays for somebody else's mistake."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from actors.runtime.envelope import Envelope, Status
from actors.runtime.kind import ActorKind
from actors.runtime.limits import LIMITS
from actors.runtime.resident import NEVER, Resident, Work
from actors.runtime.turn import take_turn
from models.decision import Accepted, Address, Command, Decision, Event, Send
from models.record import dataclass
from tests.runtime.accounts import body, opened
from tests.runtime.toys import Break, Deposit, Pay, Town, in_town


async def told(town: Town, to: Address, *commands: Command) -> None:
    """Hand over commands that nobody waits for, all at once, and wait until they are through."""
    host = town.hosts["h0"]
    for command in commands:
        host.send(Send(to, command))
    for _ in range(200):
        await asyncio.sleep(0.001)


def test_what_piles_up_for_an_actor_is_one_turn_and_one_commit() -> None:
    async def story(town: Town) -> None:
        ann = await opened(town, "ann")
        host = town.hosts["h0"]
        turns, commits = host.turns, host.status()["commits"]
        await told(town, ann, *(Deposit(amount=n) for n in range(1, 6)))
        assert (host.turns, host.status()["commits"]) == (turns + 1, commits + 1)
        reply = await town.router.read(ann)
        assert body(reply)["balance"] == 15
        assert reply.version == 6
        assert body(await town.router.read(Address("auditor", "ann"))) == {"seen": 5, "sum": 15}

    in_town(story)


def test_a_rejected_command_among_several_changes_nothing() -> None:
    async def story(town: Town) -> None:
        ann = await opened(town, "ann")
        await told(town, ann, Deposit(amount=1), Pay(amount=1_000), Deposit(amount=2))
        assert body(await town.router.read(ann))["balance"] == 3
        assert not town.parked

    in_town(story)


def test_a_poisonous_command_among_several_is_parked_alone() -> None:
    async def story(town: Town) -> None:
        ann = await opened(town, "ann")
        await told(town, ann, Deposit(amount=1), Break(), Deposit(amount=2), Deposit(amount=666), Deposit(amount=4))
        assert body(await town.router.read(ann))["balance"] == 7
        assert len(town.parked) == 2

    in_town(story, limits=replace(LIMITS, commit_retry_s=0.0001))


def test_what_is_asked_for_keeps_its_place_among_what_is_not() -> None:
    async def story(town: Town) -> None:
        ann = await opened(town, "ann")
        host = town.hosts["h0"]
        asked: list[int] = []
        for amount in (1, 2):
            host.send(Send(ann, Deposit(amount=amount)))
        host.accept(host.work(Envelope(ann, Deposit(amount=4), NEVER), lambda reply: asked.append(reply.version)))
        host.send(Send(ann, Deposit(amount=8)))
        for _ in range(50):
            await asyncio.sleep(0.001)
        assert asked == [4]  # opened, and three deposits: the fourth came after it
        assert body(await town.router.read(ann))["balance"] == 15

    in_town(story)


def test_a_bug_of_the_runtime_costs_one_actors_works_and_not_those_behind_it() -> None:
    async def story(town: Town) -> None:
        ann, bob = await opened(town, "ann", 5), await opened(town, "bob", 5)
        host = town.hosts["h0"]
        turn = host._intake._turn

        def broken(works: Sequence[Work]) -> None:
            if works[0].home == ann:
                raise RuntimeError("broken on purpose")
            turn(works)

        host._intake._turn = broken
        replies = await asyncio.gather(*(town.router.ask(to, Deposit(amount=1)) for to in (ann, bob, bob)))
        assert [reply.status for reply in replies] == [Status.FAILED, Status.OK, Status.OK]

    in_town(story)


@pytest.mark.as_written
def test_a_slice_is_followed_by_one_other_however_much_came_in_meanwhile() -> None:
    """Two would each be followed by two under a lasting backlog."""

    async def story(town: Town) -> None:
        ann = await opened(town, "ann")
        intake = town.hosts["h0"]._intake
        turn, run = intake._turn, intake._run
        slices, more = [0], [20]

        def counted() -> None:
            slices[0] += 1
            run()

        def busy(works: Sequence[Work]) -> None:
            turn(works)
            if more[0]:
                more[0] -= 1
                intake.enqueue(ann, Deposit(amount=1))

        intake._run, intake._turn = counted, busy
        await told(town, ann, *(Deposit(amount=1) for _ in range(20)))
        assert body(await town.router.read(ann))["balance"] == 40
        assert slices[0] <= 42  # a work each, and the reading

    in_town(story, limits=replace(LIMITS, works_per_slice_max=1))


# --- what closes a turn ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Add(Command):
    amount: int = 0


@dataclass(frozen=True)
class Saw(Command):
    total: int = 0


@dataclass(frozen=True)
class Noted(Event):
    total: int


def _add(total: int, asked: Add) -> Decision:
    return Accepted(state=total + asked.amount, closing=Send(Address("watcher", "x"), Saw(total=total + asked.amount)))


def _watch(_seen: tuple[int, ...], asked: Saw) -> Decision:
    return Accepted((Noted(asked.at, asked.total),))


COUNTER = ActorKind("counter", 0, _add, lambda total, _event: total, lambda total: total, int)
WATCHER = ActorKind(
    "watcher", (), _watch, lambda seen, happened: (*seen, happened.total), lambda seen: seen, tuple, home="counter"
)


def test_a_turn_is_closed_once_on_what_all_its_commands_have_made() -> None:
    resident = Resident(Address("counter", "x"), (COUNTER, WATCHER))
    asked = [Envelope(Address("counter", "x"), Add(amount=n), NEVER, asks=False) for n in (1, 2, 3)]
    turn, _ = take_turn(resident, asked, now=7)
    assert turn.states == {"counter": 6, "watcher": (6,)}
    assert turn.events == {"watcher": [Noted(7, 6)]}
