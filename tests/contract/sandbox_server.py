"""A sandbox server in a subprocess, and the real Stripe SDK pointed at it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import stripe

KEY = "sk_test_contract123"
HOLD: dict[str, Any] = {
    "amount": 2000,
    "currency": "gbp",
    "payment_method": "pm_card_visa",
    "confirm": True,
    "capture_method": "manual",
    "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
}


class Server:
    """A running sandbox: its address, its process, an SDK client and the control endpoints."""

    def __init__(self, url: str, process: subprocess.Popen[str]) -> None:
        self.url = url
        self.process = process
        self.client = stripe.StripeClient(KEY, base_addresses={"api": url}, max_network_retries=0)
        self.v1 = self.client.v1

    def get(self, path: str) -> Any:
        """GET a control endpoint, decoded."""
        return self.call("GET", path)

    def post(self, path: str, **body: Any) -> Any:
        """POST JSON to a control endpoint, decoded."""
        return self.call("POST", path, body)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Any request to a control endpoint; HTTP errors come back as their decoded body."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.url}/_sandbox/{path}", data, {"Content-Type": "application/json"}, method=method)
        try:
            with urlopen(request, timeout=30) as response:
                return json.load(response)
        except HTTPError as error:
            with error:
                return json.load(error)

    def dump(self, **query: str) -> list[Any]:
        """The objects, as the dump endpoint streams them."""
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        with urlopen(f"{self.url}/_sandbox/dump?{asked}", timeout=30) as response:
            return [json.loads(line) for line in response.read().splitlines()]

    def account(self, id: str, **fields: Any) -> str:
        """A connected account with this id."""
        return str(self.post("accounts", id=id, **fields)["id"])

    def hold(self, **params: Any) -> Any:
        """A PaymentIntent created and confirmed, to be captured by hand."""
        return self.v1.payment_intents.create({**HOLD, **params})  # type: ignore[typeddict-item]

    def paid(self, amount: int = 2000, **params: Any) -> Any:
        """A captured PaymentIntent."""
        return self.v1.payment_intents.capture(self.hold(amount=amount, **params).id)

    def held(self, account: str, currency: str = "gbp") -> int:
        """The balance of a ledger account."""
        balances = self.get("ledger?entries=false")["balances"]
        return int(balances.get(account, {}).get(currency, 0))

    def balanced(self) -> bool:
        """Whether the server's books balance, recounted from the entries."""
        return self.get("ledger?entries=false")["balanced"] is True

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)


def headers(error: stripe.StripeError) -> dict[str, str]:
    """The headers of the answer that an SDK error tells of."""
    assert error.headers is not None
    return error.headers


@contextmanager
def serving(*arguments: str, environment: dict[str, str] | None = None) -> Iterator[Server]:
    """Start a sandbox on a free port; stop it by SIGINT, as Ctrl-C does, if it still runs."""
    command = [sys.executable, "-m", "scripts.sandbox", "--port", "0", *arguments]
    env = {**os.environ, **(environment or {})}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("ready http://"), f"the sandbox did not start: {line!r}"
            yield Server(line.split()[1], process)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(30)
                finally:
                    process.kill()


def refusal(*arguments: str) -> tuple[int, str]:
    """Exit status and complaint of a sandbox that refuses to start."""
    command = [sys.executable, "-m", "scripts.sandbox", "--port", "0", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return ended.returncode, ended.stderr


def eventually(condition: Any, seconds: float = 30.0) -> Any:
    """Wait for a condition to become true and return it; fail with what it last was."""
    until = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < until, f"still {value!r} after {seconds} s"
        time.sleep(0.02)


def write_plan(path: Path, plan: Any) -> str:
    """A fault file."""
    path.write_text(json.dumps(plan))
    return str(path)
