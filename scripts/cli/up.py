"""Start a system and look after it.

Starts Redis (embedded unless named), the Stripe sandbox, Ray (or joins a cluster), hosts and gateways, prints their
addresses, and `ready URL` once orders are accepted. Ctrl-C stops all cleanly. A second `up` on the same data directory
goes on where the first stopped. API keys of the demo tenants are in DIR/keys.json.
"""

from __future__ import annotations

import argparse

from scripts.settings import Resolved, flag_of, table

SETTINGS = tuple(name for name, about in table().items() if about.flag and name != "data")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--detach", action="store_true", help="return once orders are accepted")


def run(arguments: argparse.Namespace, resolved: Resolved) -> int:
    from scripts import run_state
    from scripts.supervision.detached import detach
    from scripts.supervision.supervisor import Supervisor

    settings = resolved.settings
    state = run_state.read(settings)
    if state is not None and state.supervisor.alive():
        raise run_state.AlreadyRunning(
            f"Dray runs on {settings.data} already" + (f": {state.url}" if state.ready else ", but is not ready")
        )
    if not arguments.detach:
        return Supervisor(settings, lambda line: print(line, flush=True)).run()
    flags = [
        part
        for name in ("data", *SETTINGS)
        if (text := getattr(arguments, f"setting_{name}")) is not None
        for part in (flag_of(name), text)
    ]
    return detach(settings, flags)
