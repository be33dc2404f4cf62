"""The order's decider: one handler per command.

Every turn that the order accepts shows its facts to its orchestrator (`Advance`), which decides what is to be under
way because of them. That holds for repeats as well: whoever repeats a command may do so because a step got stuck.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from models.decision import Accepted, Address, Decision, Rejected, Send
from models.orchestrator.messages import Advance, Nudge
from models.order import aftercare, fulfilment, placing, refunds
from models.order import messages as m
from models.order.draft import Draft, Verdict
from models.order.state import Order

Handler = Callable[[Draft, Any], Verdict]


def decide(order: Order, command: Any) -> Decision:
    """Raises KeyError for a command that is none of the order's: a bug of the sender."""
    handler = _HANDLERS[type(command)]
    if not order.id and type(command) is not m.PlaceOrder:
        return Rejected("not_found", "there is no such order")
    draft = Draft(order, command.at)
    verdict = handler(draft, command)
    if isinstance(verdict, Rejected):
        return verdict
    saga = Address("orchestrator", draft.order.id)
    return Accepted(
        events=tuple(draft.events),
        joint=(Send(saga, Nudge()),) if type(command) is m.StripeHint else (),
        closing=Send(saga, Advance(order=draft.order)),
        reply=verdict,
        state=draft.order,
    )


def _proceed(_draft: Draft, _command: m.Proceed) -> None:
    """Nothing to decide: the facts are shown to the orchestrator as after any turn."""


_HANDLERS: dict[type, Handler] = {
    m.PlaceOrder: placing.place,
    m.CancelOrder: fulfilment.cancel,
    m.AcceptConsignment: placing.accept,
    m.RejectConsignment: placing.reject,
    m.StartConsignment: fulfilment.start,
    m.DispatchConsignment: fulfilment.dispatch,
    m.DeliverConsignment: fulfilment.deliver,
    m.ConfirmDelivery: fulfilment.confirm_delivery,
    m.AnswerCancellation: fulfilment.answer_cancellation,
    m.RefundOrder: refunds.refund,
    m.PreviewRefund: refunds.preview,
    m.RequestReturn: aftercare.request_return,
    m.ApproveReturn: aftercare.approve_return,
    m.RejectReturn: aftercare.reject_return,
    m.ReceiveReturn: aftercare.receive_return,
    m.OpenDispute: aftercare.open_dispute,
    m.AddEvidence: aftercare.add_evidence,
    m.ResolveDispute: aftercare.resolve_dispute,
    m.PostMessage: aftercare.post_message,
    m.StripeHint: aftercare.hint,
    m.RaiseAttention: aftercare.raise_attention,
    m.ClearAttention: aftercare.clear_attention,
    m.Proceed: _proceed,
    m.RecordAuthorisation: placing.record_authorisation,
    m.RecordDecline: placing.record_decline,
    m.RecordReservation: placing.record_reservation,
    m.RecordShortage: placing.record_shortage,
    m.RecordOffer: placing.record_offer,
    m.RecordTimeout: placing.record_timeout,
    m.RecordCapture: placing.record_capture,
    m.RecordCaptureFailure: placing.record_capture_failure,
    m.RecordVoid: placing.record_void,
    m.RecordTransfers: refunds.record_transfers,
    m.RecordRefund: refunds.record_refund,
    m.RecordRefundFailure: refunds.record_refund_failure,
    m.RecordReversal: refunds.record_reversal,
}
