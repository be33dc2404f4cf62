"""From facts to steps: what is to be under way, given the order as it is and what the saga has done already.

Nothing here remembers why; so a cancellation, a refund or a shortage needs no script of its own. Compensation falls
out: an order that has ended and still holds a reservation wants it released.
"""

from __future__ import annotations

from models.decision import Millis
from models.orchestrator.messages import Params
from models.orchestrator.state import Intent, Saga, steps_done
from models.orchestrator.tables import COLLECT_EVERY_MS, HOLD_MARGIN_MS
from models.order.state import PLATFORM, Consignment, Order, PaidOut, Return, withheld

SOLD = frozenset({"confirmed", "in_production", "cancellation_requested", "dispatched", "delivered"})
"""A consignment whose reserved stock is sold."""


class Plan:
    """The difference between what is wanted and what is under way or done.

    under_way, done: the saga's, by name.
    intended:  new steps by name. dropped: keys of intents to forget; overtaken: of those whose outcome the facts show.
    """

    def __init__(self, saga: Saga) -> None:
        self.saga = saga
        self.under_way = saga.intents
        self.done = steps_done(saga)
        self.intended: dict[str, Params] = {}
        self.dropped: list[str] = []
        self.overtaken: list[str] = []

    def want(self, name: str, params: Params) -> None:
        if name not in self.under_way and name not in self.done:
            self.intended[name] = params

    def drop(self, name: str) -> None:
        intent = self.under_way.get(name)
        if intent is not None:
            self.dropped.append(intent.key)

    def replaceable(self, intent: Intent) -> bool:
        """Certainly without effect, and not on its way: it may be journalled anew with other parameters."""
        return intent.waiting and not intent.unsure and intent.name not in self.saga.results

    def begun(self, name: str) -> bool:
        return name in self.done or name in self.under_way


def plan(order: Order, saga: Saga, at: Millis) -> Plan:
    """Newest first, so that what is undone is undone in reverse: tasks, stock, payment."""
    steps = Plan(saga)
    for consignment in order.consignments:
        _task(steps, consignment)
    for consignment in order.consignments:
        _stock(steps, order, consignment)
    _payment(steps, order)
    if order.payment.status == "captured":
        _refunds(steps, order)
        for consignment in order.consignments:
            if consignment.captured:
                _payouts(steps, order, consignment, at)
    return steps


def _task(steps: Plan, consignment: Consignment) -> None:
    status = consignment.status
    if status == "pending":
        return
    offer = f"offer:{consignment.number}"
    if status == "offered":
        steps.want(offer, {"supplier": consignment.supplier})
    elif consignment.live or status == "rejected":
        intent = steps.under_way.get(offer)
        if intent is not None:
            steps.overtaken.append(intent.key)  # the supplier has answered the order itself
        if status == "delivered":
            steps.want(f"close:{consignment.number}", {"supplier": consignment.supplier})
        elif not consignment.live:
            _withdraw(steps, consignment)  # what is turned down costs no capacity
    elif steps.begun(offer):
        steps.drop(offer)
        _withdraw(steps, consignment)


def _withdraw(steps: Plan, consignment: Consignment) -> None:
    steps.want(f"withdraw:{consignment.number}", {"supplier": consignment.supplier})


def _stock(steps: Plan, order: Order, consignment: Consignment) -> None:
    status = consignment.status
    if status == "pending":
        if order.payment.status in ("authorised", "not_required"):
            for sku, units in consignment.units.items():
                steps.want(f"reserve:{sku}", {"quantity": units})
        return
    kept = _kept(order, consignment)
    if not consignment.live:
        for sku in consignment.units:
            _give_back(steps, sku, kept.get(sku, 0))
    elif status in SOLD or consignment.dropped:
        for sku in consignment.units:
            if sku not in kept:
                steps.want(f"release:{sku}", {})
            elif status in SOLD:
                steps.want(f"confirm:{sku}", {})
    if kept is not consignment.units:
        for sku, units in consignment.units.items():
            if f"confirm:{sku}" in steps.done and kept[sku] < units:
                steps.want(f"restock:{sku}/dropped", {"quantity": units - kept[sku]})
    for found in order.returns:
        if found.restock and found.consignment == consignment.number:
            _restock(steps, order, found)


def _kept(order: Order, consignment: Consignment) -> dict[str, int]:
    """Units by SKU on the lines that the supplier has not dropped."""
    if not consignment.dropped:
        return consignment.units
    kept: dict[str, int] = {}
    dropped = set(consignment.dropped)
    for number in consignment.lines:
        if number not in dropped:
            line = order.lines[number - 1]
            kept[line.sku] = kept.get(line.sku, 0) + line.quantity
    return kept


def _give_back(steps: Plan, sku: str, kept: int) -> None:
    """The consignment has ended: what was sold is restocked, what was reserved, or may be, is released."""
    if f"confirm:{sku}" in steps.done:
        steps.want(f"restock:{sku}/cancel", {"quantity": kept})
    elif f"confirm:{sku}" not in steps.under_way and steps.begun(f"reserve:{sku}"):
        steps.drop(f"reserve:{sku}")
        steps.want(f"release:{sku}", {})


def _restock(steps: Plan, order: Order, found: Return) -> None:
    """Put back what was returned in a condition to be sold again, once its sale is confirmed."""
    back: dict[str, int] = {}
    for line_id, quantity in found.lines:
        sku = order.lines[int(line_id) - 1].sku
        back[sku] = back.get(sku, 0) + quantity
    for sku, units in back.items():
        if f"confirm:{sku}" in steps.done:
            steps.want(f"restock:{sku}/{_last(found.id)}", {"quantity": units})


def _payment(steps: Plan, order: Order) -> None:
    payment = order.payment
    if payment.status == "pending":
        steps.want("authorise:pi", _authorisation(order))
    elif payment.status == "capturing":
        steps.want("capture:pi", {"amount": payment.amount})
    elif payment.status == "voiding":
        steps.want("void:pi", _authorisation(order) if payment.unsure else {})
    elif payment.status == "voided":
        intent = steps.under_way.get("void:pi")
        if intent is not None:
            steps.overtaken.append(intent.key)  # a webhook was faster


def _authorisation(order: Order) -> Params:
    return {"amount": order.amount, "payment_method": order.payment_method}


def _refunds(steps: Plan, order: Order) -> None:
    for refund in order.refunds:
        if refund.status == "pending":
            params: Params = {"amount": refund.amount, "refund": refund.id}
            if refund.cause != "request":
                params["cause"] = refund.cause  # it is owed: see `answers`
            steps.want(f"refund:{_last(refund.id)}", params)


def _payouts(steps: Plan, order: Order, consignment: Consignment, at: Millis) -> None:
    """Bring what every party has been paid to what it is due, less what must be held back for now.

    A transfer that was attempted completes first; one that is certain not to have had an effect is journalled anew,
    net of what has been refunded meanwhile.
    """
    quiet = consignment.live and not order.refunds and not order.disputes
    held = consignment.returned if quiet else withheld(order, consignment)  # quiet: nothing was returned, all zeros
    settled = quiet or not steps.under_way  # whoever is paid in full needs no second look
    for index, (role, name, account) in enumerate(consignment.parties):
        if not account or role == PLATFORM:
            continue
        due = consignment.shares[index] - consignment.returned[index]
        paid = consignment.paid[index]
        to_pay = due - held[index] - paid
        if settled and not to_pay:
            continue
        place = f"{consignment.number}-{index}"
        made = [each for each in consignment.transfers if each.party == index]
        transfer = f"transfer:{place}-{len(made) + 1}"
        intent = steps.under_way.get(transfer)
        if intent is not None and steps.replaceable(intent) and intent.params["amount"] != to_pay:
            steps.drop(transfer)
        elif intent is not None:
            continue
        if to_pay > 0:
            steps.intended[transfer] = {"amount": to_pay, "destination": account, "party": f"{role}:{name}"}
        elif paid > due:
            _take_back(steps, consignment, index, made, at)


def _take_back(steps: Plan, consignment: Consignment, party: int, made: list[PaidOut], at: Millis) -> None:
    """Reverse what a party has been paid too much, newest transfer first. What it could not give back is its debt,
    counted against its newest transfers, and is tried again at long intervals."""
    place = f"{consignment.number}-{party}"
    name = f"reverse:{place}-{sum(transfer.reversed for transfer in made)}"  # so far: the same until it is recorded
    if name in steps.under_way:
        return
    debt = consignment.debts[party]
    amount = consignment.overpaid(party) - debt
    if amount <= 0:
        if steps.saga.timers.get(f"collect:{place}", at + 1) > at:
            return
        amount, debt = debt, 0
    for transfer in reversed(made):
        left = transfer.amount - transfer.reversed
        if left > debt:
            steps.intended[name] = {"amount": min(amount, left - debt), "transfer": transfer.id}
            return
        debt -= left  # tried, and in vain: once for each transfer, not once for each coin of a small one


def timers(order: Order, saga: Saga, at: Millis) -> dict[str, Millis]:
    """What to wake up for: answers that suppliers owe, the end of the hold, debts to try again."""
    wanted = {}
    if order.payment.status == "authorised" and order.payment.capture_before:
        wanted["hold"] = order.payment.capture_before - HOLD_MARGIN_MS
    for consignment in order.consignments:
        if consignment.status == "offered" and consignment.accept_by:
            wanted[f"accept:{consignment.number}"] = consignment.accept_by
        if order.refunds:
            for party, debt in enumerate(consignment.debts):
                if debt:
                    name = f"collect:{consignment.number}-{party}"
                    before = saga.timers.get(name, 0)
                    wanted[name] = before if before > at else at + COLLECT_EVERY_MS
    return wanted


def phase_of(order: Order, busy: bool) -> str:
    """The phase that the facts amount to."""
    statuses = [consignment.status for consignment in order.consignments if consignment.live]
    if not statuses:
        return "compensating" if busy else "ended"
    if order.payment.status == "pending":
        return "authorising"
    if "pending" in statuses:
        return "reserving"
    if "offered" in statuses:
        return "offering"
    if order.payment.status == "capturing":
        return "capturing"
    if busy:
        return "settling"
    return "ended" if all(status == "delivered" for status in statuses) else "fulfilling"


def _last(inner_id: str) -> str:
    """The last part of an inner id, which is unique within its order."""
    return inner_id[inner_id.rindex("_") + 1 :]
