"""What actors answer, in the gateway's terms."""

from __future__ import annotations

import orjson

from actors.runtime.envelope import ARCHIVE_DAMAGED, Reply, Status
from gateway.endpoint import Answer, Header
from gateway.idempotency import REPLAYED
from gateway.problems import Problem


def checked(reply: Reply) -> Reply:
    """The reply, if it is a yes. Raises Problem for any other status."""
    status = reply.status
    if status is Status.OK:
        return reply
    if status is Status.REJECTED:
        refusal = orjson.loads(reply.body)
        raise Problem(refusal["code"], refusal.get("detail", ""))
    if status is Status.ABSENT:
        raise Problem("not_found")
    if status is Status.STALE:
        raise Problem("stale", f"The ETag is {etag(reply.version)[1].decode()} now.")
    if status is Status.MISMATCH:
        raise Problem("idempotency_key_reused", "This Idempotency-Key was used for another request.")
    if status is Status.FAILED:
        if reply.body == ARCHIVE_DAMAGED:
            raise Problem("command_failed", "Its record in the archive is damaged: an operator has to restore it.")
        raise Problem("command_failed", "The command broke and has been parked for a person to look at.")
    if status is Status.BUSY:
        raise Problem("overloaded", retry_after_s=1)
    if status is Status.EXPIRED:
        raise Problem("outcome_unknown", retry_after_s=1)
    raise Problem("unavailable", f"The actor answered {status}.", retry_after_s=1)


def replay_headers(reply: Reply) -> tuple[Header, ...]:
    return (REPLAYED,) if reply.replayed else ()


def etag(version: int) -> Header:
    return (b"etag", b'"%d"' % version)


def json_answer(status: int, document: object, *headers: Header) -> Answer:
    return Answer(status, orjson.dumps(document), headers)
