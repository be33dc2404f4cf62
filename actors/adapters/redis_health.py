"""What a Redis server says of itself to an operator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CPU_TIMES = ("used_cpu_user", "used_cpu_sys", "used_cpu_user_children", "used_cpu_sys_children")


@dataclass(frozen=True)
class Health:
    """What an operator watches.

    limit_bytes: `maxmemory`; 0 means none. aof_writable: False once Redis could not write its log.
    cpu_s: what the server has cost since it started, its kernel calls and log rewrites included.
    """

    version: str
    used_bytes: int
    limit_bytes: int
    aof_writable: bool
    aof_bytes: int
    rewriting: bool
    cpu_s: float


def health_of(info: Mapping[str, str]) -> Health:
    """From INFO's lines."""
    return Health(
        version=info["redis_version"],
        used_bytes=int(info["used_memory"]),
        limit_bytes=int(info.get("maxmemory", 0)),
        aof_writable=info.get("aof_last_write_status") == "ok",
        aof_bytes=int(info.get("aof_current_size", 0)),
        rewriting="1" in (info.get("aof_rewrite_in_progress"), info.get("aof_rewrite_scheduled")),
        cpu_s=sum(float(info[name]) for name in CPU_TIMES),
    )
