"""Refunds, transfers, reversals, disputes, balances and the ledger at the sandbox, driven by the real Stripe SDK."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from tests.contract.sandbox_server import Server, serving


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving("--seed", "2", "--accounts", "acct_a,acct_b", "--dispute-fee", "1500") as running:
        yield running


@pytest.fixture
def sandbox(server: Server) -> Server:
    assert server.post("reset") == {"reset": True}
    return server


def test_refunds_stay_within_what_was_captured(sandbox: Server) -> None:
    intent = sandbox.paid(2000)
    create = sandbox.v1.refunds.create
    part: Any = {"payment_intent": intent.id, "amount": 700, "metadata": {"refund": "rfd_1"}, "reason": "duplicate"}
    refund = create(part)
    assert (refund.status, refund.amount, refund.charge) == ("succeeded", 700, intent.latest_charge)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        create({"payment_intent": intent.id, "amount": 1301})
    assert refused.value.param == "amount"
    assert "£13.01) is greater than unrefunded amount on charge (£13.00)" in str(refused.value)
    rest = create({"charge": intent.latest_charge, "expand": ["charge", "balance_transaction"]})
    assert (rest.amount, rest.charge.refunded, rest.balance_transaction.net) == (1300, True, -1300)  # type: ignore[union-attr]
    with pytest.raises(stripe.InvalidRequestError) as already:
        create({"payment_intent": intent.id})
    assert already.value.code == "charge_already_refunded"
    listed = sandbox.v1.refunds.list({"payment_intent": intent.id}).data
    assert [found.id for found in listed] == [rest.id, refund.id]
    expanded = sandbox.v1.charges.retrieve(intent.latest_charge, {"expand": ["refunds"]})
    assert [found.id for found in expanded.refunds.data] == [rest.id, refund.id]  # type: ignore[union-attr]
    assert (sandbox.held("platform"), sandbox.held("cardholders")) == (0, 0)


def test_a_partial_capture_bounds_its_refunds(sandbox: Server) -> None:
    intent = sandbox.v1.payment_intents.capture(sandbox.hold().id, {"amount_to_capture": 1200})
    with pytest.raises(stripe.InvalidRequestError):
        sandbox.v1.refunds.create({"payment_intent": intent.id, "amount": 1201})
    assert sandbox.v1.refunds.create({"payment_intent": intent.id}).amount == 1200
    assert sandbox.balanced()


def test_what_cannot_be_refunded(sandbox: Server) -> None:
    hold = sandbox.hold()
    asked: list[Any] = [
        {"payment_intent": hold.id}, {"charge": hold.latest_charge}, {"charge": "ch_nobody"}, {"amount": 5}, {},
    ]  # fmt: skip
    for params in asked:
        with pytest.raises(stripe.InvalidRequestError):
            sandbox.v1.refunds.create(params)
    with pytest.raises(stripe.CardError) as declined:
        sandbox.hold(payment_method="pm_card_chargeDeclined")
    failed: Any = declined.value.error
    with pytest.raises(stripe.InvalidRequestError):
        sandbox.v1.refunds.create({"charge": failed.charge})


def test_refunds_that_fail_or_wait(sandbox: Server) -> None:
    fails = sandbox.v1.refunds.create({"payment_intent": sandbox.paid(payment_method="pm_card_refundFail").id})
    waits = sandbox.v1.refunds.create({"payment_intent": sandbox.paid(payment_method="pm_card_pendingRefund").id})
    assert (fails.status, waits.status) == ("succeeded", "pending")
    sandbox.post("clock", advance_s=120)
    fails, waits = sandbox.v1.refunds.retrieve(fails.id), sandbox.v1.refunds.retrieve(waits.id)
    assert (fails.status, fails.failure_reason, waits.status) == ("failed", "expired_or_canceled_card", "succeeded")
    assert sandbox.v1.charges.retrieve(str(fails.charge)).amount_refunded == 0
    assert sandbox.held("platform") == 2000
    assert [e.type for e in sandbox.v1.events.list({"type": "refund.*"}).data].count("refund.failed") == 1


def transfer(sandbox: Server, charge: Any, amount: int, **params: Any) -> stripe.Transfer:
    given: Any = {"amount": amount, "currency": "gbp", "destination": "acct_a", "source_transaction": charge, **params}
    return sandbox.v1.transfers.create(given)


def test_transfers_stay_within_their_charge(sandbox: Server) -> None:
    intent = sandbox.paid(2000, transfer_group="ord_9")
    first = transfer(sandbox, intent.latest_charge, 1500, metadata={"party": "brand"})
    assert (first.transfer_group, first.source_transaction) == ("ord_9", intent.latest_charge)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        transfer(sandbox, intent.latest_charge, 501, destination="acct_b")
    assert (
        "must not exceed the source amount of £20.00. (There is already a transfer using this source, amounting to "
        in (str(refused.value))
    )
    second = transfer(sandbox, intent.latest_charge, 500, destination="acct_b", transfer_group="ord_9")
    listed = sandbox.v1.transfers.list({"transfer_group": "ord_9"}).data
    assert [found.id for found in listed] == [second.id, first.id]
    assert [found.id for found in sandbox.v1.transfers.list({"destination": "acct_b"}).data] == [second.id]
    found = sandbox.v1.charges.list({"transfer_group": "ord_9"}).data
    assert [charge.id for charge in found] == [intent.latest_charge]
    assert (sandbox.held("platform"), sandbox.held("acct_a"), sandbox.held("acct_b")) == (0, 1500, 500)


def test_what_cannot_be_transferred(sandbox: Server) -> None:
    charge = sandbox.paid().latest_charge
    uncaptured = sandbox.hold().latest_charge
    sandbox.account("acct_shut", restricted=True)
    cases: list[tuple[Any, dict[str, Any], str | None]] = [
        (charge, {"destination": "acct_nobody"}, "resource_missing"),
        (charge, {"destination": "acct_shut"}, "insufficient_capabilities_for_transfer"),
        (charge, {"currency": "usd"}, None),
        (uncaptured, {}, None),
        ("ch_nobody", {}, "resource_missing"),
        (charge, {"colour": "blue"}, "parameter_unknown"),
    ]
    for source, params, code in cases:
        with pytest.raises(stripe.InvalidRequestError) as refused:
            transfer(sandbox, source, 100, **params)
        assert refused.value.code == code
    assert sandbox.v1.transfers.list().data == []


def test_transfers_without_a_charge_need_available_funds(sandbox: Server) -> None:
    sandbox.paid(2000)
    params: Any = {"amount": 1000, "currency": "gbp", "destination": "acct_a"}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        sandbox.v1.transfers.create(params)
    assert refused.value.code == "balance_insufficient"
    balance = sandbox.v1.balance.retrieve()
    assert (balance.available[0].amount, balance.pending[0].amount) == (0, 2000)
    sandbox.post("clock", advance_s=3 * 86_400)
    balance = sandbox.v1.balance.retrieve()
    assert (balance.available[0].amount, balance.pending[0].amount) == (2000, 0)
    assert sandbox.v1.transfers.create(params).transfer_group is None
    sandbox.post("topups", amount=500, currency="gbp")
    assert sandbox.v1.balance.retrieve().available[0].amount == 1500
    sandbox.paid(700, payment_method="pm_card_bypassPending")
    assert sandbox.v1.balance.retrieve().available[0].amount == 2200


def test_reversals_need_the_money_to_be_there(sandbox: Server) -> None:
    made = transfer(sandbox, sandbox.paid().latest_charge, 1500)
    reverse = sandbox.v1.transfers.reversals.create
    partial: Any = {"amount": 400, "metadata": {"refund": "rfd_1"}, "expand": ["transfer"]}
    first = reverse(made.id, partial)
    assert (first.amount, first.transfer.amount_reversed) == (400, 400)  # type: ignore[union-attr]
    with pytest.raises(stripe.InvalidRequestError) as more:
        reverse(made.id, {"amount": 1101})
    assert more.value.param == "amount"
    sandbox.account("acct_a", balance={"gbp": 50})
    with pytest.raises(stripe.InvalidRequestError) as short:
        reverse(made.id, {"amount": 51})
    assert (short.value.code, short.value.http_status) == ("balance_insufficient", 400)
    second = reverse(made.id, {"amount": 50})
    sandbox.account("acct_a", balance={"gbp": 5000})
    third = reverse(made.id)
    assert third.amount == 1050
    with pytest.raises(stripe.InvalidRequestError):
        reverse(made.id)
    after = sandbox.v1.transfers.retrieve(made.id)
    assert (after.reversed, [r.id for r in after.reversals.data]) == (True, [third.id, second.id, first.id])
    assert [r.id for r in sandbox.v1.transfers.reversals.list(made.id, {"limit": 2}).data] == [third.id, second.id]
    assert sandbox.v1.transfers.reversals.retrieve(made.id, first.id).metadata.to_dict() == {"refund": "rfd_1"}  # type: ignore[union-attr]
    balance = sandbox.v1.balance.retrieve(options={"stripe_account": "acct_a"})
    assert balance.available[0].amount + balance.pending[0].amount == sandbox.held("acct_a") == 3950
    assert sandbox.balanced()


def test_balance_transactions_tell_the_platforms_story(sandbox: Server) -> None:
    intent = sandbox.paid(2000)
    transfer(sandbox, intent.latest_charge, 600)
    refund = sandbox.v1.refunds.create({"payment_intent": intent.id, "amount": 100})
    listed = sandbox.v1.balance_transactions.list({"limit": 100}).data
    assert [(entry.type, entry.net) for entry in listed] == [("refund", -100), ("transfer", -600), ("charge", 2000)]
    assert sum(entry.net for entry in listed) == sandbox.held("platform")
    source = sandbox.v1.balance_transactions.list({"source": refund.id}).data
    assert [entry.id for entry in source] == [refund.balance_transaction]
    assert [e.id for e in sandbox.v1.balance_transactions.list({"type": "transfer"}).data] == [listed[1].id]


def test_lists_and_answers_expand(sandbox: Server) -> None:
    intent = sandbox.paid(2000, transfer_group="ord_1")
    made = transfer(sandbox, intent.latest_charge, 600, expand=["destination", "source_transaction.payment_intent"])
    assert made.destination.id == "acct_a"  # type: ignore[union-attr]
    assert made.source_transaction.payment_intent.id == intent.id  # type: ignore[union-attr]
    [listed] = sandbox.v1.transfers.list({"expand": ["data.balance_transaction.source", "data.destination"]}).data
    assert listed.balance_transaction.source.id == made.id  # type: ignore[union-attr]
    assert listed.destination.object == "account"  # type: ignore[union-attr]
    [charge] = sandbox.v1.charges.list({"expand": ["data.refunds.data.balance_transaction"]}).data
    assert charge.refunds.data == []  # type: ignore[union-attr]
    wrong: list[Any] = ["balance_transaction", "data.amount", "data.colour", "data.destination.email"]
    for path in wrong:
        with pytest.raises(stripe.InvalidRequestError) as refused:
            sandbox.v1.transfers.list({"expand": [path]})
        assert str(refused.value.user_message) == f"This property cannot be expanded ({path})."
    unheard: Any = {"payment_intent": intent.id}
    with pytest.raises(stripe.InvalidRequestError) as unknown:
        sandbox.v1.transfers.list(unheard)
    assert unknown.value.code == "parameter_unknown"


def test_fees_are_taken_if_asked_for() -> None:
    with serving("--fee-bps", "150", "--fee-fixed", "20") as sandbox:
        intent = sandbox.hold()
        captured = sandbox.v1.payment_intents.capture(intent.id, {"expand": ["latest_charge.balance_transaction"]})
        entry = captured.latest_charge.balance_transaction  # type: ignore[union-attr]
        assert (entry.amount, entry.fee, entry.net, entry.fee_details[0].amount) == (2000, 50, 1950, 50)  # type: ignore[union-attr]
        assert (sandbox.held("platform"), sandbox.held("stripe_fees"), sandbox.held("cardholders")) == (1950, 50, -2000)
        assert sandbox.balanced()


@pytest.mark.parametrize(
    ("evidence", "status", "platform"), [("winning_evidence", "won", 500), ("losing_evidence", "lost", -1500)]
)
def test_disputes_are_decided_by_the_evidence(
    sandbox: Server, evidence: str, status: str, platform: int
) -> None:  # fmt: skip
    intent = sandbox.paid(payment_method="pm_card_createDisputeProductNotReceived")
    [dispute] = sandbox.v1.disputes.list({"payment_intent": intent.id}).data
    assert (dispute.status, dispute.reason, dispute.amount) == ("needs_response", "product_not_received", 2000)
    assert dispute.charge == intent.latest_charge
    assert (dispute.balance_transactions[0].amount, dispute.balance_transactions[0].fee) == (-2000, 1500)
    assert sandbox.v1.charges.retrieve(str(dispute.charge)).disputed is True
    with pytest.raises(stripe.InvalidRequestError) as refused:
        sandbox.v1.refunds.create({"payment_intent": intent.id})
    assert refused.value.code == "charge_disputed"
    staged: Any = {"evidence": {"customer_name": "Ada"}, "submit": False}
    assert sandbox.v1.disputes.update(dispute.id, staged).status == "needs_response"
    decided = sandbox.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": evidence}})
    assert (decided.status, decided.evidence.customer_name, decided.evidence_details.submission_count) == (
        status, "Ada", 1,
    )  # fmt: skip
    assert sandbox.held("platform") == platform
    with pytest.raises(stripe.InvalidRequestError):
        sandbox.v1.disputes.close(dispute.id)


def test_disputes_by_hand_and_by_time(sandbox: Server) -> None:
    first, second, third = (sandbox.paid() for _ in range(3))
    opened = sandbox.post("disputes", charge=first.latest_charge, amount=500, reason="duplicate")
    assert (opened["amount"], opened["reason"], opened["status"]) == (500, "duplicate", "needs_response")
    assert "already disputed" in sandbox.post("disputes", charge=first.latest_charge)["error"]["message"]
    assert sandbox.v1.disputes.close(opened["id"]).status == "lost"
    silent = sandbox.post("disputes", payment_intent=second.id)
    inquiry = sandbox.post("disputes", payment_intent=third.id, inquiry=True)
    assert (inquiry["status"], inquiry["balance_transactions"]) == ("warning_needs_response", [])
    sandbox.post("clock", advance_s=8 * 86_400)
    assert sandbox.v1.disputes.retrieve(silent["id"]).status == "lost"
    assert sandbox.v1.disputes.retrieve(inquiry["id"]).status == "warning_closed"
    won = sandbox.post("disputes", payment_intent=sandbox.paid().id)
    assert sandbox.post(f"disputes/{won['id']}/resolve", outcome="won")["status"] == "won"
    assert "has been decided" in sandbox.post(f"disputes/{won['id']}/resolve", outcome="won")["error"]["message"]
    assert sandbox.balanced()


def test_a_hold_expires_after_seven_days(sandbox: Server) -> None:
    intent = sandbox.hold()
    assert sandbox.post("clock", advance_s=7 * 86_400 - 60)["timers"] == 0
    assert sandbox.v1.payment_intents.retrieve(intent.id).status == "requires_capture"
    assert sandbox.post("clock", advance_s=60)["timers"] == 1
    expired = sandbox.v1.payment_intents.retrieve(intent.id)
    assert (expired.status, expired.cancellation_reason) == ("canceled", "automatic")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        sandbox.v1.payment_intents.capture(intent.id)
    assert refused.value.code == "payment_intent_unexpected_state"
    assert sandbox.held("holds") == 0
    assert "forward only" in sandbox.post("clock", advance_s=-1)["error"]["message"]


def test_accounts(sandbox: Server) -> None:
    params: Any = {
        "country": "GB", "email": "a@b.example", "capabilities": {"transfers": {"requested": True}},
        "controller": {"stripe_dashboard": {"type": "none"}}, "metadata": {"supplier": "north"},
    }  # fmt: skip
    account = sandbox.v1.accounts.create(params)
    assert account.capabilities.transfers == "active"  # type: ignore[union-attr]
    assert sandbox.v1.accounts.update(account.id, {"metadata": {"supplier": "south"}}).metadata.to_dict() == {  # type: ignore[union-attr]
        "supplier": "south"
    }
    assert {found.id for found in sandbox.v1.accounts.list().data} == {account.id, "acct_a", "acct_b"}
    assert transfer(sandbox, sandbox.paid().latest_charge, 100, destination=account.id).destination == account.id
    assert sandbox.v1.accounts.retrieve_current().id == "acct_sandboxplatform"
    for bad in (
        {"id": "nonsense"},
        {"id": "acct_a b"},
        {"id": "acct_c", "balance": {"gbp": "much"}},
        {"id": "acct_c", "x": 1},
    ):
        assert sandbox.call("POST", "accounts", bad)["error"]["type"] == "invalid_request_error"
    with pytest.raises(stripe.InvalidRequestError):
        sandbox.v1.payment_intents.list(options={"stripe_account": "acct_a"})
