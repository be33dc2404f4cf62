"""The audit reads both vendors' books: the sandbox's log, written by the real sandbox, and the simulated ledger."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import orjson
import pytest

from scripts.audit import bank, ledgers
from scripts.audit.findings import Finding
from scripts.audit.spool import Spool, read_part
from tests.contract.sandbox_process import sandbox_process

ORDER = "ord_000" + "ab" * 16
ACCOUNT = "acct_maker"
HOLD = (
    "amount=2000&currency=gbp&payment_method=pm_card_visa&confirm=true&capture_method=manual"
    "&automatic_payment_methods[enabled]=true&automatic_payment_methods[allow_redirects]=never"
)


def read(path: Path, directory: Path) -> tuple[bank.BankBook, list[Finding]]:
    """What the sandbox's log says about ORDER, and ledger entries that do not balance."""
    directory.mkdir(exist_ok=True)
    spool = Spool(directory, 1)
    _, unbalanced = ledgers.sandbox(path, spool)
    (part,) = spool.close()
    orders, _ = read_part(part)
    return bank.of_sandbox(orders[ORDER].sandbox.values()), unbalanced


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a sandbox that has captured a part of a hold, refunded some of it, paid a party, taken some of that back, and
    holds another sum."""
    data = tmp_path_factory.mktemp("sandbox")
    of_order = f"&transfer_group={ORDER}&metadata[order]={ORDER}"
    with sandbox_process("--data", str(data)) as vendor:
        vendor.control("accounts", {"id": ACCOUNT, "country": "GB", "default_currency": "gbp"})
        intent = vendor.post("/v1/payment_intents", HOLD + of_order)
        captured = vendor.post(f"/v1/payment_intents/{intent['id']}/capture", "amount_to_capture=1500")
        vendor.post("/v1/refunds", f"payment_intent={intent['id']}&amount=300&metadata[order]={ORDER}")
        payout = f"amount=700&currency=gbp&destination={ACCOUNT}&source_transaction={captured['latest_charge']}"
        place = f"&metadata[consignment]=cns_1&metadata[party]=supplier:{ACCOUNT}"
        transfer = vendor.post("/v1/transfers", payout + of_order + place)
        vendor.post(f"/v1/transfers/{transfer['id']}/reversals", "amount=140")
        vendor.post("/v1/payment_intents", HOLD + of_order)
    return data / "sandbox.log"


def test_the_sandbox_s_books_are_read_from_its_log(log: Path, tmp_path: Path) -> None:
    book, unbalanced = read(log, tmp_path / "parts")
    assert not unbalanced
    assert (book.captured, book.refunded, book.captures) == (1500, 300, 1)
    assert sorted(hold.status for hold in book.holds.values()) == ["captured", "held"]
    (payout,) = book.payouts.values()
    assert (payout.amount, payout.reversed, payout.account) == (700, 140, ACCOUNT)
    assert (payout.consignment, payout.party) == ("cns_1", f"supplier:{ACCOUNT}")


def test_a_log_that_is_still_being_written_may_end_in_the_middle_of_a_line(log: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.log"
    torn.write_bytes(log.read_bytes() + b'0123abcd {"n":')
    book, _ = read(torn, tmp_path / "parts")
    assert book.captured == 1500


def test_a_damaged_log_is_refused(log: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.log"
    damaged.write_bytes(log.read_bytes().replace(b"1500", b"1600"))
    with pytest.raises(ValueError, match="checksum"):
        read(damaged, tmp_path / "parts")


def test_an_entry_that_does_not_balance_is_named(log: Path, tmp_path: Path) -> None:
    """A forger who knows how to compute checksums."""
    lines = []
    for line in log.read_bytes().splitlines():
        item = orjson.loads(line[9:])
        for kind, values in item.get("w", ()):
            if kind == "entry":
                values[-1 if isinstance(values[-1], list) else _postings(values)][0][1] += 1
        body = orjson.dumps(item)
        lines.append(b"%08x %b\n" % (zlib.crc32(body), body))
    forged = tmp_path / "forged.log"
    forged.write_bytes(b"".join(lines))
    _, unbalanced = read(forged, tmp_path / "parts")
    assert unbalanced
    assert {finding.invariant for finding in unbalanced} == {"A5"}


def _postings(values: list[Any]) -> int:
    return next(place for place, value in enumerate(values) if isinstance(value, list))


def line(kind: str, amount: int, id_: str, of: str = "", to: str = "", *, outcome: str = "") -> list[Any]:
    return [f"{ORDER}:{kind}:{id_}:1", kind, ORDER, amount, id_, of, to, outcome]


def test_the_simulated_vendor_s_books_add_up() -> None:
    book = bank.of_simulated([
        line("authorise", 2000, "pi_1", "pm_card_visa"),
        line("authorise", 2000, "pi_0", "pm_card_visa", outcome="card_declined"),
        line("capture", 1500, "ch_1", "pi_1"),
        line("capture", 1500, "ch_1", "pi_1"),  # asked again: the same line
        line("refund", 300, "re_1", "pi_1"),
        line("transfer", 700, "tr_1", "ch_1", f"{ACCOUNT} cns_1 supplier:maker"),
        line("reverse", 140, "trr_1", "tr_1"),
        line("authorise", 900, "pi_2", "pm_card_visa"),
        line("void", 0, "pi_2", "pi_2"),
    ])  # fmt: skip
    assert (book.captured, book.refunded, book.captures, book.wrong) == (1500, 300, 1, [])
    assert {hold.id: hold.status for hold in book.holds.values()} == {"pi_1": "captured", "pi_2": "released"}
    (payout,) = book.payouts.values()
    assert (payout.amount, payout.reversed, payout.party) == (700, 140, "supplier:maker")


def test_what_the_simulated_vendor_should_never_have_been_asked_is_wrong() -> None:
    again = line("capture", 1501, "ch_1", "pi_1")
    book = bank.of_simulated([
        line("authorise", 2000, "pi_1"), line("capture", 1500, "ch_1", "pi_1"), again,
        line("void", 0, "pi_1", "pi_1"), line("reverse", 1, "trr_1", "tr_9"),
    ])  # fmt: skip
    assert [invariant for invariant, _ in book.wrong] == ["A8", "A5", "A5"]


def test_two_vendors_one_after_the_other_are_one_bank() -> None:
    one = bank.of_simulated([line("authorise", 10, "pi_1"), line("capture", 10, "ch_1", "pi_1")])
    other = bank.of_simulated([line("authorise", 20, "pi_2")])
    whole = bank.merged([one, other])
    assert (whole.captured, len(whole.holds)) == (10, 2)
