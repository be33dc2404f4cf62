"""Place orders of every kind and show what becomes of each.

With nothing running on the data directory this starts a temporary system, and removes it again at the end; else it uses
the running one, under names of its own. Exit code 0 only if each order ended as it should, stock and money included.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from scripts.settings import Resolved, Settings

SETTINGS = ("payments", "hosts", "gateways", "dedicated", "ray_dashboard", "log_level")


def configure(_parser: argparse.ArgumentParser) -> None:
    """No arguments of its own."""


def run(arguments: argparse.Namespace, resolved: Resolved) -> int:
    from scripts import run_state
    from scripts.supervision.temporary import in_temporary_system

    state = run_state.read(resolved.settings)
    if state is not None and state.ready and state.supervisor.alive():
        return _demonstrate(resolved.settings, fresh=False)
    flags = {name: text for name in SETTINGS if (text := getattr(arguments, f"setting_{name}")) is not None}
    return in_temporary_system(flags, "demo", _begin)


def _begin(settings: Settings) -> int:
    print(flush=True)
    return _demonstrate(settings, fresh=True)


def _demonstrate(settings: Settings, *, fresh: bool) -> int:
    from scripts.client import Refused, Unreachable
    from scripts.demo.run import demonstrate

    try:
        good = asyncio.run(demonstrate(settings, fresh=fresh, say=lambda line: print(line, flush=True)))
    except (Refused, Unreachable) as error:
        print(f"dray: {error}", file=sys.stderr)
        return 1
    return 0 if good else 1
