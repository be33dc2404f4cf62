"""Random sequences of operations at the sandbox, against a simple model of what the money must do.

The sandbox runs in this process and is called through its ASGI interface, as the network would call it. After every
operation its ledger sums to zero, equals a recount from the entries, and agrees with the model; at the end a second
sandbox, rebuilt from the log, agrees with the first.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from scripts.sandbox import timers
from scripts.sandbox.ledger import recount
from scripts.sandbox.records import Entry
from scripts.sandbox.server import Options, Sandbox
from scripts.sandbox.store import Settings

ACCOUNTS = ("acct_a", "acct_b")
AMOUNTS = st.integers(1, 3000)
EDGES = st.sampled_from([None, 0, 0, 1])  # an amount of one's own, or what is left, or one more than that


@dataclass
class Payment:
    """The model of one PaymentIntent and its charge."""

    amount: int
    id: str = ""
    charge: str = ""
    captured: int = 0
    refunded: int = 0
    transferred: int = 0
    disputed: bool = False
    dispute: str = ""  # while it is undecided
    disputed_amount: int = 0
    refundable: bool = False  # again, after a dispute was won
    transfers: list[Transferred] = field(default_factory=list)


@dataclass
class Books:
    """The model of all balances."""

    held: int = 0
    platform: int = 0
    cardholders: int = 0
    banks: int = 0
    accounts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ACCOUNTS, 0))


def around(edge: int | None, left: int, amount: int) -> int:
    """An amount at the edge of what is left, where mistakes live."""
    return amount if edge is None or left + edge < 1 else left + edge


class Transferred:
    """The model of one transfer."""

    def __init__(self, id: str, amount: int, destination: str) -> None:
        self.id, self.amount, self.destination = id, amount, destination
        self.reversed = 0


def at_once(request: Coroutine[Any, Any, None]) -> None:
    """Run a request that never waits, as none does without injected latency."""
    try:
        request.send(None)
    except StopIteration:
        return
    raise AssertionError("the request waited for something")


def call(sandbox: Sandbox, method: str, path: str, params: dict[str, Any], key: str = "") -> tuple[int, Any]:
    """One HTTP request, in process."""
    form = urlencode(params).encode()
    headers = [(b"authorization", b"Bearer sk_test_property")]
    if key:
        headers.append((b"idempotency-key", key.encode()))
    get = method == "GET"
    scope = {"type": "http", "method": method, "path": path, "headers": headers, "query_string": form if get else b""}
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"" if get else form}

    async def send(message: Any) -> None:
        sent.append(message)

    at_once(sandbox(scope, receive, send))
    return sent[0]["status"], orjson.loads(sent[1]["body"])


class SandboxMachine(RuleBasedStateMachine):
    """Holds, captures, voids, refunds, transfers, reversals, disputes, payouts and the passing of time."""

    holds = Bundle("holds")
    payments = Bundle("payments")

    def __init__(self) -> None:
        super().__init__()
        self.books = Books()
        self.calls = 0
        self.directory = tempfile.mkdtemp()

    @initialize(target=payments, fee=st.sampled_from([0, 17]), amounts=st.lists(AMOUNTS, min_size=1, max_size=3))
    def start(self, fee: int, amounts: list[int]) -> Any:
        options = Options(
            data=Path(self.directory),
            accounts=ACCOUNTS,
            settings=Settings(seed="p", minimum_charge=False, settlement_days=0, fee_fixed=fee, dispute_fee=fee),
        )
        self.options = options
        self.fee = fee
        self.sandbox = Sandbox(options)
        return multiple(*(self.captured(self.held(amount), 1.0) for amount in amounts))

    def post(self, path: str, params: dict[str, Any]) -> tuple[int, Any]:
        """POST under a fresh key, twice: the second answer must be the first."""
        self.calls += 1
        key = f"key {self.calls}"
        first = call(self.sandbox, "POST", path, params, key)
        assert call(self.sandbox, "POST", path, params, key) == first
        return first

    @rule(target=payments, amount=AMOUNTS)
    def pay(self, amount: int) -> Payment:
        return self.captured(self.held(amount), 1.0)

    @rule(target=holds, amount=AMOUNTS)
    def hold(self, amount: int) -> Payment:
        return self.held(amount)

    @rule(target=payments, payment=consumes(holds), share=st.floats(0.01, 1.2))
    def capture(self, payment: Payment, share: float) -> Payment:
        return self.captured(payment, share)

    def held(self, amount: int) -> Payment:
        """Authorise."""
        status, intent = self.post("/v1/payment_intents", self.params(amount, "pm_card_visa"))
        assert (status, intent["status"], intent["amount_capturable"]) == (200, "requires_capture", amount)
        self.books.held += amount
        return Payment(amount, intent["id"], intent["latest_charge"])

    @rule(amount=AMOUNTS, card=st.sampled_from(["pm_card_chargeDeclined", "pm_card_chargeDeclinedProcessingError"]))
    def decline(self, amount: int, card: str) -> None:
        status, answer = self.post("/v1/payment_intents", self.params(amount, card))
        assert (status, answer["error"]["payment_intent"]["status"]) == (402, "requires_payment_method")

    def params(self, amount: int, method: str) -> dict[str, Any]:
        return {
            "amount": amount, "currency": "gbp", "payment_method": method, "confirm": "true",
            "capture_method": "manual", "allowed_payment_method_types[0]": "card",
        }  # fmt: skip

    def captured(self, payment: Payment, share: float) -> Payment:
        """Capture a share of a hold, or all of it after asking for too much."""
        asked = max(1, round(payment.amount * share))
        path = f"/v1/payment_intents/{payment.id}/capture"
        status, answer = self.post(path, {"amount_to_capture": asked})
        if asked > payment.amount:
            assert (status, answer["error"]["code"]) == (400, "amount_too_large")
            asked = payment.amount
            status, answer = self.post(path, {})
        assert (status, answer["status"], answer["amount_received"]) == (200, "succeeded", asked)
        payment.captured = asked
        self.books.held -= payment.amount
        self.books.platform += asked - self.fee
        self.books.cardholders -= asked
        return payment

    @rule(amount=AMOUNTS)
    def void(self, amount: int) -> None:
        payment = self.held(amount)
        status, answer = self.post(f"/v1/payment_intents/{payment.id}/cancel", {})
        assert (status, answer["status"]) == (200, "canceled")
        self.books.held -= payment.amount
        status, answer = self.post(f"/v1/payment_intents/{payment.id}/capture", {})
        assert (status, answer["error"]["code"]) == (400, "payment_intent_unexpected_state")

    @rule(payment=payments, amount=AMOUNTS, edge=EDGES)
    def refund(self, payment: Payment, amount: int, edge: int | None) -> None:
        amount = around(edge, payment.captured - payment.refunded, amount)
        status, answer = self.post("/v1/refunds", {"payment_intent": payment.id, "amount": amount})
        if (payment.disputed and not payment.refundable) or payment.refunded + amount > payment.captured:
            assert (status, answer["error"]["type"]) == (400, "invalid_request_error")
            return
        assert (status, answer["amount"], answer["status"]) == (200, amount, "succeeded")
        payment.refunded += amount
        self.books.platform -= amount
        self.books.cardholders += amount

    @rule(payment=payments, amount=AMOUNTS, edge=EDGES, destination=st.sampled_from(ACCOUNTS))
    def transfer(self, payment: Payment, amount: int, edge: int | None, destination: str) -> None:
        amount = around(edge, payment.captured - payment.transferred, amount)
        params = {"currency": "gbp", "destination": destination, "source_transaction": payment.charge}
        status, answer = self.post("/v1/transfers", {**params, "amount": amount})
        if payment.transferred + amount > payment.captured:
            assert status == 400
            assert "must not exceed the source amount" in answer["error"]["message"]
            return
        assert (status, answer["source_transaction"]) == (200, payment.charge)
        payment.transferred += amount
        self.books.platform -= amount
        self.books.accounts[destination] += amount
        payment.transfers.append(Transferred(answer["id"], amount, destination))

    @rule(payment=payments, amount=AMOUNTS, edge=EDGES, short=st.booleans())
    def reverse(self, payment: Payment, amount: int, edge: int | None, short: bool) -> None:
        if not payment.transfers:
            self.transfer(payment, payment.captured, None, "acct_a")
        transfer = payment.transfers[-1]
        left = transfer.amount - transfer.reversed
        if short:  # the account is one penny short of it
            self.pay_out(transfer.destination, max(left - 1, 0))
        amount = around(edge, left, amount)
        status, answer = self.post(f"/v1/transfers/{transfer.id}/reversals", {"amount": amount})
        if left == 0:
            assert (status, answer["error"]["param"]) == (400, "id")
        elif amount > left:
            assert (status, answer["error"]["param"]) == (400, "amount")
        elif amount > self.books.accounts[transfer.destination]:
            assert (status, answer["error"]["code"]) == (400, "balance_insufficient")
        else:
            assert (status, answer["amount"]) == (200, amount)
            transfer.reversed += amount
            self.books.accounts[transfer.destination] -= amount
            self.books.platform += amount

    @rule(payment=payments)
    def dispute(self, payment: Payment) -> None:
        left = payment.captured - payment.refunded
        status, answer = self.control("disputes", {"charge": payment.charge})
        if payment.disputed or left == 0:
            assert (status, answer["error"]["type"]) == (400, "invalid_request_error")
            return
        assert (status, answer["amount"]) == (200, left)
        payment.disputed = True
        payment.dispute = answer["id"]
        payment.disputed_amount = left
        self.books.platform -= left + self.fee
        self.books.cardholders += left

    @rule(payment=payments, outcome=st.sampled_from(["won", "lost"]))
    def decide(self, payment: Payment, outcome: str) -> None:
        if not payment.dispute:
            return
        status, answer = self.control(f"disputes/{payment.dispute}/resolve", {"outcome": outcome})
        assert (status, answer["status"]) == (200, outcome)
        payment.dispute = ""
        if outcome == "won":
            payment.refundable = True
            self.books.platform += payment.disputed_amount
            self.books.cardholders -= payment.disputed_amount

    @rule(account=st.sampled_from(ACCOUNTS), left=st.just(0))
    def pay_out(self, account: str, left: int) -> None:
        status, _ = self.control("accounts", {"id": account, "balance": {"gbp": left}})
        assert status == 200
        self.books.banks += self.books.accounts[account] - left
        self.books.accounts[account] = left

    @rule(seconds=st.integers(0, 3600))
    def pass_time(self, seconds: int) -> None:
        self.sandbox.store.advance(seconds)
        timers.run(self.sandbox.store, self.sandbox.store.now())

    def control(self, path: str, body: Any) -> tuple[int, Any]:
        """POST JSON to a control endpoint, in process."""
        headers = [(b"content-type", b"application/json")]
        path = f"/_sandbox/{path}"
        scope = {
            "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "root_path": "",
            "headers": headers, "query_string": b"",
        }  # fmt: skip
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": orjson.dumps(body)}

        async def send(message: Any) -> None:
            sent.append(message)

        at_once(self.sandbox(scope, receive, send))
        return sent[0]["status"], orjson.loads(sent[1]["body"])

    @invariant()
    def the_books_agree(self) -> None:
        if not hasattr(self, "sandbox"):
            return
        store = self.sandbox.store
        assert not store.broken
        assert not any(store.ledger.totals.values())
        entries: list[Entry] = list(store.entries.rows.values())
        assert recount(entries) == store.ledger.balances

        def held(account: str) -> int:
            return store.ledger.balance(account, "gbp")

        books = self.books
        assert held("holds") == -held("issuers") == books.held
        assert (held("platform"), held("cardholders"), held("banks")) == (
            books.platform, books.cardholders, books.banks,
        )  # fmt: skip
        assert {account: held(account) for account in ACCOUNTS} == books.accounts
        shown = sum(entry.amount - entry.fee for entry in entries if entry.id.startswith("txn_"))
        assert shown == books.platform

    def teardown(self) -> None:
        """A sandbox rebuilt from the log knows the same."""
        if hasattr(self, "sandbox"):
            first = self.sandbox
            assert first.log is not None
            first.log.close()
            second = Sandbox(self.options)
            for kind, table in first.store.tables.items():
                assert second.store.tables[kind].rows == table.rows, kind
            assert second.store.ledger.balances == first.store.ledger.balances
            assert second.store.events == first.store.events
            assert list(second.store.keys.items()) == list(first.store.keys.items())
            assert second.log is not None
            second.log.close()
        shutil.rmtree(self.directory)


SandboxMachine.TestCase.settings = settings(
    max_examples=50, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestSandbox = SandboxMachine.TestCase
