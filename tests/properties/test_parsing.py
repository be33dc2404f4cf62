"""Bodies: what is seen at a glance to be strict JSON is what Python's own parser, asked for every detail, accepts."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import RootModel, ValidationError

from gateway.parsing import _check, _is_plain
from gateway.problems import Problem

LEVELS_MAX = 32
TEXT = st.text(max_size=6)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.lists(st.tuples(TEXT, inner), max_size=4).map(tuple),
    max_leaves=12,
)


def written(value: object) -> str:
    """JSON as hostile as it gets: objects are tuples of pairs, so that a key can be there twice; NaN is a number."""
    if isinstance(value, tuple):
        pairs = [f"{json.dumps(key, ensure_ascii=False)}: {written(inner)}" for key, inner in value]
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(written(inner) for inner in value) + "]"
    return json.dumps(value, ensure_ascii=False)


class Whatever(RootModel[Any]):
    """A body of any shape: pydantic's parser alone decides what it is."""


def looks_strict(raw: bytes) -> bool:
    """As `parse` sees it, which goes by what pydantic has made of it; what pydantic does not take goes no further."""
    try:
        body = Whatever.__pydantic_validator__.validate_json(raw)
    except ValidationError:
        return False
    return _is_plain(raw, Whatever.__pydantic_serializer__.to_json(body, exclude_defaults=True), LEVELS_MAX)


def accepted(raw: bytes) -> bool:
    try:
        _check(raw, LEVELS_MAX)
    except Problem:
        return False
    return True


@given(VALUE.map(written).map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=40))
@example(b'{"a":1,"a":2}')
@example(b'{"a":{"b":1,"b":"c"}}')
@example(b'{"a":NaN}')
@example(b'{"a":"\\u0000"}')
@example(b'{"\\u0061":1,"a":2}')
@example(b'"\xed\xa0\x80"')
@example(b"[" * 33 + b"]" * 33)
@example(b'\xef\xbb\xbf{"a":1}')
def test_what_looks_strict_is_strict(raw: bytes) -> None:
    assert not looks_strict(raw) or accepted(raw)


@given(st.dictionaries(st.text("abcde", min_size=1, max_size=3), st.integers() | st.text("xyz äß", max_size=5)))
def test_what_clients_send_is_seen_to_be_strict(document: dict[str, object]) -> None:
    assert looks_strict(json.dumps(document, ensure_ascii=False).encode())
