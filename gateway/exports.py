"""Orders as CSV (RFC 4180), for accounting: amounts in major units beside their currency, times as RFC 3339.

Made from what the caller is shown, so that a column can hold nothing that its role may not see. A text that a
spreadsheet would take for a formula is given an apostrophe in front (OWASP, "CSV Injection").
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from gateway.views import View
from models.money import format_major

CSV_TYPE = b"text/csv; charset=utf-8; header=present"
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")

Cells = dict[str, Any]
Rows = Callable[[View], Iterator[Cells]]

ORDER = ("order", "status", "created_at", "updated_at")
OWNERS_ORDER = (
    "retailer", "currency", "amount", "captured", "refunded", "refund_status", "dispute_status", "payment_status",
    "payment_intent", "charge", "cancel_reason", "customer_name", "customer_email", "country",
)  # fmt: skip
RECIPIENT = ("customer_name", "country")
LINE = (
    "order", "created_at", "status", "line", "consignment", "supplier", "consignment_status", "product", "sku",
    "quantity", "currency", "unit_amount", "amount",
)  # fmt: skip
SPLIT = (
    "order", "created_at", "status", "consignment", "supplier", "party", "name", "account", "currency", "amount",
    "returned", "transfer", "transferred", "reversed", "debt", "payable",
)  # fmt: skip


def order_cells(view: View) -> Iterator[Cells]:
    """One row: the order."""
    customer, address = view["customer"] or {}, view["shipping_address"] or {}
    cells: Cells = {
        "order": view["id"],
        **{name: view[name] for name in ("status", "created_at", "updated_at")},
        "customer_name": customer.get("name"),
        "country": address.get("country"),
    }
    if "payment" in view:
        payment, currency = view["payment"], view["currency"]
        names = ("retailer", "currency", "refund_status", "dispute_status", "cancel_reason")
        cells |= {name: view[name] for name in names}
        cells |= {
            "amount": format_major(view["amount"], currency),
            "captured": format_major(view["captured_amount"], currency),
            "refunded": format_major(view["refunded_amount"], currency),
            "payment_status": payment["status"],
            "payment_intent": payment["payment_intent"],
            "charge": payment["charge"],
            "customer_email": customer.get("email"),
        }
    yield cells


def line_cells(view: View) -> Iterator[Cells]:
    """A row for each line that the caller sees."""
    consignments = {consignment["id"]: consignment for consignment in view["consignments"]}
    currency = view["currency"]
    for line in view["lines"]:
        consignment = consignments[line["consignment"]]
        yield {
            **_head(view, consignment),
            "line": line["id"],
            "consignment_status": consignment["status"],
            **{name: line[name] for name in ("product", "sku", "quantity")},
            **{name: format_major(line[name], currency) for name in ("unit_amount", "amount")},
        }


def split_cells(view: View) -> Iterator[Cells]:
    """A row for each party's share of each consignment."""
    currency = view["currency"]
    for consignment in view["consignments"]:
        for split in consignment["splits"]:
            amounts = ("amount", "returned", "transferred", "reversed", "debt", "payable")
            yield {
                **_head(view, consignment),
                **{name: split[name] for name in ("party", "name", "account", "transfer")},
                **{name: format_major(split[name], currency) for name in amounts},
            }


def _head(view: View, consignment: View) -> Cells:
    return {
        "order": view["id"],
        "created_at": view["created_at"],
        "status": view["status"],
        "currency": view["currency"],
        "consignment": consignment["id"],
        "supplier": consignment["supplier"],
    }


EXPORTS: Mapping[str, tuple[Rows, tuple[str, ...]]] = {
    "orders": (order_cells, (*ORDER, *OWNERS_ORDER)),
    "lines": (line_cells, LINE),
    "splits": (split_cells, SPLIT),
}
"""What can be exported: how a view becomes rows, and the columns."""

SUPPLIERS_EXPORTS: Mapping[str, tuple[Rows, tuple[str, ...]]] = {
    "orders": (order_cells, (*ORDER, *RECIPIENT)),
    "lines": (line_cells, LINE),
}
"""The same for suppliers, who see no payments and no splits."""


def header(columns: Sequence[str]) -> bytes:
    """The first line."""
    return _csv([columns])


def body(rows: Rows, columns: Sequence[str], views: Iterable[View]) -> bytes:
    """The lines of these orders."""
    return _csv([[_cell(cells.get(name)) for name in columns] for view in views for cells in rows(view)])


def table(columns: Sequence[str], rows: Iterable[Cells]) -> bytes:
    """A whole table, header and all."""
    return _csv([columns, *[[_cell(cells.get(name)) for name in columns] for cells in rows]])


def _csv(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text
