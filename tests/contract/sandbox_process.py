"""The Stripe sandbox as a process of its own, as `dray sandbox` starts it, and its controls."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.request import Request, urlopen

from actors.adapters.stripe_payments import StripePayments
from actors.runtime.ports import EffectRunner
from tests.contract.payment_vendors import answered

API_KEY = "sk_test_dray_sandbox"
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")


class Sandbox:
    """A running sandbox; one of the vendors of the payments contract."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.destination: str = self.post("/v1/accounts")["id"]

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[EffectRunner]:
        """The adapter, with a short patience so that closed connections don't slow the tests."""
        runner = StripePayments(answered, API_KEY, self.address, timeout_s=5)
        try:
            yield runner
        finally:
            await runner.close()

    def get(self, path: str) -> Any:
        return self._call(Request(self.address + path))

    def post(self, path: str, form: str = "") -> Any:
        return self._call(Request(self.address + path, data=form.encode(), method="POST"))

    def control(self, path: str, body: Any, method: str = "POST") -> Any:
        request = Request(f"{self.address}/_sandbox/{path}", data=json.dumps(body).encode(), method=method)
        request.add_header("Content-Type", "application/json")
        return self._call(request)

    def inject(self, *rules: dict[str, Any], **plan: Any) -> None:
        """Replace the fault plan."""
        self.control("faults", {"rules": list(rules), **plan})

    def reset_faults(self) -> None:
        self.inject()

    def _call(self, request: Request) -> Any:
        request.add_header("Authorization", f"Bearer {API_KEY}")
        with urlopen(request, timeout=10) as response:
            return json.load(response)


@contextmanager
def sandbox_process(*arguments: str) -> Iterator[Sandbox]:
    """Start a sandbox on a free port and stop it again."""
    command = [sys.executable, "-m", "scripts.sandbox", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            printed = []
            for line in process.stdout:
                printed.append(line)
                found = _ADDRESS.search(line)
                if found:
                    yield Sandbox(found[0])
                    break
            else:
                raise AssertionError(f"the sandbox did not start: {''.join(printed)}")
        finally:
            process.terminate()
            process.wait(10)
