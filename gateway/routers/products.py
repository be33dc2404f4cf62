"""Products, offers, adoptions, and the stock behind them."""

from __future__ import annotations

import orjson

from actors.runtime.envelope import Status
from gateway.auth import OPS, RETAILER, SUPPLIER
from gateway.endpoint import Answer, Call, Routes
from gateway.idempotency import command_id
from gateway.problems import FieldError, Problem
from gateway.replies import checked, json_answer, replay_headers
from gateway.routers.parties import get, named, put
from gateway.schemas.catalogue import (
    Adoption,
    AdoptionRequest,
    Inventory,
    OfferRequest,
    Product,
    ProductRequest,
    ReceiptRequest,
    SupplierOffer,
)
from gateway.views import View
from models.adoption import AdoptProduct, adoption_id
from models.decision import Address
from models.money import is_currency
from models.product import PutOffer, PutProduct, Split
from models.sku import ClaimSku, ReceiveStock

routes = Routes("Catalogue and stock")


@routes.add(
    "PUT",
    "/v1/products/{id}",
    roles=OPS,
    body=ProductRequest,
    answers={200: (Product, "The product as it is now.")},
    problems=("invalid_product", "currency_fixed", "not_found"),
)
async def put_product(call: Call) -> Answer:
    """Describe a product. Its currency is fixed once there is an offer."""
    body: ProductRequest = call.body
    product = named(call)
    if not is_currency(body.currency):
        raise Problem("invalid", errors=[FieldError("currency", "This is no ISO 4217 currency.")])
    command = PutProduct(product=product, title=body.title, brand=body.brand, currency=body.currency)
    return await put(call, Address("product", product), command)


@routes.add("GET", "/v1/products/{id}", roles=OPS, answers={200: (Product, "The product.")}, problems=("not_found",))
async def get_product(call: Call) -> Answer:
    """Read a product with its offers."""
    return await get(call, Address("product", named(call)))


@routes.add(
    "PUT",
    "/v1/products/{id}/offers/{supplier}",
    roles=OPS | SUPPLIER,
    body=OfferRequest,
    answers={200: (SupplierOffer, "The offer as it is now.")},
    problems=("invalid_offer", "unknown_supplier", "sku_taken", "too_many_offers", "not_found"),
)
async def put_offer(call: Call) -> Answer:
    """Offer a product. The SKU belongs from now on to the supplier that first offered it."""
    body: OfferRequest = call.body
    product, supplier = named(call), named(call, "supplier")
    if call.principal.role == "supplier" and call.principal.name != supplier:
        raise Problem("forbidden", "A supplier puts its own offers only.")
    split = Split(body.split.brand, body.split.supplier, body.split.retailer)
    if split.platform < 0:
        raise Problem("invalid", errors=[FieldError("split", "The split exceeds 10000 basis points.")])
    known, described = await call.gateway.router.read_many([Address("product", product), Address("supplier", supplier)])
    checked(known)
    if described.status is Status.ABSENT:
        raise Problem("unknown_supplier", f"There is no supplier {supplier}.")
    checked(described)
    checked(await call.gateway.router.ask(Address("sku", body.sku), ClaimSku(sku=body.sku, supplier=supplier)))
    command = PutOffer(product=product, supplier=supplier, sku=body.sku, unit_amount=body.unit_amount, split=split)
    address = Address("product", product)
    reply = checked(await call.gateway.router.ask(address, command))
    call.gateway.views.forget(address)
    view: View = orjson.loads(reply.body)
    return json_answer(200, {"product": product, "supplier": supplier, **view["offers"][supplier]})


@routes.add(
    "PUT",
    "/v1/adoptions/{product}",
    roles=RETAILER,
    body=AdoptionRequest,
    answers={200: (Adoption, "The adoption as it is now.")},
    problems=("invalid_adoption", "unknown_offer", "not_found"),
)
async def put_adoption(call: Call) -> Answer:
    """Sell a supplier's offer of a product, at a price of your own or at the offer's."""
    body: AdoptionRequest = call.body
    product, retailer = named(call, "product"), call.principal.name
    view: View = orjson.loads(checked(await call.gateway.router.read(Address("product", product))).body)
    if body.supplier not in view["offers"]:
        raise Problem("unknown_offer", errors=[FieldError("supplier", "This supplier does not offer the product.")])
    command = AdoptProduct(retailer=retailer, product=product, supplier=body.supplier, unit_amount=body.unit_amount)
    return await put(call, Address("adoption", adoption_id(retailer, product)), command)


@routes.add(
    "POST",
    "/v1/inventory/{sku}/receipts",
    roles=OPS | SUPPLIER,
    body=ReceiptRequest,
    answers={201: (Inventory, "The stock as it is now.")},
    problems=("invalid_quantity", "not_found"),
)
async def receive_stock(call: Call) -> Answer:
    """Record that units have arrived. Send an Idempotency-Key: every receipt counts."""
    sku = named(call, "sku")
    supplier = call.principal.name if call.principal.role == "supplier" else ""
    own_id = command_id(call)
    reply = await call.gateway.router.ask(
        Address("sku", sku),
        ReceiveStock(sku=sku, quantity=call.body.quantity, supplier=supplier),
        command_id=own_id.command_id,
        digest=own_id.digest,
    )
    checked(reply)
    return Answer(201, reply.body, replay_headers(reply))


@routes.add(
    "GET",
    "/v1/inventory/{sku}",
    roles=OPS | SUPPLIER,
    answers={200: (Inventory, "The stock.")},
    problems=("not_found",),
)
async def get_stock(call: Call) -> Answer:
    """Read a SKU's stock. A supplier sees its own SKUs."""
    reply = checked(await call.gateway.router.read(Address("sku", named(call, "sku"))))
    if call.principal.role == "supplier" and orjson.loads(reply.body)["supplier"] != call.principal.name:
        raise Problem("not_found")
    return Answer(200, reply.body)
