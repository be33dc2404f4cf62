"""Stop what `up` started, and nothing else."""

from __future__ import annotations

import argparse

from scripts.settings import Resolved

STOP_TIMEOUT_S = 60.0


def configure(_parser: argparse.ArgumentParser) -> None:
    """No arguments of its own."""


def run(_arguments: argparse.Namespace, resolved: Resolved) -> int:
    from scripts import run_state
    from scripts.supervision import leftovers

    settings = resolved.settings
    state = run_state.read(settings)
    if state is not None and state.supervisor.alive():
        leftovers.stop_supervisor(state, STOP_TIMEOUT_S)
        leftovers.stop_all(settings, run_state.read(settings))
        print(f"stopped {settings.data}")
        return 0
    if leftovers.stop_all(settings, state):
        print(f"stopped what a killed `up` had left on {settings.data}")
    else:
        print(f"nothing runs on {settings.data}")
    return 0
