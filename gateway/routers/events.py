"""The public feed: pages for those who poll, streams for those who stay."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from gateway.auth import EVERYONE
from gateway.endpoint import Answer, Call, Parameter, Routes, Streamed, disconnected
from gateway.feed import LATEST, Page, audience_of
from gateway.feed_cursor import Place
from gateway.feed_tail import topic_of
from gateway.limits import GATEWAY_LIMITS
from gateway.order_access import order_for
from gateway.order_search import LIMIT_DEFAULT, LIMIT_MAX, invalid, limit_of
from gateway.replies import json_answer
from gateway.schemas.events import Event, Events
from gateway.streaming import EVENT_STREAM, HEADERS, EventStream

routes = Routes("Events")

WAIT_S_MAX = GATEWAY_LIMITS.feed_wait_s_max
AFTER = Parameter(
    "after",
    "query",
    "The `next_cursor` of the page before, or the `id` of a stream's event. Without it the feed begins at the oldest "
    f"event that is kept, with `{LATEST}` at this moment.",
    {"type": "string"},
)
LIMIT = Parameter(
    "limit",
    "query",
    "How many on a page.",
    {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT},
)
WAIT = Parameter(
    "wait",
    "query",
    "If there is nothing new, answer once there is, or after so many seconds.",
    {"type": "integer", "minimum": 0, "maximum": WAIT_S_MAX, "default": 0},
)
LAST_EVENT_ID = Parameter(
    "Last-Event-ID", "header", "The `id` of the last event that was received: the stream resumes after it.",
    {"type": "string"},
)  # fmt: skip
STREAM_AFTER = AFTER._replace(description="As `Last-Event-ID`, for clients that cannot send it at first.")


@routes.add(
    "GET",
    "/v1/events",
    roles=EVERYONE,
    answers={200: (Events, "What has happened after the cursor, oldest first for each order.")},
    problems=("invalid", "cursor_expired", "too_many_streams"),
    parameters=(AFTER, LIMIT, WAIT),
)
async def list_events(call: Call) -> Answer:
    """Read the feed: everything that has happened to the orders that the key may see.

    Ask again with `next_cursor`, and nothing is missed or told twice. Events of one order come in order; `sequence`
    counts them without gaps. A page may have fewer than `limit` events, or none, although more follow.
    """
    fields = call.query()
    limit, wait_s = limit_of(fields), wait_of(fields)
    feed = call.gateway.feed
    state = await feed.state()
    place = feed.begin(state, fields.get("after", ""))
    page = await feed.page(call.principal, place, limit)
    if not page.events and not page.more and wait_s:
        with feed.slot(call.principal.key_id):
            page = await _awaited(call, page.place, limit, call.began + wait_s)
    return json_answer(200, {"data": [one.event for one in page.events], "next_cursor": feed.cursor(state, page.place)})


async def _awaited(call: Call, place: Place, limit: int, deadline: float) -> Page:
    """The first page that is not empty, or the last that is: when time is up or nobody waits for it any more."""
    feed = call.gateway.feed
    page = Page((), place, more=False)
    gone = asyncio.ensure_future(disconnected(call))
    try:
        with feed.tail.listening(topic_of(audience_of(call.principal))) as listener:
            gone.add_done_callback(lambda _: listener.end())
            while not page.events and not listener.ended and (left_s := deadline - time.monotonic()) > 0:
                upto = await feed.tail.joined(listener, left_s)
                if upto is None or (page.place.position >= upto and not await listener.wait(left_s)):
                    break
                page = await feed.page(call.principal, page.place, limit)
    finally:
        gone.cancel()
    return page


def wait_of(fields: Mapping[str, str]) -> int:
    """For how many seconds the caller would wait. Raises Problem."""
    text = fields.get("wait", "0")
    if not (text.isascii() and text.isdigit() and len(text) < 5 and int(text) <= WAIT_S_MAX):
        raise invalid("wait", f"Whole seconds from 0 to {WAIT_S_MAX}.")
    return int(text)


@routes.add(
    "GET",
    "/v1/stream",
    roles=EVERYONE,
    answers={200: (None, "Server-sent events.")},
    problems=("invalid", "cursor_expired", "too_many_streams"),
    parameters=(LAST_EVENT_ID, STREAM_AFTER),
    extra={"sse": Event},
)
async def stream_events(call: Call) -> Streamed:
    """Follow everything that happens to the orders that the key may see, as server-sent events.

    Without `Last-Event-ID` the stream begins at this moment. Each frame's `data` is an `Event`, its `id` a cursor, with
    which a broken stream resumes, here or at `/v1/events`, and nothing is missed or told twice. Comments keep the
    connection alive, and move the `id` on.
    """
    return await _stream(call, LATEST)


@routes.add(
    "GET",
    "/v1/orders/{id}/stream",
    roles=EVERYONE,
    answers={200: (None, "Server-sent events.")},
    problems=("not_found", "invalid", "cursor_expired", "too_many_streams"),
    parameters=(LAST_EVENT_ID, STREAM_AFTER),
    extra={"sse": Event},
)
async def stream_order(call: Call) -> Streamed:
    """Follow one order, as server-sent events, from its first event on.

    Frames and resuming are as for `/v1/stream`.
    """
    order = (await order_for(call)).order
    return await _stream(call, "", order)


async def _stream(call: Call, otherwise: str, order: str = "") -> Streamed:
    """A stream from where the client says, else from `otherwise`."""
    feed = call.gateway.feed
    after = call.header(b"last-event-id") or call.query().get("after", "") or otherwise
    state = await feed.state()
    place = feed.begin(state, after)
    release = feed.take_slot(call.principal.key_id)
    stream = EventStream(call, state, place, order)
    return Streamed(200, stream.chunks(), EVENT_STREAM, HEADERS, call.gateway.limits.stream_stalled_s, release)
