"""Run the repository's benchmarks, all or one.

Each prints a table, the bars that it is measured against, and a JSON line. Those of whole systems start one of their
own and stop it afterwards; the figures are worth something on a machine that does nothing else. Exit code 1 if a
benchmark could not be run or a promise was broken (an order lost, more sold than there was), not if a bar was missed.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

from scripts.settings import Resolved


class Bench(NamedTuple):
    """A benchmark: a module of `scripts.bench`. quick: its size with --quick, in seconds if `timed`, else in orders
    (or requests, or effects)."""

    what: str
    quick: int
    timed: bool = False


NAMES = {
    "saga": Bench("orders from POST to confirmed, 64 and 256 in flight", 1_500),
    "acceptance": Bench("POST to a durable 202, beside a bare FastAPI POST", 4_000),
    "open_loop": Bench("500 orders a second: latencies of acceptance and completion", 8, timed=True),
    "hot_sku": Bench("a tenth as many units as buyers, of one SKU", 1_000),
    "batch": Bench("NDJSON batch intake", 4_000),
    "wide": Bench("orders with 100 lines", 100),
    "sandbox_saga": Bench("orders through the Stripe SDK and the sandbox", 400),
    "projecting": Bench("the same load with the read side on and off", 1_500),
    "crash": Bench("hosts killed at 300 orders a second: the longest stall", 15, timed=True),
    "overload": Bench("twice what the system can take: goodput, refusals, recovery", 10, timed=True),
    "growth": Bench("rate and memory as orders pile up", 6_000),
    "activation": Bench("a crash: time to be ready, reading cold and warm orders", 500),
    "router": Bench("to an actor and back", 4_000),
    "journal": Bench("commits of a busy host", 1_000),
    "archive": Bench("orders at rest leave Redis", 500),
    "projector": Bench("CPU of the read side", 400),
    "read_side": Bench("lists, searches, reports and exports, of 1,000 orders up to as many as said", 1_500),
    "standing": Bench("time to be ready with many orders in the archive and 20,000 live", 300),
    "gateway": Bench("CPU of a gateway whose actors answer at once", 2_000),
    "payments": Bench("CPU of each Payments adapter", 300),
    "sandbox": Bench("the Stripe-compatible sandbox", 300),
}


def configure(parser: argparse.ArgumentParser) -> None:
    names = "\n".join(f"  {name:<13} {bench.what}" for name, bench in NAMES.items())
    parser.description = f"{parser.description}\n{names}"
    add = parser.add_argument
    add("name", nargs="?", choices=NAMES, metavar="NAME", help="which one; all if left out")
    add("--orders", type=int, metavar="N", help="how many orders (or requests, or effects)")
    add("--seconds", type=int, metavar="S", help="how long, for open_loop, crash and overload")
    add(
        "--database", metavar="URL",
        help="for read_side: fill and measure this one, which is empty: postgresql://... or sqlite:///PATH",
    )  # fmt: skip
    add("--quick", action="store_true", help="small sizes: whether it works, not how fast")


def run(arguments: argparse.Namespace, resolved: Resolved) -> int:
    import importlib
    import sys
    import time

    from scripts.bench.measuring import Bar, show_bars
    from scripts.client import Refused, Unreachable
    from scripts.load.run import ClientFailed
    from scripts.supervision.temporary import DidNotStart

    if arguments.database and arguments.name != "read_side":
        print("dray: --database is for read_side", file=sys.stderr)
        return 2
    given = {"database": arguments.database} if arguments.database else {}
    failed: list[str] = []
    bars: list[Bar] = []
    names = [arguments.name] if arguments.name else list(NAMES)
    for number, name in enumerate(names, 1):
        bench = NAMES[name]
        print(f"== {name} ({number} of {len(names)}): {bench.what}", flush=True)
        size = (arguments.seconds if bench.timed else arguments.orders) or (bench.quick if arguments.quick else 0)
        began = time.monotonic()
        try:
            shown = importlib.import_module(f"scripts.bench.{name}").run(*([size] if size else []), **given)
            bars += (bar for bar in shown if isinstance(bar, Bar))  # others return their rows
        except (DidNotStart, Refused, Unreachable, ClientFailed, AssertionError, EOFError) as error:
            print(f"dray: {name}: {error}", file=sys.stderr, flush=True)
            failed.append(name)
        print(f"-- {name} took {time.monotonic() - began:.0f} s\n", flush=True)
    if len(names) > 1:
        show_bars(bars)
        print(f"failed: {', '.join(failed)}" if failed else "none failed")
    return 1 if failed else 0
