"""Run the repository's benchmarks, all or one.

Each prints a table and a JSON line. Those of whole systems start one of their own and stop it afterwards; the figures
are worth something on a machine that does nothing else.
"""

from __future__ import annotations

import argparse

from scripts.settings import Resolved

NAMES = {
    "saga": "orders from POST to confirmed, 64 and 256 in flight",
    "acceptance": "POST to a durable 202, beside a bare FastAPI POST",
    "hot_sku": "a tenth as many units as buyers, of one SKU",
    "wide": "orders with 100 lines",
    "batch": "NDJSON batch intake",
    "growth": "rate and memory as orders pile up",
    "activation": "a crash: time to be ready, reading cold and warm orders",
    "router": "to an actor and back",
    "journal": "commits of a busy host",
    "archive": "orders at rest leave Redis",
    "projector": "CPU of the read side",
    "read_side": "lists, searches, reports and exports, of 1,000 orders up to as many as said",
    "gateway": "CPU of a gateway whose actors answer at once",
    "payments": "CPU of each Payments adapter",
    "sandbox": "the Stripe-compatible sandbox",
}


def configure(parser: argparse.ArgumentParser) -> None:
    names = "\n".join(f"  {name:<11} {what}" for name, what in NAMES.items())
    parser.description = f"{parser.description}\n{names}"
    parser.add_argument("name", nargs="?", choices=NAMES, metavar="NAME", help="which one; all if left out")
    parser.add_argument("--orders", type=int, metavar="N", help="how many orders (or requests, or effects)")


def run(arguments: argparse.Namespace, resolved: Resolved) -> int:
    import importlib
    import sys

    from scripts.supervision.temporary import DidNotStart

    failed = False
    for name in [arguments.name] if arguments.name else NAMES:
        print(f"== {name}: {NAMES[name]}", flush=True)
        module = importlib.import_module(f"scripts.bench.{name}")
        try:
            module.run(*([arguments.orders] if arguments.orders else []))
        except (DidNotStart, AssertionError) as error:
            print(f"dray: {name}: {error}", file=sys.stderr)
            failed = True
    return 1 if failed else 0
