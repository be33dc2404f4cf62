"""Placing an order: from a validated body to a durable order, once per idempotency key."""

from __future__ import annotations

from collections.abc import Callable
from zlib import crc32

from actors.runtime.envelope import Read, Reply, Status
from actors.runtime.ports import Guard
from gateway.auth import Principal
from gateway.catalogue import Terms
from gateway.context import Gateway
from gateway.idempotency import placing_key
from gateway.personal_data import SealedCustomer, seal_customer
from gateway.problems import FieldError, Problem
from gateway.replies import checked
from gateway.schemas.orders import OrderRequest
from models.decision import Address
from models.identity import order_id
from models.money import is_currency
from models.order.messages import PlaceOrder
from models.record import dataclass


@dataclass(frozen=True)
class Placed:
    """A durable order, the reply that carried it, and the personal data as JSON where they are at hand."""

    order: str
    reply: Reply
    replayed: bool
    personal: bytes = b""


async def place(
    gateway: Gateway,
    principal: Principal,
    request: OrderRequest,
    written: str,
    *,
    key: str,
    wait_s: float | None,
    began: float,
    durable: Callable[[], None] | None = None,
) -> Placed:
    """Place the order, written as `parsing.parse` has it, or find the one that the same key has placed before.
    Returns once it is durable, or, with `wait_s`, once the saga's first part is over. Calls `durable` once it is.

    Raises Problem; Overloaded (nothing was accepted); Unanswered (unknown: the same request with the same key may be
    sent again).
    """
    check_currency(request)
    terms = gateway.catalogue.known(principal.name, request.currency, request.lines)
    if terms is None:
        terms = await gateway.catalogue.resolve(principal.name, request.currency, request.lines, began)
    prepared = prepare(gateway, principal.name, request, written, key=key, terms=terms)
    reply = await gateway.router.ask(
        Address("order", prepared.order),
        prepared.command,
        guard=prepared.guard,
        data_key=prepared.customer.wrapped_key,
        watch=wait_s,
        taken=durable,
    )
    if durable is not None:
        durable()
    return await placed_by(gateway, prepared, reply, wait_s)


def check_currency(request: OrderRequest) -> None:
    """Raises Problem."""
    if not is_currency(request.currency):
        raise Problem("invalid", errors=[FieldError("currency", "This is no ISO 4217 currency.")])


@dataclass(frozen=True)
class Prepared:
    """An order that is ready to be placed."""

    order: str
    command: PlaceOrder
    customer: SealedCustomer
    guard: Guard | None


def prepare(
    gateway: Gateway, retailer: str, request: OrderRequest, written: str, *, key: str, terms: Terms
) -> Prepared:
    """Mint the id, freeze the terms, seal the customer."""
    services, sealer = gateway.services, gateway.sealer
    random = services.random(14)
    guard: Guard | None = None
    if key:
        home = placing_key(sealer, retailer, key, services.shards)
        order = order_id(home.shard, services.wall(), random[:10])
        digest = sealer.keyed_digest("body", written)
        guard = Guard(home.guard, f"{order} {digest}", gateway.limits.placing_key_ttl_ms)
    else:
        order = order_id(crc32(random[10:]) % services.shards, services.wall(), random[:10])
    customer = seal_customer(sealer, order, retailer, request, written)
    command = PlaceOrder(
        order=order,
        retailer=retailer,
        currency=request.currency,
        lines=terms.lines,
        accounts=terms.accounts,
        fees_bps=terms.fees_bps,
        payment_method=request.payment_method,
        allow_partial=request.allow_partial,
        metadata=request.metadata,
        sealed=customer.sealed,
        email_digest=customer.email_digest,
        search_digests=customer.search_digests,
    )
    return Prepared(order, command, customer, guard)


async def placed_by(gateway: Gateway, prepared: Prepared, reply: Reply, wait_s: float | None) -> Placed:
    """What the order's actor made of it: this order, or the one that the same key has placed before. Raises Problem."""
    if reply.status is Status.DUPLICATE:
        assert prepared.guard is not None
        return await _replayed(gateway, reply, prepared.guard, wait_s)
    return Placed(prepared.order, checked(reply), replayed=False, personal=prepared.customer.shown)


async def _replayed(gateway: Gateway, duplicate: Reply, guard: Guard, wait_s: float | None) -> Placed:
    """The key is taken: answer with the order it placed, if the body was the same."""
    order, _, digest = duplicate.body.decode().strip('"').partition(" ")
    own, _, own_digest = guard.value.partition(" ")
    if digest != own_digest:
        raise Problem("idempotency_key_reused", "This Idempotency-Key has placed an order with another body.")
    address = Address("order", order)
    if wait_s is None:
        reply = await gateway.router.read(address)
    else:
        reply = await gateway.router.ask(address, Read(), watch=wait_s)
    # Our own first try may have come back as a duplicate (its answer was lost on the way): that is no replay.
    return Placed(order, checked(reply), replayed=order != own)
