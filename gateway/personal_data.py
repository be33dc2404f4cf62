"""Personal data: sealed before they leave the gateway, unsealed for those who may see them."""

from __future__ import annotations

import re
from typing import Any

import orjson

from gateway.schemas.orders import OrderRequest
from models.record import dataclass
from models.sealing import CannotUnseal, Sealer

WORDS = re.compile(r"\w+")
SEARCH_WORDS_MAX = 10
AFTER_PERSONAL = ',"payment_method":"'
"""Quotation marks within a text are escaped in JSON, so this can only be where an order's personal data end."""


@dataclass(frozen=True)
class SealedCustomer:
    """What an order stores of its customer, and what of it is shown: the fields `customer` and `shipping_address` as
    JSON."""

    sealed: str
    wrapped_key: str
    email_digest: str
    search_digests: tuple[str, ...]
    shown: bytes


def seal_customer(
    sealer: Sealer, order: str, retailer: str, request: OrderRequest, written: str
) -> SealedCustomer:
    """Seal customer and address under a data key of the order's own, and make the keyed hashes by which the order is
    found again: of the e-mail for erasure and search, of each word of the name for search. All of them are the
    retailer's own, so that nobody can tell whether two retailers have the same customer.

    written: the request as JSON (`parsing.parse`). Customer and address stand at its beginning already as they are
    sealed and shown.
    """
    customer = request.customer
    shown = written[1 : written.index(AFTER_PERSONAL)].encode()
    sealed, wrapped_key = sealer.seal(order, b"{%b}" % shown)
    digest = sealer.keyed_digest
    words = dict.fromkeys([word.lower() for word in WORDS.findall(customer.name)])
    return SealedCustomer(
        sealed,
        wrapped_key,
        email_digest(sealer, retailer, customer.email),
        tuple([digest("name-word", f"{retailer}\0{word}") for word in list(words)[:SEARCH_WORDS_MAX]]),
        shown,
    )


def email_digest(sealer: Sealer, retailer: str, email: str) -> str:
    """The keyed hash under which a retailer's customer is found, however the address was capitalised."""
    return sealer.keyed_digest("email", f"{retailer}\0{email.strip().lower()}")


def unseal_customer(sealer: Sealer, order: str, sealed: str, wrapped_key: str) -> dict[str, Any]:
    """`{customer, shipping_address}`; both None once they were erased, or where the key is not at hand."""
    try:
        plain: dict[str, Any] = orjson.loads(sealer.unseal(order, sealed, wrapped_key))
    except CannotUnseal:
        return {"customer": None, "shipping_address": None}
    return plain


ERASED = b'"customer":null,"shipping_address":null'


def shown_personal(sealer: Sealer, order: str, sealed: str, wrapped_key: str) -> bytes:
    """The fields `customer` and `shipping_address` as JSON (see `unseal_customer`)."""
    try:
        return sealer.unseal(order, sealed, wrapped_key)[1:-1]
    except CannotUnseal:
        return ERASED


def unseal_text(sealer: Sealer, order: str, sealed: str, wrapped_key: str) -> str | None:
    """A text that a person wrote; None once it was erased."""
    try:
        return sealer.unseal(order, sealed, wrapped_key).decode()
    except CannotUnseal:
        return None
