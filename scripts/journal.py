"""Opens a system's journal. Apart from `composition`, so that the director starts without all that hosts need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.adapters.redis_journal import RedisJournal
from scripts.process_log import log_to_file

STREAM_KINDS = frozenset({"order"})
"""Kinds whose events the read side follows."""

QUIET_KINDS = frozenset({"orchestrator"})
"""Kinds whose due entries tell whether an actor that is archived has anything left to do."""


async def open_journal(spec: Mapping[str, Any]) -> RedisJournal:
    """Connect, and prove that this journal is of this system. Raises JournalMismatch and JournalUnavailable."""
    journal = RedisJournal(spec["redis"], stream_kinds=STREAM_KINDS, quiet_kinds=QUIET_KINDS)
    await journal.open()
    await journal.claim(spec["shards"])
    return journal


async def open_director_journal(spec: Mapping[str, Any]) -> RedisJournal:
    """The director only reads leases."""
    log_to_file(spec, "director")
    return await open_journal(spec)
