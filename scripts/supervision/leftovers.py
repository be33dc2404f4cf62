"""Ends what an `up` has started, from its `run.json`: for `down`, and for an `up` whose predecessor was killed."""

from __future__ import annotations

import signal
from pathlib import Path

from scripts import redis_server
from scripts.run_state import RunState
from scripts.settings import Settings
from scripts.supervision.processes import stop
from scripts.supervision.ray_head import stop_session

RAY = "ray"
REDIS = "redis"


def stop_all(settings: Settings, state: RunState | None) -> bool:
    """End every process that `state` names, and the embedded Redis of this directory. True if there were any.

    Gateways first, so that nothing new is accepted; Redis last, so that what is under way can be stored.
    """
    found = False
    if state is not None:
        ray = state.processes.get(RAY)
        others = [name for role, name in state.processes.items() if role not in (RAY, REDIS) and name.alive()]
        found = bool(others) or bool(ray and ray.alive())
        stop(others)
        if ray is not None:
            stop_session(ray, Path(state.ray_directory))
    redis = redis_server.running(settings.data)
    if redis is not None:
        found = True
        redis.stop()
    return found


def stop_supervisor(state: RunState, within_s: float) -> bool:
    """Ask a living `up` to end, which ends all it started. False if it had to be killed."""
    stop([state.supervisor], first=signal.SIGTERM, within_s=within_s)
    return not state.supervisor.alive()
