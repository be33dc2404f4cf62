"""Answers that come later: `Prefer: wait` and streams ask to be told once an actor has got somewhere.

A watch is volatile. When its host dies the asker reads again; when its cell moves the host says MOVED.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from typing import NamedTuple

from actors.runtime.envelope import Reply, Status
from models.decision import Address, Millis


class Watch(NamedTuple):
    sender: str
    watch_id: int
    kind: str
    expires_at: Millis


class Notices:
    """Watches by actor, and the notices that wait for a call of their sender to carry them back."""

    def __init__(self, watches_max: int, answer_bytes_max: int) -> None:
        self._watches_max = watches_max
        self._answer_bytes_max = answer_bytes_max
        self._watches: dict[Address, list[Watch]] = {}
        self._count = 0
        self._ready: defaultdict[str, deque[tuple[int, Reply]]] = defaultdict(deque)
        self._calls: defaultdict[str, int] = defaultdict(int)
        self._lingering: dict[str, asyncio.Future[None]] = {}
        self._unclaimed: set[str] = set()  # senders whose notices nobody came for since the last sweep

    def __len__(self) -> int:
        return self._count

    def full(self) -> bool:
        return self._count >= self._watches_max

    def watch(self, home: Address, watch: Watch) -> None:
        self._watches.setdefault(home, []).append(watch)
        self._count += 1

    def watched(self, home: Address) -> bool:
        return home in self._watches

    def of(self, home: Address) -> list[Watch]:
        return self._watches.get(home, [])

    def resolve(self, home: Address, reply: Reply) -> None:
        """Tell everybody who watches `home`."""
        watches = self._watches.pop(home, ())
        self._count -= len(watches)
        for watch in watches:
            self._ready[watch.sender].append((watch.watch_id, reply))
        for sender in {watch.sender for watch in watches}:
            self._wake(sender)

    def moved(self, homes: list[Address]) -> None:
        """The host no longer owns these: their watchers must ask elsewhere."""
        for home in homes:
            if home in self._watches:
                self.resolve(home, Reply(Status.MOVED))

    def expire(self, now: Millis) -> None:
        """Drop watches whose asker has given up, and notices of senders that are gone."""
        for home in list(self._watches):
            kept = [watch for watch in self._watches[home] if watch.expires_at > now]
            self._count -= len(self._watches[home]) - len(kept)
            if kept:
                self._watches[home] = kept
            else:
                del self._watches[home]
        absent = {sender for sender in self._ready if sender not in self._calls and sender not in self._lingering}
        for sender in absent & self._unclaimed:
            del self._ready[sender]
        self._unclaimed = absent

    # --- carrying them back: on any answer to the sender, else on a lingering call ------------------------------------

    def call_begins(self, sender: str) -> None:
        self._calls[sender] += 1

    def call_ends(self, sender: str, answered_bytes: int = 0) -> list[tuple[int, Reply]]:
        """The notices that this call's answer carries beside `answered_bytes` of replies. What has no room rides on the
        next one: answers above the transport's inline limit take a slower way round."""
        self._calls[sender] -= 1
        if not self._calls[sender]:
            del self._calls[sender]
        carried = self._carried(sender, self._answer_bytes_max - answered_bytes)
        if sender in self._ready:
            self._wake(sender)
        return carried

    def left(self, sender: str) -> bool:
        """True if there are notices for this sender that have had no room: it shall come for them at once, or a host
        whose calls are always under way would tell no more than these have room for."""
        return bool(self._ready.get(sender))

    def _carried(self, sender: str, room_bytes: int) -> list[tuple[int, Reply]]:
        """The ready notices that there is room for; the last may exceed it, so that the largest has its turn, too."""
        self._unclaimed.discard(sender)
        ready = self._ready.get(sender)
        carried: list[tuple[int, Reply]] = []
        while ready:
            if room_bytes <= 0:
                return carried
            room_bytes -= len(ready[0][1].body)
            carried.append(ready.popleft())
        self._ready.pop(sender, None)
        return carried

    async def linger(self, sender: str, timeout_s: float) -> list[tuple[int, Reply]]:
        """Hold a call until there are notices for its sender that no other call will carry, or the time is over."""
        previous = self._lingering.pop(sender, None)
        if previous is not None and not previous.done():
            previous.set_result(None)
        if not self._ready.get(sender):
            woken = self._lingering[sender] = asyncio.get_running_loop().create_future()
            timer = asyncio.get_running_loop().call_later(timeout_s, _finish, woken)
            try:
                await woken
            finally:
                timer.cancel()
                if self._lingering.get(sender) is woken:
                    del self._lingering[sender]
        return self._carried(sender, self._answer_bytes_max)

    def _wake(self, sender: str) -> None:
        if self._calls.get(sender):
            return  # an answer that is about to leave carries them
        woken = self._lingering.get(sender)
        if woken is not None:
            _finish(woken)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
