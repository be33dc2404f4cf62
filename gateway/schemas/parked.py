"""Parked commands: what could not be turned."""

from __future__ import annotations

from gateway.schemas.common import Shown, Time


class ParkedCommand(Shown):
    """`command` is as on the wire, in JSON; `cause` what its turn raised."""

    id: str
    at: Time
    kind: str
    actor: str
    command_name: str
    command: str
    cause: str


class ParkedCommands(Shown):
    data: list[ParkedCommand]
    next_cursor: str | None


class ParkedSettled(Shown):
    """No longer parked."""

    id: str
