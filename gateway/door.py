"""The door for new orders. It shuts for a moment when the system is full, so that refusing costs next to nothing.

An order that is refused by a host has been sent it: parsed, priced, sealed, encoded. At twice the load that a system
can take, half of that CPU would go into orders that come to nothing. So the door is the first thing that a new order
meets, before its key is looked at and its body is read. What hosts have under way lasts them far longer than the door
is shut, so they do not run dry meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping

from gateway.backlog import Backlog


class Door:
    """One gateway's.

    backlog:     what has come in and is not durable yet; more than it has room for stays outside.
    shut_s:      how long it stays shut once a host has refused an order.
    round_s_max: the longest that one round of the event loop may take. All that has arrived meanwhile waits for as
                 long: the gateway itself is what is full, and no host would ever say so. It then stays shut for as long
                 as the round was.
    waiting_max: how much may wait on its way to the hosts, by `waiting`: lines of batches, too, which pass no door.
    repeats_max: so many requests that were answered are remembered. Sent again, they come in as long as the backlog
                 is not at its very end: their order is there, and its customer wants to know what becomes of it.
    """

    def __init__(
        self, backlog: Backlog, *, shut_s: float, round_s_max: float, waiting_max: int, repeats_max: int,
        waiting: Callable[[], int] = lambda: 0, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.backlog = backlog
        self._shut_s = shut_s
        self._round_s_max = round_s_max
        self._waiting_max = waiting_max
        self._waiting = waiting
        self._clock = clock
        self._shut_until = float("-inf")
        self._watching = False
        self._repeats = Repeats(repeats_max)

    def admit(self, headers: Iterable[tuple[bytes, bytes]]) -> Admission | None:
        """Let one request in, or refuse it: None. Who is let in tells when it is `over`, whatever came of it."""
        now = self._clock()
        if not self._watching:
            self._watching = True
            asyncio.get_running_loop().call_soon(self._round_over, now)
        if self.turns_away(headers):
            return None
        self.backlog.waiting += 1
        return Admission(self, now)

    def turns_away(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether a request is refused at this moment, and if so count it. Who is not has yet to be admitted."""
        backlog = self.backlog
        full = self._clock() < self._shut_until or backlog.full() or self._waiting() > self._waiting_max
        if full and (backlog.overfull() or not self._repeats.is_one(dict(headers))):
            backlog.refused()
            return True
        return False

    def accepted(self, headers: Mapping[bytes, bytes]) -> None:
        """This request has placed an order."""
        self._repeats.remember(headers)

    def shut(self) -> None:
        """A host is full."""
        self._shut_for(self._shut_s)

    def took(self, since: float) -> None:
        """An order is durable that came in at `since`."""
        now = self._clock()
        self.backlog.answered(now, now - since)

    def _round_over(self, began: float) -> None:
        self._watching = False
        took_s = self._clock() - began
        if took_s > self._round_s_max:
            self._shut_for(took_s)

    def _shut_for(self, seconds: float) -> None:
        self._shut_until = max(self._shut_until, self._clock() + seconds)


class Admission:
    """One request that has been let in, until its order is durable, or will not be."""

    __slots__ = ("_door", "_since")

    def __init__(self, door: Door, since: float) -> None:
        self._door: Door | None = door
        self._since = since

    def durable(self) -> None:
        """Its order is safe; what the customer may still wait for is no matter of the door's. May be said twice."""
        door = self._door
        if door is not None:
            self.over()
            door.took(self._since)

    def over(self) -> None:
        """It has been answered, in whatever way."""
        if self._door is not None:
            self._door.backlog.waiting -= 1
            self._door = None


class Repeats:
    """The idempotency keys of requests that have placed an order, the last ones, each with the credentials that it came
    with. Only a memory of what was seen here: the journal decides who came first."""

    def __init__(self, keys_max: int) -> None:
        self._keys_max = keys_max
        self._seen: OrderedDict[tuple[bytes, bytes], None] = OrderedDict()

    def remember(self, headers: Mapping[bytes, bytes]) -> None:
        """Any request of the kind; one without a key leaves nothing."""
        key = _key_of(headers)
        if key[1]:
            self._seen[key] = None
            if len(self._seen) > self._keys_max:
                self._seen.popitem(last=False)

    def is_one(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether its like has been here before."""
        return _key_of(headers) in self._seen


def _key_of(headers: Mapping[bytes, bytes]) -> tuple[bytes, bytes]:
    return headers.get(b"authorization", b""), headers.get(b"idempotency-key", b"")
