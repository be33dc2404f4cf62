"""Hosts as Ray actors: one class for pooled hosts and for the host of one dedicated actor.

They are named, detached, async and restarted for ever; a call is never retried by Ray, because only Dray knows what a
repeat means. What they host is built by a factory that is named by its path.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.adapters.ray_cluster import HOST_PREFIX, NAMESPACE, find, load, or_start_again, outrank
from actors.runtime.ports import Cell, HostUnavailable

END_LOOK_S = 0.1
END_LOOKS_MAX = 50
CALLS_AT_ONCE_MAX = 10_000  # lingering calls of many gateways must not keep batches out


class Host:
    """The Ray actor.

    factory: path of an async callable (spec, name, cell) -> an object with `deliver`, `status` and `close`.
    """

    async def __init__(  # type: ignore[misc]  # Ray awaits it, also when it restarts the actor
        self, factory: str, spec: Mapping[str, Any], name: str, cell: tuple[int, str] | None
    ) -> None:
        outrank()
        async with or_start_again():
            self._hosted = await load(factory)(spec, name, Cell(*cell) if cell else None)

    async def deliver(self, batch: bytes) -> bytes:
        answer: bytes = await self._hosted.deliver(batch)
        return answer

    async def status(self) -> Any:
        return self._hosted.status()


class RaySpawner:
    """Starts and ends hosts: implements `director_server.Spawner`."""

    def __init__(self, factory: str, spec: Mapping[str, Any]) -> None:
        self._factory = factory
        self._spec = dict(spec)
        self.retired: set[str] = set()  # pooled hosts that are not to be started again

    async def spawn(self, cell: Cell) -> None:
        await asyncio.to_thread(self._start, cell.actor, (cell.shard, cell.actor), "SPREAD")

    async def spawn_pooled(self, number: int, node: str = "") -> str:
        """Pooled host `number`, on `node` while that exists; returns its name."""
        name = f"{HOST_PREFIX}{number}"
        where = NodeAffinitySchedulingStrategy(node, soft=True) if node else "SPREAD"
        await asyncio.to_thread(self._start, name, None, where)
        return name

    async def retire(self, host: str) -> None:
        if host.startswith(HOST_PREFIX):
            self.retired.add(host)
        await asyncio.to_thread(self._end, host)

    def _start(self, name: str, cell: tuple[int, str] | None, where: Any) -> None:
        options = ray.remote(Host).options(
            name=name,
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=0,
            max_concurrency=CALLS_AT_ONCE_MAX,
            scheduling_strategy=where,
        )
        options.remote(self._factory, self._spec, name, cell)

    def _end(self, host: str) -> None:
        """Until its name is free: whoever starts a host of that name before would be given the dying one."""
        for _ in range(END_LOOKS_MAX):
            try:
                ray.kill(find(host), no_restart=True)
            except HostUnavailable:
                return
            time.sleep(END_LOOK_S)
