"""The door for new orders. It shuts for a moment when the system is full, so that refusing costs next to nothing.

A host that refuses an order has been sent it: parsed, priced, sealed, encoded. At twice the load that a system can
take, half of that CPU would go into orders that come to nothing. What hosts have under way lasts them far longer than
the door is shut, so they do not run dry meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class Door:
    """One gateway's.

    shut_s:      how long it stays shut once a host has refused an order.
    round_s_max: the longest that one round of the event loop may take. All that has arrived meanwhile waits for as
                 long: the gateway itself is what is full, and no host would ever say so. It then stays shut for as long
                 as the round was.
    waiting_max: how much may wait on its way to the hosts, by `waiting`: they take it more slowly than it comes, and
                 cannot refuse what has not reached them.
    """

    def __init__(
        self, shut_s: float, round_s_max: float, *, waiting_max: int = 0, waiting: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._shut_s = shut_s
        self._round_s_max = round_s_max
        self._waiting_max = waiting_max
        self._waiting = waiting
        self._clock = clock
        self._shut_until = float("-inf")
        self._watching = False

    def open(self) -> bool:
        """Whether a new order may come in."""
        now = self._clock()
        if not self._watching:
            self._watching = True
            asyncio.get_running_loop().call_soon(self._round_over, now)
        return now >= self._shut_until and self._waiting() <= self._waiting_max

    def shut(self) -> None:
        """A host is full."""
        self._shut_for(self._shut_s)

    def _round_over(self, began: float) -> None:
        self._watching = False
        took_s = self._clock() - began
        if took_s > self._round_s_max:
            self._shut_for(took_s)

    def _shut_for(self, seconds: float) -> None:
        self._shut_until = max(self._shut_until, self._clock() + seconds)
