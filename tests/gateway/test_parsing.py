"""Bodies are read once and strictly, whatever way they take through the parser."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.parsing import parse
from gateway.problems import Problem
from gateway.schemas.orders import BatchOrderRequest
from tests.gateway.shop import ORDER

LINE = {**ORDER, "idempotency_key": "k"}
LEVELS_MAX = 32


def read(raw: str) -> Any:
    return parse(raw.encode(), BatchOrderRequest, LEVELS_MAX)


def code_of(raw: str) -> str:
    with pytest.raises(Problem) as refused:
        read(raw)
    return refused.value.code


def members(tree: Any) -> list[str]:
    """Every `"key":value` in a document, as it is written."""
    if isinstance(tree, list):
        return [found for part in tree for found in members(part)]
    if not isinstance(tree, dict):
        return []
    own = [json.dumps({key: value})[1:-1] for key, value in tree.items()]
    return own + [found for value in tree.values() for found in members(value)]


@given(
    st.sampled_from(members(LINE)),
    st.sampled_from([{}, {"allow_partial": False}, {"metadata": {}}, {"metadata": {"a": 'b"c'}}]),
    st.sampled_from(["", "\n"]),
)
def test_a_key_that_is_there_twice_is_refused_whatever_else_is_there(
    member: str, extra: dict[str, Any], space: str
) -> None:
    raw = json.dumps({**LINE, **extra})
    assert member in raw
    read(raw)
    assert code_of(raw.replace(member, f"{member},{space}{member}", 1)) == "malformed"


def test_of_two_faults_the_text_comes_first() -> None:
    wrong = json.dumps({**LINE, "currency": 7})
    assert code_of(wrong) == "invalid"
    assert code_of(wrong.replace('"currency": 7', '"currency": 7, "currency": 7')) == "malformed"
    assert code_of(wrong.replace("7", "NaN")) == "malformed"


def test_white_space_order_and_defaults_make_no_other_body() -> None:
    body, written = read(json.dumps(LINE))
    turned = dict(reversed({**LINE, "allow_partial": False, "metadata": {}}.items()))
    assert read(json.dumps(turned, indent=2)) == (body, written)
    assert json.loads(written) == LINE
    assert read(json.dumps({**LINE, "allow_partial": True}))[1] != written
