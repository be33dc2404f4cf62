"""Run the simulated cluster from seeds, and say which of them break an invariant.

    dray sim --seeds 300        `dray sim --help` lists all its options
"""

from __future__ import annotations

import argparse

from scripts.settings import Resolved


def configure(parser: argparse.ArgumentParser) -> None:
    """The options are the simulator's own: see `hand_over`."""


def hand_over(options: list[str]) -> int:
    """Run the simulator with its options as they were typed."""
    from scripts import simulate

    return simulate.main(options)


def run(_arguments: argparse.Namespace, _resolved: Resolved) -> int:
    return hand_over([])
