"""The composition root: the one place where ports meet their adapters. Hosts, the director and gateways are built here
from a `scripts.spec`, which travels to every process of the system.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from actors.adapters import ray_cluster
from actors.adapters.host_link import HostLink
from actors.adapters.placement_link import PlacementLink
from actors.adapters.ray_transport import RayTransport
from actors.adapters.redis_journal import RedisJournal
from actors.adapters.redis_system import archive_of
from actors.adapters.simulated_payments import SimulatedPayments
from actors.adapters.sqlalchemy_archive import SqlArchive
from actors.kinds import KINDS
from actors.parking import park
from actors.runtime.host import HostCore
from actors.runtime.limits import LIMITS
from actors.runtime.ports import Cell, EffectRunner, HostUnavailable, Placement, Runners
from actors.runtime.router import Router, is_dedicated
from gateway.services import BadSignature, StripeEvents
from models.decision import Millis
from models.orchestrator.messages import PaymentAnswered
from models.payments import PaymentAnswer
from scripts.collector import spare_the_collector
from scripts.journal import open_journal
from scripts.process_log import log_to_file
from scripts.storage_watch import StorageWatch

log = logging.getLogger("dray")

SANDBOX_KEY = "sk_test_dray_sandbox"
FOREIGN_PAUSE_S = 5.0


def wall() -> Millis:
    return time.time_ns() // 1_000_000


# --- hosts -----------------------------------------------------------------------------------------------------------


def answer_payment(answer: PaymentAnswer) -> PaymentAnswered:
    """The command that takes a payment's outcome back to its orchestrator."""
    return PaymentAnswered(answer=answer)


def payments(spec: Mapping[str, Any]) -> EffectRunner:
    """The Payments port that the configuration asks for. Raises ValueError for a key and a server that must not
    meet."""
    if spec["payments"] == "simulated":
        ledger = Path(spec["ledger"]) if spec["ledger"] else None
        return SimulatedPayments(answer_payment, spec["simulated_latency_ms"], ledger)
    from actors.adapters.stripe_payments import StripePayments

    return StripePayments(answer_payment, stripe_key(spec), spec["stripe_url"])


def stripe_key(spec: Mapping[str, Any]) -> str:
    """The key for the server that this system pays through."""
    return SANDBOX_KEY if spec["payments"] == "sandbox" else os.environ.get("STRIPE_API_KEY", "")


def stripe_events(spec: Mapping[str, Any]) -> StripeEvents | None:
    """What makes Stripe's webhooks trusted; None where payments send none, or nobody has told us their secret."""
    secret = os.environ.get("STRIPE_WEBHOOK_SECRET", "")
    if spec["payments"] == "simulated" or not secret:
        return None
    from actors.adapters import stripe_events as adapter

    return adapter.StripeEvents(stripe_key(spec), spec["stripe_url"], secret, BadSignature)


class Reach:
    """A process's way to every actor: placement, transport and router, wired together.

    on_gone: called when some host's process is no more.
    """

    def __init__(
        self, spec: Mapping[str, Any], name: str, on_gone: Callable[[], None] = lambda: None
    ) -> None:
        self.transport = RayTransport()
        self._on_gone = on_gone
        self.directory = PlacementLink(ray_cluster.find_director, gone=self._gone, back=self.transport.back)
        self.router = Router(
            self.transport,
            self.directory,
            name=name,
            shards=spec["shards"],
            wall=wall,
            homes={kind.name: kind.home for kind in KINDS.values() if kind.home},
        )
        self.directory.changed = self._placed

    def _gone(self, host: str) -> None:
        self.transport.gone(host)
        self._on_gone()

    def _placed(self, placement: Placement) -> None:
        self.router.placement = placement

    async def open(self) -> None:
        """Raises HostUnavailable if the director is not heard of."""
        self.directory.start()
        await self.router.start()

    async def close(self) -> None:
        await self.router.close()
        await self.directory.close()


class Hosted:
    """A running host: what the Ray actor calls."""

    def __init__(self, spec: Mapping[str, Any], name: str, cell: Cell | None, journal: RedisJournal) -> None:
        owner = f"{name}/{secrets.token_hex(6)}"
        rules = frozenset(spec["dedicated"])
        runners: Runners = {"payments": payments(spec)}
        self.journal = journal
        archives = cell is None or KINDS[cell.actor.partition(":")[0]].minted_at is not None
        self._archive = SqlArchive(spec["archive"], wall, partial(archive_of, spec["redis"])) if archives else None
        self.reach = Reach(spec, owner, self._remind)
        self.core = HostCore(
            KINDS,
            journal,
            runners,
            owner=owner,
            shards=spec["shards"],
            wall=wall,
            tell=self.reach.router.tell,
            park=park,
            dedicated=(lambda home: is_dedicated(rules, home)) if rules else None,
            on_lost=self._lost,
            on_foreign=self._wake,
            archive=self._archive,
            limits=replace(
                LIMITS, archive_after_s=spec["archive_after_s"], arrivals_in_flight_max=spec["arrivals_max"]
            ),
        )
        self._storage = StorageWatch(self.core, journal, Path(spec["data"]) if spec["data"] else None)
        self.link = HostLink(self.core, name, ray_cluster.find_director, cell=cell)
        self._waking: dict[Cell, asyncio.Task[None]] = {}

    async def open(self) -> None:
        await self.core.start()
        self.reach.directory.start()
        self._storage.start()
        self.link.start()
        self._routing = asyncio.get_running_loop().create_task(self.reach.router.start())

    async def deliver(self, batch: bytes) -> bytes:
        return await self.core.deliver(batch)

    def status(self) -> dict[str, Any]:
        return self.core.status()

    async def close(self) -> None:
        await self.link.close()
        await self._storage.close()
        await self.core.close()
        if self._archive is not None:
            await self._archive.close()
        await self.reach.close()
        await self.journal.close()

    def _lost(self, cell: Cell) -> None:
        self.link.lost(cell)

    def _remind(self) -> None:
        self.core.remind()

    def _wake(self, cell: Cell) -> None:
        """See to it that a dedicated actor which has something to do has its host; not more often than it can help."""
        if cell not in self._waking:
            self._waking[cell] = asyncio.get_running_loop().create_task(self._find(cell))

    async def _find(self, cell: Cell) -> None:
        try:
            await self.reach.directory.host_of(cell)
        except HostUnavailable as error:
            log.warning("%s has something to do and no host: %s", cell.actor, error)
        await asyncio.sleep(FOREIGN_PAUSE_S)
        self._waking.pop(cell, None)


async def open_host(spec: Mapping[str, Any], name: str, cell: Cell | None) -> Hosted:
    """Build and start a host inside its Ray actor."""
    log_to_file(spec, name.replace(":", "-"))
    hosted = Hosted(spec, name, cell, await open_journal(spec))
    await hosted.open()
    spare_the_collector()
    return hosted
