"""The sandbox's form decoding and parameter validation, and the search language, on their own."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stripe._encode import _api_encode

from scripts.sandbox import currencies, parameters
from scripts.sandbox.errors import StripeError
from scripts.sandbox.ledger import DAY_S, settlement
from scripts.sandbox.parameters import Spec, decode


def test_nested_forms() -> None:
    form = b"a=1&b%5Bc%5D=2&b[d][e]=x+y&l[]=p&l[]=q&m[0][n]=r&empty="
    assert decode(form) == {
        "a": "1", "b": {"c": "2", "d": {"e": "x y"}}, "l": {"0": "p", "1": "q"}, "m": {"0": {"n": "r"}}, "empty": "",
    }  # fmt: skip
    assert decode(b"") == {}


@given(st.dictionaries(st.text(min_size=1).filter(lambda name: "[" not in name), st.text()))
def test_flat_forms_decode_as_the_standard_library_decodes_them(params: dict[str, str]) -> None:
    form = urlencode(params)
    assert decode(form.encode()) == dict(parse_qsl(form, keep_blank_values=True)) == params


words = st.text("abcxyz_", min_size=1, max_size=6)
leaves = st.one_of(st.text(max_size=8), st.integers().map(str))
trees = st.recursive(leaves, lambda inner: st.dictionaries(words, inner, min_size=1, max_size=4), max_leaves=12)


@given(st.dictionaries(words, trees, max_size=5))
def test_what_the_sdk_encodes_is_decoded(params: Any) -> None:
    form = urlencode(list(_api_encode(params)))
    assert decode(form.encode()) == params


@pytest.mark.parametrize("form", [b"a", b"a=1&b", b"a=%ff", b"\xff=1", b"a[b=1", b"[b]=1", b"a=1&a[b]=2", b"&"])
def test_malformed_forms(form: bytes) -> None:
    with pytest.raises(StripeError) as refused:
        decode(form)
    assert (refused.value.status, refused.value.saved) == (400, False)


def test_too_many_parameters() -> None:
    with pytest.raises(StripeError):
        decode(b"&".join(b"k%d=1" % n for n in range(1001)))


SPEC = Spec(
    required="n",
    unsupported="later",
    n=parameters.integer(1, 10),
    t=parameters.text,
    u=parameters.unsettable_text,
    c=parameters.choice("a", "b", unset=True),
    w=parameters.created,
    l=parameters.texts("x", "y", most=2),
    h=parameters.nested(Spec(required="k", k=parameters.boolean), unset=True),
)


def test_what_is_parsed() -> None:
    raw = {
        "n": "5", "u": "", "c": "", "w": {"gt": "5", "lte": "9"}, "l": {"0": "x"}, "h": {"k": "true"},
        "expand": {"0": "a.b"},
    }  # fmt: skip
    assert SPEC.parse(raw) == {
        "n": 5, "u": None, "c": None, "w": (6, 9), "l": ("x",), "h": {"k": True}, "expand": ["a.b"],
    }  # fmt: skip
    assert SPEC.parse({"n": "1", "w": "7", "h": ""}) == {"n": 1, "w": (7, 7), "h": None}


@pytest.mark.parametrize(
    ("raw", "param", "code"),
    [
        ({}, "n", "parameter_missing"),
        ({"n": "11"}, "n", "parameter_invalid_integer"),
        ({"n": "x"}, "n", "parameter_invalid_integer"),
        ({"n": {"a": "1"}}, "n", None),
        ({"n": "1", "t": ""}, "t", "parameter_invalid_empty"),
        ({"n": "1", "t": "x" * 5001}, "t", None),
        ({"n": "1", "c": "z"}, "c", None),
        ({"n": "1", "w": {"after": "5"}}, "w", "parameter_unknown"),
        ({"n": "1", "l": {"0": "z"}}, "l", None),
        ({"n": "1", "l": {"0": "x", "1": "y", "2": "x"}}, "l", None),
        ({"n": "1", "h": {}}, "h[k]", "parameter_missing"),
        ({"n": "1", "h": {"k": "true", "z": "1"}}, "h[z]", "parameter_unknown"),
        ({"n": "1", "h": "text"}, "h", None),
        ({"n": "1", "later": "1"}, "later", "parameter_unknown"),
        ({"n": "1", "zz": "1", "yy": "2"}, "zz", "parameter_unknown"),
        ({"n": "1", "expand": {"0": "a.b.c.d.e"}}, "expand", None),
        ({"n": "1", "expand": "a"}, "expand", None),
    ],
)
def test_what_is_refused(raw: dict[str, Any], param: str, code: str | None) -> None:
    with pytest.raises(StripeError) as refused:
        SPEC.parse(raw)
    assert (refused.value.fields["param"], refused.value.fields.get("code")) == (param, code)
    assert refused.value.saved is False


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [(123456, "gbp", "£1,234.56"), (5, "usd", "$0.05"), (500, "jpy", "¥500"), (1500, "kwd", "1.500 KWD")],
)
def test_amounts_in_words(amount: int, currency: str, text: str) -> None:
    assert currencies.text(amount, currency) == text


def test_settlement_is_at_midnight() -> None:
    noon = 100 * DAY_S + DAY_S // 2
    assert (settlement(noon, 0), settlement(noon, 2)) == (noon, 102 * DAY_S)
