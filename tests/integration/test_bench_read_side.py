"""The read side's benchmark runs, and every request of it finds something."""

from __future__ import annotations

import csv
import io
import json
import random
from http.client import HTTPConnection
from pathlib import Path

import pytest

from actors.adapters.sqlalchemy_database import size_bytes
from actors.adapters.sqlalchemy_projection import SqlReadModel
from actors.order import KIND as ORDER
from actors.runtime.codec import replay
from models.order.state import headline
from scripts.bench import read_side
from scripts.bench.histories import SHARDS, Histories
from scripts.bench.loading import Loader
from scripts.bench.reading_gateway import gateway
from scripts.bench.reading_queries import OPS, queries
from scripts.client import Unreachable
from tests.contract.databases import NAMES, databases

NOW = 1_790_000_000_000
COUNT = 300


def test_the_histories_are_legal_and_always_the_same() -> None:
    made, again = Histories(COUNT, NOW), Histories(COUNT, NOW)
    orders = [replay(ORDER, None, history.events)[0] for history in made.some(range(COUNT))]
    assert {headline(order) for order in orders} == {"delivered", "dispatched", "confirmed", "cancelled", "refunded"}
    assert [order.created_at for order in orders] == sorted(order.created_at for order in orders)
    for number in (0, 17):
        assert made.one(number).events[1:] == again.one(number).events[1:]
        assert made.one(number).id == orders[number].id
        assert made.customer(number).retailer == orders[number].retailer


def test_what_is_asked_finds_what_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_side, "REQUESTS", 5)
    rows = read_side.measure("sqlite", f"sqlite:///{tmp_path}/read.db", COUNT, lambda: 1_000)
    assert {row.orders for row in rows} == {COUNT}
    assert all(row.requests == 5 for row in rows)
    sure = ("newest", "product", "supplier", "q: one of Stripe's ids", "q: an order's id", "tasks", "report")
    assert all(row.found for row in rows if row.request.startswith(sure) and "," not in row.request), rows
    assert all(0 < row.p50_ms <= row.p99_ms for row in rows)
    loading, _, exports = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert loading["rows"][0]["projector_us"] > 0 < loading["rows"][0]["roll_ups_us"]
    assert [(row["rows"], row["lines"]) for row in exports["rows"]] == [("orders", COUNT), ("lines", 2 * COUNT)]


@pytest.mark.parametrize("name", NAMES)
def test_a_database_with_anything_in_it_is_left_alone(name: str, tmp_path: Path) -> None:
    with databases(name, tmp_path) as create:
        url = create()
        theirs = SqlReadModel(url)
        theirs.prepare(1)
        positions = theirs.positions()
        with pytest.raises(AssertionError, match="an empty"):
            read_side.run(10, url)
        assert theirs.positions() == positions
        theirs.close()


def test_a_database_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(Unreachable):
        read_side.run(10, f"postgresql://dray@/none?host={tmp_path}")


def test_the_database_that_was_named_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_side, "REQUESTS", 1)
    with databases("postgresql", tmp_path) as create:
        url = create()
        assert {(row.database, row.orders) for row in read_side.run(20, url)} == {("postgresql", 20)}
        assert size_bytes(url) > 1_000_000


async def test_reports_and_exports_agree_to_the_penny(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/read.db"
    made, loader = Histories(COUNT, NOW), Loader(url, SHARDS)
    await loader.load(list(made.some(range(COUNT))))
    await loader.count()
    loader.close()
    with gateway(url) as serving:
        connection = HTTPConnection("127.0.0.1", serving.port, timeout=60)

        def ask(path: str, accept: str) -> str:
            connection.request("GET", path, headers={"Authorization": f"Bearer {OPS}", "Accept": accept})
            return connection.getresponse().read().decode()

        period = "from=2026-08-01&to=2026-10-01"
        orders = list(csv.DictReader(io.StringIO(ask("/v1/orders", "text/csv"))))
        for name in ("days", "statuses", "suppliers", "brands", "products"):
            lines = list(csv.DictReader(io.StringIO(ask(f"/v1/analytics/{name}?{period}", "text/csv"))))
            for currency in ("gbp", "usd", "eur"):
                for column, of_order in (("revenue", "captured"), ("refunds", "refunded")):
                    told = sum(_pennies(line[column]) for line in lines if line["currency"] == currency)
                    assert told == sum(_pennies(order[of_order]) for order in orders if order["currency"] == currency)
        connection.close()


def _pennies(text: str) -> int:
    return int(text.replace(".", ""))


def test_queries_are_drawn_from_what_was_loaded() -> None:
    made, draw = Histories(COUNT, NOW), random.Random(1)
    for kind in queries(made, COUNT).values():
        path, key = kind(draw)
        assert path.startswith("/v1/") and ":" in key
