"""Test a running system under load and audit it.

Closed loop (--in-flight N: orders posted and not yet ended) or open loop (--rate R: orders are sent when they are due,
whatever the system does, and latencies count from that moment). Most posts carry `Prefer: wait=10`, so that one request
lasts until the order has ended; every 20th (--sample) is a plain one, whose 202 measures acceptance and which is then
posted again with the same key to wait for its end.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.settings import Resolved

if TYPE_CHECKING:
    from scripts.load.plan import Plan

CLIENT_RATE_MAX = 5_000.0
CLIENT_IN_FLIGHT_MAX = 4_000


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--orders", type=int, default=0, metavar="N", help="end after N orders")
    add("--duration", type=float, default=0.0, metavar="S", help="end after S seconds (default: 30 if no --orders)")
    add("--rate", type=float, default=0.0, metavar="R", help="open loop: R orders per second")
    add("--in-flight", type=int, default=64, metavar="N", help="closed loop: N orders posted and not yet ended (64)")
    add("--lines", type=int, default=2, metavar="N", help="lines per order (2)")
    add("--skus", type=int, default=100, metavar="N", help="SKUs on sale (100)")
    add("--zipf", type=float, default=1.1, metavar="S", help="exponent of Zipf's law of their popularity (1.1)")
    add("--suppliers", type=int, default=10, metavar="N", help="suppliers that they belong to (10)")
    add("--ramp", action="store_true", help="rise to the full rate, or number in flight, during the first half")
    add(
        "--spike",
        type=float,
        nargs="?",
        const=3.0,
        default=1.0,
        metavar="X",
        help="X (3) times as much in the middle fifth",
    )
    add("--hot-sku", action="store_true", help="every order wants one unit of one SKU")
    add("--hot-units", type=int, metavar="N", help="units of the hot SKU (default: a tenth of --orders, or 1,000)")
    add("--one-supplier", action="store_true", help="all lines of an order come from one supplier")
    for kind, what in (
        ("declines", "whose card is declined"), ("shortages", "of something that is out of stock"),
        ("rejections", "that a supplier rejects"), ("cancellations", "that are cancelled once confirmed"),
        ("manual", "for a supplier that has to accept by hand"),
    ):  # fmt: skip
        add(f"--{kind}", type=float, default=0.0, metavar="PCT", help=f"per cent of orders {what}")
    add("--sample", type=int, metavar="N", help="measure acceptance on every Nth order (20; open loop 4)")
    add("--clients", type=int, default=0, metavar="N", help="client processes (default: as many as needed)")
    add("--seed", type=int, default=0, metavar="K", help="of what is drawn at random")
    add("--json", type=Path, metavar="FILE", help="write the result there")
    add("--report", type=Path, metavar="DIR", help="write an HTML page with plots there")
    add("--no-audit", action="store_true", help="leave the audit out")


def plan_of(arguments: argparse.Namespace) -> Plan:
    """Raises BadPlan."""
    from scripts.load.plan import OPEN_LOOP_SAMPLE, SAMPLE, Plan, checked

    rate, in_flight = arguments.rate, arguments.in_flight
    hot = arguments.hot_units
    if hot is None:
        hot = (arguments.orders // 10 or 1_000) if arguments.hot_sku else -1
    needed = max(1, round(rate / CLIENT_RATE_MAX + 0.499), -(-in_flight // CLIENT_IN_FLIGHT_MAX))
    kinds = ("declines", "shortages", "rejections", "cancellations", "manual")
    sample = arguments.sample if arguments.sample is not None else (OPEN_LOOP_SAMPLE if rate else SAMPLE)
    return checked(
        Plan(
            orders=arguments.orders, duration_s=arguments.duration or (0.0 if arguments.orders else 30.0), rate=rate,
            in_flight=in_flight, lines=arguments.lines, skus=arguments.skus, zipf=arguments.zipf,
            suppliers=min(arguments.suppliers, arguments.skus), ramp=arguments.ramp, spike=arguments.spike,
            hot_units=hot, one_supplier=arguments.one_supplier, sample=sample, clients=arguments.clients or needed,
            seed=arguments.seed, **{name: getattr(arguments, name) for name in kinds},
        )
    )  # fmt: skip


def run(arguments: argparse.Namespace, resolved: Resolved) -> int:
    import asyncio
    import json
    import sys

    from scripts.client import Refused, Unreachable
    from scripts.load.audited import audited
    from scripts.load.plan import BadPlan
    from scripts.load.report import write
    from scripts.load.run import ClientFailed, LoadTest
    from scripts.load.shown import Progress, table

    try:
        plan = plan_of(arguments)
    except BadPlan as error:
        print(f"dray: {error}", file=sys.stderr)
        return 2
    progress = Progress(plan)
    test = LoadTest(resolved.settings, plan, progress)
    try:
        measured = asyncio.run(test.run())
    except (Refused, Unreachable, ClientFailed) as error:
        print(f"dray: {error}", file=sys.stderr)
        return 1
    finally:
        progress.close()
    print(table(measured), flush=True)
    passed = arguments.no_audit or audited(measured, resolved.settings)
    if arguments.json:
        arguments.json.write_text(json.dumps(measured.to_json(), indent=2) + "\n")
    if arguments.report:
        print(f"report         {write(measured, arguments.report)}")
    return 0 if passed and not measured.lost() else 1
