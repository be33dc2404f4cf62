"""The demo's orders as text for people."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from models.money import format_major
from scripts.demo.stories import Ending, Story

Json = dict[str, Any]

LABEL = 10
EVENT = 24
ACTOR = 18
_AMOUNT_OF = re.compile(r"^(\d+) of ")


def told(number: int, story: Story, order: Json, failures: list[str]) -> Iterator[str]:
    """One story's lines: its title, the timeline, what was expected and what happened."""
    verdict = "ok" if not failures else "FAILED"
    yield f"{number:>2}  {story.title}  [{verdict}]"
    if order:
        yield f"    {order['id']}  {_goods(order)}  {money(order['amount'], order)} {order['currency'].upper()}"
        began = datetime.fromisoformat(order["created_at"])
        for moment in order["timeline"]:
            yield _moment(moment, began, order)
        yield from _shares(order)
    yield f"    {'expected':<{LABEL}}{_ending(expected(story.ending), order)}"
    if order:
        yield f"    {'happened':<{LABEL}}{_ending(seen(order), order)}"
    for failure in failures:
        yield f"    {'WRONG':<{LABEL}}{failure}"
    yield ""


def _goods(order: Json) -> str:
    return ", ".join(f"{line['quantity']} x {line['product']}" for line in order["lines"])


def _moment(moment: Json, began: datetime, order: Json) -> str:
    after_s = (datetime.fromisoformat(moment["at"]) - began).total_seconds()
    detail = _AMOUNT_OF.sub(lambda match: f"{money(int(match[1]), order)} of ", moment["detail"])
    return f"    +{after_s:7.3f} s  {moment['event']:<{EVENT}}{moment['actor']:<{ACTOR}}{detail}".rstrip()


def _shares(order: Json) -> Iterator[str]:
    for consignment in order["consignments"]:
        if consignment["captured_amount"]:
            kept = ", ".join(
                f"{split['name']} {money(split['amount'] - split['returned'], order)}"
                + (" (payable)" if split["payable"] else "")
                for split in consignment["splits"]
            )
            yield f"    {'split':<{LABEL}}{kept}"


def expected(ending: Ending) -> Json:
    """What the story says, in the order's own fields."""
    return {
        "status": ending.status,
        "cancel_reason": ending.cancel_reason,
        "payment": ending.payment,
        "decline_code": ending.decline_code,
        "captured_amount": ending.captured,
        "refunded_amount": ending.refunded,
        "refund_status": ending.refund_status,
    }


def seen(order: Json) -> Json:
    """The same fields as they are."""
    fields = ("status", "cancel_reason", "captured_amount", "refunded_amount", "refund_status")
    facts = {name: order[name] for name in fields}
    return {**facts, "payment": order["payment"]["status"], "decline_code": order["payment"]["decline_code"]}


def _ending(facts: Json, order: Json) -> str:
    words = [facts["status"] + (f" ({facts['cancel_reason']})" if facts["cancel_reason"] else "")]
    words.append(f"payment {facts['payment']}" + (f" ({facts['decline_code']})" if facts["decline_code"] else ""))
    if facts["captured_amount"]:
        words.append(f"captured {money(facts['captured_amount'], order)}")
    if facts["refunded_amount"]:
        words.append(f"refunded {money(facts['refunded_amount'], order)} ({facts['refund_status']})")
    return ", ".join(words)


def money(amount: int, order: Json) -> str:
    return format_major(amount, order.get("currency", "gbp"))
