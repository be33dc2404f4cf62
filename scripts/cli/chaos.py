"""Put a system under load while its processes are killed and paused, then audit it.

Real processes: killed with SIGKILL, stopped with SIGSTOP beyond their lease, payments made to fail. When and whom is
drawn from the seed. With nothing running on the data directory this starts a temporary system and removes it again at
the end; else it uses the running one, and touches its processes only. Exit code 1 if the audit fails, an accepted order
was lost, or the system is not whole again two minutes later. Ctrl-C ends it in good order; nothing stays stopped.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from scripts.chaos.schedule import FAULTS, QUIET_S
from scripts.settings import Resolved, Settings

SETTINGS = ("payments", "hosts", "gateways", "dedicated", "log_level")
TEMPORARY = {"gateways": "2"}
DURATION_MIN_S = 2 * QUIET_S + 1


def configure(parser: argparse.ArgumentParser) -> None:
    faults = "\n".join(f"  {name:<10} {fault.what}" for name, fault in FAULTS.items())
    parser.description = f"{parser.description}\nFaults:\n{faults}"
    add = parser.add_argument
    add("--duration", type=float, default=60.0, metavar="S", help="seconds of load and faults (60)")
    add("--seed", type=int, default=1, metavar="K", help="of the schedule: the same seed, the same faults (1)")
    add("--faults", metavar="LIST", help="separated by commas (default: all that this system can have)")
    add("--rate", type=float, default=100.0, metavar="R", help="orders per second, open loop (100)")
    add("--json", type=Path, metavar="FILE", help="write the result there")


def run(arguments: argparse.Namespace, resolved: Resolved) -> int:
    from scripts import run_state
    from scripts.supervision.temporary import in_temporary_system

    wanted = [name.strip() for name in (arguments.faults or "").split(",") if name.strip()]
    unknown = sorted(set(wanted) - set(FAULTS))
    if unknown or arguments.duration < DURATION_MIN_S or arguments.rate <= 0:
        what = f"no such fault: {', '.join(unknown)}" if unknown else f"at least {DURATION_MIN_S:.0f} s, at some rate"
        print(f"dray: {what}", file=sys.stderr)
        return 2
    state = run_state.read(resolved.settings)
    if state is not None and state.ready and state.supervisor.alive():
        return _unleashed(arguments, resolved.settings, wanted)
    flags = {name: text for name in SETTINGS if (text := getattr(arguments, f"setting_{name}")) is not None}
    return in_temporary_system(
        {**TEMPORARY, **flags}, "chaos", lambda settings: _unleashed(arguments, settings, wanted)
    )


def _unleashed(arguments: argparse.Namespace, settings: Settings, wanted: list[str]) -> int:
    import asyncio
    import json

    from scripts import run_state
    from scripts.chaos.run import unleash
    from scripts.chaos.schedule import schedule
    from scripts.chaos.shown import table, to_json
    from scripts.chaos.victims import possible
    from scripts.client import Refused, Unreachable
    from scripts.load.audited import audited
    from scripts.load.plan import OPEN_LOOP_SAMPLE, Plan
    from scripts.load.run import ClientFailed
    from scripts.load.shown import Progress

    state = run_state.running(settings)
    can = possible(state)
    if not can or set(wanted) - can:
        print(f"dray: this system cannot have {', '.join(sorted(set(wanted) - can)) or 'any fault'}", file=sys.stderr)
        return 2
    strikes = schedule(arguments.seed, arguments.duration, wanted or can)
    plan = Plan(
        duration_s=arguments.duration, rate=arguments.rate, sample=OPEN_LOOP_SAMPLE, seed=arguments.seed, diary=True,
        declines=2, shortages=2, rejections=1, cancellations=3, manual=1,
    )  # fmt: skip
    progress = Progress(plan)
    try:
        outcome = asyncio.run(unleash(settings, plan, strikes, progress))
    except (Refused, Unreachable, ClientFailed, run_state.NotRunning) as error:
        print(f"dray: {error}", file=sys.stderr)
        return 1
    finally:
        progress.close()
    print(table(outcome), flush=True)
    passed = audited(outcome.measured, settings) and outcome.passed
    print("passed" if passed else "FAILED")
    if arguments.json:
        arguments.json.write_text(json.dumps(to_json(outcome, passed=passed), indent=2) + "\n")
    return 0 if passed else 1
