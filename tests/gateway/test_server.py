"""The server: a real socket, a real signal."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from gateway.server import listen
from tests.gateway.shop import ORDER, order_of

ROOT = Path(__file__).parents[2]
ACME = {"authorization": "Bearer retailer-acme"}
WAIT_S = 30


@contextmanager
def served(port: int = 0) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A gateway process and its address."""
    command = [sys.executable, "-m", "tests.gateway.served", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.strip().isdigit(), line
        yield process, f"http://127.0.0.1:{line.strip()}"
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_it_serves_and_ends_in_good_order() -> None:
    with served() as (process, url), httpx.Client(base_url=url, headers=ACME, timeout=WAIT_S) as client:
        order = client.post("/v1/orders", json=ORDER, headers={"prefer": "wait=10"})
        assert (order.status_code, order.json()["status"]) == (202, "confirmed")
        assert "server" not in order.headers
        too_large = client.post("/v1/orders", content=b" " * 3_000_000, headers={"content-type": "application/json"})
        assert too_large.status_code == 413
        assert client.get(order.headers["location"]).status_code == 200

        # A request that is under way when the signal comes is answered: a manual supplier keeps this one waiting.
        answers: list[int] = []

        def wait() -> None:
            with httpx.Client(base_url=url, headers={**ACME, "prefer": "wait=2"}, timeout=WAIT_S) as other:
                answers.append(other.post("/v1/orders", json=order_of(("map", 1))).status_code)

        waiting = threading.Thread(target=wait)
        waiting.start()
        while waiting.is_alive():
            stock = client.get("/v1/inventory/MAP", headers={"authorization": "Bearer supplier-south"})
            if stock.json()["reserved"]:
                break
        process.send_signal(signal.SIGTERM)
        waiting.join(WAIT_S)
        assert answers == [202]
        assert process.wait(WAIT_S) == 0
        assert process.stdout is not None
        assert process.stdout.read().strip() == "closed"


def test_several_processes_share_a_port() -> None:
    with served() as (_, url):
        port = int(url.rsplit(":", 1)[1])
        with served(port) as (_, second):
            assert second == url
            for _ in range(8):
                assert httpx.get(url + "/healthz").status_code == 200


def test_a_port_that_is_taken_is_refused() -> None:
    taken = listen("127.0.0.1", 0)
    try:
        with pytest.raises(OSError, match="in use"):
            listen("127.0.0.1", taken.getsockname()[1])
    finally:
        taken.close()
