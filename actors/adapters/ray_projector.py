"""The projector as a Ray actor: named, detached and restarted for ever, like hosts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any

import ray

from actors.adapters.ray_cluster import NAMESPACE, load, or_start_again, outrank

PROJECTOR = "dray:projector"
NICENESS = 5  # orders come first, and yet Redis keeps what the projector has not read


class ProjectorActor:
    """The Ray actor. spec: names under `projector_factory` an async callable (spec) -> an object with `run`."""

    async def __init__(self, spec: Mapping[str, Any]) -> None:  # type: ignore[misc]  # Ray awaits it
        outrank()
        os.nice(max(0, NICENESS - os.nice(0)))
        async with or_start_again():
            self._projector = await load(spec["projector_factory"])(spec)
        self._running = asyncio.get_running_loop().create_task(self._projector.run())

    async def alive(self) -> bool:
        """False once the projector has ended, which it never should."""
        return not self._running.done()


def ensure_projector(spec: Mapping[str, Any]) -> None:
    """Start the projector of this cluster unless it runs. Does not wait for it: orders are accepted without."""
    ray.remote(ProjectorActor).options(
        name=PROJECTOR, namespace=NAMESPACE, lifetime="detached", get_if_exists=True, num_cpus=0, max_restarts=-1,
        max_task_retries=0,
    ).remote(dict(spec))  # fmt: skip
