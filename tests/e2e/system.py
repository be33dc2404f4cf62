"""A real system for a test: the `dray` command as a user runs it, on a data directory and a port of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from scripts.compiling import build
from scripts.compiling.build import CannotCompile

ROOT = Path(__file__).parents[2]
COMMAND_TIMEOUT_S = 120.0

BUYER = {
    "customer": {"email": "ann@example.com", "name": "Ann Archer"},
    "shipping_address": {"line1": "1 Way", "city": "Leeds", "postal_code": "LS1", "country": "GB"},
    "payment_method": "pm_card_visa",
    "currency": "usd",
}


@cache
def compile_once() -> None:
    """Before the first system starts, so that no command is waited for while it compiles."""
    with suppress(CannotCompile):
        build.twin(print)


class System:
    """One data directory."""

    def __init__(self, data: Path, **environment: str) -> None:
        compile_once()
        self.data = data
        self.environment = {name: text for name, text in os.environ.items() if not name.startswith(("DRAY_", "RAY_"))}
        self.environment |= {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", **environment}

    def dray(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "scripts.cli", arguments[0], "--data", str(self.data), *arguments[1:]]
        return subprocess.run(
            command, cwd=self.data.parent, env=self.environment, capture_output=True, text=True,
            timeout=COMMAND_TIMEOUT_S, check=False,
        )  # fmt: skip

    def up(self, *arguments: str) -> None:
        done = self.dray("up", "--detach", "--port", "0", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.splitlines()[-1] == f"ready {self.url}"

    def down(self) -> None:
        done = self.dray("down")
        assert done.returncode == 0, done.stdout + done.stderr

    @property
    def run(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.data / "run.json").read_text())
        return found

    @property
    def url(self) -> str:
        return str(self.run["url"])

    @property
    def keys(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.data / "keys.json").read_text())
        return found

    def call(self, method: str, path: str, body: Any = None, *, key: str = "", **headers: str) -> tuple[int, Any]:
        """Status and JSON; `key` defaults to the operator's."""
        sent = {"Authorization": f"Bearer {key or self.keys['ops']}", "Content-Type": "application/json", **headers}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def stock(self, product: str, sku: str, quantity: int = 1000) -> None:
        """A product of supplier north, adopted by acme, with stock."""
        acme = self.keys["retailers"]["acme"]
        split = {"brand": 2000, "supplier": 5000, "retailer": 2000}
        for method, path, body, key in (
            ("PUT", "/v1/brands/bolt", {"name": "Bolt"}, ""),
            ("PUT", f"/v1/products/{product}", {"title": product, "brand": "bolt", "currency": "usd"}, ""),
            ("PUT", f"/v1/products/{product}/offers/north", {"sku": sku, "unit_amount": 1200, "split": split}, ""),
            ("PUT", f"/v1/adoptions/{product}", {"supplier": "north"}, acme),
            ("POST", f"/v1/inventory/{sku}/receipts", {"quantity": quantity}, ""),
        ):
            status, answer = self.call(method, path, body, key=key)
            assert status in (200, 201), answer

    def place(self, product: str, **headers: str) -> dict[str, Any]:
        """As a client is meant to: one idempotency key, and again while nobody has answered."""
        body = {**BUYER, "lines": [{"product": product, "quantity": 1}]}
        headers = {"Idempotency-Key": uuid.uuid4().hex, **headers}
        deadline = time.monotonic() + COMMAND_TIMEOUT_S
        while True:
            try:
                status, order = self.call("POST", "/v1/orders", body, key=self.keys["retailers"]["acme"], **headers)
            except (ConnectionError, urllib.error.URLError) as error:
                status, order = 0, error
            if status not in (0, 429, 503) or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        assert status == 202, order
        found: dict[str, Any] = order
        return found

    def order(self, order_id: str) -> dict[str, Any]:
        status, order = self.call("GET", f"/v1/orders/{order_id}")
        assert status == 200, order
        found: dict[str, Any] = order
        return found

    def settled(self, order_id: str, within_s: float = 60.0) -> str:
        """The headline, once the order is past payment."""
        deadline = time.monotonic() + within_s
        while (status := str(self.order(order_id)["status"])) in ("pending", "payment_authorised"):
            assert time.monotonic() < deadline, f"{order_id} is still {status}"
            time.sleep(0.05)
        return status

    def processes(self) -> list[psutil.Process]:
        """Everything that `up` has started, itself included."""
        run = self.run
        names = [run["supervisor"], *run["processes"].values()]
        pids = {name["pid"] for name in names}
        sessions = {name["pid"] for name in names if name["session"]}
        return [process for process in psutil.process_iter() if process.pid in pids or _session(process) in sessions]

    def hosts(self) -> list[psutil.Process]:
        return [process for process in self.processes() if process.cmdline()[:1] == ["ray::Host"]]

    def busy_host(self) -> psutil.Process:
        """The host that holds most shards: no standby."""
        hosts = json.loads(self.dray("status", "--json").stdout)["hosts"]
        return psutil.Process(max(hosts.values(), key=lambda host: len(host["cells"]))["pid"])

    def kill_everything(self) -> None:
        for process in self.processes():
            process.kill()


def _session(process: psutil.Process) -> int:
    try:
        return os.getsid(process.pid)
    except OSError:
        return -1
