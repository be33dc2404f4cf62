"""Reaching an order: may this caller see it, and is it still what the caller thinks it is."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import orjson

from actors.runtime.envelope import Reply, Status
from gateway.endpoint import Call
from gateway.idempotency import command_id
from gateway.problems import Problem
from gateway.replies import checked, etag
from gateway.views import View, consignment_of_task, sees
from models.decision import Address, Command
from models.identity import is_order_id, order_of
from models.record import changed

ANY_VERSION = 0
NO_VERSION = -1


class Found:
    """An order that the caller may see, and the reply that carried it."""

    def __init__(self, order: str, reply: Reply) -> None:
        self.order = order
        self.reply = reply

    @cached_property
    def view(self) -> View:
        """The actor's view. Who only shows the order does without (`views.order_body`)."""
        view: View = orjson.loads(self.reply.body)
        return view

    @property
    def address(self) -> Address:
        return Address("order", self.order)


async def order_for(call: Call) -> Found:
    """The order that the path names. Raises Problem: `not_found` also for what the caller may not see."""
    order = call.params.get("id") or order_of(next(iter(call.params.values()))) or ""
    return await _visible(call, order)


class FoundTask(NamedTuple):
    """A task that the caller may see, and the order that it is a part of."""

    order: str
    view: View
    reply: Reply
    consignment: View


async def task_for(call: Call) -> FoundTask:
    """The task that the path names. Raises Problem as `order_for` does."""
    task = call.params["id"]
    found = await _visible(call, order_of(task) or "" if task.startswith("tsk_") else "")
    consignment = consignment_of_task(found.view, task)
    principal = call.principal
    if consignment is None or (principal.role == "supplier" and consignment["supplier"] != principal.name):
        raise Problem("not_found")
    return FoundTask(found.order, found.view, found.reply, consignment)


async def _visible(call: Call, order: str) -> Found:
    if not is_order_id(order):
        raise Problem("not_found")
    reply = await call.gateway.router.read(Address("order", order))
    if reply.status is Status.ABSENT:
        raise Problem("not_found")
    if not sees(call.principal, order, checked(reply).body):
        raise Problem("not_found")
    return Found(order, reply)


async def told(call: Call, found: Found | FoundTask, command: Command) -> Found:
    """The order after `command`, or after the first command with the same Idempotency-Key. Raises Problem: `stale` if
    the caller's `If-Match` is not what the order is when the command gets there."""
    own_id = command_id(call)
    expected_version = _expected_version(call, found.reply.version)
    known = own_id.command_id
    if expected_version and not known:
        # An answer may get lost on its way here; sent again, the command must not find its own effect stale.
        own_id = own_id._replace(command_id=call.gateway.services.random(16).hex())
    reply = await call.gateway.router.ask(
        Address("order", found.order),
        command,
        command_id=own_id.command_id,
        digest=own_id.digest,
        expected_version=expected_version,
    )
    if not known:
        reply = changed(reply, replayed=False)
    return Found(found.order, checked(reply))


def _expected_version(call: Call, version: int) -> int:
    """What `If-Match` demands of an order that has just been at `version`: this version, or one that never is."""
    wanted = call.headers.get(b"if-match")
    if wanted is None or wanted.strip() == b"*":
        return ANY_VERSION
    tags = [part.strip() for part in wanted.split(b",")]
    return version if etag(version)[1] in tags else NO_VERSION
