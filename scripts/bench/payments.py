"""What a payment costs the host: CPU per effect of each Payments adapter, and per order of sealing its customer.

The Stripe adapter talks to a server that answers at once from a process of its own, so that the figure is the SDK's.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from actors.adapters.aesgcm_sealer import AesGcmSealer
from actors.adapters.pacing import PaceLimits
from actors.adapters.simulated_payments import SimulatedPayments
from actors.adapters.stripe_payments import StripePayments
from actors.runtime.ports import EffectRunner
from models.decision import Address, Command, Effect
from models.identity import order_id
from models.payments import Authorise, Done, PaymentAnswer
from models.record import dataclass
from scripts.bench.measuring import Bar, show

NOW = 1_790_000_000_000
UNPACED = PaceLimits(rate_start_per_s=1e6, rate_max_per_s=1e6)
INTENT = {
    "id": "pi_3Pabcdefghijklmnop",
    "object": "payment_intent",
    "amount": 4_200,
    "amount_capturable": 4_200,
    "amount_received": 0,
    "currency": "gbp",
    "status": "requires_capture",
    "metadata": {"order": "ord", "key": "key"},
    "latest_charge": {
        "id": "ch_3Pabcdefghijklmnop",
        "object": "charge",
        "payment_method_details": {"type": "card", "card": {"brand": "visa", "capture_before": 1_790_600_000}},
        "billing_details": {"address": {"city": None, "country": None}, "email": None, "name": None},
    },
}


@dataclass(frozen=True)
class Row:
    """One measurement. CPU is of this process, wall time of the whole."""

    what: str
    in_flight: int
    cpu_us: float
    wall_us: float


@dataclass(frozen=True)
class _Answered(Command):
    answer: PaymentAnswer | None = None


def run(effects: int = 2_000) -> list[Bar]:
    """Measure; print a table and a JSON line."""
    rows = [*asyncio.run(_measure_simulated(effects * 10)), *_measure_stripe(effects), _measure_sealing(effects * 5)]
    return show("payments", rows)


async def _measure_simulated(effects: int) -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory(prefix="dray-bench-") as directory:
        for ledger in (None, Path(directory) / "ledger.jsonl"):
            runner = SimulatedPayments(_answered, latency_ms=20, ledger=ledger)
            what = "simulated payments" + (", with a ledger" if ledger else "")
            rows.append(await _measure(what, runner, effects, in_flight=256))
    return rows


def _measure_stripe(effects: int) -> list[Row]:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    theirs.close()  # so that its death ends our waiting
    try:
        address = f"http://127.0.0.1:{ours.recv()}"
        return [asyncio.run(_measure_stripe_at(address, effects, in_flight)) for in_flight in (1, 16)]
    finally:
        server.terminate()
        server.join()


async def _measure_stripe_at(address: str, effects: int, in_flight: int) -> Row:
    runner = StripePayments(_answered, "sk_test_benchmark", address, pace=UNPACED)
    return await _measure("stripe payments", runner, effects, in_flight)


async def _measure(what: str, runner: EffectRunner, effects: int, in_flight: int) -> Row:
    """Keep `in_flight` authorisations under way until `effects` have been answered."""
    requests = [_authorise(number) for number in range(effects)]
    finished = asyncio.get_running_loop().create_future()
    waiting, left = iter(requests), effects

    def begin(count: int) -> None:
        for _ in range(count):
            request = next(waiting, None)
            if request is not None:
                runner.start(Effect("payments", request, Address("orchestrator", request.order)), deliver)

    def deliver(_to: Address, command: Command) -> None:
        nonlocal left
        assert isinstance(command, _Answered) and command.answer is not None
        assert isinstance(command.answer.outcome, Done), command.answer
        left -= 1
        if left == 0:
            finished.set_result(None)
        begin(1)

    cpu, wall = time.process_time(), time.perf_counter()
    begin(in_flight)
    await finished
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    await runner.close()
    return Row(what, in_flight, round(cpu / effects * 1e6, 1), round(wall / effects * 1e6, 1))


def _measure_sealing(orders: int) -> Row:
    sealer = AesGcmSealer([os.urandom(32)], os.urandom(32))
    names, plain = [_authorise(number).order for number in range(orders)], b"x" * 300

    def seal_all() -> None:
        for name in names:
            sealer.seal(name, plain)

    cpu, wall = _timed(seal_all)
    return Row("sealing 300 bytes", 1, round(cpu / orders * 1e6, 1), round(wall / orders * 1e6, 1))


def _timed(work: Callable[[], None]) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def _authorise(number: int) -> Authorise:
    order = order_id(number % 64, NOW + number, number.to_bytes(10, "big"))
    return Authorise(f"{order}:authorise:payment:1", order, False, 4_200, "gbp", "pm_card_visa")


def _answered(answer: PaymentAnswer) -> Command:
    return _Answered(0, answer)


class _Instant(asyncio.Protocol):
    """Answers every request with the same PaymentIntent."""

    body = json.dumps(INTENT).encode()
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].lower()
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0].strip()
            size = end + 4 + int(length or b"0")
            if len(self._received) < size:
                return
            self._received = self._received[size:]
            self._transport.write(self.answer)


def _serve(port: Connection) -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(_Instant, "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


if __name__ == "__main__":
    run()
