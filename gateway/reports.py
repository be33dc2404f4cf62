"""Reports out of roll-ups: which period is meant, the lines in their order, pages of them, JSON and CSV."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import orjson

from actors.runtime.analytics import AnalyticsReader, Period, Waited
from gateway.endpoint import Answer, Call, Parameter
from gateway.exports import CSV_TYPE, table
from gateway.order_search import invalid
from gateway.problems import Problem
from gateway.replies import json_answer
from models.analytics import MEASURES, WAIT_BITS, Figures
from models.buckets import percentiles
from models.identity import NAME
from models.money import format_major
from models.order.view import rfc3339

DAYS_DEFAULT = 30
DAYS_MAX = 366
LINES_DEFAULT = 200
LINES_MAX = 1_000
EPOCH = date(1970, 1, 1)
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
CURSOR = re.compile(r"[A-Za-z0-9_-]{1,200}\Z")
DAY = {"type": "string", "format": "date", "examples": ["2026-11-01"]}

PARAMETERS = (
    Parameter(
        "from", "query", "The first day (UTC) whose orders are counted; by default 30 days before `to`.", DAY
    ),
    Parameter(
        "to", "query",
        f"The day after the last one; by default tomorrow, so that today is counted. At most {DAYS_MAX} days after "
        "`from`.", DAY,
    ),
    Parameter("retailer", "query", "Whose orders; of use to ops only, who see all retailers' together without.",
              {"type": "string"}),
    Parameter("limit", "query", "How many lines.",
              {"type": "integer", "minimum": 1, "maximum": LINES_MAX, "default": LINES_DEFAULT}),
    Parameter("cursor", "query", "The `next_cursor` of the page before.", {"type": "string"}),
)  # fmt: skip

Line = dict[str, Any]
SortKey = tuple[str | int, ...]


class Asked(NamedTuple):
    """What a report is asked for. after: the sort key of the last line of the page before; () at the beginning."""

    period: Period
    limit: int
    after: SortKey
    csv: bool

    def head(self, as_of: int) -> Line:
        """What every report begins with."""
        since, until = (EPOCH + timedelta(days=day) for day in (self.period.since, self.period.until))
        return {"from": str(since), "to": str(until), "as_of": rfc3339(as_of) if as_of else None}


def asked(call: Call) -> Asked:
    """Read the query string. Raises Problem."""
    fields = call.query()
    today = datetime.fromtimestamp(call.gateway.services.wall() / 1000, UTC).date()
    until = _date(fields, "to") or today + timedelta(days=1)
    since = _date(fields, "from") or max(EPOCH, until - timedelta(days=DAYS_DEFAULT))
    if since >= until:
        raise invalid("to", "The day after the last one: later than `from`.")
    if (until - since).days > DAYS_MAX:
        raise invalid("from", f"A report covers at most {DAYS_MAX} days.")
    retailer = call.principal.name if call.principal.role == "retailer" else fields.get("retailer", "")
    if retailer and not NAME.match(retailer):
        raise invalid("retailer", "This can be nobody's id.")
    text = fields.get("limit", str(LINES_DEFAULT))
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= LINES_MAX):
        raise invalid("limit", f"A number from 1 to {LINES_MAX}.")
    period = Period((since - EPOCH).days, (until - EPOCH).days, retailer)
    csv = b"text/csv" in call.headers.get(b"accept", b"")
    return Asked(period, int(text), _place(fields.get("cursor", "")), csv)


def _date(fields: dict[str, str], field: str) -> date | None:
    text = fields.get(field, "")
    if not text:
        return None
    try:
        found = date.fromisoformat(text) if DATE.match(text) else None
    except ValueError:
        found = None
    if found is None or found < EPOCH:
        raise invalid(field, "A date such as 2026-11-22, from 1970 on.")
    return found


def _place(cursor: str) -> SortKey:
    if not cursor:
        return ()
    try:
        place = orjson.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))) if CURSOR.match(cursor) else None
    except ValueError:
        place = None
    if not isinstance(place, list) or not place or any(type(part) not in (str, int) for part in place):
        raise invalid("cursor", "This is no cursor of ours.")
    return tuple(place)


class Form(NamedTuple):
    """What a report looks like: how its lines are ordered, its columns as CSV, and a line as their cells."""

    sort_key: Callable[[Line], SortKey]
    columns: Sequence[str]
    cells: Callable[[Line], Line]


def answer(asked: Asked, form: Form, head: Line, lines: Sequence[Line]) -> Answer:
    """The lines in order, from where the page before ended: a page of them as JSON, or all as CSV. Raises Problem."""
    ordered = sorted(((form.sort_key(line), line) for line in lines), key=lambda pair: pair[0])
    try:
        rest = [pair for pair in ordered if pair[0] > asked.after]
    except TypeError:
        raise invalid("cursor", "This cursor is of another report.") from None
    if asked.csv:
        return Answer(200, table(form.columns, [form.cells(line) for _, line in rest]), (), CSV_TYPE)
    page = rest[: asked.limit]
    cursor = None
    if len(rest) > len(page):
        cursor = urlsafe_b64encode(orjson.dumps(page[-1][0])).decode().rstrip("=")
    return json_answer(200, {**head, "data": [line for _, line in page], "next_cursor": cursor})


MONEY = ("revenue", "refunds", "net")
FIGURES = ("currency", "orders", "units", *MONEY)


def shown(currency: str, figures: Figures) -> Line:
    """Figures as they are shown."""
    return {"currency": currency, **figures._asdict(), "net": figures.revenue - figures.refunds}


def major(line: Line) -> Line:
    """The same for accounting: amounts in major units."""
    return {**line, **{name: format_major(line[name], line["currency"]) for name in MONEY}}


def totals(reader: AnalyticsReader, period: Period) -> list[Line]:
    """The figures of all orders of the period, by currency."""
    return [shown(currency, figures) for _, currency, figures in sorted(reader.sales(period, "total"))]


# --- waits -----------------------------------------------------------------------------------------------------------

WAITS = ("count", "mean_s", "p50_s", "p90_s")


def waits(found: Sequence[Waited]) -> Line:
    """Both measures of these waits."""
    return {measure: _waits([one for one in found if one.measure == measure]) for measure in MEASURES}


def _waits(found: Sequence[Waited]) -> Line:
    counts: dict[int, int] = {}
    for one in found:
        counts[one.bucket] = counts.get(one.bucket, 0) + one.consignments
    count = sum(counts.values())
    if not count:
        return {"count": 0, "mean_s": None, "p50_s": None, "p90_s": None}
    total_ms = sum(one.total_ms for one in found)
    p50_ms, p90_ms = percentiles(counts, WAIT_BITS, (0.5, 0.9))
    return {
        "count": count,
        "mean_s": round(total_ms / count / 1000, 3),
        "p50_s": p50_ms / 1000,
        "p90_s": p90_ms / 1000,
    }


WAIT_COLUMNS = [f"{measure}_{name}" for measure in MEASURES for name in WAITS]


def flat(line: Line) -> Line:
    """A supplier's waits as one row."""
    cells = {f"{measure}_{name}": line[measure][name] for measure in MEASURES for name in WAITS}
    return {"supplier": line["supplier"], **cells}


def reader_of(call: Call) -> AnalyticsReader:
    """The roll-ups. Raises Problem where there are none."""
    reader = call.gateway.services.analytics
    if reader is None:
        raise Problem("unavailable", "This system runs without its read side.", retry_after_s=60)
    return reader
