"""How many new orders may be on their way at a time: as many as are durable within the time that one may take.

A fixed number is wrong on most machines: for what a fast one works off in a moment, a slow or busy one takes half a
minute, and all who come meanwhile wait as long, only to be told that nobody knows. So the bound follows the pace.
The idea is CoDel's (RFC 8289): a queue that is long for a moment does no harm, one that never gets short does, and how
long those took that left it tells them apart, whatever made it long. How many may then be in it is Little's law.
"""

from __future__ import annotations

import math


class Backlog:
    """The orders that have been let in and are not durable yet, and how many of them there may be. It has no clock.

    wait_s:   how long an order may take from the door until it is durable.
    few:      as many may always be on their way, however long it takes.
    many:     never more than that.
    window_s: as much is looked at to tell how fast it goes. If in all of it nobody took less than `wait_s`, there is
              room for what is answered in `wait_s`; else there is more room than before.
    """

    GROWTH = 1.05  # what it did is known only once these are answered: faster, and it swings

    def __init__(self, *, wait_s: float, few: int, many: int, window_s: float, retry_after_s_max: int) -> None:
        self.waiting = 0
        self.room = many
        self.retry_after_s = 1
        self._wait_s = wait_s
        self._few = few
        self._many = many
        self._window_s = window_s
        self._retry_after_s_max = retry_after_s_max
        self._began = float("-inf")
        self._answered = 0
        self._refused = 0
        self._shortest_s = float("inf")

    def full(self) -> bool:
        """True if no other may come in now."""
        return self.waiting >= self.room

    def overfull(self) -> bool:
        """True if there are as many as there may ever be."""
        return self.waiting >= self._many

    def answered(self, now: float, took_s: float) -> None:
        """One of them is durable, `took_s` after it came in."""
        if now - self._began >= self._window_s:
            self._look(now)
        self._answered += 1
        self._shortest_s = min(self._shortest_s, took_s)

    def refused(self) -> None:
        """One was sent away."""
        self._refused += 1

    def _look(self, now: float) -> None:
        """Draw conclusions from the window that is over."""
        if self._answered:
            if self._shortest_s > self._wait_s:
                room = self._answered / (now - self._began) * self._wait_s
            else:
                room = float(math.ceil(self.room * self.GROWTH))
            self.room = int(min(max(room, self._few), self._many))
            # They all come again: the more there are, the later.
            self.retry_after_s = min(max(1, round(self._refused / self._answered)), self._retry_after_s_max)
        self._began = now
        self._answered = self._refused = 0
        self._shortest_s = float("inf")
