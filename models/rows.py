"""Many rows inside one immutable state: a persistent map, and a memory of settled rows that forgets.

A state with 100,000 rows in one dict would have to be copied whole by every `evolve`. Here a row lives in a trie of
two levels of 64, addressed by the CRC-32 of its key, and a change copies one path: some 64 + 64 + n/4096 entries.
States stay values: an older one is untouched, so a turn that is abandoned leaves nothing behind (docs/decisions/
0010-persistent-rows.md has the measurements).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from functools import lru_cache
from typing import Generic, TypeVar
from zlib import crc32

from models.decision import Millis
from models.record import dataclass

V = TypeVar("V")

FANOUT = 64
_NAMES = tuple(f"{i:02x}" for i in range(FANOUT))  # JSON objects have string keys

Leaf = dict[str, V]
Branch = dict[str, Leaf[V]]
Path = tuple[str, str]
"""Names of the branch and the leaf that hold a key."""


@lru_cache(maxsize=1024)  # a turn asks for the same few keys again and again
def _path(key: str) -> Path:
    digest = crc32(key.encode())
    return _NAMES[digest % FANOUT], _NAMES[digest // FANOUT % FANOUT]


@dataclass(frozen=True)
class Rows(Generic[V]):
    """A persistent map from strings: `put` and `drop` return a new map and leave this one as it was.

    The inner dicts are shared between versions and must never be changed in place.
    """

    size: int = 0
    branches: dict[str, Branch[V]] = field(default_factory=dict)

    def get(self, key: str) -> V | None:
        """The row, or None."""
        return self.find(key, _path(key)) if self.size else None

    def find(self, key: str, path: Path) -> V | None:
        """The row, or None, by a path that the caller has for several maps."""
        branch = self.branches.get(path[0])
        if branch is None:
            return None
        leaf = branch.get(path[1])
        return None if leaf is None else leaf.get(key)

    def put(self, key: str, row: V) -> Rows[V]:
        """This map with the row in it, new or replaced."""
        branch_name, leaf_name = _path(key)
        branches = self.branches.copy()
        branch = branches.get(branch_name)
        branches[branch_name] = branch = {} if branch is None else branch.copy()
        leaf = branch.get(leaf_name)
        branch[leaf_name] = leaf = {} if leaf is None else leaf.copy()
        added = key not in leaf
        leaf[key] = row
        return Rows(self.size + added, branches)

    def drop(self, key: str) -> Rows[V]:
        """This map without the row. Raises KeyError when there is none."""
        branch_name, leaf_name = _path(key)
        branches = self.branches.copy()
        branches[branch_name] = branch = branches[branch_name].copy()
        branch[leaf_name] = leaf = branch[leaf_name].copy()
        del leaf[key]
        if not leaf:
            del branch[leaf_name]
            if not branch:
                del branches[branch_name]
        return Rows(self.size - 1, branches)

    def items(self) -> Iterator[tuple[str, V]]:
        """All rows, in no particular order."""
        for branch in self.branches.values():
            for leaf in branch.values():
                yield from leaf.items()


GAP_MS_MAX = 60_000
"""The most that one silence adds to the age of what is remembered."""


@dataclass(frozen=True)
class Recent(Generic[V]):
    """Remembers a settled row for at least two spans and forgets it after the third, whole generations at a time.

    So forgetting costs nothing per row and needs no clock: age is the sum of the pauses between the settling events
    themselves, each counted as a minute at most. A system that was down for a day, or a host whose clock jumped, does
    not thereby forget the rows that late repeats are about to ask for.

    span_ms:     what a generation may span.
    elapsed_ms:  what the youngest has spanned so far, up to the event at `at`.
    generations: youngest first.
    """

    span_ms: int
    elapsed_ms: int = 0
    at: Millis = 0
    generations: tuple[Rows[V], Rows[V], Rows[V]] = (Rows(), Rows(), Rows())

    def get(self, key: str) -> V | None:
        """The remembered row, or None."""
        path: Path | None = None
        for rows in self.generations:
            if rows.size:
                path = path or _path(key)
                row = rows.find(key, path)
                if row is not None:
                    return row
        return None

    def put(self, key: str, row: V, at: Millis) -> Recent[V]:
        """Remember the row as of the event at `at`; a row remembered before is renewed."""
        elapsed = self.elapsed_ms + min(max(at - self.at, 0), GAP_MS_MAX) if self.at else 0
        young, middle, old = self.generations
        if elapsed >= self.span_ms:
            elapsed = 0
            young, middle, old = Rows(), young, middle
        return Recent(self.span_ms, elapsed, max(at, self.at), (young.put(key, row), middle, old))

    @property
    def size(self) -> int:
        young, middle, old = self.generations
        return young.size + middle.size + old.size
