"""What Stripe tells us."""

from __future__ import annotations

import logging

from actors.runtime.envelope import Status
from gateway.endpoint import Answer, Call, Routes, read_body
from gateway.problems import Problem
from gateway.replies import checked
from gateway.schemas.keys import Received
from gateway.services import BadSignature
from gateway.stripe_hints import hint_of
from models.decision import Address

routes = Routes("Stripe")
log = logging.getLogger("dray.gateway.stripe")

RECEIVED = b'{"received":true}'


@routes.add(
    "POST",
    "/v1/stripe/webhook",
    answers={200: (Received, "Taken note of.")},
    problems=("malformed", "bad_signature", "not_found", "too_large", "unavailable"),
    extra={"any_body": "A Stripe event, signed."},
)
async def stripe_webhook(call: Call) -> Answer:
    """Stripe's webhooks. The signature is verified over the bytes as sent; the order remembers the event's id for a
    day, so a repeated event changes nothing. Events are hints: what they are about is fetched from Stripe."""
    gateway = call.gateway
    stripe = gateway.services.stripe
    if stripe is None:
        raise Problem("not_found", "This system's payments send no webhooks.")
    payload = await read_body(call, gateway.limits.body_bytes_max)
    try:
        event = stripe.verified(payload, call.header(b"stripe-signature"))
        event_id = str(event["id"])
        hint = await hint_of(stripe, event)
    except BadSignature as error:
        raise Problem("bad_signature", str(error)) from None
    except (KeyError, TypeError, AttributeError):
        raise Problem("malformed", "This is no Stripe event.") from None
    except ConnectionError:
        raise Problem("unavailable", "Stripe cannot be asked at the moment.", retry_after_s=5) from None
    if hint is not None:
        reply = await gateway.router.ask(Address("order", hint.order), hint.command, command_id=event_id)
        if reply.status in (Status.ABSENT, Status.REJECTED):
            log.warning("Stripe's %s names order %s, which is not here", event_id, hint.order)
        else:
            checked(reply)
    return Answer(200, RECEIVED)
