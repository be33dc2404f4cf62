"""Suppliers, brands, retailers: who takes part, and on what terms."""

from __future__ import annotations

from gateway.auth import OPS
from gateway.endpoint import Answer, Call, Routes
from gateway.problems import Problem
from gateway.replies import checked
from gateway.schemas.catalogue import Party, PartyRequest, Supplier, SupplierRequest, WebhookDelivery
from models.decision import Address, Command
from models.identity import NAME
from models.party import PutParty
from models.supplier import PutSupplier

routes = Routes("Parties")


def named(call: Call, parameter: str = "id") -> str:
    """The id that a tenant has chosen and the path names. Raises Problem: what cannot be an id does not exist."""
    name = call.params[parameter]
    if not NAME.match(name):
        raise Problem("not_found")
    return name


async def put(call: Call, address: Address, command: Command) -> Answer:
    """Replace, and answer with the resource as it is then."""
    reply = checked(await call.gateway.router.ask(address, command))
    call.gateway.views.forget(address)
    return Answer(200, reply.body)


async def get(call: Call, address: Address) -> Answer:
    return Answer(200, checked(await call.gateway.router.read(address)).body)


@routes.add(
    "PUT",
    "/v1/suppliers/{id}",
    roles=OPS,
    body=SupplierRequest,
    answers={200: (Supplier, "The supplier as it is now.")},
    problems=("invalid_supplier", "not_found"),
)
async def put_supplier(call: Call) -> Answer:
    """Describe a supplier. New terms count for offers made from now on."""
    body: SupplierRequest = call.body
    name = named(call)
    delivery = body.delivery.webhook_url if isinstance(body.delivery, WebhookDelivery) else body.delivery
    command = PutSupplier(
        supplier=name,
        name=body.name,
        mode=body.mode,
        daily_capacity=body.daily_capacity,
        accept_within_s=body.accept_within_s,
        fee_bps=body.cancellation_policy.fee_bps,
        stripe_account=body.stripe_account or "",
        delivery=delivery,
        customer_emails=body.customer_emails,
    )
    return await put(call, Address("supplier", name), command)


@routes.add(
    "GET",
    "/v1/suppliers/{id}",
    roles=OPS,
    answers={200: (Supplier, "The supplier.")},
    problems=("not_found",),
)
async def get_supplier(call: Call) -> Answer:
    """Read a supplier's terms."""
    return await get(call, Address("supplier", named(call)))


async def _put_party(call: Call, kind: str) -> Answer:
    body: PartyRequest = call.body
    name = named(call)
    command = PutParty(party=name, name=body.name, stripe_account=body.stripe_account or "")
    return await put(call, Address(kind, name), command)


@routes.add(
    "PUT",
    "/v1/brands/{id}",
    roles=OPS,
    body=PartyRequest,
    answers={200: (Party, "The brand as it is now.")},
    problems=("invalid_party", "not_found"),
)
async def put_brand(call: Call) -> Answer:
    """Describe a brand. Without a Stripe account its shares are recorded as payables."""
    return await _put_party(call, "brand")


@routes.add("GET", "/v1/brands/{id}", roles=OPS, answers={200: (Party, "The brand.")}, problems=("not_found",))
async def get_brand(call: Call) -> Answer:
    """Read a brand."""
    return await get(call, Address("brand", named(call)))


@routes.add(
    "PUT",
    "/v1/retailers/{id}",
    roles=OPS,
    body=PartyRequest,
    answers={200: (Party, "The retailer as it is now.")},
    problems=("invalid_party", "not_found"),
)
async def put_retailer(call: Call) -> Answer:
    """Describe a retailer. Without a Stripe account its shares are recorded as payables."""
    return await _put_party(call, "retailer")


@routes.add("GET", "/v1/retailers/{id}", roles=OPS, answers={200: (Party, "The retailer.")}, problems=("not_found",))
async def get_retailer(call: Call) -> Answer:
    """Read a retailer."""
    return await get(call, Address("retailer", named(call)))
