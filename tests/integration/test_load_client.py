"""The load generator's own parts: its HTTP client, how it follows an order, its receipts, its page."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import orjson
import pytest

from scripts.load import report
from scripts.load.catalogue import Catalogue, Product
from scripts.load.cpu import Meter, difference
from scripts.load.measured import Counts, Diary, Interval, Measured
from scripts.load.orders import BAD_CARD, CANCELLED, DECLINED, Commands, Orders
from scripts.load.plan import BadPlan, Plan, checked
from scripts.load.receipts import CLOSED, OPENED, Receipt, ReceiptBook, read_receipts
from scripts.load.shopper import Shopper, Tally
from scripts.load.shown import table
from scripts.load.wire import NoAnswer, Pool, header
from scripts.run_state import RunState
from scripts.supervision.processes import ProcessName

RUN = "r1"
PRODUCTS = [Product(f"p{number}", f"P{number}", f"s{number % 3}", 100) for number in range(9)]
CATALOGUE = Catalogue("key", "ops", PRODUCTS, PRODUCTS[0], PRODUCTS[1], PRODUCTS[2])

Answerer = Callable[[bytes, bytes], bytes | None]
"""Answers a request (head, body); None hangs up."""


def http(status: int, body: bytes = b"", *headers: bytes) -> bytes:
    head = b"".join(b"%b\r\n" % line for line in headers)
    return b"HTTP/1.1 %d X\r\n%bcontent-length: %d\r\n\r\n%b" % (status, head, len(body), body)


def order(status: str, id_: str = "ord_000" + "ab" * 16, reason: str | None = None) -> bytes:
    return orjson.dumps({"id": id_, "retailer": "acme", "status": status, "cancel_reason": reason})


@contextlib.asynccontextmanager
async def server(answer: Answerer, slices: int = 0) -> AsyncIterator[str]:
    """An HTTP server; with `slices` it sends its answers in pieces of so many bytes."""

    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"Content-Length: (\d+)", head)
                said = answer(head, await reader.readexactly(int(length[1]) if length else 0))
                if said is None:
                    break
                for first in range(0, len(said), slices or len(said)):
                    writer.write(said[first : first + (slices or len(said))])
                    await writer.drain()
                    await asyncio.sleep(0)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        await asyncio.wait_for(asyncio.gather(*serving), 5)  # the client has closed its connections by now


@pytest.mark.parametrize("slices", [0, 7])
async def test_one_connection_carries_request_after_request(slices: int) -> None:
    connections: set[bytes] = set()

    def answer(head: bytes, body: bytes) -> bytes:
        connections.add(head)
        return http(202, body * 2, b'etag: "7"')

    async with server(answer, slices) as url:
        pool = Pool(lambda: url, 1)
        for text in (b"a", b"bc" * 500, b""):
            found = await pool.ask(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))
            assert (found.status, found.body) == (202, text * 2)
            assert header(found.head, b"etag") == b'"7"'
            assert header(found.head, b"location") == b""
        await pool.close()


async def test_a_connection_that_breaks_is_no_answer_and_the_next_request_gets_another() -> None:
    answers = iter([None, http(200, b"again")])
    async with server(lambda _head, _body: next(answers)) as url:
        pool = Pool(lambda: url, 4)
        with pytest.raises(NoAnswer):
            await pool.ask(b"GET / HTTP/1.1\r\n\r\n")
        assert (await pool.ask(b"GET / HTTP/1.1\r\n\r\n")).body == b"again"
        await pool.close()


async def test_requests_beyond_the_bound_wait_for_a_connection() -> None:
    async with server(lambda head, _body: http(200, head[5:6])) as url:
        pool = Pool(lambda: url, 2)
        found = await asyncio.gather(*(pool.ask(b"GET /%d HTTP/1.1\r\n\r\n" % number) for number in range(9)))
        assert [answer.body for answer in found] == [b"%d" % number for number in range(9)]
        await pool.close()


# --- an order's life as its customer sees it -------------------------------------------------------------------------


async def shopped(
    answer: Answerer, tmp_path: Path, plan: Plan, *, sampled: bool = False
) -> tuple[Tally, list[Receipt]]:
    """What one order comes to, and the receipts for it."""
    book = ReceiptBook(tmp_path / "0.jsonl", RUN)
    async with server(answer) as url:
        pool = Pool(lambda: url, 4)
        shopper = Shopper(pool, Commands(CATALOGUE, "h"), book, RUN, diary=plan.diary)
        request = Orders(plan, CATALOGUE, "h", RUN, 0).make(0)
        await shopper.buy(request, asyncio.get_running_loop().time(), sampled=sampled)
        await pool.close()
    book.close()
    return shopper.tally, [receipt for receipt in read_receipts(tmp_path) if receipt.what not in (OPENED, CLOSED)]


async def test_a_confirmed_order_takes_one_request(tmp_path: Path) -> None:
    def answer(head: bytes, _body: bytes) -> bytes:
        assert b"Prefer: wait=10\r\n" in head and b"Idempotency-Key: r1-0\r\n" in head
        return http(202, order("confirmed"), b'etag: "6"')

    tally, receipts = await shopped(answer, tmp_path, Plan(orders=1))
    assert (tally.accepted, tally.confirmed, tally.requests) == (1, 1, 1)
    assert (tally.completion.count, tally.acceptance.count) == (1, 0)
    assert receipts == [Receipt(RUN, "r1-0", "place", 202, "ord_000" + "ab" * 16, "confirmed", "", 6)]


async def test_a_sampled_order_is_posted_plainly_and_again_to_wait(tmp_path: Path) -> None:
    heads: list[bytes] = []

    def answer(head: bytes, _body: bytes) -> bytes:
        heads.append(head)
        return http(202, order("confirmed" if b"Prefer" in head else "pending"))

    tally, receipts = await shopped(answer, tmp_path, Plan(orders=1), sampled=True)
    assert [b"Prefer" in head for head in heads] == [False, True]
    assert (tally.acceptance.count, tally.completion.count) == (1, 1)
    assert len({receipt.key for receipt in receipts}) == 1


async def test_an_order_that_is_not_answered_for_is_sent_again_with_its_key(tmp_path: Path) -> None:
    answers = iter([None, http(503, b"{}", b"retry-after: 0"), http(202, order("cancelled", reason="out_of_stock"))])
    tally, receipts = await shopped(lambda _head, _body: next(answers), tmp_path, Plan(orders=1))
    assert (tally.accepted, tally.errors, tally.cancelled) == (1, 2, Counter(out_of_stock=1))
    assert [receipt.reason for receipt in receipts] == ["out_of_stock"]


async def test_a_refused_order_is_counted_by_status_and_not_sent_again(tmp_path: Path) -> None:
    tally, receipts = await shopped(lambda _head, _body: http(429, b"{}", b"retry-after: 2"), tmp_path, Plan(orders=1))
    assert (tally.accepted, tally.refused, tally.requests) == (0, Counter({"429": 1}), 1)
    assert [(receipt.status, receipt.order) for receipt in receipts] == [(429, "")]


async def test_an_accepted_order_is_followed_on_when_the_system_is_full(tmp_path: Path) -> None:
    answers = iter([http(202, order("pending")), http(429, b"{}", b"retry-after: 1"), http(202, order("confirmed"))])
    tally, receipts = await shopped(lambda _head, _body: next(answers), tmp_path, Plan(orders=1), sampled=True)
    assert (tally.accepted, tally.confirmed, tally.unfinished, tally.refused) == (1, 1, 0, {})
    assert [receipt.status for receipt in receipts] == [202, 202]


async def test_a_diary_tells_when_orders_lived_and_what_went_wrong(tmp_path: Path) -> None:
    answers = iter([None, http(503), http(202, order("confirmed"))])
    began = asyncio.get_running_loop().time()
    tally, _ = await shopped(lambda _head, _body: next(answers), tmp_path, Plan(orders=1, diary=True))
    ((due, ended, id_),) = tally.lives
    assert (id_, [status for _, status in tally.troubles]) == ("ord_000" + "ab" * 16, [0, 503])
    assert began <= due <= tally.troubles[0][0] <= tally.troubles[1][0] <= ended
    diary = Diary()
    diary.add(tally.to_json())
    assert diary.longest(due, ended) == diary.longest(ended - 0.001, ended + 9) == (ended - due, id_)
    assert diary.longest(ended + 1, ended + 2) == (0.0, "")


async def test_a_refusal_that_does_not_say_when_to_come_again_is_told_apart(tmp_path: Path) -> None:
    tally, _ = await shopped(lambda _head, _body: http(429), tmp_path, Plan(orders=1))
    assert tally.refused == {"429 without Retry-After": 1}


async def test_a_cancellation_follows_the_confirmation(tmp_path: Path) -> None:
    def answer(head: bytes, _body: bytes) -> bytes:
        cancelled = b"/cancel HTTP" in head
        return http(202, order("cancelled", reason="customer_request") if cancelled else order("confirmed"))

    tally, receipts = await shopped(answer, tmp_path, Plan(orders=1, cancellations=100))
    assert (tally.confirmed, tally.cancelled) == (0, Counter(customer_request=1))
    assert [receipt.what for receipt in receipts] == ["place", "cancel"]


# --- what is bought --------------------------------------------------------------------------------------------------


def bodies(plan: Plan, count: int) -> list[dict[str, object]]:
    made = Orders(plan, CATALOGUE, "h", RUN, 1)
    requests = [made.make(number) for number in range(count)]
    return [orjson.loads(request.plain.partition(b"\r\n\r\n")[2]) for request in requests]


def test_popularity_follows_zipf_s_law() -> None:
    bought = Counter(line["product"] for body in bodies(Plan(zipf=1.0), 6_000) for line in body["lines"])  # type: ignore[attr-defined]
    assert [name for name, _ in bought.most_common(3)] == ["p0", "p1", "p2"]
    assert 1.7 < bought["p0"] / bought["p1"] < 2.3
    assert 2.5 < bought["p0"] / bought["p2"] < 3.5


def test_one_supplier_sells_all_lines_if_asked_for() -> None:
    for body in bodies(Plan(one_supplier=True, lines=4), 200):
        assert len({int(line["product"][1:]) % 3 for line in body["lines"]}) == 1  # type: ignore[attr-defined]


def test_shares_of_special_orders_are_kept() -> None:
    made = Orders(Plan(declines=20, cancellations=10), CATALOGUE, "h", RUN, 1)
    requests = [made.make(number) for number in range(5_000)]
    kinds = Counter(request.kind for request in requests)
    assert 850 < kinds[DECLINED] < 1_150 and 400 < kinds[CANCELLED] < 600
    assert all((BAD_CARD.encode() in request.plain) == (request.kind == DECLINED) for request in requests)


def test_plans_that_cannot_be_are_refused() -> None:
    for plan in (Plan(), Plan(orders=1, declines=60, shortages=50), Plan(orders=1, ramp=True), Plan(orders=1, lines=0)):
        with pytest.raises(BadPlan):
            checked(plan)


# --- receipts, CPU, the page -----------------------------------------------------------------------------------------


def test_receipts_survive_a_client_that_was_killed(tmp_path: Path) -> None:
    book = ReceiptBook(tmp_path / "0.jsonl", RUN)
    receipt = Receipt(RUN, "r1-0", "place", 202, "ord_1", "confirmed", "", 3)
    book.add(receipt)
    book.flush()
    with (tmp_path / "0.jsonl").open("ab") as torn:
        torn.write(b'["r1","r1-1","pla')
    opened, found = read_receipts(tmp_path)
    assert (opened.what, found) == (OPENED, receipt)
    book.close()


def test_receipts_of_other_clients_are_objects(tmp_path: Path) -> None:
    path = tmp_path / "theirs.jsonl"
    path.write_text('{"key": "k", "status": 202, "order": "ord_1"}\n{"status": 429}\n')
    assert [(receipt.key, receipt.status, receipt.order) for receipt in read_receipts(path)] == [
        ("k", 202, "ord_1"), ("", 429, ""),
    ]  # fmt: skip


def test_cpu_is_charged_to_whoever_spent_it() -> None:
    state = RunState(ProcessName.of(os.getppid()))
    meter = Meter(state, [os.getpid()])
    before = meter.sample()
    sum(number * number for number in range(3_000_000))
    spent = difference(before, meter.sample())
    assert spent["client"] > 0
    assert meter.resident_bytes["client"] > 1_000_000


def measured_one() -> Measured:
    found = Measured(Plan(orders=10, rate=5.0), RUN, "simulated", 2, "2026-01-01T00:00:00+00:00", "receipts")
    for second in range(1, 4):
        counts = Counts(sent=5, accepted=5, confirmed=4, cancelled=Counter({"out_of_stock": 1}))
        for ms in (3, 30, 300):
            counts.completion.record(ms / 1000)
            counts.acceptance.record(ms / 3000)
        cpu = {"gateway": 0.2, "hosts": 0.4, "client": 0.1}
        found.intervals.append(Interval(float(second), 1.0, counts, 7, cpu, {"hosts": 10**8}, 3, 5, 10**6))
        for name in ("sent", "accepted", "confirmed"):
            setattr(found.total, name, getattr(found.total, name) + getattr(counts, name))
        found.total.cancelled.update(counts.cancelled)
        found.total.completion.add(counts.completion)
        found.total.acceptance.add(counts.acceptance)
    found.seconds, found.cpu_s = 3.0, {"gateway": 0.6, "hosts": 1.2, "client": 0.3}
    found.audit = {"passed": False, "invariants": {"A1": {"passed": False, "checked": 3, "offending": ["<ord>"]}}}
    return found


def test_the_result_has_the_shape_of_the_contract() -> None:
    found = measured_one().to_json()
    assert (found["accepted"], found["confirmed"], found["cancelled"]) == (15, 12, {"out_of_stock": 3})
    assert set(found["completion_ms"]) == {"p50", "p90", "p99", "p999", "max"} == set(found["acceptance_ms"])
    assert found["orders_per_second"] == 4.0
    assert found["cpu_ms_per_order"] == {"total": 120.0, "by_process": {"gateway": 40.0, "hosts": 80.0}}
    assert found["client_cpu_share"] == pytest.approx(0.3 / 2.1, abs=1e-4)
    assert set(found) == {
        "accepted", "confirmed", "cancelled", "refused", "seconds", "orders_per_second", "acceptance_ms",
        "completion_ms", "cpu_ms_per_order", "client_cpu_share", "audit",
    }  # fmt: skip
    assert "12 confirmed" in table(measured_one())


def test_the_page_is_whole_and_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    page = report.write(measured_one(), tmp_path / "report").read_text()
    assert "<ord>" not in page and "&lt;ord&gt;" in page
    assert not re.search(r"(?:src|href)=|@import|url\(", page)
    plots = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(plots) == 8
    for plot in plots:
        drawn = ET.fromstring(plot)
        assert drawn.findall("polyline") or drawn.findall("rect")
        for line in drawn.findall("polyline"):
            points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
            assert all(0 <= x <= 640 and 0 <= y <= 260 for x, y in points)


def test_a_page_of_a_test_that_measured_nothing_is_a_page(tmp_path: Path) -> None:
    nothing = Measured(Plan(orders=1), RUN, "simulated", 2, "2026-01-01T00:00:00+00:00", "receipts")
    assert "nothing was measured" in report.page(nothing)
    assert "none" in table(nothing)
