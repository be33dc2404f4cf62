"""What a journal in Redis knows of its system as a whole, beside what the claim of its first start has fixed."""

from __future__ import annotations

from actors.adapters.redis_layout import SYSTEM
from actors.adapters.redis_wire import Refusal, Wire, pack
from actors.runtime.ports import JournalUnavailable


async def archive_of(url: str, proposed: str) -> str:
    """The id of the archive that this journal's orders leave for: `proposed`, if there was none before. Raises
    JournalUnavailable and JournalMismatch."""
    wire = Wire(url, [], connections_max=1)
    try:
        await wire.open()
        commands = [pack("HSETNX", SYSTEM, "archive", proposed), pack("HGET", SYSTEM, "archive")]
        answers = await wire.node("dray").call(commands)
    finally:
        await wire.close()
    for answer in answers:
        if isinstance(answer, Refusal):
            raise JournalUnavailable(str(answer))
    known: bytes = answers[1]
    return known.decode()
