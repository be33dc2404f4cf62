"""Running one gateway process: uvicorn on uvloop and httptools."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import uvicorn
from fastapi import FastAPI

from gateway.protocol import Protocol

BACKLOG_CONNECTIONS_MAX = 4096
CONNECTIONS_MAX = 20_000
KEEP_ALIVE_S = 75
SHUTDOWN_S = 20
STALLED_S = 2.0
STOPPED_BY = (signal.SIGTERM, signal.SIGINT)

App = Callable[[], Coroutine[Any, Any, FastAPI]]
"""Opens the services and makes the application; awaited inside the server's event loop."""
Close = Callable[[], Coroutine[Any, Any, None]]


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A socket that listens on host and port (0: any free one). `shared` lets several processes listen on the same
    port, and the kernel spreads connections over them (SO_REUSEPORT). Raises OSError if the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG_CONNECTIONS_MAX)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def config_of(app: FastAPI) -> uvicorn.Config:
    """How the gateway wants uvicorn: fast, quiet, and patient with requests that are under way when it stops."""
    return uvicorn.Config(
        app,
        interface="asgi3",
        loop="uvloop",
        http=Protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        date_header=True,
        backlog=BACKLOG_CONNECTIONS_MAX,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )


async def serve(listener: socket.socket, app: FastAPI, started: Callable[[], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT: then no new connections, streams end, and requests under way get `SHUTDOWN_S`.

    started: called once connections are accepted.
    """
    await _Server(config_of(app), started, app.state.gateway.stop).serve(sockets=[listener])


class _Server(uvicorn.Server):
    """Tells when it has started, and ends by returning: uvicorn itself raises the signal again that stopped it, which
    would end the process before its services are closed."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None] | None, stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell_started = started
        self._stop = stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self._tell_started is not None:
            self._tell_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stop()
        letting_go = asyncio.get_running_loop().create_task(self._let_go())
        try:
            await super().shutdown(sockets)
        finally:
            letting_go.cancel()

    async def _let_go(self) -> None:
        """Break off with clients that take nothing of what they are sent: each would hold us up until `SHUTDOWN_S`."""
        while True:
            before = self._unsent()
            await asyncio.sleep(STALLED_S)
            for connection, size in self._unsent().items():
                if before.get(connection) == size:
                    connection.transport.abort()

    def _unsent(self) -> dict[Any, int]:
        """Connections with something to send, and how many bytes that is."""
        found: list[Any] = list(self.server_state.connections)
        sizes = {connection: connection.transport.get_write_buffer_size() for connection in found}
        return {connection: size for connection, size in sizes.items() if size}

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in STOPPED_BY:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in STOPPED_BY:
                loop.remove_signal_handler(number)


def run(open_app: App, close: Close, listener: socket.socket, started: Callable[[], None] | None = None) -> None:
    """Run a gateway process to its end: open the services, serve, close the services."""
    import uvloop

    async def main() -> None:
        app = await open_app()
        try:
            await serve(listener, app, started)
        finally:
            await close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
