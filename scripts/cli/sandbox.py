"""Run the Stripe-compatible server alone, for anyone's Stripe client.

    dray sandbox --port 12111 --faults FILE --seed K        `dray sandbox -- --help` lists all its options
"""

from __future__ import annotations

import argparse
import os
import sys

from scripts.settings import Resolved


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("options", nargs=argparse.REMAINDER, help="as the sandbox takes them")


def run(arguments: argparse.Namespace, resolved: Resolved) -> int:
    options: list[str] = arguments.options
    if options[:1] == ["--"]:
        options = options[1:]
    given = ["--data", str(arguments.setting_data)] if arguments.setting_data else []
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "scripts.sandbox", *given, *options])
