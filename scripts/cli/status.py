"""Show hosts, shards, queue depths, commits and what is pending."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from scripts.settings import Resolved


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="everything, for a program")


def run(arguments: argparse.Namespace, resolved: Resolved) -> int:
    from actors.runtime.ports import HostUnavailable
    from scripts import run_state
    from scripts.inside import ask_director

    settings = resolved.settings
    state = run_state.running(settings)
    try:
        status = asyncio.run(ask_director(settings, {"status": True}))["status"]
    except HostUnavailable as error:
        print(f"dray: {error}", file=sys.stderr)
        return 1
    lag_s = read_side_lag_s(state.database)
    if arguments.json:
        shown = {"url": state.url, "payments": state.payments, "read_side_lag_s": lag_s, **status}
        print(json.dumps(shown, indent=2))
        return 0
    print(f"gateway {state.url}   payments {state.payments}   placement {status['placement']['version']}")
    print(f"{'host':<32}  cells residents  queued pending effects     turns  lease")
    for name, host in sorted(status["hosts"].items()):
        print(_row(name, host))
    print(archive_line([host["archive"] for host in status["hosts"].values() if host]))
    print(f"read side {'does not answer' if lag_s is None else f'{lag_s:.1f} s behind'}")
    orphans = [shard for shard, host in enumerate(status["placement"]["hosts"]) if not host]
    if orphans:
        print(f"shards without a host: {', '.join(map(str, orphans))}")
    return 0


def archive_line(hosts: Sequence[Mapping[str, Any]]) -> str:
    """What all hosts together have archived since they started, and whether anything keeps them from it."""
    total = {name: sum(host[name] for host in hosts) for name in ("archived", "restored", "damaged", "held_up")}
    overdue_s = max((host["overdue_s"] for host in hosts), default=0.0)
    notes = [f"{total['archived']} orders left Redis, {total['restored']} came back"]
    notes += [f"the longest quiet is {overdue_s:.0f} s over its time"] if overdue_s else []
    notes += [f"{total['held_up']} wait for the read side"] if total["held_up"] else []
    notes += [f"{total['damaged']} RECORDS ARE DAMAGED: see the hosts' logs"] if total["damaged"] else []
    return "archive   " + ", ".join(notes)


def read_side_lag_s(database: str) -> float | None:
    """How far lists are behind the orders; None if the read side cannot say."""
    from actors.adapters.sqlalchemy_reading import SqlOrders
    from actors.runtime.reading import ReadModelUnavailable

    reader = SqlOrders(database)
    try:
        caught_up_at = reader.caught_up_at()
    except ReadModelUnavailable:
        return None
    finally:
        reader.close()
    return max(0.0, time.time() - caught_up_at / 1000) if caught_up_at else None


def _row(name: str, host: dict[str, Any] | None) -> str:
    if host is None:
        return f"{name:<32} does not answer"
    residents = sum(cell["residents"] for cell in host["cells"])
    queued = sum(host["queue"].values())
    blocked = sum(cell["blocked"] for cell in host["cells"])
    notes = " ".join([
        "valid" if host["lease_valid"] else "LOST", *([f"{blocked} cells blocked"] if blocked else []),
        *([f"refusing orders: {host['refusing']}"] if host["refusing"] else []),
    ])  # fmt: skip
    return (
        f"{name:<32} {len(host['cells']):>6} {residents:>9} {queued:>7} {host['pending']:>7}"
        f" {host['effects_in_flight']:>7} {host['turns']:>9}  {notes}"
    )
