"""`dray sim`: runs the simulated cluster from seeds and says which of them break an invariant.

For the command line: `main(argv)` takes the arguments after `sim` and returns the exit code. A failing seed is one
line that says what broke and how to replay it: `dray sim --seed K` does exactly the same again, and tells its story.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from scripts.simulation.run import Verdict, simulate

SEEDS = 300
STORY_LINES = 60


def main(argv: Sequence[str]) -> int:
    """Returns 0 if every seed kept every invariant, 1 if not, 2 for wrong arguments."""
    parser = argparse.ArgumentParser(prog="dray sim", description="Run the simulated cluster and check A1 to A10.")
    parser.add_argument("--seeds", type=int, default=SEEDS, metavar="N", help=f"run seeds 0 to N-1 (default {SEEDS})")
    parser.add_argument("--seed", type=int, metavar="K", help="replay one seed and show how it ended")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes to use")
    parser.add_argument("--trace", metavar="FILE", help="with --seed: write everything that happened to FILE")
    try:
        asked = parser.parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    if asked.seed is not None:
        return _replay(asked.seed, asked.trace)
    return _run_all(range(asked.seeds), max(1, asked.jobs))


def _replay(seed: int, trace: str | None) -> int:
    verdict = simulate(seed, keep_trace=True)
    if trace:
        Path(trace).write_text("\n".join(verdict.trace) + "\n", encoding="utf-8")
    else:
        print("\n".join(verdict.trace[-STORY_LINES:]))
    print(
        f"seed {seed}: {verdict.orders} orders, {verdict.events} events in {verdict.virtual_s:.0f} simulated seconds,"
        f" trace {verdict.digest}"
    )
    for violation in verdict.violations:
        print(f"  {violation}")
    print("every invariant held" if verdict.passed else f"{len(verdict.violations)} violations")
    return 0 if verdict.passed else 1


def _run_all(seeds: range, jobs: int) -> int:
    began_s = time.monotonic()
    failed = orders = events = done = 0
    for verdict in _verdicts(seeds, jobs):
        done += 1
        orders += verdict.orders
        events += verdict.events
        if not verdict.passed:
            failed += 1
            print(f"seed {verdict.seed}: {verdict.violations[0]}; replay: dray sim --seed {verdict.seed}", flush=True)
        elif done % 50 == 0 and sys.stderr.isatty():
            print(f"{done} of {len(seeds)} seeds", file=sys.stderr)
    took_s = time.monotonic() - began_s
    print(f"{done} seeds, {orders} orders, {events} events in {took_s:.1f} s: {failed or 'none'} failed")
    return 1 if failed else 0


def _verdicts(seeds: Iterable[int], jobs: int) -> Iterator[Verdict]:
    if jobs == 1:
        yield from map(simulate, seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(simulate, seeds, chunksize=4)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
