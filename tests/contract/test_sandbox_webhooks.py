"""Webhooks of the sandbox: delivered, signed, retried, late, double and out of order; verified by the real SDK."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import stripe

from tests.contract.sandbox_server import Server, eventually, serving

SECRET = "whsec_contract"


class Receiver:
    """An HTTP server that keeps what it is sent, and answers what it is told to."""

    def __init__(self) -> None:
        self.received: list[tuple[bytes, str]] = []
        self.answers: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append((body, self.headers["Stripe-Signature"]))
                self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def events(self, secret: str = SECRET) -> list[stripe.Event]:
        """Everything received, its signature verified by the SDK."""
        return [stripe.Webhook.construct_event(body, signature, secret) for body, signature in self.received]

    def types(self) -> list[str]:
        return [event.type for event in self.events()]


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        receiver.server.server_close()


@contextmanager
def hooked(receiver: Receiver, *arguments: str) -> Iterator[Server]:
    environment = {"HOOK_SECRET": SECRET}
    with serving(
        "--webhook", receiver.url, "--webhook-secret-env", "HOOK_SECRET", *arguments, environment=environment
    ) as sandbox:  # fmt: skip
        yield sandbox


def owed(sandbox: Server) -> int:
    return int(sandbox.get("stats")["webhooks"]["owed"])


ORDERLY = [
    "payment_intent.created", "charge.succeeded", "payment_intent.amount_capturable_updated", "charge.captured",
    "payment_intent.succeeded",
]  # fmt: skip


def test_events_are_signed_and_told_in_full() -> None:
    with receiving() as receiver, hooked(receiver, "--accounts", "acct_a") as sandbox:
        intent = sandbox.paid(metadata={"order": "ord_1"})
        eventually(lambda: owed(sandbox) == 0)
        assert sorted(receiver.types()) == sorted(ORDERLY)
        events = {event.type: event for event in receiver.events()}
        succeeded = events["payment_intent.succeeded"]
        assert succeeded.data.object["metadata"]["order"] == "ord_1"
        assert succeeded.api_version == "2026-10-28.endive"
        assert succeeded.request.id == sandbox.get("requests")[0]["id"]  # type: ignore[union-attr]
        listed = sandbox.v1.events.list({"types": ["payment_intent.succeeded"]}).data
        assert [event.id for event in listed] == [succeeded.id]
        assert sandbox.v1.events.retrieve(succeeded.id).pending_webhooks == 0
        assert sandbox.v1.events.list({"type": "charge.*", "delivery_success": True}).data[0].data.object["id"] == (
            intent.latest_charge
        )
        with pytest.raises(stripe.SignatureVerificationError):
            receiver.events("whsec_other")


def test_endpoints_made_by_the_api() -> None:
    with receiving() as receiver, serving() as sandbox:
        create: Any = {"url": receiver.url, "enabled_events": ["refund.created"], "description": "refunds"}
        endpoint = sandbox.v1.webhook_endpoints.create(create)
        refund = sandbox.v1.refunds.create({"payment_intent": sandbox.paid().id})
        eventually(lambda: receiver.received)
        [event] = receiver.events(endpoint.secret or "")
        assert (event.type, event.data.object["id"]) == ("refund.created", refund.id)
        sandbox.v1.webhook_endpoints.update(endpoint.id, {"disabled": True})
        sandbox.v1.refunds.create({"payment_intent": sandbox.paid().id})
        assert owed(sandbox) == 0
        assert [found.id for found in sandbox.v1.webhook_endpoints.list().data] == [endpoint.id]
        assert sandbox.v1.webhook_endpoints.delete(endpoint.id).deleted is True
        assert sandbox.v1.webhook_endpoints.list().data == []
        with pytest.raises(stripe.InvalidRequestError):
            sandbox.v1.webhook_endpoints.retrieve(endpoint.id)
        wrong: Any
        for wrong in ({"url": "nowhere"}, {"enabled_events": ["Everything"]}, {"enabled_events": []}):
            with pytest.raises(stripe.InvalidRequestError):
                sandbox.v1.webhook_endpoints.create(create | wrong)
        assert len(receiver.received) == 1


def test_a_refused_delivery_is_tried_again() -> None:
    with receiving() as receiver, hooked(receiver, "--webhook-events", "charge.captured") as sandbox:
        receiver.answers = [500, 302]
        sandbox.paid()
        eventually(lambda: owed(sandbox) == 0)
        assert receiver.types() == ["charge.captured"] * 3
        assert len({event.id for event in receiver.events()}) == 1
        assert sandbox.get("stats")["webhooks"] == {"owed": 0, "delivered": 1, "failed_attempts": 2}


def test_what_is_owed_survives_a_crash(tmp_path: Path) -> None:
    with receiving() as receiver:
        with hooked(receiver, "--data", str(tmp_path), "--webhook-events", "charge.captured") as sandbox:
            receiver.answers = [503] * 100
            sandbox.paid()
            eventually(lambda: receiver.received)
            assert sandbox.v1.events.list({"type": "charge.captured"}).data[0].pending_webhooks == 1
            sandbox.kill()
        first = receiver.events()[0].id
        receiver.answers = []
        receiver.received.clear()
        with hooked(receiver, "--data", str(tmp_path), "--webhook-events", "charge.captured") as sandbox:
            eventually(lambda: owed(sandbox) == 0)
            assert [event.id for event in receiver.events()] == [first]
        with hooked(receiver, "--data", str(tmp_path), "--webhook-events", "charge.captured") as sandbox:
            assert owed(sandbox) == 0
        assert len(receiver.received) == 1


def test_duplicate_webhooks() -> None:
    with receiving() as receiver, hooked(receiver, "--webhook-events", "charge.captured") as sandbox:
        sandbox.call("PUT", "faults", {"webhooks": {"duplicate": 1}})
        sandbox.paid()
        eventually(lambda: len(receiver.received) == 2)
        assert len({event.id for event in receiver.events()}) == 1


def test_late_and_reordered_webhooks() -> None:
    with receiving() as receiver, hooked(receiver) as sandbox:
        late = {"late": 0.5, "late_min_ms": 150, "late_max_ms": 200}
        sandbox.call("PUT", "faults", {"seed": 5, "webhooks": {**late, "reorder": 0.5}})
        ids = [sandbox.paid().id for _ in range(4)]
        eventually(lambda: owed(sandbox) == 0)
        events = receiver.events()
        assert sorted(event.type for event in events) == sorted(ORDERLY * 4)
        told = [event.id for event in events]
        assert told != sorted(told)
        assert {event.data.object["id"] for event in events if event.type == "payment_intent.succeeded"} == set(ids)
