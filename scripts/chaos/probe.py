"""Whether a system is whole: everything that should run runs, every shard is owned, orders are accepted."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from typing import Self

from actors.adapters.director_link import Endpoint
from actors.adapters.placement_link import PlacementLink
from actors.runtime.ports import HostUnavailable
from scripts import run_state
from scripts.chaos.victims import RAY_PROGRAMS, SANDBOX, Victims
from scripts.cli.status import read_side_lag_s
from scripts.settings import Settings
from scripts.supervision.leftovers import RAY
from scripts.supervision.supervisor import DEPLOY

LOOK_S = 0.05
ANSWER_S = 1.0
LAG_MAX_S = 3.0


class Probe:
    """Looks at one system again and again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._victims = Victims(settings)
        self._link = PlacementLink(self._endpoint)

    async def __aenter__(self) -> Self:
        self._link.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._link.close()

    async def whole(self, *, lists: bool = False) -> str:
        """'' if nothing is missing, else what is. lists: the read side has to be up to date, too."""
        state = run_state.read(self._settings)
        if state is None or not state.ready:
            return "not ready"
        missing = [role for role, name in state.processes.items() if not name.alive()]
        missing += [DEPLOY] if DEPLOY in state.processes else []
        if missing:
            return f"{', '.join(missing)} does not run"
        if RAY in state.processes:
            programs = {process.name() for process in self._victims.all("node")}
            if found := ", ".join(sorted({*RAY_PROGRAMS} - programs)):
                return f"{found} does not run"
            if not self._victims.all("projector"):
                return "there is no projector"
        if found := await self._hosts():
            return found
        if not await asyncio.to_thread(_answers, f"{state.url}/readyz"):
            return "the gateway is not ready"
        if SANDBOX in state.processes and not await asyncio.to_thread(_answers, f"{state.stripe_url}/_sandbox"):
            return "the sandbox does not answer"
        if lists:
            lag_s = await asyncio.to_thread(read_side_lag_s, state.database)
            if lag_s is None or lag_s > LAG_MAX_S:
                return "lists are behind"
        return ""

    async def until_whole(self, within_s: float, *, lists: bool = False) -> str:
        """'' as soon as the system is whole, else what was missing at the end."""
        give_up = time.monotonic() + within_s
        while found := await self.whole(lists=lists):
            if time.monotonic() > give_up:
                return found
            await asyncio.sleep(LOOK_S)
        return ""

    async def _hosts(self) -> str:
        try:
            status = (await self._link.request({"status": True}, ANSWER_S))["status"]
        except HostUnavailable as error:
            return str(error)
        hosts = status["hosts"]
        pooled = [name for name in hosts if not any(cell["actor"] for cell in (hosts[name] or {"cells": ()})["cells"])]
        if len(pooled) < status["expected"]:
            return "a host is missing"
        if not all(status["placement"]["hosts"]):
            return "a shard has no host"
        for name, host in hosts.items():
            if host is None or not host["lease_valid"] or any(cell["blocked"] for cell in host["cells"]):
                return f"{name} does not answer"
        owned = {cell["shard"] for host in hosts.values() for cell in host["cells"] if not cell["actor"]}
        return "" if len(owned) == len(status["placement"]["hosts"]) else "a shard is being taken over"

    async def _endpoint(self) -> Endpoint:
        return Endpoint(*json.loads((self._settings.data / "director.json").read_text()))


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_S) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
