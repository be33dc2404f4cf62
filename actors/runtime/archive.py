"""The archive: where orders at rest are kept once they have left the journal. Truth is journal plus archive.

What is archived is all that the journal had: every event of an actor and of its companions, in stored form, under one
checksum. If the journal has anything of an actor, the archive's record of it is an old one and does not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple, Protocol

from actors.runtime.ports import Record
from models.decision import Address
from models.record import dataclass


@dataclass(frozen=True)
class Archived:
    """An actor and its companions.

    members:  by kind, all the events that its actor has ever had.
    data_key: the wrapped key that their personal data are sealed with; '' once it was destroyed. Not in the checksum,
              so that it can be.
    """

    home: Address
    members: Mapping[str, Sequence[bytes]]
    data_key: str = ""

    @property
    def version(self) -> int:
        """Events of all members together: of two records of an actor the one with more is the later one."""
        return sum(map(len, self.members.values()))

    def record(self, kind: str) -> Record:
        """One member as the journal would give it."""
        events = self.members.get(kind, ())
        return Record(len(events), None, events, self.data_key if kind == self.home.kind else "")


class Damaged(NamedTuple):
    """A record that is not what was written: nothing of it is served as truth."""

    home: Address
    cause: str


class ArchiveUnavailable(Exception):
    """The archive's database cannot be reached or cannot answer now. Trying again later is right."""


class Archive(Protocol):
    """Durable records of actors that the journal may have let go of. Every method may raise ArchiveUnavailable."""

    async def put(self, records: Mapping[int, Sequence[Archived]]) -> None:
        """Keep records, by shard, in one transaction; durable when it returns. An older record never replaces a later
        one, and a data key is never written to a record that is there already: it may have been destroyed."""
        ...

    async def get(self, shard: int, homes: Sequence[Address]) -> Mapping[Address, Archived | Damaged]:
        """The records of those of these actors that there are."""
        ...

    async def homes(self, shard: int, after: Address | None, limit: int) -> Sequence[Address]:
        """Whose records there are, page by page in the order of their ids."""
        ...

    async def erase_data_keys(self, shard: int, homes: Sequence[Address]) -> None:
        """Destroy the keys of these actors' personal data, for good: also if one of them is archived only later."""
        ...

    async def close(self) -> None: ...


async def all_homes(archive: Archive, shard: int, page: int = 1_000) -> list[Address]:
    """Everybody of a shard who has a record."""
    found: list[Address] = []
    while some := await archive.homes(shard, found[-1] if found else None, page):
        found += some
    return found


# --- how a record is stored ------------------------------------------------------------------------------------------


class Stored(NamedTuple):
    """A record as every implementation keeps it: `home` as text; `body`: per member a line `kind events`, then the
    events, a line each; `checksum` over all of these but the data key. Version 0 holds an erasure's place."""

    home: str
    version: int
    body: bytes
    checksum: bytes
    data_key: str


def stored(archived: Archived) -> Stored:
    """Assertion: no event has a line break."""
    lines: list[bytes] = []
    for kind, events in archived.members.items():
        lines.append(b"%s %d" % (kind.encode(), len(events)))
        lines += events
    body = b"\n".join(lines)
    assert body.count(b"\n") == len(lines) - 1, f"an event of {archived.home} spans lines"
    home, version = str(archived.home), archived.version
    return Stored(home, version, body, _checksum(home, version, body), archived.data_key)


def erased(home: Address) -> Stored:
    """Holds the place of a record whose data key must never be written."""
    return Stored(str(home), 0, b"", _checksum(str(home), 0, b""), "")


def opened(kept: Stored) -> Archived | Damaged:
    """The record, if it is what was written."""
    home = Address(*kept.home.split(":", 1))
    if _checksum(kept.home, kept.version, kept.body) != kept.checksum:
        return Damaged(home, "its checksum is wrong")
    archived = Archived(home, dict(_members(kept.body)), kept.data_key)
    assert archived.version == kept.version, "the checksum covers the version"
    return archived


def _checksum(home: str, version: int, body: bytes) -> bytes:
    return sha256(b"%s %d\n%s" % (home.encode(), version, body)).digest()


def _members(body: bytes) -> Iterator[tuple[str, Sequence[bytes]]]:
    lines = body.split(b"\n")
    at = 0
    while at < len(lines):
        kind, _, events = lines[at].partition(b" ")
        after = at + 1 + int(events)
        yield kind.decode(), tuple(lines[at + 1 : after])
        at = after
