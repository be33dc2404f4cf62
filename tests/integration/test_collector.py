"""Garbage is looked for by samples, and often where some was found; in a process of its own, for real."""

import os
import subprocess
import sys
from pathlib import Path

from scripts.collector import ASIDE_MAX, FIRST_WALKED, SAMPLED, Sampling

CYCLES = """
import asyncio, gc, time, weakref
from scripts.collector import spare_the_collector

class Node:
    pass

def cycle():
    node = Node()
    node.self = node
    return weakref.ref(node)

async def main():
    spare_the_collector(1_000)
    cycles, deadline = [], time.monotonic() + 60
    while not (cycles and cycles[-1]() is None and sum(each() is None for each in cycles) > len(cycles) // 2):
        assert time.monotonic() < deadline, "nothing was collected"
        cycles = [*cycles[-20_000:], *(cycle() for _ in range(2_000))]
        await asyncio.sleep(0.05)
    kept = [Node() for _ in range(2_000)]
    seen = [weakref.ref(each) for each in kept]
    await asyncio.sleep(0.5)
    del kept
    assert all(each() is None for each in seen), "what has been set aside goes by its reference counts"

asyncio.run(main())
print("collected")
"""


def samples(garbage: list[int], generations: int, *, quiet: bool = False) -> list[str]:
    """What becomes of so many generations, in which the walks find `garbage`, and then nothing."""
    done: list[str] = []
    found = iter(garbage)

    def walk() -> int:
        done.append("walked")
        return next(found, 0)

    sampling = Sampling(walk, lambda: done.append("aside"), lambda: done.append("all"))
    for _ in range(generations):
        sampling.full()
        if quiet:
            sampling.quiet()
    return done


FIRST = ["walked"] * FIRST_WALKED
SELDOM = [*["aside"] * (SAMPLED - 1), "walked"]


def test_while_there_is_no_garbage_one_of_many_is_walked_but_all_in_the_beginning():
    assert samples([], FIRST_WALKED + 3 * SAMPLED) == FIRST + 3 * SELDOM


def test_where_there_was_garbage_all_are_walked_until_as_many_had_none():
    done = samples([0] * FIRST_WALKED + [7], FIRST_WALKED + 3 * SAMPLED)
    assert done == FIRST + SELDOM + ["walked"] * SAMPLED + SELDOM


def test_garbage_again_and_again_is_walked_for_ever_and_never_set_aside():
    assert "aside" not in samples([1] * 10 * SAMPLED, 4 * SAMPLED)


def test_a_quiet_moment_after_many_that_were_set_aside_is_used_to_walk_everything():
    done = samples([], 2 * ASIDE_MAX, quiet=True)
    assert done.count("all") == 1
    assert done[: done.index("all")].count("aside") == ASIDE_MAX
    assert "all" not in samples([], 2 * ASIDE_MAX), "there was no quiet moment"


def test_a_process_that_leaves_cycles_gets_rid_of_them():
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ran = subprocess.run(
        [sys.executable, "-c", CYCLES], env=environment, capture_output=True, text=True, timeout=150, check=False
    )
    assert ran.stdout.split() == ["collected"], ran.stderr
