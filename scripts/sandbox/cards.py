"""Stripe's documented test cards (https://docs.stripe.com/testing) and how each behaves.

One table answers for the payment method (`pm_card_visa`), the token (`tok_visa`) and the card number.
"""

from __future__ import annotations

from typing import NamedTuple


class Decline(NamedTuple):
    """Why an issuer says no: error `code`, `decline_code` ("" where Stripe sends none) and what the payer reads."""

    code: str
    decline_code: str
    message: str
    advice_code: str = "try_again_later"
    blocked: bool = False  # by Radar: never sent to the network


class Card(NamedTuple):
    """A test card. `authentication` is "" (never), "required" or "off_session" (only when the payer is absent)."""

    name: str
    number: str
    brand: str = "visa"
    country: str = "US"
    funding: str = "credit"
    decline: Decline | None = None
    authentication: str = ""
    dispute: str = ""  # the reason of the dispute that follows a successful charge
    refund: str = ""  # "fails" or "pending": what becomes of refunds
    available: bool = False  # funds skip the pending balance

    @property
    def last4(self) -> str:
        """The last four digits."""
        return self.number[-4:]


_DECLINED = "Your card was declined."
GENERIC = Decline("card_declined", "generic_decline", _DECLINED)
INSUFFICIENT = Decline("card_declined", "insufficient_funds", "Your card has insufficient funds.")
LOST = Decline("card_declined", "lost_card", _DECLINED, "do_not_try_again")
STOLEN = Decline("card_declined", "stolen_card", _DECLINED, "do_not_try_again")
FRAUDULENT = Decline("card_declined", "fraudulent", _DECLINED, "do_not_try_again", blocked=True)
VELOCITY = Decline(
    "card_declined", "card_velocity_exceeded",
    "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
)  # fmt: skip
EXPIRED = Decline("expired_card", "", "Your card has expired.", "do_not_try_again")
INCORRECT_CVC = Decline("incorrect_cvc", "", "Your card's security code is incorrect.", "confirm_card_data")
PROCESSING = Decline("processing_error", "", "An error occurred while processing your card. Try again in a little bit.")
AUTHENTICATION = Decline(
    "authentication_required", "authentication_required",
    "Your card was declined. This transaction requires authentication.", "",
)  # fmt: skip

_CARDS = (
    Card("visa", "4242424242424242"),
    Card("visa_debit", "4000056655665556", funding="debit"),
    Card("mastercard", "5555555555554444", "mastercard"),
    Card("mastercard_debit", "5200828282828210", "mastercard", funding="debit"),
    Card("mastercard_prepaid", "5105105105105100", "mastercard", funding="prepaid"),
    Card("amex", "378282246310005", "amex"),
    Card("discover", "6011111111111117", "discover"),
    Card("diners", "3056930009020004", "diners"),
    Card("jcb", "3566002020360505", "jcb", "JP"),
    Card("unionpay", "6200000000000005", "unionpay", "CN"),
    Card("us", "4242424242424242"),
    Card("gb", "4000008260000000", country="GB"),
    Card("de", "4000002760000016", country="DE"),
    Card("fr", "4000002500000003", country="FR"),
    Card("chargeDeclined", "4000000000000002", decline=GENERIC),
    Card("visa_chargeDeclined", "4000000000000002", decline=GENERIC),
    Card("chargeDeclinedInsufficientFunds", "4000000000009995", decline=INSUFFICIENT),
    Card("visa_chargeDeclinedInsufficientFunds", "4000000000009995", decline=INSUFFICIENT),
    Card("chargeDeclinedLostCard", "4000000000009987", decline=LOST),
    Card("visa_chargeDeclinedLostCard", "4000000000009987", decline=LOST),
    Card("chargeDeclinedStolenCard", "4000000000009979", decline=STOLEN),
    Card("visa_chargeDeclinedStolenCard", "4000000000009979", decline=STOLEN),
    Card("chargeDeclinedExpiredCard", "4000000000000069", decline=EXPIRED),
    Card("chargeDeclinedIncorrectCvc", "4000000000000127", decline=INCORRECT_CVC),
    Card("chargeDeclinedProcessingError", "4000000000000119", decline=PROCESSING),
    Card("chargeDeclinedFraudulent", "4100000000000019", decline=FRAUDULENT),
    Card("radarBlock", "4100000000000019", decline=FRAUDULENT),
    Card("chargeDeclinedVelocityLimitExceeded", "4000000000006975", decline=VELOCITY),
    Card("visa_chargeDeclinedVelocityLimitExceeded", "4000000000006975", decline=VELOCITY),
    Card("chargeCustomerFail", "4000000000000341", decline=GENERIC),
    Card("authenticationRequired", "4000002760003184", authentication="required", country="DE"),
    Card("authenticationRequiredOnSetup", "4000002500003155", authentication="required", country="FR"),
    Card("authenticationRequiredSetupForOffSession", "4000003800000446", authentication="required"),
    Card(
        "authenticationRequiredChargeDeclinedInsufficientFunds", "4000008260003178",
        authentication="required", decline=INSUFFICIENT, country="GB",
    ),
    Card("threeDSecureRequired", "4000000000003220", authentication="required"),
    Card("threeDSecure2Required", "4000000000003220", authentication="required"),
    Card(
        "threeDSecureRequiredChargeDeclined", "4000008400001629",
        authentication="required", decline=GENERIC,
    ),
    Card("threeDSecureOptional", "4000000000003055"),
    Card("createDispute", "4000000000000259", dispute="fraudulent"),
    Card("createDisputeProductNotReceived", "4000000000002685", dispute="product_not_received"),
    Card("createDisputeInquiry", "4000000000001976", dispute="inquiry"),
    Card("refundFail", "4000000000005126", refund="fails"),
    Card("pendingRefund", "4000000000007726", refund="pending"),
    Card("bypassPending", "4000000000000077", available=True),
    Card("bypassPendingInternational", "4000003720000278", country="IE", available=True),
)  # fmt: skip

CARDS: dict[str, Card] = {card.name: card for card in _CARDS}
_BY_NUMBER: dict[str, str] = {card.number: card.name for card in reversed(_CARDS)}


def by_alias(alias: str) -> str | None:
    """The card's name for `pm_card_<name>` or `tok_<name>`, or None for anything else."""
    for prefix in ("pm_card_", "tok_"):
        if alias.startswith(prefix):
            name = alias[len(prefix) :]
            return name if name in CARDS else None
    return None


def by_number(number: str) -> str | None:
    """The card's name for a test card number, or None."""
    return _BY_NUMBER.get(number.replace(" ", ""))
