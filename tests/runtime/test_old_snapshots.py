"""Snapshots of before December 2026: rows in two levels, by digests of their keys, and tasks that name their order."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from actors.kinds import KINDS
from actors.runtime.codec import decode_snapshot, encode_snapshot
from models.sku.machine import RowStatus, row_of
from models.supplier.machine import TaskStatus, task_of

NONE = {"size": 0, "branches": {}}


def levels(**rows: Any) -> dict[str, Any]:
    return {"size": len(rows), "branches": {"0a": {"3f": rows}}}


def recent(youngest: dict[str, Any]) -> dict[str, Any]:
    return {"span_ms": 300_000, "elapsed_ms": 7, "at": 9, "generations": [youngest, NONE, NONE]}


def snapshot(**state: Any) -> bytes:
    return orjson.dumps({"state": state, "answered": {}})


SKU = snapshot(
    sku="MUG", supplier="north", received=9, available=4, reserved=2, sold=3,
    live=levels(ord_1=1, ord_2=1), settled=recent(levels(ord_3=3, ord_4=0, ord_5=-1)), returned=recent(NONE),
)  # fmt: skip
ACCEPTED = {"status": "accepted", "order": "ord_1", "day": 3, "accept_by": 0, "reason": ""}
REFUSED = {"status": "refused", "order": "ord_2", "day": 0, "accept_by": 0, "reason": "capacity"}
SUPPLIER = snapshot(
    terms=None, day=3, taken=1, live=levels(tsk_1_1=ACCEPTED), settled=recent(levels(tsk_2_1=REFUSED))
)


def test_a_sku_has_all_its_rows() -> None:
    sku, _ = decode_snapshot(KINDS["sku"], SKU)
    statuses = [row_of(sku, f"ord_{number}").status for number in range(1, 7)]
    assert statuses == [
        RowStatus.RESERVED, RowStatus.RESERVED, RowStatus.SOLD, RowStatus.RELEASED, RowStatus.REFUSED, RowStatus.ABSENT,
    ]  # fmt: skip
    assert row_of(sku, "ord_3").quantity == 3


def test_a_supplier_has_all_its_tasks() -> None:
    supplier, _ = decode_snapshot(KINDS["supplier"], SUPPLIER)
    assert task_of(supplier, "tsk_1_1").status is TaskStatus.ACCEPTED
    assert task_of(supplier, "tsk_1_1").day == 3
    assert (task_of(supplier, "tsk_2_1").status, task_of(supplier, "tsk_2_1").reason) == (
        TaskStatus.REFUSED, "capacity",
    )  # fmt: skip


@pytest.mark.parametrize(("kind", "stored"), [("sku", SKU), ("supplier", SUPPLIER)])
def test_what_is_stored_of_it_now_is_one_level_and_the_same(kind: str, stored: bytes) -> None:
    state, answered = decode_snapshot(KINDS[kind], stored)
    again = encode_snapshot(state, answered)
    assert b"branches" not in again
    assert decode_snapshot(KINDS[kind], again) == (state, answered)


@pytest.mark.parametrize("rows", [None, [], 5, {"size": 1, "branches": 7}, {"size": 1, "branches": {"0a": []}}])
def test_what_is_no_map_is_refused(rows: Any) -> None:
    stored = orjson.loads(SKU)
    stored["state"]["live"] = rows
    with pytest.raises(ValueError, match="live"):
        decode_snapshot(KINDS["sku"], orjson.dumps(stored))
