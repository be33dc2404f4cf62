"""One gateway: a uvicorn server joined to Ray as a driver. Started by `up`, which writes one line of JSON to its input.

Everything is imported before that line is read, so that gateways get ready while Ray is still starting.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn

from actors.adapters import ray_cluster
from actors.adapters.key_file import load_keys
from gateway.app import create
from gateway.services import Services
from scripts.composition import Reach, log_to_file, stripe_events, wall

BACKLOG_CONNECTIONS = 4096
KEEP_ALIVE_S = 75
GRACEFUL_S = 5


def listen(address: str, port: int) -> socket.socket:
    """A socket that other gateways of this system may share; the kernel spreads connections over them."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((address, port))
    return sock


async def serve(told: dict[str, Any]) -> None:
    spec = told["spec"]
    keys = load_keys(os.environ, Path(told["master_key_file"]))
    reach = Reach(spec, f"gateway-{told['number']}-{os.getpid()}")
    await reach.open()
    services = Services(
        router=reach.router, shards=spec["shards"], sealer=keys.sealer(), wall=wall, stripe=stripe_events(spec)
    )  # fmt: skip
    config = uvicorn.Config(
        create(services), loop="none", http="httptools", ws="none", lifespan="off", access_log=False, log_config=None,
        server_header=False, backlog=BACKLOG_CONNECTIONS, timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACEFUL_S,
    )  # fmt: skip
    await uvicorn.Server(config).serve(sockets=[listen(told["bind"], told["port"])])
    await reach.close()


def main() -> int:
    line = sys.stdin.readline()
    if not line:
        return 0  # `up` has changed its mind
    told = json.loads(line)
    log_to_file(told["spec"], f"gateway-{told['number']}")
    ray_cluster.join(told["ray"])
    try:
        with asyncio.Runner(loop_factory=_loop) as runner:
            runner.run(serve(told))
    finally:
        ray_cluster.leave()
    return 0


def _loop() -> asyncio.AbstractEventLoop:
    import uvloop

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


if __name__ == "__main__":
    sys.exit(main())
