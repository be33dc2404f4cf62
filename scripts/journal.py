"""Opens a system's journal. Apart from `composition`, so that the director starts without all that hosts need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from actors.adapters.redis_journal import RedisJournal
from actors.adapters.redis_stream import RedisStream
from models.identity import HOME_KINDS
from scripts.process_log import log_to_file

J = TypeVar("J", bound=RedisJournal)

STREAM_KINDS = frozenset({"order"})
"""Kinds whose events the read side follows."""

QUIET_KINDS = frozenset({"orchestrator"})
"""Kinds whose due entries tell whether an actor that is archived has anything left to do."""

WHOLE_KINDS = HOME_KINDS
"""Kinds all of whose events are kept (`snapshot_after_events` is 0)."""


async def open_journal(spec: Mapping[str, Any]) -> RedisJournal:
    """Connect, and prove that this journal is of this system. Raises JournalMismatch and JournalUnavailable."""
    return await _open(_made(RedisJournal, spec), spec)


async def open_stream(spec: Mapping[str, Any]) -> RedisStream:
    """The journal as the projector follows it."""
    return await _open(_made(RedisStream, spec), spec)


def _made(kind: type[J], spec: Mapping[str, Any]) -> J:
    return kind(spec["redis"], stream_kinds=STREAM_KINDS, quiet_kinds=QUIET_KINDS, whole_kinds=WHOLE_KINDS)


async def _open(journal: J, spec: Mapping[str, Any]) -> J:
    await journal.open()
    await journal.claim(spec["shards"])
    return journal


async def open_director_journal(spec: Mapping[str, Any]) -> RedisJournal:
    """The director only reads leases."""
    log_to_file(spec, "director")
    return await open_journal(spec)
