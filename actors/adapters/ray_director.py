"""The director as a small named Ray actor, restarted for ever: wraps `director_server`."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray

from actors.adapters.director_server import DirectorServer
from actors.adapters.ray_cluster import (
    DIRECTOR,
    HOST_PREFIX,
    NAMESPACE,
    load,
    node_address,
    or_start_again,
    outrank,
    publish_director,
)
from actors.adapters.ray_hosts import RaySpawner

log = logging.getLogger("dray.director")

KEEP_HOSTS_S = 5.0


class DirectorActor:
    """The Ray actor.

    spec: what hosts are built from, and of that for the director itself `shards`, `hosts`, `standby`, `dedicated`
          (rules), `host_factory`, `journal_factory` (paths of callables) and `endpoint_file` (may be empty).
    """

    async def __init__(self, spec: Mapping[str, Any]) -> None:  # type: ignore[misc]  # Ray awaits it
        outrank()
        self._spec = dict(spec)
        self._spawner = RaySpawner(spec["host_factory"], spec)
        pooled = spec["hosts"] + spec["standby"]
        self._nodes = dict.fromkeys(range(pooled), "")  # number of a pooled host -> node it was asked for
        async with or_start_again():
            self._server = DirectorServer(
                spec["shards"], pooled, journal=await load(spec["journal_factory"])(spec),
                spawner=self._spawner, standby=spec["standby"], dedicated=spec["dedicated"],
            )  # fmt: skip
            self._endpoint = await self._server.start(node_address())
            await publish_director(self._endpoint)
            if spec["endpoint_file"]:
                _write_private(Path(spec["endpoint_file"]), json.dumps(self._endpoint))
        self._keeping = asyncio.get_running_loop().create_task(self._keep_hosts())

    async def _keep_hosts(self) -> None:
        """See to it that every pooled host exists; one that runs or that Ray is restarting is left alone."""
        while True:
            there = self._server.director.hosts.keys() | self._spawner.retired
            absent = [number for number in self._nodes if f"{HOST_PREFIX}{number}" not in there]
            for started in await asyncio.gather(
                *(self._spawner.spawn_pooled(number, self._nodes[number]) for number in absent), return_exceptions=True
            ):
                if isinstance(started, Exception):
                    log.error("a host cannot be started: %s", started)
            await asyncio.sleep(KEEP_HOSTS_S)

    async def endpoint(self) -> tuple[str, int, str]:
        return (self._endpoint.address, self._endpoint.port, self._endpoint.token)

    async def spec(self) -> dict[str, Any]:
        """What this system was started with."""
        return self._spec

    async def add_hosts(self, count: int, node: str) -> list[str]:
        """More pooled hosts, on a node that has joined; returns their names."""
        first = max(self._nodes, default=-1) + 1
        self._nodes |= dict.fromkeys(range(first, first + count), node)
        self._server.director.expected += count
        return [await self._spawner.spawn_pooled(number, node) for number in range(first, first + count)]


def ensure_director(spec: Mapping[str, Any]) -> Any:
    """Start the director of this cluster, or find the one that runs. Blocks until it answers; raises RayError."""
    handle = (
        ray.remote(DirectorActor)
        .options(
            name=DIRECTOR, namespace=NAMESPACE, lifetime="detached", get_if_exists=True, num_cpus=0, max_restarts=-1,
            max_task_retries=0, max_concurrency=1000,
        )
        .remote(dict(spec))
    )  # fmt: skip
    ray.get(handle.endpoint.remote())
    return handle


def add_hosts(handle: Any, count: int, node: str) -> list[str]:
    """See `DirectorActor.add_hosts`."""
    names: list[str] = ray.get(handle.add_hosts.remote(count, node))
    return names


def spec_of(handle: Any) -> dict[str, Any]:
    """See `DirectorActor.spec`."""
    spec: dict[str, Any] = ray.get(handle.spec.remote())
    return spec


def _write_private(path: Path, text: str) -> None:
    """The file appears whole, and only its owner can read it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)
