"""An application on a socket of its own, for as long as a test needs it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from gateway.server import listen, serve


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[int]:
    """Serve it in this event loop; gives the port."""
    listener, started = listen("127.0.0.1", 0), asyncio.Event()
    server = asyncio.create_task(serve(listener, app, started.set))
    try:
        await started.wait()
        yield listener.getsockname()[1]
    finally:
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)
        listener.close()
