"""Order history as it is written down: rows of a CSV file, read one at a time, each either understood or refused."""

from __future__ import annotations

import csv
import gzip
import hashlib
import re
from collections.abc import Iterator
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from typing import IO, NamedTuple

COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
DATE_FORMATS = ("%m/%d/%y %H:%M", "%m/%d/%Y %H:%M", "%Y-%m-%d %H:%M:%S")
GZIP_MAGIC = b"\x1f\x8b"

_SALE = re.compile(r"[0-9]+\Z")
_CANCELLATION = re.compile(r"C[0-9]+\Z")
_QUANTITY = re.compile(r"-?[0-9]{1,9}\Z")
_CUSTOMER = re.compile(r"([0-9]+)(\.0)?\Z")


class BadFile(Exception):
    """The file is no order history; the message says why."""


class Row(NamedTuple):
    """A line of an order, or of a cancellation.

    line:        where it begins in the file; the header is line 1.
    quantity:    at least 1, for cancellations too.
    unit_amount: in pence, rounded to the nearest where the file is finer (`rounded`).
    customer:    "" where the file names none.
    """

    line: int
    invoice: str
    is_cancellation: bool
    code: str
    description: str
    quantity: int
    unit_amount: int
    rounded: bool
    at: datetime
    customer: str
    country: str

    @property
    def amount(self) -> int:
        return self.quantity * self.unit_amount


class Flaw(NamedTuple):
    """A row that is no valid line. kind: the reason without particulars, to count by."""

    line: int
    invoice: str
    kind: str
    detail: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.kind}{self.detail and ': '}{self.detail}"


def digest_of(path: Path) -> str:
    """What the file is known by: the SHA-256 of its bytes in hex. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(path: Path) -> Iterator[Row | Flaw]:
    """All rows in the file's order. Raises BadFile and OSError."""
    with _opened(path) as text:
        reader = csv.reader(text)
        try:
            header = [name.strip() for name in next(reader, [])]
            missing = [name for name in COLUMNS if name not in header]
            if missing:
                raise BadFile(f"{path} has no column {', '.join(missing)}; its header is {header}")
            places = [header.index(name) for name in COLUMNS]
            began = reader.line_num + 1
            for cells in reader:
                if cells:
                    yield _row(began, cells, places, len(header))
                began = reader.line_num + 1
        except (csv.Error, UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
            raise BadFile(f"{path}, line {reader.line_num}: {error}") from error


def _opened(path: Path) -> IO[str]:
    with path.open("rb") as file:
        zipped = file.read(2) == GZIP_MAGIC
    opener = gzip.open if zipped else open
    return opener(path, "rt", encoding="utf-8-sig", errors="replace", newline="")


def _row(line: int, cells: list[str], places: list[int], columns: int) -> Row | Flaw:
    if len(cells) != columns:
        return Flaw(line, "", f"not {columns} columns", f"{len(cells)} of them")
    invoice, code, description, quantity, at, price, customer, country = (cells[place].strip() for place in places)
    is_cancellation = _CANCELLATION.match(invoice) is not None
    flaw = _flaw(invoice, code, quantity, price, customer, is_cancellation=is_cancellation)
    when = _date(at)
    if flaw is None and when is None:
        flaw = ("malformed date", repr(at))
    if flaw is not None:
        return Flaw(line, invoice, *flaw)
    assert when is not None
    pence = Decimal(price) * 100
    unit_amount = int(pence.to_integral_value(ROUND_HALF_EVEN))
    found = _CUSTOMER.match(customer)
    return Row(
        line=line,
        invoice=invoice,
        is_cancellation=is_cancellation,
        code=code,
        description=description,
        quantity=abs(int(quantity)),
        unit_amount=unit_amount,
        rounded=unit_amount != pence,
        at=when,
        customer=found[1] if found else "",
        country=country,
    )


def _flaw(
    invoice: str, code: str, quantity: str, price: str, customer: str, *, is_cancellation: bool
) -> tuple[str, str] | None:
    """Why this is no valid line, or None."""
    if not is_cancellation and not _SALE.match(invoice):
        return "neither an invoice nor a cancellation", repr(invoice)
    if not code:
        return "no stock code", ""
    if not _QUANTITY.match(quantity):
        return "malformed quantity", repr(quantity)
    units = int(quantity)
    if units == 0:
        return "quantity of zero", ""
    if units < 0 and not is_cancellation:
        return "negative quantity on an invoice that is no cancellation", f"{units} on {invoice}"
    if units > 0 and is_cancellation:
        return "positive quantity on a cancellation", f"{units} on {invoice}"
    if customer and not _CUSTOMER.match(customer):
        return "malformed customer", repr(customer)
    return _flaw_of_price(price)


def _flaw_of_price(price: str) -> tuple[str, str] | None:
    try:
        value = Decimal(price)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value.adjusted() > 9:
        return "malformed price", repr(price)
    if value == 0:
        return "price of zero", ""
    if value < 0:
        return "negative price", price
    return None


@lru_cache(maxsize=4096)  # rows of an invoice share theirs
def _date(text: str) -> datetime | None:
    for shape in DATE_FORMATS:
        try:
            return datetime.strptime(text, shape)  # noqa: DTZ007 - the file says when in the shop's own time
        except ValueError:
            continue
    return None
