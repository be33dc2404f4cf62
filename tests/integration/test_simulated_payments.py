"""The simulated vendor's ledger on a real file system, and what many effects at once cost."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import orjson
import pytest

from actors.adapters.simulated_payments import LedgerLine, SimulatedPayments, read_ledger
from models.decision import Address, Command, Effect
from models.payments import (
    AnyRequest,
    Authorise,
    Capture,
    Declined,
    Done,
    Outcome,
    PaymentAnswer,
    Refund,
    Reverse,
    Transfer,
    Unknown,
    Void,
)
from tests.contract.payment_vendors import Answered, answered

ORDER = "ord_011019a5e1b2c3d7abc8123456789abcdef"


async def outcomes(payments: SimulatedPayments, requests: Iterable[AnyRequest]) -> list[Outcome]:
    """Start all in one iteration of the loop and wait for every answer."""
    heard: list[PaymentAnswer] = []

    def deliver(_to: Address, command: Command) -> None:
        assert isinstance(command, Answered) and command.answer is not None
        heard.append(command.answer)

    count = 0
    for request in requests:
        payments.start(Effect("payments", request, Address("orchestrator", request.order)), deliver)
        count += 1
    async with asyncio.timeout(20):
        while len(heard) < count:
            await asyncio.sleep(0.001)
    return [answer.outcome for answer in heard]


def run(requests: Iterable[AnyRequest], ledger: Path | None = None) -> list[Outcome]:
    async def main() -> list[Outcome]:
        payments = SimulatedPayments(answered, latency_ms=1, ledger=ledger)
        try:
            return await outcomes(payments, requests)
        finally:
            await payments.close()

    return asyncio.run(main())


def an_authorise(number: int, method: str = "pm_card_visa") -> Authorise:
    order = f"ord_{number:035x}"
    return Authorise(f"{order}:authorise:payment:1", order, False, 1_000 + number, "gbp", method)


def test_every_kind_of_effect_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "ledger.jsonl"
    requests: list[AnyRequest] = [
        Authorise("k1", ORDER, False, 2_000, "gbp", "pm_card_visa"),
        Authorise("k2", ORDER, False, 2_000, "gbp", "pm_card_chargeDeclined"),
        Capture("k3", ORDER, False, "pi_sim_1", 1_500),
        Void("k4", ORDER, False, "pi_sim_1"),
        Refund("k5", ORDER, False, "pi_sim_1", 400, "rfd_1"),
        Transfer("k6", ORDER, False, 900, "gbp", "acct_1", "ch_sim_1", "cns_1", "brand"),
        Reverse("k7", ORDER, False, "tr_sim_1", 300, "rfd_1"),
    ]
    answers = run(requests, path)
    ids = [outcome.id if isinstance(outcome, Done) else outcome.payment_intent for outcome in answers]  # type: ignore[union-attr]
    assert list(read_ledger(path)) == [
        LedgerLine("k1", "authorise", ORDER, 2_000, ids[0], "pm_card_visa", "", ""),
        LedgerLine("k2", "authorise", ORDER, 2_000, ids[1], "pm_card_chargeDeclined", "", "generic_decline"),
        LedgerLine("k3", "capture", ORDER, 1_500, "ch_sim_1", "pi_sim_1", "", ""),
        LedgerLine("k4", "void", ORDER, 0, "pi_sim_1", "pi_sim_1", "", ""),
        LedgerLine("k5", "refund", ORDER, 400, ids[4], "pi_sim_1", "rfd_1", ""),
        LedgerLine("k6", "transfer", ORDER, 900, ids[5], "ch_sim_1", "acct_1 cns_1 brand", ""),
        LedgerLine("k7", "reverse", ORDER, 300, ids[6], "tr_sim_1", "rfd_1", ""),
    ]


def test_a_retry_after_a_restart_is_one_effect_and_another_effect_under_its_key_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    request = an_authorise(1)
    run([request, an_authorise(2)], path)
    run([request], path)
    assert [line.key for line in read_ledger(path)] == [request.key, an_authorise(2).key]
    run([Authorise(request.key, request.order, False, 9_999, "gbp", "pm_card_visa")], path)
    assert [line.amount for line in read_ledger(path)] == [1_001, 1_002, 9_999]


def test_a_line_cut_short_at_the_end_is_nothing_and_elsewhere_damage(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    run([an_authorise(1)], path)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])
    assert len(list(read_ledger(path))) == 1
    path.write_bytes(whole[:40] + b"\n" + whole)
    with pytest.raises(ValueError, match="line 1"):
        list(read_ledger(path))


def test_a_full_disk_makes_outcomes_unknown() -> None:
    (outcome,) = run([an_authorise(1)], Path("/dev/full"))
    assert isinstance(outcome, Unknown)
    assert not outcome.stale


def test_a_killed_process_has_accounted_for_every_outcome_it_told(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    program = """
import asyncio, os, sys
from pathlib import Path
from tests.integration.test_simulated_payments import *

async def main():
    payments = SimulatedPayments(answered, latency_ms=1, ledger=Path(sys.argv[1]))
    told = 0
    def deliver(_to, command):
        nonlocal told
        os.write(1, command.answer.key.encode() + b"\\n")
        told += 1
        if told == 300:
            os.kill(os.getpid(), 9)
    for number in range(1_000):
        request = an_authorise(number)
        payments.start(Effect("payments", request, Address("orchestrator", request.order)), deliver)
        if number % 50 == 0:
            await asyncio.sleep(0.002)
    await asyncio.sleep(10)

asyncio.run(main())
"""
    killed = subprocess.run([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, check=False, timeout=30)
    told = killed.stdout.decode().split()
    assert killed.returncode == -9
    assert len(told) == 300
    assert set(told) <= {line.key for line in read_ledger(path)}


def test_effects_of_one_turn_share_one_timer() -> None:
    async def main() -> int:
        payments = SimulatedPayments(answered, latency_ms=50)
        answering = asyncio.ensure_future(outcomes(payments, [an_authorise(number) for number in range(500)]))
        await asyncio.sleep(0)
        timers = len(payments._timers)
        answers = await answering
        assert len(answers) == 500 and all(isinstance(answer, Done) for answer in answers)
        assert not payments._timers
        await payments.close()
        return timers

    assert asyncio.run(main()) <= 5


def test_nothing_is_remembered() -> None:
    async def main() -> int:
        payments = SimulatedPayments(answered, latency_ms=0)
        await outcomes(payments, (an_authorise(number) for number in range(2_000)))
        tracemalloc.start()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for start in range(0, 12_000, 1_000):
            await outcomes(payments, (an_authorise(number) for number in range(start, start + 1_000)))
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        await payments.close()
        return after - before

    assert asyncio.run(main()) < 50_000, "bytes, after 12,000 orders"


def test_ids_depend_on_the_key_alone() -> None:
    first, second, other = run([an_authorise(1), an_authorise(1), an_authorise(2)])
    assert first == second
    assert first != other
    (declined,) = run([an_authorise(3, "pm_card_chargeDeclinedLostCard")])
    assert isinstance(declined, Declined)
    assert declined.code == "lost_card"


def test_a_line_is_one_json_array(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    run([an_authorise(1)], path)
    assert orjson.loads(path.read_bytes())[1] == "authorise"
