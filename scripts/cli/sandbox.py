"""Run the Stripe-compatible server alone, for anyone's Stripe client.

    dray sandbox --port 12111 --faults FILE --seed K        `dray sandbox --help` lists all its options
"""

from __future__ import annotations

import argparse
import os
import sys

from scripts.settings import Resolved


def configure(parser: argparse.ArgumentParser) -> None:
    """The options are the server's own: see `hand_over`."""


def hand_over(options: list[str]) -> int:
    """Become the server, with its options as they were typed."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "scripts.sandbox", *options])


def run(_arguments: argparse.Namespace, _resolved: Resolved) -> int:
    return hand_over([])
