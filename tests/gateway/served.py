"""A gateway process for `test_server`: the shop behind a real socket. Prints its port once it serves."""

from __future__ import annotations

import sys

from fastapi import FastAPI

from gateway.server import listen, run
from tests.gateway.shop import Shop

shop: Shop


async def open_app() -> FastAPI:
    global shop
    shop = Shop()
    await shop.open()
    await shop.stocked()
    return shop.app


async def close() -> None:
    await shop.close()
    print("closed", flush=True)


if __name__ == "__main__":
    listener = listen("127.0.0.1", int(sys.argv[1]), shared=True)
    run(open_app, close, listener, lambda: print(listener.getsockname()[1], flush=True))
