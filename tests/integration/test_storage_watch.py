"""New orders are refused before the journal runs out of room."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from actors.adapters.redis_health import Health
from actors.runtime.limits import LIMITS
from scripts.storage_watch import StorageWatch, shortage

WELL = Health(version="6.2.9", used_bytes=1, limit_bytes=0, aof_writable=True, aof_bytes=1, rewriting=False, cpu_s=0.0)
PLENTY = LIMITS.disk_free_bytes_min


@pytest.mark.parametrize(
    ("health", "free", "why"),
    [
        (WELL, PLENTY, ""),
        (WELL, None, ""),
        (WELL, PLENTY - 1, "disk"),
        (replace(WELL, aof_writable=False), PLENTY, "log"),
        (replace(WELL, used_bytes=90, limit_bytes=100), PLENTY, ""),
        (replace(WELL, used_bytes=91, limit_bytes=100), PLENTY, "memory"),
    ],
)
def test_what_counts_as_a_shortage(health: Health, free: int | None, why: str) -> None:
    said = shortage(health, free)
    assert bool(said) == bool(why) and why in said


async def test_it_refuses_while_there_is_a_shortage_and_leaves_other_refusals_alone() -> None:
    health = WELL

    async def look() -> Health:
        return health

    core: Any = SimpleNamespace(refusing="")
    journal: Any = SimpleNamespace(health=look)
    watch = StorageWatch(core, journal, None)
    await watch.look()
    assert core.refusing == ""
    health = replace(WELL, aof_writable=False)
    await watch.look()
    assert "log" in core.refusing
    health = WELL
    await watch.look()
    assert core.refusing == ""
    core.refusing = "the journal went back in time"
    health = replace(WELL, aof_writable=False)
    await watch.look()
    health = WELL
    await watch.look()
    assert core.refusing == "the journal went back in time"
