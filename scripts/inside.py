"""Asks a running system's director from the command line, over its link."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from actors.adapters.director_link import Endpoint
from actors.adapters.placement_link import PlacementLink
from actors.runtime.ports import HostUnavailable
from scripts.settings import Settings

LINK_TIMEOUT_S = 5.0


async def ask_director(settings: Settings, question: Mapping[str, Any], timeout_s: float = 10.0) -> Any:
    """One request to the director of the system on this machine. Raises HostUnavailable."""

    async def resolve() -> Endpoint:
        try:
            return Endpoint(*json.loads((settings.data / "director.json").read_text()))
        except FileNotFoundError:
            raise HostUnavailable("no director has been started on this data directory") from None

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
