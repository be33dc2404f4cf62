"""How the processes that serve orders collect garbage."""

from __future__ import annotations

import gc


def spare_the_collector() -> None:
    """Let the garbage collector look rarely, and never again at what start-up has made.

    Turns, folding and requests make many small immutable records and hardly a cycle; with CPython's defaults a fifth of
    a host's time went into walking them (measured: 1.70 ms of CPU per order against 1.34 ms). The middle generation is
    looked at every quarter of a million objects, since each look stops the world (0.4 s at a million), and the oldest
    one never: what is old goes by its reference counts.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 5, 1_000_000)
