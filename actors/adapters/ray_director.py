"""The director as a small named Ray actor, restarted for ever: wraps `director_server`."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray

from actors.adapters.director_server import DirectorServer
from actors.adapters.ray_cluster import DIRECTOR, HOST_PREFIX, NAMESPACE, load, node_address, outrank
from actors.adapters.ray_hosts import RaySpawner


class DirectorActor:
    """The Ray actor.

    spec: what hosts are built from, and of that for the director itself `shards`, `hosts`, `dedicated` (rules),
          `host_factory`, `journal_factory` (paths of callables) and `endpoint_file` (may be empty).
    """

    async def __init__(self, spec: Mapping[str, Any]) -> None:
        outrank()
        self._spec = dict(spec)
        journal = await load(spec["journal_factory"])(spec)
        self._spawner = RaySpawner(spec["host_factory"], spec)
        self._server = DirectorServer(
            spec["shards"], spec["hosts"], journal=journal, spawner=self._spawner, dedicated=spec["dedicated"],
        )  # fmt: skip
        self._endpoint = await self._server.start(node_address())
        if spec["endpoint_file"]:
            _write_private(Path(spec["endpoint_file"]), json.dumps(self._endpoint))
        await asyncio.gather(*(self._spawner.spawn_pooled(number) for number in range(spec["hosts"])))

    async def endpoint(self) -> tuple[str, int, str]:
        return tuple(self._endpoint)

    async def spec(self) -> dict[str, Any]:
        """What this system was started with."""
        return self._spec

    async def add_hosts(self, count: int, node: str) -> list[str]:
        """More pooled hosts, on a node that has joined; returns their names."""
        director = self._server.director
        taken = {int(name.removeprefix(HOST_PREFIX)) for name in director.hosts if name.startswith(HOST_PREFIX)}
        first = max(taken, default=-1) + 1
        director.expected += count
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
