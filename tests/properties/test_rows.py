"""Rows are a map and stay values; Recent remembers at least as long as it promises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.rows import GAP_MS_MAX, Recent, Rows

KEYS = st.text("abc", min_size=1, max_size=3)
CHANGE = st.tuples(st.booleans(), KEYS, st.integers())
CHANGES = st.lists(CHANGE, max_size=60)


@given(CHANGES)
def test_rows_behave_like_a_dict_and_older_versions_stay_as_they_were(
    changes: list[tuple[bool, str, int]],
) -> None:
    model: dict[str, int] = {}
    rows: Rows[int] = Rows()
    history: list[tuple[Rows[int], dict[str, int]]] = []
    for put, key, value in changes:
        history.append((rows, dict(model)))
        if put:
            rows = rows.put(key, value)
            model[key] = value
        elif key in model:
            rows = rows.drop(key)
            del model[key]
    history.append((rows, model))
    for version, expected in history:
        assert dict(version.items()) == expected
        assert version.size == len(expected)
        assert all(version.get(key) == value for key, value in expected.items())
    assert rows.get("absent") is None


@given(st.lists(st.tuples(st.integers(0, 1_000), CHANGE), max_size=60))
def test_any_version_may_be_changed_and_all_others_stay_as_they_were(
    changes: list[tuple[int, tuple[bool, str, int]]],
) -> None:
    versions: list[tuple[Rows[int], dict[str, int]]] = [(Rows(), {})]
    for of, (put, key, value) in changes:
        rows, expected = versions[of % len(versions)]
        if put:
            versions.append((rows.put(key, value), expected | {key: value}))
        elif key in expected:
            versions.append((rows.drop(key), {kept: row for kept, row in expected.items() if kept != key}))
        else:
            with pytest.raises(KeyError):
                rows.drop(key)
        assert all(dict(version.items()) == rows_ for version, rows_ in versions)


@given(st.lists(st.integers(-10_000, 200_000), min_size=1, max_size=80))
def test_nothing_is_forgotten_within_two_spans_and_everything_after_three(pauses_ms: list[int]) -> None:
    span_ms = 300_000
    recent: Recent[int] = Recent(span_ms)
    at, age = 1_000_000_000, 0
    ages: list[int] = []  # by row, the time that had passed for the memory when it was put
    latest = at
    for number, pause_ms in enumerate(pauses_ms):
        at += pause_ms
        age += min(max(at - latest, 0), GAP_MS_MAX) if number else 0
        latest = max(at, latest)
        recent = recent.put(str(number), number, at)
        ages.append(age)
        for row, row_age in enumerate(ages):
            if age - row_age <= 2 * span_ms:
                assert recent.get(str(row)) == row
            if age - row_age > 3 * (span_ms + GAP_MS_MAX):
                assert recent.get(str(row)) is None
