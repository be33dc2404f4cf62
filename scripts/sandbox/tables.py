"""Tables of records by id, in order of creation, with the indexes that list filters need."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

R = TypeVar("R", bound=tuple[Any, ...])
Index = dict[str, str | list[str]]  # value -> the id that has it, or a list of several: most values occur once


class Table(Generic[R]):
    """Records of one kind. Ids the sandbox mints sort in order of creation, which paging relies on."""

    def __init__(self, row: type[R], *indexed: str) -> None:
        self.row = row
        self.rows: dict[str, R] = {}
        self._order: list[str] = []
        self._by: dict[str, Index] = {field: {} for field in indexed}

    def __len__(self) -> int:
        return len(self.rows)

    def put(self, id: str, record: R) -> None:
        """Insert or replace one record and keep the indexes true."""
        old = self.rows.get(id)
        self.rows[id] = record
        if old is None:
            self._order.append(id)
        for field, index in self._by.items():
            value = getattr(record, field)
            if old is not None:
                before = getattr(old, field)
                if before == value:
                    continue
                if before:
                    _remove(index, before, id)
            if value:
                _add(index, value, id)

    def where(self, field: str, value: str) -> list[R]:
        """Records whose indexed `field` equals `value`, oldest first."""
        rows = self.rows
        return [rows[id] for id in _ids(self._by[field], value)]

    def has_index(self, field: str) -> bool:
        """Whether `field` is indexed."""
        return field in self._by

    def newest_first(self, before: str = "", narrowed: tuple[str, str] | None = None) -> Iterator[R]:
        """Walk from the newest record, or from the one older than `before`; `narrowed` is (indexed field, value).

        Raises KeyError if `before` is not here.
        """
        order = self._order if narrowed is None else _ids(self._by[narrowed[0]], narrowed[1])
        stop = len(order)
        if before:
            stop = bisect_left(order, before)
            if stop == len(order) or order[stop] != before:
                if before not in self.rows:
                    raise KeyError(before)
                if before in order:  # ids given by hand are not in sorted order
                    stop = order.index(before)
        rows = self.rows
        for place in range(stop - 1, -1, -1):
            yield rows[order[place]]

    def snapshot(self) -> Iterable[R]:
        """All records as they are now, oldest first; stays true while requests go on."""
        return list(self.rows.values())


def _add(index: Index, value: str, id: str) -> None:
    held = index.get(value)
    if held is None:
        index[value] = id
    elif isinstance(held, str):
        index[value] = [held, id]
    else:
        held.append(id)


def _remove(index: Index, value: str, id: str) -> None:
    held = index[value]
    if isinstance(held, str):
        del index[value]
    else:
        held.remove(id)


def _ids(index: Index, value: str) -> list[str]:
    held = index.get(value, [])
    return [held] if isinstance(held, str) else held
