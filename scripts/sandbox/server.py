"""Puts the parts together and serves them with uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import uvicorn
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from scripts.sandbox import timers
from scripts.sandbox.api import Api
from scripts.sandbox.control import Control, application
from scripts.sandbox.faults import Plan
from scripts.sandbox.log import Log
from scripts.sandbox.records import Account, WebhookEndpoint
from scripts.sandbox.store import Settings, Store, Work
from scripts.sandbox.webhooks import Dispatcher
from scripts.sandbox.wire import TRANSPORT

TICK_S = 1.0
BACKLOG_CONNECTIONS = 2_048


@dataclass(frozen=True)
class Options:
    """How a sandbox is started; `scripts.sandbox.__main__` fills it from the command line."""

    host: str = "127.0.0.1"
    port: int = 12_111
    settings: Settings = field(default_factory=Settings)
    plan: Plan = field(default_factory=Plan)
    rate_limit: str = "none"
    data: Path | None = None
    fsync: bool = False
    accounts: tuple[str, ...] = ()
    webhook_url: str = ""
    webhook_secret: str = ""
    webhook_events: tuple[str, ...] = ("*",)


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol, which lets the application drop the connection without an answer."""

    def on_message_begin(self) -> None:
        """Add the connection to the request's scope."""
        super().on_message_begin()
        self.scope[TRANSPORT] = self.transport  # type: ignore[literal-required]  # our own key of the scope


class Sandbox:
    """One sandbox: its store, its API and its deliveries. An ASGI application."""

    def __init__(self, options: Options) -> None:
        """Recovers what `options.data` holds. Raises LogUnusable."""
        log = Log(options.data, options.fsync) if options.data is not None else None
        self.log = log
        self.store = Store(options.settings, timers.due, log)
        try:
            self.recovered = self.store.recover()
        except BaseException:
            if log is not None:
                log.close()
            raise
        rate_limit = options.plan.rate_limit if options.rate_limit == "none" else options.rate_limit
        self.api = Api(self.store, options.plan, rate_limit)
        self.dispatcher = Dispatcher(self.store, lambda: self.api.faults)

        def prepare() -> None:
            _prepare(self.store, options)

        self._control: ASGIApp = application(Control(self.store, self.api, self.dispatcher, prepare))
        self._ticking: asyncio.Task[None] | None = None
        prepare()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: /v1 is Stripe's API, the rest are the control endpoints."""
        if scope["type"] == "http" and scope["path"].startswith("/v1/"):
            await self.api(scope, receive, send)
        else:
            await self._control(scope, receive, send)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver webhooks and let time pass while inside."""
        await self.dispatcher.start()
        self._ticking = asyncio.create_task(self._tick())
        try:
            yield
        finally:
            self._ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticking
            await self.dispatcher.stop()
            if self.log is not None:
                self.log.close()

    async def _tick(self) -> None:
        while not self.store.broken:
            await asyncio.sleep(TICK_S)
            try:
                timers.run(self.store, self.store.now())
            except Exception as error:  # a bug: refuse everything from now on, and say why
                self.store.stop(error)
                raise


def _prepare(store: Store, options: Options) -> None:
    """The platform's account, the accounts and the webhook endpoint named at start, unless they exist already."""
    work = Work(store, store.now())
    for id in (options.settings.platform, *options.accounts):
        if id not in store.accounts.rows:
            work.put(Account(id, work.now))
    if options.webhook_url:
        existing = next((e for e in store.webhook_endpoints.rows.values() if e.url == options.webhook_url), None)
        endpoint = existing or WebhookEndpoint(store.new_id("we_1"), work.now, options.webhook_url, (), "")
        work.put(
            endpoint._replace(
                enabled_events=options.webhook_events, secret=options.webhook_secret, status="enabled", deleted=False
            )
        )
    store.commit(work)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 picks a free one. Raises OSError if the port is taken."""
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG_CONNECTIONS)
    except OSError:
        listening.close()
        raise
    return listening


def serve(options: Options) -> None:
    """Serve until SIGINT or SIGTERM; prints `ready URL` once requests are answered.

    Raises OSError if the port is taken, LogUnusable if the data directory cannot be used.
    """
    listening = listen(options.host, options.port)
    host = f"[{options.host}]" if ":" in options.host else options.host
    url = f"http://{host}:{listening.getsockname()[1]}"
    gc.disable()  # reading the log makes no garbage, but millions of objects to look through
    sandbox = Sandbox(replace(options, settings=replace(options.settings, base_url=url)))
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)  # records hold no cycles: look for garbage seldom, the heap is large
    gc.enable()
    if sandbox.recovered:
        print(f"recovered {sandbox.recovered} log items", file=sys.stderr)

    async def run() -> None:
        async with sandbox.running():
            await _Server(_config(sandbox), url).serve([listening])

    uvloop.run(run())


class _Server(uvicorn.Server):
    """uvicorn's server, which tells when it answers."""

    def __init__(self, config: uvicorn.Config, url: str) -> None:
        super().__init__(config)
        self._url = url

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGINT and SIGTERM, and leave it at that: uvicorn's own way raises the signal once more, which would
        interrupt the closing of the log."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start accepting, then say so."""
        await super().startup(sockets)
        print(f"ready {self._url}", flush=True)


def _config(sandbox: Sandbox) -> uvicorn.Config:
    return uvicorn.Config(
        sandbox,
        http=Protocol,
        ws="none",
        lifespan="off",
        loop="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=3,
    )
