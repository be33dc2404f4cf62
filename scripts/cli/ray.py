"""Run Ray's own command on the Ray of a running system, e.g. `dray ray list actors`.

Ray's `list` needs its dashboard: `up` runs it where there are dedicated actors, or with --ray-dashboard yes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from scripts.settings import Resolved

NEEDS_DASHBOARD = frozenset({"list", "get", "summary", "logs", "job"})


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="as Ray's command takes them")


def run(arguments: argparse.Namespace, resolved: Resolved) -> int:
    from scripts import run_state
    from scripts.supervision import ray_head

    settings = resolved.settings
    state = run_state.running(settings)
    words: list[str] = arguments.arguments
    environment = dict(os.environ)
    if state.ray_directory:
        environment |= ray_head.environment(settings.ray_token)
    environment["RAY_ADDRESS"] = state.ray
    if words and words[0] in NEEDS_DASHBOARD and state.ray_directory:
        if not state.ray_dashboard:
            print("dray: this needs Ray's dashboard: start the system with --ray-dashboard yes", file=sys.stderr)
            return 1
        environment["RAY_ADDRESS"] = environment["RAY_API_SERVER_ADDRESS"] = state.ray_dashboard
    command = [sys.executable, "-m", "ray.scripts.scripts", *words]
    return subprocess.run(command, env=environment, check=False).returncode
