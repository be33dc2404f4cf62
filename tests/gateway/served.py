"""A gateway process for `test_server`: the shop behind a real socket, with its feed. Prints its port once it serves.

The argument after the port is how many rows of an older order the feed begins with: enough of them fill every buffer on
the way to a client.
"""

from __future__ import annotations

import asyncio
import sys

from fastapi import FastAPI

from gateway.server import listen, run
from tests.gateway.feeds import MemoryFeed
from tests.gateway.shop import Shop

shop: Shop
following: asyncio.Task[None]


async def open_app() -> FastAPI:
    global shop, following
    shop = Shop()
    await shop.open()
    await shop.stocked()
    feed = MemoryFeed()
    shop.serve(feed=feed)
    if rows := int(sys.argv[2]):
        await shop.placed()
        feed.follow(shop.store)
        feed.rows = [feed.rows[0]._replace(position=position) for position in range(1, rows + 1)]
    following = asyncio.get_running_loop().create_task(_follow(feed))
    return shop.app


async def _follow(feed: MemoryFeed) -> None:
    while True:
        feed.follow(shop.store)
        await asyncio.sleep(0.02)


async def close() -> None:
    following.cancel()
    await shop.close()
    print("closed", flush=True)


if __name__ == "__main__":
    listener = listen("127.0.0.1", int(sys.argv[1]), shared=True)
    run(open_app, close, listener, lambda: print(listener.getsockname()[1], flush=True))
