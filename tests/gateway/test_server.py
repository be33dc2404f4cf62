"""The server: a real socket, a real signal."""

from __future__ import annotations

import fcntl
import json
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
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
def served(port: int = 0, rows: int = 0) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A gateway process and its address. rows: that its feed begins with."""
    command = [sys.executable, "-m", "tests.gateway.served", str(port), str(rows)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.strip().isdigit(), line
        yield process, f"http://127.0.0.1:{line.strip()}"
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


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


def ended(process: subprocess.Popen[str]) -> str:
    """What a process that was told to end has complained of meanwhile."""
    process.send_signal(signal.SIGTERM)
    out, complaints = process.communicate(timeout=WAIT_S)
    assert (process.returncode, out.strip()) == (0, "closed"), complaints
    return complaints


def test_streams_reach_their_clients_and_end_with_the_process() -> None:
    with (
        served() as (process, url),
        httpx.Client(base_url=url, headers=ACME, timeout=WAIT_S) as client,
        client.stream("GET", "/v1/stream") as stream,
    ):
        lines = stream.iter_lines()
        assert next(lines) == "retry: 2000"
        order = client.post("/v1/orders", json=ORDER).json()
        told = [json.loads(next(line for line in lines if line.startswith("data: "))[6:]) for _ in range(3)]
        assert [event["sequence"] for event in told] == [1, 2, 3]
        assert {event["order"] for event in told} == {order["id"]}
        assert ended(process) == ""
        assert not [line for line in lines if line.startswith("data: ") and '"sequence":1,' in line]


def test_a_client_that_takes_nothing_holds_up_nobody() -> None:
    with served(rows=20_000) as (process, url), socket.create_connection(("127.0.0.1", httpx.URL(url).port)) as client:
        start = httpx.get(f"{url}/v1/events?limit=1", headers=ACME).json()["next_cursor"]
        head = f"GET /v1/stream?after={start} HTTP/1.1\r\nhost: dray\r\n"
        client.sendall(f"{head}authorization: {ACME['authorization']}\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        waiting = -1
        while waiting != (waiting := bytes_waiting(client)) or not waiting:
            time.sleep(0.5)
        assert "graceful shutdown exceeded" not in ended(process)


def bytes_waiting(client: socket.socket) -> int:
    """What the client could read, and does not."""
    return int.from_bytes(fcntl.ioctl(client, termios.FIONREAD, bytes(4)), sys.byteorder)
