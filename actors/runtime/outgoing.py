"""The outbox's port: who is to be told of which rows of the feed, for the senders of webhooks and mails.

A row is written in the transaction that writes the feed's row, one for each subscriber that sees something of it, and
only for them. It stays until a sender says that it is done. Senders claim rows for a while; what a sender that died had
claimed is there for others again when that time is over. So everybody is told at least once, in no promised order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from actors.runtime.feeding import FeedRow
from models.decision import Millis

WEBHOOK = "webhook"
MAIL = "mail"


class Subscription(NamedTuple):
    """party: `retailer:acme` or `supplier:north`. purpose: `WEBHOOK` or `MAIL`: which senders it is for."""

    party: str
    purpose: str


class Delivery(NamedTuple):
    """A row of the feed that a subscriber is to be told of.

    attempts: how often that was put off before. claim: of this sender on it.
    """

    subscription: Subscription
    row: FeedRow
    attempts: int
    claim: str


class Outgoing(Protocol):
    """The outbox. Every method blocks, and may raise ReadModelUnavailable."""

    def subscribe(self, subscription: Subscription) -> None:
        """From now on: what is in the feed already is not sent."""
        ...

    def unsubscribe(self, subscription: Subscription) -> None:
        """What had not been sent goes, too."""
        ...

    def claim(self, purpose: str, now: Millis, until: Millis, limit: int) -> Sequence[Delivery]:
        """Up to `limit` rows that are due, the longest due first. Until `until` nobody else gets them."""
        ...

    def complete(self, deliveries: Sequence[Delivery]) -> None:
        """They have been sent, or never will be: either way they go."""
        ...

    def put_off(self, delivery: Delivery, until: Millis) -> bool:
        """Count an attempt, and make it due again then; False if somebody else has claimed it meanwhile."""
        ...
