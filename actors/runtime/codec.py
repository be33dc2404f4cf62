"""Bytes: how events are stored, how snapshots are stored, how batches travel.

A stored event is `name SPACE json`: legible in redis-cli, and its name is found without parsing the body. A batch is a
JSON array of items; an answer is one JSON header line followed by the bodies back to back, so that bodies (views) pass
through routers and gateways without being parsed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import orjson

from actors.runtime.envelope import Envelope, Read, Reply, Status
from actors.runtime.kind import ActorKind
from actors.runtime.ports import Guard
from models.catalogue import COMMAND_NAMES, COMMANDS, EVENT_NAMES, Codec, command, decode_event, event
from models.decision import NOTHING, Address, Command, Event, Millis
from models.plain import plain
from models.record import dataclass

command("actor.read")(Read)


@event("actor.answered/1")
@dataclass(frozen=True)
class Answered(Event):
    """The runtime's own event: this actor has answered the command with this id (kept 24 h, design section 2)."""

    command_id: str
    digest: str


# --- events and snapshots --------------------------------------------------------------------------------------------


_PREFIXES: dict[type, bytes] = {}


def _prefix(event_type: type) -> bytes:
    prefix = _PREFIXES.get(event_type)
    if prefix is None:
        prefix = _PREFIXES[event_type] = EVENT_NAMES[event_type].encode() + b" "
    return prefix


def encode_event(happened: Event) -> bytes:
    """The stored form of one event. Raises KeyError for an event class without a permanent name."""
    return _prefix(type(happened)) + to_json(happened)


_OPTIONS = 0 if hasattr(NOTHING, "__dict__") else orjson.OPT_PASSTHROUGH_DATACLASS
"""orjson reads a dataclass's fields by itself, and lets go of a value before it has written it: right for one that the
record keeps, wrong for the integers of a compiled record, which are made when they are asked for."""


def to_json(value: Any) -> bytes:
    """Records, and everything that they are made of, as JSON."""
    return orjson.dumps(value, default=_plain, option=_OPTIONS)


def _plain(value: Any) -> Any:
    """orjson takes tuples but no named ones (Address, Remembered): they are stored and travel as arrays."""
    if isinstance(value, tuple):
        return tuple(value)
    return plain(value)


def encode_command(command_: Command) -> bytes:
    """The fields of a command, as `COMMANDS[name].from_json` reads them."""
    return to_json(command_)


@cache
def _states(state_type: type) -> Codec[Any]:
    return Codec("", state_type)


class Remembered(NamedTuple):
    """One answered command id: the digest of its request, and when."""

    digest: str
    at: Millis


def encode_snapshot(state: Any, answered: dict[str, Remembered]) -> bytes:
    return to_json({"state": state, "answered": answered})


def decode_snapshot(kind: ActorKind, data: bytes) -> tuple[Any, dict[str, Remembered]]:
    fields = orjson.loads(data)
    state = _states(kind.state_type).from_python(fields["state"])
    return state, {key: Remembered(*value) for key, value in fields["answered"].items()}


def replay(kind: ActorKind, snapshot: bytes | None, events: Sequence[bytes]) -> tuple[Any, dict[str, Remembered]]:
    """Fold a stored record into the state it stands for and the command ids it has answered."""
    state, answered = decode_snapshot(kind, snapshot) if snapshot else (kind.initial, {})
    evolve = kind.evolve
    for stored in events:
        happened = decode_event(stored)
        if type(happened) is Answered:
            answered[happened.command_id] = Remembered(happened.digest, happened.at)
        else:
            state = evolve(state, happened)
    return state, answered


# --- batches ---------------------------------------------------------------------------------------------------------


_STATUSES = {status.value: status for status in Status}
"""Looking one up here takes a tenth of the time that asking the enumeration does, and every reply has one."""


def encode_item(envelope: Envelope, watch_id: int = 0) -> bytes:
    """One envelope as it travels. Messages between actors leave out what only askers need."""
    command_ = envelope.command
    item: list[Any] = [
        envelope.to.kind,
        envelope.to.id,
        COMMAND_NAMES[type(command_)],
        command_,
        envelope.expires_at,
    ]
    if envelope.asks:
        guard = envelope.guard
        item += [
            watch_id,
            envelope.command_id,
            envelope.digest,
            None if guard is None else (guard.key, guard.value, guard.ttl_ms),
            envelope.data_key,
            envelope.expected_version,
        ]
    return to_json(item)


def encode_batch(sender: str, linger: bool, items: Sequence[bytes]) -> bytes:
    """`[sender, linger, [item, ...]]`: `linger` asks the host to hold the answer until it has notices."""
    return b'["%s",%s,[%s]]' % (sender.encode(), b"true" if linger else b"false", b",".join(items))


class Batch(NamedTuple):
    sender: str
    linger: bool
    items: list[list[Any]]


def decode_batch(data: bytes) -> Batch:
    return Batch(*orjson.loads(data))


def decode_item(item: list[Any]) -> tuple[Envelope, int]:
    """Read one item back as (envelope, watch id). Raises pydantic's ValidationError or KeyError on a command this
    version does not know."""
    kind, id_, name, fields, expires_at = item[:5]
    command_: Command = COMMANDS[name].from_python(fields)
    if len(item) == 5:
        return Envelope(Address(kind, id_), command_, expires_at, asks=False), 0
    watch_id, command_id, digest, guard, data_key, expected_version = item[5:]
    envelope = Envelope(
        Address(kind, id_),
        command_,
        expires_at,
        command_id=command_id,
        digest=digest,
        guard=None if guard is None else Guard(*guard),
        data_key=data_key,
        watch=watch_id > 0,
        expected_version=expected_version,
    )
    return envelope, watch_id


class Answers(NamedTuple):
    """What a host gives back for one batch: replies in the batch's order (None: watched, the reply comes later as a
    notice), and notices for watches of this sender, whichever call they were asked in. more: others had no room."""

    replies: list[Reply | None]
    notices: list[tuple[int, Reply]]
    more: bool


def encode_answers(
    replies: Sequence[Reply | None], notices: Sequence[tuple[int, Reply]], *, more: bool = False
) -> bytes:
    header = (
        [None if r is None else _reply_head(r) for r in replies],
        [(watch_id, *_reply_head(r)) for watch_id, r in notices],
        more,
    )
    bodies = [r.body for r in replies if r is not None]
    bodies += [r.body for _, r in notices]
    return b"".join((orjson.dumps(header), b"\n", *bodies))


def _reply_head(reply: Reply) -> tuple[str, int, int, str, bool]:
    return (reply.status.value, len(reply.body), reply.version, reply.data_key, reply.replayed)


def decode_answers(data: bytes) -> Answers:
    offset = data.index(b"\n") + 1
    heads, notice_heads, more = orjson.loads(memoryview(data)[: offset - 1])
    replies: list[Reply | None] = []
    for head in heads:
        if head is None:
            replies.append(None)
            continue
        reply, offset = _read_reply(head, data, offset)
        replies.append(reply)
    notices = []
    for watch_id, *head in notice_heads:
        reply, offset = _read_reply(head, data, offset)
        notices.append((watch_id, reply))
    return Answers(replies, notices, more)


def _read_reply(head: list[Any], data: bytes, offset: int) -> tuple[Reply, int]:
    status, length, version, data_key, replayed = head
    end = offset + length
    return Reply(_STATUSES[status], data[offset:end], version, data_key, replayed), end
