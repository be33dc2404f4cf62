"""A replay from beginning to end: survey, stock, post, refund, reconcile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from scripts import run_state
from scripts.client import Client, Keys, Refused, connected, locator
from scripts.replay import reconciliation
from scripts.replay.cancellations import Matching, match, refund_requests
from scripts.replay.crew import Crew, Stopped
from scripts.replay.invoices import Invoice, Survey, replayed, survey
from scripts.replay.orders import Till, sold_order
from scripts.replay.progress import Progress
from scripts.replay.report import Outcome, RefusedInvoice, Seen, report
from scripts.replay.rows import Flaw, Row, digest_of
from scripts.replay.shop import Parties, invite, stock, supplier_of
from scripts.run_state import RunState
from scripts.settings import Settings

Say = Callable[[str], None]

INVOICE_AT_FAULT = frozenset({413, 422})
"""Statuses that say that this very invoice is no possible order; any other refusal ends the replay."""


@dataclass(frozen=True)
class Plan:
    """What to replay, and how fast. limit: invoices. rate: orders a second, 0 for as fast as they end."""

    path: Path
    limit: int | None
    rate: float
    in_flight: int


async def replay(settings: Settings, plan: Plan, say: Say) -> bool:
    """True if it reconciles. Raises BadFile, OSError, NotRunning, Refused, Unreachable, Stopped."""
    state = run_state.running(settings)
    say(f"reading {plan.path}")
    digest = digest_of(plan.path)
    progress = Progress(settings.data / "replays", digest)
    try:
        found = survey(plan.path, plan.limit, progress.orders)
        say(f"{len(found.chosen):,} of {found.invoices:,} invoices, {len(found.articles):,} stock codes")
        async with connected(locator(settings), connections_max=plan.in_flight + 8) as client:
            job = _Replay(plan, found, progress, digest, client=client, keys=Keys.of(settings), state=state, say=say)
            with job.crew.interruptible():
                return await job.run()
    finally:
        progress.close()


class _Replay:
    def __init__(
        self, plan: Plan, found: Survey, progress: Progress, digest: str, *,
        client: Client, keys: Keys, state: RunState, say: Say,
    ) -> None:  # fmt: skip
        self._plan = plan
        self._found = found
        self._progress = progress
        self._digest = digest
        self._client = client
        self._state = state
        self._say = say
        self._parties = Parties(keys, state.stripe_url if state.payments == "sandbox" else "")
        self._till = Till(client, self._parties.retailer_key, progress, digest)
        self._seen = Seen()
        self.crew = Crew(plan.in_flight)

    async def run(self) -> bool:
        seen, till, crew = self._seen, self._till, self.crew
        async with aiohttp.ClientSession() as plain:
            await self._check_progress()
            await self._stock(plain)
            await self._post()
            await reconciliation.ended(till, crew, seen.placed)
            matching = match([sold_order(one) for one in seen.placed if one.is_sold], seen.cancellations)
            refused, refunds = await self._refund(matching)
            totals = await reconciliation.add_up(till, crew, seen.placed, refunds)
            books = await reconciliation.compare_books(self._state, plain, totals)
        levels, wrong = await reconciliation.compare_stock(
            self._client, crew, self._parties.keys.ops, seen.placed, self._progress
        )
        totals.wrong += refused + wrong
        if len(seen.placed) != len(self._found.chosen):
            totals.wrong.append(f"{len(seen.placed)} orders for {len(self._found.chosen)} invoices")
        refused_amount = sum(one.amount for one in seen.refused)
        totals.wrong += reconciliation.unequal(
            totals, read=seen.amount, refused=refused_amount, cancelled=sum(row.amount for row in seen.cancellations),
            not_refunded=matching.not_refunded, price_difference=matching.price_difference,
        )  # fmt: skip
        outcome = Outcome(seen, matching, totals, levels, books, self._state.payments)
        for line in report(outcome):
            self._say(line)
        return not totals.wrong

    async def _check_progress(self) -> None:
        """What an earlier run has done may be gone, with the journal of the system that it was done to."""
        if self._progress.orders and not await self._till.knows(next(iter(self._progress.orders.values()))):
            self._say("this system knows nothing of what an earlier run has done: beginning anew")
            self._progress.forget()

    async def _stock(self, plain: aiohttp.ClientSession) -> None:
        articles = list(self._found.articles.values())
        if all(article.code in self._progress.stocked for article in articles):
            return
        await invite(self._client, plain, self._parties, {supplier_of(article.code) for article in articles})
        await self.crew.each(
            "stocking", articles,
            lambda article: stock(self._client, self._parties, self._progress, self._digest, article),
            total=len(articles),
        )  # fmt: skip

    async def _post(self) -> None:
        async def place(invoice: Invoice) -> None:
            try:
                self._seen.placed.append(await self._till.place(invoice))
            except Refused as refused:
                if refused.status not in INVOICE_AT_FAULT:
                    raise
                self._seen.refused.append(RefusedInvoice(invoice.line, invoice.number, invoice.amount, str(refused)))

        total = len(self._found.chosen)
        try:
            self._seen.post_s = await self.crew.each(
                "posting", self._invoices(), place, total=total, rate=self._plan.rate
            )
        except Stopped:
            self._say(f"stopped after {len(self._progress.orders):,} of {total:,} invoices")
            raise

    def _invoices(self) -> Iterator[Invoice]:
        """The file's invoices; what else is in it goes to its own list on the way."""
        seen = self._seen
        for item in replayed(self._plan.path, self._found):
            if isinstance(item, Flaw):
                seen.flaws.append(item)
            elif isinstance(item, Row):
                seen.cancellations.append(item)
            else:
                seen.lines += len(item.rows)
                seen.amount += item.amount
                seen.rounded += [row for row in item.rows if row.rounded]
                yield item

    async def _refund(self, matching: Matching) -> tuple[list[str], Counter[str]]:
        """Ask for all refunds; returns those that were refused, and the pence that each order has to give back."""
        requests = refund_requests(matching.taken)
        refused: list[str] = []
        refunds: Counter[str] = Counter()
        # An order's refunds one after another, in the file's order: that is how they came about.
        by_order: dict[str, list[int]] = {}
        for index, request in enumerate(requests):
            refunds[request.order.id] += request.amount
            by_order.setdefault(request.order.id, []).append(index)

        async def refund(indices: list[int]) -> None:
            for index in indices:
                problem = await self._till.refund(requests[index])
                if problem:
                    refused.append(f"refund of {requests[index].cancellation}: {problem}")

        await self.crew.each("refunding", list(by_order.values()), refund, total=len(by_order))
        return refused, refunds
