"""Plays the stories against a system and judges how they ended."""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import aiohttp

from scripts import run_state
from scripts.books import Books, disagreements, imbalances, read_sandbox, unsettled
from scripts.client import Client, Keys, Refused, Unreachable, connected, locator
from scripts.demo import catalogue
from scripts.demo.catalogue import PRODUCTS, Shop
from scripts.demo.desk import Desk, NotSo
from scripts.demo.show import expected, seen, told
from scripts.demo.stories import STORIES, Story
from scripts.run_state import RunState
from scripts.settings import Settings

WAIT_S = 30.0
WAIT_DEDICATED_S = 300.0
STORIES_AT_ONCE = 8
STORIES_AT_ONCE_DEDICATED = 4

Json = dict[str, Any]
Say = Callable[[str], None]


class Outcome(NamedTuple):
    """How a story ended. failures: what was not as it should be."""

    story: Story
    order: Json
    failures: list[str]


async def demonstrate(settings: Settings, *, fresh: bool, say: Say) -> bool:
    """Play all stories, tell them, check stock and money. True if all is as it should be.

    fresh: the system is the demo's own. Raises NotRunning, Refused, Unreachable.
    """
    state = run_state.running(settings)
    tag = "" if fresh else f"demo{secrets.token_hex(2)}-"
    async with connected(locator(settings)) as client, aiohttp.ClientSession() as plain:
        shop = await catalogue.open_shop(client, Keys.of(settings), tag, has_accounts=state.payments != "stripe")
        try:
            if state.payments == "sandbox":
                await catalogue.make_accounts(plain, state.stripe_url, shop)
            await catalogue.load(client, shop)
            outcomes = await _play_all(client, shop, dedicated=bool(settings.dedicated), say=say)
            wrong = await _check_still_so(client, shop, outcomes)
            wrong += await _check_stock(client, shop, outcomes)
            wrong += await _check_books(client, state, shop, outcomes, plain)
        finally:
            await catalogue.close_shop(client, shop)
    return _judge(outcomes, wrong, say)


def _judge(outcomes: list[Outcome], wrong: list[str], say: Say) -> bool:
    for line in wrong:
        say(f"WRONG  {line}")
    failed = sum(bool(outcome.failures) for outcome in outcomes)
    say(f"{len(outcomes) - failed} of {len(outcomes)} orders ended as they should")
    say("stock and money agree with them" if not wrong else "stock or money does not agree with them")
    return not failed and not wrong


# --- playing ---------------------------------------------------------------------------------------------------------


async def _play_all(client: Client, shop: Shop, *, dedicated: bool, say: Say) -> list[Outcome]:
    """Several stories at once, told in their order as they end."""
    at_once = asyncio.Semaphore(STORIES_AT_ONCE_DEDICATED if dedicated else STORIES_AT_ONCE)
    wait_s = WAIT_DEDICATED_S if dedicated else WAIT_S
    began = time.monotonic()
    ended = 0

    async def play(story: Story) -> Outcome:
        nonlocal ended
        async with at_once:
            outcome = await _play(story, Desk(client, shop, wait_s))
        ended += 1
        if sys.stderr.isatty():
            seconds = time.monotonic() - began
            print(f"\r\033[K{ended} of {len(STORIES)} orders have ended, {seconds:.0f} s", end="", file=sys.stderr)
        return outcome

    tasks = [asyncio.create_task(play(story)) for story in STORIES]
    outcomes = []
    for number, task in enumerate(tasks, 1):
        outcome = await task
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        for line in told(number, *outcome):
            say(line)
        outcomes.append(outcome)
    return outcomes


async def _play(story: Story, desk: Desk) -> Outcome:
    failures = []
    try:
        await story.play(desk)
        wanted = expected(story.ending)
        await desk.until("ended as expected", lambda order: seen(order) == wanted and not unsettled(order))
    except (NotSo, Refused, Unreachable) as error:
        failures.append(str(error))
    order = desk.order
    failures += desk.failed_claims
    if order:
        wanted, is_ = expected(story.ending), seen(order)
        failures += [f"{name} is {is_[name]}, not {wanted[name]}" for name in wanted if wanted[name] != is_[name]]
        failures += unsettled(order) + imbalances(order)
        if order["attention"]:
            failures.append(f"asks for attention: {order['attention']['reason']} {order['attention']['detail']}")
    return Outcome(story, order, failures)


# --- judging ---------------------------------------------------------------------------------------------------------


async def _check_still_so(client: Client, shop: Shop, outcomes: list[Outcome]) -> list[str]:
    """Nothing that came later, such as a webhook, has changed how an order ended."""
    wrong = []
    for story, order, failures in outcomes:
        if order and not failures:
            later = await client.get(shop.ops, f"/v1/orders/{order['id']}")
            if seen(later) != seen(order) or later["attention"]:
                wrong.append(f"{order['id']} ({story.title}) has changed: {seen(later)} {later['attention'] or ''}")
    return wrong


async def _check_stock(client: Client, shop: Shop, outcomes: list[Outcome]) -> list[str]:
    """Every unit is where the stories left it: sold, or back on the shelf."""
    sold: Counter[str] = Counter()
    for outcome in outcomes:
        sold.update(outcome.story.ending.sold)
    wrong = []
    for name, product in PRODUCTS.items():
        is_ = await client.get(shop.ops, f"/v1/inventory/{shop.sku(name)}")
        wanted = {"received": product.stock, "reserved": 0, "sold": sold[name], "available": product.stock - sold[name]}
        wrong += [f"{shop.sku(name)}: {what} {is_[what]}, not {n}" for what, n in wanted.items() if is_[what] != n]
    return wrong


async def _check_books(
    client: Client, state: RunState, shop: Shop, outcomes: list[Outcome], plain: aiohttp.ClientSession
) -> list[str]:
    """The vendor has written down what the orders say, order by order and account by account."""
    if state.payments != "sandbox":
        return []
    books = await read_sandbox(state.stripe_url, plain)
    wrong = [] if books.balanced else ["the sandbox's ledger does not balance"]
    for outcome in outcomes:
        if outcome.order:
            order = outcome.order
            wrong += [f"{order['id']}: {what}" for what in disagreements(order, books.of(order["id"]))]
    return wrong + _check_balances(books, shop, [outcome.order for outcome in outcomes if outcome.order])


def _check_balances(books: Books, shop: Shop, orders: list[Json]) -> list[str]:
    due: Counter[str] = Counter()
    for order in orders:
        for consignment in order["consignments"]:
            for split in consignment["splits"]:
                due[split["account"]] += split["amount"] - split["returned"]
    wrong = []
    for account in shop.accounts:
        held = books.balances.get(account, {}).get(catalogue.CURRENCY, 0)
        if held != due[account]:
            wrong.append(f"{account} holds {held} in the sandbox, not {due[account]}")
    return wrong
