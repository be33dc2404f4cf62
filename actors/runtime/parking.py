"""Poison: a command whose turn raises is aborted alone, tried again, and after five attempts parked with its cause."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from actors.runtime.codec import encode_command
from actors.runtime.envelope import Reply, Status
from actors.runtime.resident import Work
from models.catalogue import COMMAND_NAMES
from models.decision import Address, Command, Resume, Send

if TYPE_CHECKING:
    from actors.runtime.host import HostCore

log = logging.getLogger("dray.parking")


class Poison(NamedTuple):
    """A command that cannot be turned: name and JSON as on the wire, and what was raised."""

    to: Address
    command_name: str
    command: str
    cause: str


Park = Callable[[Poison], Sequence[Send]]
"""The messages that put a poison on record and draw a person's attention to its actor."""


class Parking:
    """Counts attempts and parks. Commands without a wire name (ticks) are only logged: the due index repeats them."""

    def __init__(self, host: HostCore, park: Park) -> None:
        self._host = host
        self._park = park
        self._parked = 0
        self._broken = 0

    def broken(self, work: Work, error: Exception) -> None:
        envelope = work.envelope
        work.attempts += 1
        self._broken += 1
        name = type(envelope.command).__name__
        log.error("turn of %s for %s raised (attempt %d)", name, envelope.to, work.attempts, exc_info=error)
        self._host.reload(envelope.to, resume=type(envelope.command) is not Resume)
        if work.attempts < self._host.limits.poison_attempts_max:
            delay_s = self._host.limits.commit_retry_s * 2**work.attempts
            asyncio.get_running_loop().call_later(delay_s, self._host.again, work)
            return
        work.answer(Reply(Status.FAILED, b'{"code":"parked"}'))
        wire_name = _wire_name(envelope.command)
        if wire_name is None:
            return
        self._parked += 1
        body = encode_command(envelope.command).decode()
        for send in self._park(Poison(envelope.to, wire_name, body, f"{type(error).__name__}: {error}")):
            self._host.send(send)

    def status(self) -> dict[str, Any]:
        return {"broken_turns": self._broken, "parked": self._parked}


def _wire_name(command: Command) -> str | None:
    return COMMAND_NAMES.get(type(command))
