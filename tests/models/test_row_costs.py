"""What a turn costs a state with many rows, counted in entries copied, not in time."""

from __future__ import annotations

from models.rows import FANOUT, Rows

ROWS = 100_000


def test_a_change_copies_one_path_and_shares_everything_else() -> None:
    rows: Rows[int] = Rows()
    for number in range(ROWS):
        rows = rows.put(f"ord_{number:035x}", 1)
    for after in (rows.put("ord_new", 1), rows.drop(f"ord_{7:035x}")):
        fresh_branches = [name for name, branch in after.branches.items() if branch is not rows.branches.get(name)]
        assert len(fresh_branches) == 1
        branch = after.branches[fresh_branches[0]]
        before = rows.branches[fresh_branches[0]]
        fresh_leaves = [leaf for name, leaf in branch.items() if leaf is not before.get(name)]
        assert len(fresh_leaves) == 1
        copied = len(after.branches) + len(branch) + len(fresh_leaves[0])
        assert copied <= 2 * FANOUT + 4 * ROWS // FANOUT**2


def test_a_row_dropped_last_leaves_nothing_behind() -> None:
    assert Rows[int]().put("a", 1).drop("a") == Rows()
