"""What is refused at the door: with its code, with the fields that are wrong, and with nothing stored."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.limits import GATEWAY_LIMITS
from tests.gateway.shop import ORDER, Json, Shop, in_shop, order_of, refused


def changed(path: str, value: Any) -> Json:
    """ORDER with one field replaced, or removed where the value is `...`."""
    body: Any = json.loads(json.dumps(ORDER))
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    target = body
    for part in parents:
        target = target[part]
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return dict(body)


INVALID_FIELDS: list[tuple[str, Any]] = [
    ("lines", []),
    ("lines", {}),
    ("lines", None),
    ("lines", [{"product": "mug", "quantity": 1}] * 1001),
    ("lines.0.quantity", 0),
    ("lines.0.quantity", -1),
    ("lines.0.quantity", 10_001),
    ("lines.0.quantity", 1.5),
    ("lines.0.quantity", 1.0),
    ("lines.0.quantity", "1"),
    ("lines.0.quantity", True),
    ("lines.0.quantity", None),
    ("lines.0.quantity", 2**63),
    ("lines.0.quantity", 10**400),
    ("lines.0.unit_amount", -1),
    ("lines.0.unit_amount", 100_000_000),
    ("lines.0.unit_amount", "10"),
    ("lines.0.product", ""),
    ("lines.0.product", "a/b"),
    ("lines.0.product", "../mug"),
    ("lines.0.product", "m" * 65),
    ("lines.0.product", "mug\n"),
    ("lines.0.product", 7),
    ("lines.0.colour", "red"),
    ("currency", "GBP"),
    ("currency", "pounds"),
    ("currency", "zzz"),
    ("currency", ...),
    ("customer", ...),
    ("customer.email", "nobody"),
    ("customer.email", "a b@c"),
    ("customer.email", "a@b\nbcc: c@d"),
    ("customer.email", "a@" + "b" * 300),
    ("customer.name", ""),
    ("customer.name", ...),
    ("customer.age", 7),
    ("shipping_address.country", "Britain"),
    ("shipping_address.country", "gb"),
    ("shipping_address.line1", ...),
    ("shipping_address.city", "x" * 201),
    ("payment_method", "4242424242424242"),
    ("payment_method", ""),
    ("allow_partial", "yes"),
    ("allow_partial", 1),
    ("metadata", {"k": 1}),
    ("metadata", {"": "v"}),
    ("metadata", {"k" * 41: "v"}),
    ("metadata", {"k": "v" * 501}),
    ("metadata", {f"k{n}": "v" for n in range(51)}),
    ("metadata", []),
    ("retailer", "bolt"),
    ("id", "ord_1"),
    ("status", "confirmed"),
]


def test_fields_that_cannot_be_are_refused_by_name() -> None:
    async def story(shop: Shop) -> None:
        before = shop.stored
        acme = shop.acme
        for path, value in INVALID_FIELDS:
            problem = await refused(acme.post("/v1/orders", json=changed(path, value)), 422, "invalid")
            named = [error["field"] for error in problem["errors"]]
            assert any(name.startswith(path) for name in named), (path, named)
            assert "example.com" not in json.dumps(problem), "what was sent is not repeated"
        assert shop.stored == before

    in_shop(story)


NOT_JSON = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"7",
    b'"order"',
    b"\xff\xfe",
    b'{"customer": NaN}',
    b'{"customer": Infinity}',
    b'{"customer": -Infinity}',
    b"{'customer': 1}",
    b'{"customer": 1,}',
    b'{"customer": 1} trailing',
    b'\xef\xbb\xbf{"customer": 1}',
    b'{"customer": 01}',
    b'{"customer": "\x00"}',
    b'{"customer": "\n"}',
    b"[" * 100_000,
    b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    b'{"metadata":' + b"[" * 40 + b"]" * 40 + b"}",
    b"1" * 100_000,
]

UNFIT_TEXTS = [
    rb'"\ud800"',  # a lone surrogate
    rb'"\udc00\ud800"',
    rb'"A\u0000B"',
    b'"\xed\xa0\x80"',  # a surrogate in what is no UTF-8
    b'"\xc0\x80"',  # an overlong NUL
]


def test_bodies_that_are_not_json_are_refused() -> None:
    async def story(shop: Shop) -> None:
        before = shop.stored
        acme = shop.client("retailer-acme", **{"content-type": "application/json"})
        for body in NOT_JSON:
            answer = await acme.post("/v1/orders", content=body)
            assert answer.status_code in (400, 422), (body[:40], answer.text)
            assert answer.json()["code"] in ("malformed", "invalid")
        for text in UNFIT_TEXTS:
            body = json.dumps(ORDER).encode().replace(b'"Ann Lee"', text)
            await refused(acme.post("/v1/orders", content=body), 400, "malformed")
        assert shop.stored == before

    in_shop(story)


def test_a_key_named_twice_is_refused_rather_than_guessed() -> None:
    async def story(shop: Shop) -> None:
        acme = shop.client("retailer-acme", **{"content-type": "application/json"})
        plain = json.dumps(ORDER)
        for twice in (
            plain.replace('"currency"', '"currency": "eur", "currency"'),
            plain.replace('"quantity"', '"quantity": 1, "quantity"'),
        ):
            assert twice != plain
            await refused(acme.post("/v1/orders", content=twice.encode()), 400, "malformed")
        escaped = plain.replace('"currency"', r'"\u0063urrency": "eur", "currency"')
        await refused(acme.post("/v1/orders", content=escaped.encode()), 400, "malformed")

    in_shop(story)


def test_a_text_that_merely_looks_like_an_escape_is_fine() -> None:
    async def story(shop: Shop) -> None:
        body = order_of(metadata={"note": "a\\u0000b", "emoji": "\U0001f600", "quotes": '"\\'})
        answer = await shop.acme.post("/v1/orders", json=body)
        assert answer.status_code == 202
        assert answer.json()["metadata"] == body["metadata"]

    in_shop(story)


def test_the_size_of_a_body_is_bounded() -> None:
    async def story(shop: Shop) -> None:
        acme = shop.client("retailer-acme", **{"content-type": "application/json"})
        small = json.dumps(ORDER).encode()
        just_right = small + b" " * (GATEWAY_LIMITS.body_bytes_max - len(small))
        order = (await acme.post("/v1/orders", content=just_right, headers={"prefer": "wait=10"})).json()
        await shop.at_rest(order)
        before = shop.stored
        await refused(acme.post("/v1/orders", content=just_right + b" "), 413, "too_large")

        async def chunks() -> Any:
            for _ in range(40):
                yield b" " * 65_536

        await refused(acme.post("/v1/orders", content=chunks()), 413, "too_large")
        lies = acme.post("/v1/orders", content=small, headers={"content-length": "9" * 30})
        await refused(lies, 413, "too_large")
        assert shop.stored == before

    in_shop(story)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"])
def test_a_body_must_be_called_json(content_type: str) -> None:
    async def story(shop: Shop) -> None:
        before = shop.stored
        headers = {"content-type": content_type} if content_type else {}
        body = json.dumps(ORDER).encode()
        await refused(shop.acme.post("/v1/orders", content=body, headers=headers), 415, "unsupported_media_type")
        assert shop.stored == before

    in_shop(story)


def test_json_may_be_called_json_in_any_spelling() -> None:
    async def story(shop: Shop) -> None:
        for content_type in ("application/json; charset=utf-8", "Application/JSON"):
            headers = {"content-type": content_type}
            answer = await shop.acme.post("/v1/orders", content=json.dumps(ORDER).encode(), headers=headers)
            assert answer.status_code == 202

    in_shop(story)


def test_what_is_not_sold_is_not_ordered() -> None:
    async def story(shop: Shop) -> None:
        before = shop.stored
        acme, bolt = shop.acme, shop.bolt
        problem = await refused(
            acme.post("/v1/orders", json=order_of(("mug", 1), ("elephant", 1))), 422, "unknown_product"
        )
        assert problem["errors"] == [{"field": "lines.1.product", "message": "There is no such product."}]
        await refused(bolt.post("/v1/orders", json=ORDER), 422, "not_adopted")
        await refused(acme.post("/v1/orders", json=order_of(currency="eur")), 422, "wrong_currency")
        dear = {**ORDER, "lines": [{"product": "mug", "quantity": 2, "unit_amount": 99_999_999}]}
        await refused(acme.post("/v1/orders", json=dear), 422, "amount_too_large")
        assert shop.stored == before

    in_shop(story)


def test_a_product_adopted_a_moment_ago_is_sold() -> None:
    """The catalogue is remembered for a second, but nothing is refused on a memory."""

    async def story(shop: Shop) -> None:
        bolt = shop.bolt
        await refused(bolt.post("/v1/orders", json=ORDER), 422, "not_adopted")
        first_gateway = bolt
        shop.serve()  # another gateway process, through which the adoption goes
        assert (await shop.bolt.put("/v1/adoptions/mug", json={"supplier": "north"})).status_code == 200
        assert (await first_gateway.post("/v1/orders", json=ORDER)).status_code == 202

    in_shop(story)


def test_an_order_of_a_thousand_lines_is_taken() -> None:
    async def story(shop: Shop) -> None:
        order = {**ORDER, "lines": [{"product": "mug", "quantity": 1, "unit_amount": n} for n in range(1000)]}
        answer = await shop.acme.post("/v1/orders", json=order)
        assert answer.status_code == 202, answer.text
        assert len(answer.json()["lines"]) == 1000

    in_shop(story)


def test_unknown_paths_and_methods() -> None:
    async def story(shop: Shop) -> None:
        acme = shop.acme
        await refused(acme.get("/v1/nothing"), 404, "not_found")
        await refused(acme.get("/v1/orders/"), 404, "not_found")
        answer = await acme.delete("/v1/orders/ord_1")
        assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
        assert answer.headers["allow"] == "GET"
        for path in (
            "/v1/orders/x",
            "/v1/orders/ord_fff" + "0" * 32,
            "/v1/orders/%00",
            "/v1/orders/ord_000%2F" + "0" * 31,
        ):
            await refused(acme.get(path), 404, "not_found")

    in_shop(story)
