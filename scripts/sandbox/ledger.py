"""The double-entry ledger: every movement of money is an entry whose postings sum to zero.

Accounts: `cardholders` (money taken from and returned to payers), `platform` (the platform's Stripe balance),
`acct_...` (connected accounts), `stripe_fees`, `banks` (payouts and top-ups made by the control endpoints), and the
memorandum pair `holds` / `issuers` for authorisations, which hold funds but move none.
"""

from __future__ import annotations

from collections.abc import Iterable

from scripts.sandbox.records import Entry

PLATFORM = "platform"
CARDHOLDERS = "cardholders"
FEES = "stripe_fees"
BANKS = "banks"
HOLDS = "holds"
ISSUERS = "issuers"
DAY_S = 86_400


class LedgerImbalance(AssertionError):
    """The books do not balance: a bug in the sandbox. It refuses to go on."""


class Ledger:
    """Running balances per account and currency, and what of them is not yet available.

    `totals` accumulates every posting ever applied; it must be zero in every currency after every request.
    """

    def __init__(self) -> None:
        self.balances: dict[str, dict[str, int]] = {}
        self.totals: dict[str, int] = {}
        self._pending: dict[tuple[str, str], dict[int, int]] = {}

    @staticmethod
    def check(entry: Entry) -> None:
        """Raise LedgerImbalance unless the entry's postings sum to zero."""
        if sum(amount for _, amount in entry.postings):
            raise LedgerImbalance(f"entry {entry.id} of {entry.source} does not balance: {entry.postings}")

    def apply(self, entry: Entry) -> None:
        """Add one entry to the balances."""
        currency = entry.currency
        total = self.totals.get(currency, 0)
        for account, amount in entry.postings:
            balance = self.balances.setdefault(account, {})
            balance[currency] = balance.get(currency, 0) + amount
            total += amount
            if entry.available_on > entry.created and amount and (account == PLATFORM or account[:5] == "acct_"):
                days = self._pending.setdefault((account, currency), {})
                days[entry.available_on] = days.get(entry.available_on, 0) + amount
        self.totals[currency] = total

    def assert_balanced(self) -> None:
        """Raise LedgerImbalance unless all postings ever applied sum to zero in every currency."""
        for currency, total in self.totals.items():
            if total:
                raise LedgerImbalance(f"the ledger is off by {total} {currency}")

    def balance(self, account: str, currency: str) -> int:
        """The whole balance, available and pending."""
        return self.balances.get(account, {}).get(currency, 0)

    def pending(self, account: str, currency: str, now: int) -> int:
        """The part of the balance that is not available at `now`."""
        days = self._pending.get((account, currency))
        if not days:
            return 0
        for day in [day for day in days if day <= now]:
            del days[day]
        return sum(days.values())

    def available(self, account: str, currency: str, now: int) -> int:
        """The part of the balance that can be paid out or transferred at `now`."""
        return self.balance(account, currency) - self.pending(account, currency, now)

    def currencies(self, account: str) -> list[str]:
        """Currencies that the account ever held."""
        return sorted(self.balances.get(account, {}))


def recount(entries: Iterable[Entry]) -> dict[str, dict[str, int]]:
    """Balances summed afresh from the entries: what the running balances must equal."""
    balances: dict[str, dict[str, int]] = {}
    for entry in entries:
        for account, amount in entry.postings:
            held = balances.setdefault(account, {})
            held[entry.currency] = held.get(entry.currency, 0) + amount
    return balances


def settlement(now: int, days: int) -> int:
    """When funds received at `now` become available: midnight UTC, `days` from today; 0 days means at once."""
    return now if days <= 0 else (now // DAY_S + days) * DAY_S
