"""One gateway, joined to Ray as a driver. Started by `up`, which writes one line of JSON to its input.

Everything is imported before that line is read, so that gateways get ready while Ray is still starting.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import uvloop

from actors.adapters import ray_cluster
from actors.adapters.key_file import load_keys
from actors.adapters.sqlalchemy_analytics import SqlAnalytics
from actors.adapters.sqlalchemy_feed import SqlFeed
from actors.adapters.sqlalchemy_reading import SqlOrders
from gateway import server
from gateway.app import create
from gateway.services import Services
from scripts.collector import GATEWAY_YOUNG_OBJECTS_MAX, spare_the_collector
from scripts.composition import Reach, stripe_events, wall
from scripts.process_log import log_to_file


async def serve(told: dict[str, Any]) -> None:
    """Listen only once the actors can be reached: until then other gateways on the port get the connections."""
    spec = told["spec"]
    keys = load_keys(os.environ, Path(told["master_key_file"]))
    database = spec["database"]
    orders, feed, analytics = SqlOrders(database), SqlFeed(database), SqlAnalytics(database)
    reach = Reach(spec, f"gateway-{told['number']}-{os.getpid()}")
    await reach.open()
    try:
        services = Services(
            router=reach.router, shards=spec["shards"], sealer=keys.sealer(), wall=wall, stripe=stripe_events(spec),
            orders=orders, waiting=reach.router.queued, feed=feed, analytics=analytics,
        )
        app = create(services)
        spare_the_collector(GATEWAY_YOUNG_OBJECTS_MAX)
        await server.serve(server.listen(told["bind"], told["port"], shared=True), app)
    finally:
        await reach.close()
        orders.close()
        feed.close()
        analytics.close()


def main() -> int:
    line = sys.stdin.readline()
    if not line:
        return 0  # `up` has changed its mind
    told = json.loads(line)
    log_to_file(told["spec"], f"gateway-{told['number']}")
    ray_cluster.join(told["ray"])
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(told))
    finally:
        ray_cluster.leave()
    return 0


if __name__ == "__main__":
    sys.exit(main())
