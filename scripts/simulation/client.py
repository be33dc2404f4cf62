"""Clients of the simulated system: they ask until they are answered, and keep every answer as a receipt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any
from zlib import crc32

import orjson

from actors.runtime.codec import decode_answers, encode_batch, encode_item
from actors.runtime.envelope import Envelope, Overloaded, Read, Reply, Status, Unanswered
from actors.runtime.ports import Guard, HostUnavailable
from actors.runtime.router import Router
from models.decision import Address, Command, Millis
from models.identity import order_id
from models.order.commands import PlaceOrder
from models.record import changed
from scripts.simulation.cluster import Cluster, Disconnected
from scripts.simulation.trace import Trace

GUARD_TTL_MS = 24 * 3600 * 1000
PATIENCE_ATTEMPTS_MAX = 400
PEEK_S = 1.0


class Impatient(Exception):
    """A client was never answered."""


class Vanished(Exception):
    """What was there is gone."""


class Receipts:
    """What clients were told, to be compared with what is stored.

    minted:  ids that a gateway has tried to place an order under -> the idempotency key ('' without).
    placed:  the order that was named in the answer, by key.
    applied: command ids that were answered OK -> (address, command).
    matched: command ids -> the version that they named in `If-Match`.
    broken:  answers that contradict earlier ones.
    """

    def __init__(self) -> None:
        self.minted: dict[str, str] = {}
        self.placed: dict[str, str] = {}
        self.unkeyed: list[str] = []
        self.applied: dict[str, tuple[Address, Command]] = {}
        self.matched: dict[str, int] = {}
        self.broken: list[str] = []


class Client:
    """All clients speak through one of these.

    stored: how many events are stored of an actor at this moment: no answer to a later question may know fewer.
    """

    def __init__(
        self,
        cluster: Cluster,
        random: Random,
        trace: Trace,
        receipts: Receipts,
        *,
        now: Callable[[], Millis],
        shards: int,
        stored: Callable[[Address], int],
    ) -> None:
        self.receipts = receipts
        self._cluster = cluster
        self._random = random
        self._trace = trace
        self._now = now
        self._shards = shards
        self._stored = stored

    async def ask(
        self, to: Address, make: Callable[[], Command], command_id: str = "", digest: str = "", *, version: int = 0
    ) -> Reply:
        """Send a command until there is an answer to it; `make` is called anew for every request, as a gateway does
        that mints ids. `version` is what `If-Match` names. Raises Impatient."""

        if version:
            self.receipts.matched[command_id] = version

        async def once() -> Reply:
            command = make()

            async def call(router: Router) -> Reply:
                return await router.ask(to, command, command_id=command_id, digest=digest, expected_version=version)

            reply = await self._cluster.request(call)
            if reply.status is Status.OK and command_id:
                self._applied(command_id, to, command)
            return reply

        return await self._until_answered(to, once)

    async def read(self, to: Address) -> Any:
        """The view of an actor that the client has reason to believe in. Raises Impatient and Vanished."""
        return (await self.read_at(to))[0]

    async def read_at(self, to: Address) -> tuple[Any, int]:
        """The same, with its version."""

        async def once() -> Reply:
            return await self._cluster.request(lambda router: router.read(to))

        reply = await self._until_answered(to, once)
        if reply.status is Status.ABSENT:
            raise Vanished(f"{to} is not there")
        return orjson.loads(reply.body), reply.version

    async def peek(self, to: Address) -> None:
        """Ask any host for an actor's view, as a router with an outdated placement does: whoever answers must know all
        that was stored when it was asked."""
        if not self._cluster.hosts:
            return
        host = self._random.choice(list(self._cluster.hosts))
        least = self._stored(to)
        item = encode_item(Envelope(to, Read(), self._now() + int(1000 * PEEK_S)))
        try:
            async with asyncio.timeout(PEEK_S):
                data = await self._cluster.network.deliver(host, encode_batch("peek", False, [item]))
        except (HostUnavailable, TimeoutError):
            return
        reply = decode_answers(data).replies[0]
        if reply is not None and reply.status is Status.OK:
            self._seen(to, least, reply)

    async def place(self, key: str, order: PlaceOrder, watch_s: float | None = None) -> str | None:
        """Post an order and give back the id in the answer; None if there was no answer and, without a key, no way to
        ask again. `watch_s` is `Prefer: wait`. Raises Impatient."""
        digest = f"{crc32(repr(order).encode()):08x}"
        found = ""

        async def once() -> Reply:
            nonlocal found
            shard = crc32(f"acme/{key}".encode()) if key else self._random.getrandbits(16)
            minted = order_id(shard % self._shards, self._now(), self._random.randbytes(10))
            self.receipts.minted[minted] = key
            command = changed(order, order=minted)
            guard = Guard(f"acme/{key}", f"{minted} {digest}", GUARD_TTL_MS) if key else None
            to = Address("order", minted)

            async def call(router: Router) -> Reply:
                return await router.ask(to, command, guard=guard, data_key="wrapped", watch=watch_s)

            reply = await self._cluster.request(call)
            found = minted
            if reply.status is Status.DUPLICATE:
                found = reply.body.decode().partition(" ")[0]
            elif reply.status is not Status.OK:
                self.receipts.broken.append(f"placing {minted} was answered {reply.status} {reply.body!r}")
            return reply

        if not key:
            try:
                await once()
            except (Disconnected, Unanswered, Overloaded):
                return None
            self.receipts.unkeyed.append(found)
            return found
        await self._until_answered(None, once)
        first = self.receipts.placed.setdefault(key, found)
        if first != found:
            self.receipts.broken.append(f"key {key} was answered with {first} and with {found}")
        return found

    def _applied(self, command_id: str, to: Address, command: Command) -> None:
        self.receipts.applied.setdefault(command_id, (to, command))

    async def _until_answered(self, to: Address | None, once: Callable[[], Any]) -> Reply:
        for attempt in range(PATIENCE_ATTEMPTS_MAX):
            least = self._stored(to) if to else 0
            try:
                reply: Reply = await once()
            except (Disconnected, Unanswered) as error:
                self._trace.note("unanswered", to or "", type(error).__name__)
            except Overloaded:
                await asyncio.sleep(1.0)
            else:
                if reply.status not in (Status.FAILED, Status.MOVED):
                    self._seen(to, least, reply)
                    return reply
                if reply.status is Status.FAILED:
                    self.receipts.broken.append(f"{to} failed: {reply.body!r}")
                    return reply
            await asyncio.sleep(self._random.uniform(0.05, 0.5) * min(attempt + 1, 8))
        raise Impatient(f"{to} never answered")

    def _seen(self, to: Address | None, least: int, reply: Reply) -> None:
        """Nobody is shown an older state than what was stored when he asked."""
        self._trace.note("answer", to or "", reply.status.value, reply.version)
        if to is None or not reply.version:
            return
        if reply.version < least:
            self.receipts.broken.append(f"{to} was at version {least}, and later shown at {reply.version}")
