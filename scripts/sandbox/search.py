"""Stripe's search language (https://docs.stripe.com/search) over PaymentIntents and charges.

`field:'value'`, `field~'part'`, `amount>1000`, `metadata['key']:'value'`, a leading `-` to negate, joined by AND or by
OR but not both. At Stripe an object becomes searchable within a minute; here at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from scripts.sandbox.calls import Answer, Call, Page
from scripts.sandbox.errors import refused
from scripts.sandbox.parameters import Spec, integer, text
from scripts.sandbox.tables import Table

SEARCH = Spec(required="query", limit=integer(1, 100), page=text, query=text)
_CLAUSE = re.compile(
    r"""\s*(?P<negated>-)?(?P<field>[a-z_.]+)(\[(?P<q>['"])(?P<key>(?:(?!(?P=q)).)*)(?P=q)\])?\s*"""
    r"""(?P<operator>:|~|>=|<=|>|<)\s*(?:(?P<v>['"])(?P<text>(?:\\.|(?!(?P=v)).)*)(?P=v)|(?P<bare>[\w.-]+))\s*"""
)
_JOIN = re.compile(r"(and|or)\b", re.IGNORECASE)
_FIELDS = {
    "payment_intent": {"amount", "created", "currency", "metadata", "status"},
    "charge": {"amount", "created", "currency", "disputed", "metadata", "refunded", "status"},
}
_NUMERIC = frozenset(("amount", "created"))

Test = Callable[[Any], bool]


def payment_intents(call: Call) -> Answer:
    """GET /v1/payment_intents/search"""
    return _search(call, call.store.payment_intents, "payment_intent", "/v1/payment_intents/search")


def charges(call: Call) -> Answer:
    """GET /v1/charges/search"""
    return _search(call, call.store.charges, "charge", "/v1/charges/search")


def _search(call: Call, table: Table[Any], kind: str, url: str) -> Page:
    matches = compile_query(call.params["query"], _FIELDS[kind])
    limit = call.params.get("limit", 10)
    try:
        found = []
        for record in table.newest_first(call.params.get("page", "")):
            if matches(record):
                found.append(record)
                if len(found) > limit:
                    break
    except KeyError:
        raise refused("Invalid page", param="page") from None
    more = len(found) > limit
    return Page(found[:limit], more, url, found[limit - 1].id if more else None, True)


def compile_query(query: str, fields: set[str]) -> Test:
    """The test that a search query stands for. Raises StripeError (400) if it is not well formed."""
    tests: list[Test] = []
    joins: set[str] = set()
    place = 0
    while True:
        clause = _CLAUSE.match(query, place)
        if clause is None:
            raise _invalid(f"cannot be read at character {place}: {query[place : place + 20]!r}")
        tests.append(_test(clause, fields))
        place = clause.end()
        if place == len(query):
            break
        join = _JOIN.match(query, place)
        joins.add(join.group(1).lower() if join is not None else "and")
        place = join.end() if join is not None else place
    if len(joins) > 1:
        raise _invalid("mixes AND and OR")
    combine = any if joins == {"or"} else all
    return lambda record: combine(test(record) for test in tests)


def _test(clause: re.Match[str], fields: set[str]) -> Test:
    field, key, operator = clause["field"], clause["key"], clause["operator"]
    given = clause["text"] if clause["text"] is not None else clause["bare"]
    given = re.sub(r"\\(.)", r"\1", given)
    if field not in fields or (field == "metadata") != (key is not None):
        raise _invalid(f"names the field {field}, which is not supported here")
    negated = bool(clause["negated"])
    if field == "metadata":
        read: Callable[[Any], Any] = lambda record: record.metadata.get(key)  # noqa: E731 - a leaf of the test tree
    elif field == "refunded":
        read = lambda record: str(0 < record.amount <= record.amount_refunded).lower()  # noqa: E731
    else:
        read = lambda record: getattr(record, field)  # noqa: E731
    return _compare(read, operator, given, field in _NUMERIC, negated)


def _compare(read: Callable[[Any], Any], operator: str, given: str, numeric: bool, negated: bool) -> Test:
    if numeric:
        if not given.lstrip("-").isdigit():
            raise _invalid(f"compares a number with {given!r}")
        number = int(given)
        compare: dict[str, Test] = {
            ":": lambda record: read(record) == number,
            ">": lambda record: read(record) > number,
            ">=": lambda record: read(record) >= number,
            "<": lambda record: read(record) < number,
            "<=": lambda record: read(record) <= number,
        }
    else:
        wanted = given.lower()
        compare = {
            ":": lambda record: _plain(read(record)) == wanted,
            "~": lambda record: wanted in _plain(read(record)),
        }
    if operator not in compare:
        raise _invalid(f"uses {operator} on a field that does not take it")
    test = compare[operator]
    return (lambda record: not test(record)) if negated else test


def _plain(value: Any) -> str:
    return "" if value is None else str(value).lower()


def _invalid(why: str) -> Exception:
    return refused(f"We were unable to parse your search query: it {why}.", param="query")
