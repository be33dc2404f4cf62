"""Bodies and queries: read once and strictly, or refused with a problem that names the fields."""

from __future__ import annotations

import json
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import orjson
from pydantic import BaseModel, ValidationError

from gateway.problems import FieldError, Problem

ERRORS_SHOWN_MAX = 20


B = TypeVar("B", bound=BaseModel)


class _Duplicate(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Duplicate
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_strict_json = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant)


def parse(raw: bytes, model: type[B], nesting_levels_max: int) -> tuple[B, str]:
    """Read a body as `model`; returns it, and how it is written in JSON in one spelling, without what goes without
    saying: white space, the order of fields and defaults make no other body of it. Raises Problem.

    pydantic's parser lets a later duplicate of a key win, NaN pass and NUL into strings. That there is nothing of the
    kind is mostly seen at a glance; Python's own parser, which takes three times as long, has the last word where it
    is not.
    """
    try:
        body: B = model.__pydantic_validator__.validate_json(raw)
    except ValidationError as error:
        _check(raw, nesting_levels_max)
        raise invalid(error) from None
    written: bytes = body.__pydantic_serializer__.to_json(body, exclude_defaults=True)
    if not _is_plain(raw, written, nesting_levels_max):
        _check(raw, nesting_levels_max)
    return body, written.decode()


def _is_plain(raw: bytes, written: bytes, nesting_levels_max: int) -> bool:
    """True if what pydantic has taken, and would write as `written`, is strict JSON beyond doubt: no escapes, few
    brackets, no NaN, and no key twice.

    Without escapes every quotation mark begins or ends a key or a text, so a document has fewer of them once a later
    duplicate has won. It has fewer as well without a default that was spelled out; then orjson, which takes no NaN
    either, reads it once more.
    """
    if b"\\" in raw or b"NaN" in raw or b"Infinity" in raw or raw.count(b"{") + raw.count(b"[") > nesting_levels_max:
        return False
    marks = raw.count(b'"')
    if written.count(b'"') == marks:
        return True
    try:
        return orjson.dumps(orjson.loads(raw)).count(b'"') == marks
    except ValueError:
        return False


def _check(raw: bytes, nesting_levels_max: int) -> None:
    """Raises Problem for what pydantic would let pass."""
    try:
        text = raw.decode()
        tree = _strict_json.decode(text)
    except _Duplicate:
        raise Problem("malformed", "An object names the same key twice.") from None
    except (ValueError, RecursionError) as error:
        raise Problem("malformed", f"The body is not JSON: {type(error).__name__}.") from None
    if _nested_deeper(raw, tree, nesting_levels_max):
        raise Problem("malformed", f"The body is nested deeper than {nesting_levels_max} levels.")
    if "\\u0000" in text and _has_nul(tree):
        raise Problem("malformed", "NUL characters are not allowed in texts.")


def invalid(error: ValidationError) -> Problem:
    """The problem that tells what is wrong with which fields, without repeating what was sent."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    if details[0]["type"] == "json_invalid":
        return Problem("malformed", "The body is not valid JSON.")
    errors = [
        FieldError(".".join(str(part) for part in detail["loc"]) or "body", detail["msg"])
        for detail in details[:ERRORS_SHOWN_MAX]
    ]
    return Problem("invalid", "The request has invalid fields.", errors=errors)


def _nested_deeper(raw: bytes, tree: Any, levels_max: int) -> bool:
    """True if brackets nest deeper than `levels_max`. Few brackets cannot, which is nearly every body."""
    if raw.count(b"{") + raw.count(b"[") <= levels_max:
        return False
    return _depth(tree) > levels_max


def _depth(tree: Any) -> int:
    deepest, level = 0, [tree]
    while level:
        containers = [node for node in level if isinstance(node, dict | list)]
        deepest += bool(containers)
        level = [child for node in containers for child in (node.values() if isinstance(node, dict) else node)]
    return deepest


def _has_nul(tree: Any) -> bool:
    left = [tree]
    while left:
        node = left.pop()
        if isinstance(node, str) and "\0" in node:
            return True
        if isinstance(node, dict):
            left.extend(node)
            left.extend(node.values())
        elif isinstance(node, list):
            left.extend(node)
    return False


def parsed_query(query: bytes) -> dict[str, str]:
    """The fields of a query string; of one that comes twice, the last. Raises Problem."""
    if not query:
        return {}
    try:
        return dict(parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50))
    except ValueError:
        raise Problem("malformed", "The query string cannot be read.") from None
