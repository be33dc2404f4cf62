"""How bad things are: the rates of everything that can go wrong on a way, drawn from the seed for each run."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

Range = tuple[float, float]
"""Seconds, drawn evenly from between the two."""


@dataclass(frozen=True)
class Weather:
    """Latencies in seconds; rates are probabilities per call.

    lost:       it never arrives, and the caller hears so after a while.
    unanswered: it arrives, and the caller hears that it failed.
    doubled:    it arrives twice.
    late:       the caller hears that it failed, and it arrives after that.
    """

    message_s: Range = (0.0005, 0.002)
    message_lost: float = 0.0
    message_unanswered: float = 0.0
    message_doubled: float = 0.0
    message_late: float = 0.0
    journal_s: Range = (0.0002, 0.001)
    journal_lost: float = 0.0
    journal_unanswered: float = 0.0
    journal_late: float = 0.0
    payment_s: Range = (0.01, 0.04)
    payment_lost: float = 0.0
    payment_unanswered: float = 0.0
    payment_late: float = 0.0
    payment_error: float = 0.0  # a 500 without effect, which the vendor saves and replays
    payment_error_after: float = 0.0  # a 500 after the effect
    payment_throttled: float = 0.0
    payment_slow: float = 0.0
    gateway_unanswered: float = 0.0  # a client loses the connection to its gateway


CALM = Weather()


def storm(random: Random) -> Weather:
    """The weather of a run while its faults last. Each kind of trouble is absent from some runs and heavy in others, so
    that no trouble hides another."""

    def rate(most: float) -> float:
        return random.choice((0.0, 0.0, 0.2, 1.0)) * most * random.random()

    def spread(least: float, most: float) -> Range:
        return least, least + random.choice((0.1, 1.0)) * most * random.random()

    return Weather(
        message_s=spread(0.0005, 0.3),
        message_lost=rate(0.2),
        message_unanswered=rate(0.2),
        message_doubled=rate(0.3),
        message_late=rate(0.2),
        journal_s=spread(0.0002, 0.1),
        journal_lost=rate(0.15),
        journal_unanswered=rate(0.15),
        journal_late=rate(0.1),
        payment_s=spread(0.01, 0.5),
        payment_lost=rate(0.3),
        payment_unanswered=rate(0.3),
        payment_late=rate(0.2),
        payment_error=rate(0.2),
        payment_error_after=rate(0.2),
        payment_throttled=rate(0.4),
        payment_slow=rate(0.2),
        gateway_unanswered=rate(0.3),
    )
