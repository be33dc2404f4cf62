"""Many rows inside one immutable state: a persistent map, and a memory of settled rows that forgets.

A state with 100,000 rows in one dict would have to be copied whole by every `evolve`. Here all versions of a map share
one dict, which is what the newest of them holds; an older one knows how it differs from the version after it, and takes
the dict back when it is asked (Henry G. Baker, "Shallow Binding Makes Functional Arrays Fast", 1991). So states stay
values: a turn that is abandoned leaves nothing behind, and what happens all the time costs what a dict costs
(docs/decisions/0010-persistent-rows.md has the measurements).
"""

# ruff: noqa: SLF001 - the versions of a map are one thing

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, TypeVar, get_args

from pydantic_core import core_schema

from models.decision import Millis
from models.record import dataclass

V = TypeVar("V")

_ABSENT: Any = object()


class Rows(Generic[V]):  # noqa: PLW1641 - compared by tests alone
    """A persistent map from strings: `put` and `drop` return a new map and leave this one as it was.

    Whoever keeps an older version keeps with it what every change since has replaced, and takes as long to read it
    first as there were changes. For one thread: reading moves the dict.
    """

    __slots__ = ("_key", "_newer", "_row", "_table")

    def __init__(self, table: dict[str, V] | None = None) -> None:
        """table: from now on of this map alone."""
        self._table: dict[str, V] | None = {} if table is None else table
        self._newer: Rows[V] | None = None  # who has it instead, or knows who has
        self._key = ""  # what differs there: in this version it has
        self._row: V | Any = _ABSENT  # this row, or none

    @property
    def size(self) -> int:
        return len(self._own())

    def get(self, key: str) -> V | None:
        """The row, or None."""
        return self._own().get(key)

    def put(self, key: str, row: V) -> Rows[V]:
        """This map with the row in it, new or replaced."""
        table = self._own()
        if not table:  # an empty map is where many begin
            return Rows({key: row})
        before: V | Any = table.get(key, _ABSENT)
        table[key] = row
        return self._handed_on(table, key, before)

    def drop(self, key: str) -> Rows[V]:
        """This map without the row. Raises KeyError when there is none."""
        table = self._own()
        before = table.pop(key)
        return self._handed_on(table, key, before)

    def items(self) -> Iterator[tuple[str, V]]:
        """All rows, in no particular order, until this or another version of the map is changed or read."""
        return iter(self._own().items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rows) and dict(self._own()) == other._own()  # a copy: the other may take it back

    def __repr__(self) -> str:
        return f"Rows({self._own()!r})"

    # --- inside -------------------------------------------------------------------------------------------------------

    def _own(self) -> dict[str, V]:
        """The dict, with the rows of this version."""
        return self._table if self._table is not None else self._taken_back()

    def _handed_on(self, table: dict[str, V], key: str, before: V | Any) -> Rows[V]:
        """The version after this one, which holds the dict from now on."""
        newer = Rows(table)
        self._table, self._newer, self._key, self._row = None, newer, key, before
        return newer

    def _taken_back(self) -> dict[str, V]:
        """Undo in the dict, newest first, what later versions have changed; each of them notes how it differs."""
        later: list[Rows[V]] = [self]
        while later[-1]._table is None:
            newer = later[-1]._newer
            assert newer is not None, "the newest version holds the dict"
            later.append(newer)
        newer = later.pop()
        table = newer._table
        assert table is not None
        while later:
            older = later.pop()
            key, row = older._key, older._row
            newer._table, newer._newer, newer._key, newer._row = None, older, key, table.get(key, _ABSENT)
            if row is _ABSENT:
                del table[key]
            else:
                table[key] = row
            newer = older
        self._table, self._newer, self._row = table, None, _ABSENT
        return table

    # --- as it is stored ----------------------------------------------------------------------------------------------

    def _plain(self) -> dict[str, V]:
        return self._own()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """A JSON object of its rows; that of older records is two levels of them, by digests of the keys."""
        rows = core_schema.dict_schema(core_schema.str_schema(), handler.generate_schema(get_args(source)[0]))
        return core_schema.no_info_before_validator_function(
            _of_one_level, core_schema.no_info_after_validator_function(Rows, rows)
        )


def _of_one_level(stored: Any) -> Any:
    """Raises ValueError."""
    if isinstance(stored, dict) and stored.keys() == {"size", "branches"}:
        try:
            leaves = [leaf for branch in stored["branches"].values() for leaf in branch.values()]
            return {key: row for leaf in leaves for key, row in leaf.items()}
        except AttributeError:
            raise ValueError("these are no rows in two levels") from None
    return stored


TAIL_EVENTS_MAX = 100_000


def tail_worth(rows: int) -> int:
    """After how many events a snapshot of so many rows pays: half of them, hence two rows are written again for each
    event. Longer tails would save bytes, but they are what a new owner has to fold before the actor answers again, so
    there is an end to it: 0.1 s, compiled."""
    return min(rows // 2, TAIL_EVENTS_MAX)


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
        for rows in self.generations:
            row = rows.get(key)
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
