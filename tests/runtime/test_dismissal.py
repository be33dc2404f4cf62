"""What changes often stays in memory; an order that nothing is under way of does not."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from actors.runtime.limits import LIMITS
from models.decision import Due
from tests.runtime.accounts import account, body, opened
from tests.runtime.bank import ARCHIVED_KINDS
from tests.runtime.toys import Deposit, Pay, Rang, Town, in_town

ANN = account("1-ann")
MINTED = {"kinds": ARCHIVED_KINDS}


def in_memory(town: Town) -> bool:
    return any(ANN in owned.residents for host in town.hosts.values() for owned in host.cells.values())


def test_it_is_forgotten_once_what_it_did_is_durable_and_goes_on_as_if_it_had_not_been() -> None:
    async def story(town: Town) -> None:
        await opened(town, ANN.id, 50)
        assert not in_memory(town)
        assert body(await town.router.ask(ANN, Pay(amount=10)))["balance"] == 40
        assert not in_memory(town)

    in_town(story, **MINTED)


def test_who_has_an_effect_under_way_is_kept() -> None:
    async def story(town: Town) -> None:
        await opened(town, ANN.id, 50)
        await town.router.ask(ANN, Pay(amount=10, ring=True))
        assert in_memory(town)

    in_town(story, silent=True, **MINTED)


def test_kinds_whose_actors_are_not_minted_are_kept() -> None:
    async def story(town: Town) -> None:
        await opened(town, ANN.id, 50)
        assert in_memory(town)

    in_town(story)


def test_who_is_read_is_kept_for_the_next_reader() -> None:
    async def story(town: Town) -> None:
        await opened(town, ANN.id, 50)
        assert body(await town.router.read(ANN))["balance"] == 50
        assert in_memory(town)

    in_town(story, **MINTED)


def test_who_waits_with_a_timer_is_loaded_once_for_all_that_changes_nothing() -> None:
    """The first of it writes the timer again, which may be another one in the index; the next find it in memory."""

    async def story(town: Town) -> None:
        await opened(town, ANN.id, 50)
        assert not in_memory(town)
        await town.router.ask(ANN, Rang())
        commits = town.hosts["h0"].status()["commits"]
        for _ in range(5):
            await town.router.ask(ANN, Rang())
        assert town.hosts["h0"].status()["commits"] == commits

    waiting = replace(ARCHIVED_KINDS["account"], due=lambda state: Due(10**15, False) if state.owner else None)
    in_town(story, kinds={**ARCHIVED_KINDS, "account": waiting})


def test_who_is_waited_for_is_kept_and_its_asker_told_when_its_shard_moves() -> None:
    async def story(town: Town) -> None:
        await opened(town, ANN.id, 50)
        waiting = asyncio.ensure_future(town.router.ask(ANN, Deposit(amount=1), watch=3_600.0))
        await asyncio.sleep(0.05)
        assert in_memory(town)
        assert not waiting.done()
        shard = town.hosts["h0"].cell_of(ANN).shard
        await town.start_host("h1", [shard])
        await town.router.ask(ANN, Deposit(amount=100))
        assert body(await asyncio.wait_for(waiting, 10))["balance"] >= 151

    in_town(story, limits=replace(LIMITS, linger_s=0.05), **MINTED)
