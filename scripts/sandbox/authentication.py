"""3D Secure, as the payer does it: a PaymentIntent in `requires_action` is authenticated or not, and goes on."""

from __future__ import annotations

from scripts.sandbox import payment_attempts
from scripts.sandbox.calls import Call, unexpected_state
from scripts.sandbox.cards import Decline
from scripts.sandbox.errors import StripeError
from scripts.sandbox.records import PaymentIntent

_FAILED = Decline(
    "payment_intent_authentication_failure", "",
    "We are unable to authenticate your payment method. Please choose a different payment method and try again.", "",
)  # fmt: skip

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>3D Secure test page</title>
<body style="font-family:sans-serif;max-width:30em;margin:4em auto">
<h1>3D Secure</h1><p>The payer of <code>{id}</code> is asked to authenticate a payment of {amount}.</p>
<form method="post"><button name="outcome" value="succeed">Complete</button>
<button name="outcome" value="fail">Fail</button></form></body></html>"""


def finish(call: Call, id: str, outcome: str) -> PaymentIntent:
    """The payer succeeded or failed; the payment is attempted, or the intent wants another payment method.

    Raises StripeError if the intent does not wait for the payer. A decline after authentication is no error here: the
    payer's page has nobody to tell, the intent shows it.
    """
    intent = call.payment_intent(id)
    if intent.status != "requires_action":
        message = f"This PaymentIntent has a status of {intent.status}, not requires_action."
        raise unexpected_state(call, intent, message)
    method = call.work.find(call.store.payment_methods, intent.payment_method or "")
    assert method is not None, f"{id} waits for its payer without a payment method"
    try:
        if outcome == "fail":
            raise payment_attempts.fail(call, intent, method, _FAILED, charged=False)
        payment_attempts.pay(call, intent._replace(authenticated=True), method)
    except StripeError as error:
        if not error.effective:
            raise
    return call.payment_intent(id)
