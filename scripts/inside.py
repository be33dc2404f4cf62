"""Asks a running system's director from the command line, over its link."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from actors.adapters.director_link import Endpoint, Resolve
from actors.adapters.placement_link import PlacementLink
from actors.runtime.ports import HostUnavailable
from scripts import run_state
from scripts.settings import Settings

LINK_TIMEOUT_S = 5.0


async def ask_director(settings: Settings, question: Mapping[str, Any], timeout_s: float = 10.0) -> Any:
    """One request to the director of a running system. Raises HostUnavailable and NotRunning."""

    async def from_file() -> Endpoint:
        return Endpoint(*json.loads((settings.data / "director.json").read_text()))

    state = run_state.running(settings)
    resolve: Resolve = from_file
    if not state.ray_directory:  # a cluster's director may be on another node: Ray knows
        from actors.adapters import ray_cluster

        ray_cluster.join(state.ray)
        resolve = ray_cluster.find_director
    link = PlacementLink(resolve)
    link.start()
    try:
        async with asyncio.timeout(LINK_TIMEOUT_S):
            await link.placement()
        return await link.request(dict(question), timeout_s)
    except TimeoutError:
        raise HostUnavailable("the director does not answer") from None
    finally:
        await link.close()
