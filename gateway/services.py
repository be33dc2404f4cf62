"""What the gateway is given: everything it needs of the world, as ports."""

from __future__ import annotations

import os
from asyncio import Future
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from prometheus_client import CollectorRegistry

from actors.runtime.analytics import AnalyticsReader
from actors.runtime.envelope import Reply
from actors.runtime.feeding import FeedReader
from actors.runtime.ports import Guard, Wall
from actors.runtime.reading import OrderReader
from gateway.limits import GATEWAY_LIMITS, GatewayLimits
from models.decision import Address, Command
from models.sealing import Sealer


class Asks(Protocol):
    """The part of the router that the gateway uses (`actors.runtime.router.Router`)."""

    async def ask(
        self,
        to: Address,
        command: Command,
        *,
        command_id: str = "",
        digest: str = "",
        guard: Guard | None = None,
        data_key: str = "",
        watch: float | None = None,
        expected_version: int = 0,
        taken: Callable[[], None] | None = None,
    ) -> Reply:
        """Raises Overloaded (nothing was accepted) and Unanswered (unknown)."""
        ...

    def asking(
        self, to: Address, command: Command, *, guard: Guard | None = None, data_key: str = ""
    ) -> Future[Reply]:
        """As `ask`, but under way when this returns, and with the reply as it is: BUSY, EXPIRED."""
        ...

    async def read(self, to: Address) -> Reply: ...

    async def read_many(self, addresses: Iterable[Address]) -> Sequence[Reply]: ...


class BadSignature(Exception):
    """A webhook was not signed with our secret, or too long ago."""


class StripeEvents(Protocol):
    """What the gateway asks of Stripe's side: is this webhook genuine, and what is the object like now."""

    def verified(self, payload: bytes, signature: str) -> Mapping[str, Any]:
        """The event as a mapping. Raises BadSignature."""
        ...

    async def fetched(self, kind: str, object_id: str) -> Mapping[str, Any] | None:
        """The object (`payment_intent`, `charge`, `dispute`, `refund`, ...) as it is now, or None if there is none.
        Raises ConnectionError when Stripe cannot be asked: the webhook is then refused and Stripe sends it again."""
        ...


Ready = Callable[[], Awaitable[str]]


@dataclass(frozen=True)
class Services:
    """router: reaches every actor. shards: how many the journal has; a placed order's id names one.
    sealer: personal data at rest. wall: the clock. random: n random bytes.
    metrics: where the gateway registers its own and what `/metrics` shows. stripe: None answers webhooks with 404.
    ready: '' when orders are accepted, else why not; without it, reading one actor decides.
    orders: the read side, for lists; None answers them with 503. feed: its public events; analytics:
            its roll-ups; likewise.
    waiting: how many messages wait in this process for a call to a host.
    """

    router: Asks
    shards: int
    sealer: Sealer
    wall: Wall
    random: Callable[[int], bytes] = os.urandom
    limits: GatewayLimits = GATEWAY_LIMITS
    metrics: CollectorRegistry = field(default_factory=CollectorRegistry)
    stripe: StripeEvents | None = None
    ready: Ready | None = None
    orders: OrderReader | None = None
    feed: FeedReader | None = None
    analytics: AnalyticsReader | None = None
    waiting: Callable[[], int] = lambda: 0
