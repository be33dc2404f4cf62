"""What a turn costs a state with many rows, counted, not timed."""

from __future__ import annotations

import sys

from models.rows import Rows

ROWS = 100_000


def filled(count: int) -> Rows[int]:
    rows: Rows[int] = Rows()
    for number in range(count):
        rows = rows.put(f"ord_{number}", number)
    return rows


def test_changes_copy_no_rows_and_leave_nothing_of_versions_that_nobody_has() -> None:
    rows = filled(ROWS)
    before = sys.getallocatedblocks()
    for number in range(1_000):
        rows = rows.put(f"ord_{number}", -1).put("ord_new", number).drop("ord_new")
    assert sys.getallocatedblocks() - before < 500
    assert rows.size == ROWS


def test_a_long_past_is_undone_and_let_go_without_recursion() -> None:
    first = filled(1)
    rows = first
    for number in range(ROWS):
        rows = rows.put(f"ord_{number}", -1)
    assert (first.size, rows.size, first.get("ord_0"), rows.get("ord_0")) == (1, ROWS, 0, -1)
    del rows
    assert dict(first.items()) == {"ord_0": 0}
    del first


def test_many_may_begin_with_the_same_empty_map() -> None:
    empty: Rows[int] = Rows()
    one, other = empty.put("a", 1), empty.put("b", 2)
    assert (dict(one.items()), dict(other.items()), empty.size) == ({"a": 1}, {"b": 2}, 0)


def test_a_row_dropped_last_leaves_nothing_behind() -> None:
    assert Rows[int]().put("a", 1).drop("a") == Rows()
