"""Real order history is dirty: each row is understood or refused, with its line and a reason."""

from __future__ import annotations

import gzip
from datetime import datetime
from pathlib import Path

import pytest

from scripts.replay.invoices import Invoice, replayed, survey
from scripts.replay.orders import LINE_UNITS_MAX, lines_of, order_of
from scripts.replay.rows import BadFile, Flaw, Row, read
from scripts.replay.shop import product_of, supplier_of

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
GOOD = "536365,85123A,WHITE HANGING HEART,6,12/1/10 8:26,2.55,17850,United Kingdom\n"


def history(path: Path, *rows: str) -> Path:
    """A file of these rows, under the usual header."""
    path.write_text(HEADER + "".join(rows))
    return path


def row(invoice: str = "536365", code: str = "85123A", quantity: str = "6", **cells: str) -> str:
    """A row that is good but for what is said here; `cells`: at, price, customer, country."""
    given = {"title": "HEART", "at": "12/1/10 8:26", "price": "2.55", "customer": "17850", "country": "France", **cells}
    ends = ",".join(given[name] for name in ("at", "price", "customer", "country"))
    return f"{invoice},{code},{given['title']},{quantity},{ends}\n"


def only(path: Path, text: str) -> Row | Flaw:
    (found,) = read(history(path, text))
    return found


def test_a_good_row(tmp_path: Path) -> None:
    found = only(tmp_path / "h.csv", GOOD)
    assert found == Row(
        2, "536365", False, "85123A", "WHITE HANGING HEART", 6, 255, False, datetime(2010, 12, 1, 8, 26), "17850",  # noqa: DTZ001
        "United Kingdom",
    )  # fmt: skip
    assert isinstance(found, Row)
    assert found.amount == 1530


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (row(quantity="-6"), "negative quantity on an invoice that is no cancellation"),
        (row(quantity="0"), "quantity of zero"),
        (row(quantity="6.5"), "malformed quantity"),
        (row(quantity=""), "malformed quantity"),
        (row(price="0.0"), "price of zero"),
        (row(price="-11062.06"), "negative price"),
        (row(price="2,55".replace(",", ";")), "malformed price"),
        (row(price="nan"), "malformed price"),
        (row(price="1e30"), "malformed price"),
        (row(code=""), "no stock code"),
        (row(at="13/1/10 8:26"), "malformed date"),
        (row(at=""), "malformed date"),
        (row(invoice="A563185"), "neither an invoice nor a cancellation"),
        (row(invoice=""), "neither an invoice nor a cancellation"),
        (row(invoice="C536379"), "positive quantity on a cancellation"),
        (row(customer="nobody"), "malformed customer"),
        ("536365,85123A,HEART,6\n", "not 8 columns"),
        (GOOD.strip() + ",more\n", "not 8 columns"),
    ],
)
def test_a_row_that_is_no_line_is_named_by_line_and_reason(tmp_path: Path, text: str, kind: str) -> None:
    good, flaw, after = read(history(tmp_path / "h.csv", GOOD, text, GOOD))
    assert isinstance(flaw, Flaw)
    assert (flaw.line, flaw.kind) == (3, kind)
    assert str(flaw).startswith(f"line 3: {kind}")
    assert (good.line, after.line) == (2, 4)


def test_what_looks_odd_but_is_valid(tmp_path: Path) -> None:
    texts = (
        row(code="POST"), row(code="BANK CHARGES"), row(customer=""), row(customer="17850.0"), row(price="0.001"),
        row(at="2010-12-01 08:26:00"), row(at="12/1/2010 8:26"), row(title=""), row(invoice="C536379", quantity="-1"),
    )  # fmt: skip
    found = list(read(history(tmp_path / "h.csv", *texts)))
    rows = [one for one in found if isinstance(one, Row)]
    assert len(rows) == len(texts)
    assert [one.customer for one in rows[2:4]] == ["", "17850"]
    assert (rows[4].unit_amount, rows[4].rounded) == (0, True)
    assert {one.at for one in rows} == {datetime(2010, 12, 1, 8, 26)}  # noqa: DTZ001
    assert (rows[8].is_cancellation, rows[8].quantity) == (True, 1)


def test_lines_are_counted_as_an_editor_does(tmp_path: Path) -> None:
    quoted = '536366,22633,"HAND WARMER\nUNION, JACK",6,12/1/10 8:28,1.85,17850,United Kingdom\n'
    found = list(read(history(tmp_path / "h.csv", quoted, row(quantity="-1"))))
    assert [one.line for one in found] == [2, 4]


def test_compressed_files_and_other_column_orders(tmp_path: Path) -> None:
    path = tmp_path / "h.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write("Country,CustomerID,UnitPrice,InvoiceDate,Quantity,Description,StockCode,InvoiceNo,More\n")
        file.write("EIRE,14911,1.65,12/2/10 9:00,3,MUG,21071,536500,x\n")
    (found,) = read(path)
    assert isinstance(found, Row)
    assert (found.invoice, found.country, found.unit_amount) == ("536500", "EIRE", 165)


def test_what_is_no_history_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with gzip.open(tmp_path / "cut.gz", "wt") as file:
        file.write(HEADER + GOOD * 1000)
    whole = (tmp_path / "cut.gz").read_bytes()
    (tmp_path / "cut.gz").write_bytes(whole[: len(whole) // 2])
    for name in ("empty.csv", "other.csv", "cut.gz"):
        with pytest.raises(BadFile, match=name):
            list(read(tmp_path / name))


def test_an_invoice_comes_whole_though_its_rows_are_scattered(tmp_path: Path) -> None:
    path = history(
        tmp_path / "h.csv",
        row("1", "A"), row("2", "B"), row("1", "C", quantity="-3"), row("1", "A", price="3.00"), row("C9", "A", "-2"),
        row("3", "D", "0"), row("4", "B", "5"),
    )  # fmt: skip
    found = survey(path, None)
    assert (found.invoices, list(found.chosen), found.until) == (3, ["1", "2", "4"], None)
    assert {code: article.units for code, article in found.articles.items()} == {"A": 12, "B": 11}
    items = list(replayed(path, found))
    invoices = [item for item in items if isinstance(item, Invoice)]
    assert [(one.number, [part.line for part in one.rows]) for one in invoices] == [
        ("2", [3]),
        ("1", [2, 5]),
        ("4", [8]),
    ]
    assert [item.line for item in items if not isinstance(item, Invoice)] == [4, 6, 7]


def test_a_limit_takes_whole_invoices_and_what_came_before_the_next(tmp_path: Path) -> None:
    path = history(
        tmp_path / "h.csv",
        row("1", "A"), row("2", "B"), row("C8", "A", "-1"), row("3", "C"), row("C9", "A", "-1"), row("1", "B", "4"),
        row("4", "D", "0"),
    )  # fmt: skip
    found = survey(path, 2)
    items = list(replayed(path, found))
    assert [item.number for item in items if isinstance(item, Invoice)] == ["2", "1"]
    assert [item.invoice for item in items if not isinstance(item, Invoice)] == ["C8"]
    assert list(found.articles) == ["A", "B"]
    assert [len(survey(path, limit, {"3"}).chosen) for limit in (1, 2, 3, None)] == [2, 3, 3, 3]


def test_a_long_line_becomes_several_and_prices_stay_the_invoices_own(tmp_path: Path) -> None:
    path = history(
        tmp_path / "h.csv", row("1", "A", "24215", price="1.04"), row("1", "A", "2", price="0.85", customer="")
    )
    (invoice,) = (item for item in replayed(path, survey(path, None)) if isinstance(item, Invoice))
    assert [quantity for _, quantity in lines_of(invoice)] == [LINE_UNITS_MAX, LINE_UNITS_MAX, 4215, 2]
    body = order_of(invoice)
    assert sum(line["quantity"] * line["unit_amount"] for line in body["lines"]) == invoice.amount == 24215 * 104 + 170
    assert body["customer"]["email"] == "customer-17850@example.com"
    assert body["shipping_address"]["country"] == "FR"


def test_an_invoice_without_a_customer_is_nobody_elses(tmp_path: Path) -> None:
    path = history(tmp_path / "h.csv", row("1", customer=""), row("2", customer="", country="Unspecified"))
    emails = [
        order_of(item)["customer"]["email"] for item in replayed(path, survey(path, None)) if isinstance(item, Invoice)
    ]
    assert emails == ["walk-in-1@example.com", "walk-in-2@example.com"]


def test_stock_codes_are_product_ids_wherever_they_can_be() -> None:
    assert [product_of(code) for code in ("85123A", "85123a", "gift_0001_20", "m")] == [
        "85123A",
        "85123a",
        "gift_0001_20",
        "m",
    ]
    odd = {product_of(code) for code in ("BANK CHARGES", "BANK-CHARGES", "BANK  CHARGES", "é", "_x", "A" * 65)}
    assert len(odd) == 6
    assert supplier_of("85123A") == "supplier-8"
    assert supplier_of("BANK CHARGES") == "supplier-B"
