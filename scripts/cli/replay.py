"""Post real order history (UCI "Online Retail" layout) into a running system, and reconcile it to the penny.

Each invoice becomes an order, cancellation rows become refunds, rows that are no valid order line are listed with line
number and reason. A second run goes on where the first stopped, and doubles nothing. Exit code 0 only if what was read,
posted, captured, refunded and sold agrees.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from scripts.settings import Resolved

IN_FLIGHT = 64


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the history, .csv or .csv.gz")
    parser.add_argument("--limit", type=_whole, metavar="N", help="only the first N invoices (and what cancels them)")
    parser.add_argument("--rate", type=_rate, default=0.0, metavar="R", help="at most R orders a second")
    parser.add_argument(
        "--in-flight",
        type=_whole,
        default=IN_FLIGHT,
        metavar="N",
        help=f"orders posted and not yet ended ({IN_FLIGHT})",
    )


def run(arguments: argparse.Namespace, resolved: Resolved) -> int:
    from scripts.client import Refused, Unreachable
    from scripts.replay.crew import Stopped
    from scripts.replay.rows import BadFile
    from scripts.replay.run import Plan, replay

    plan = Plan(arguments.file, arguments.limit, arguments.rate, arguments.in_flight)
    try:
        good = asyncio.run(replay(resolved.settings, plan, lambda line: print(line, flush=True)))
    except (BadFile, OSError) as error:
        print(f"dray: {error}", file=sys.stderr)
        return 2
    except (Refused, Unreachable) as error:
        print(f"dray: {error}\nThe same command goes on from here.", file=sys.stderr)
        return 1
    except Stopped:
        print("The same command goes on from here.", file=sys.stderr)
        return 130
    return 0 if good else 1


def _whole(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number from 1 on, not {text!r}")
    return int(text)


def _rate(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"orders a second, not {text!r}")
    return value
