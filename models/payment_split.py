"""Who gets what of a captured amount, and who gives back what of a refund. Exact integers in minor units.

Every function here is deterministic and sums exactly; the properties that hold are in
`tests/properties/test_payment_split.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from heapq import heapify, heappop, heappush, heapreplace

WHOLE_BPS = 10_000

PARTY_ROLES = ("brand", "supplier", "retailer", "platform")
"""The fixed party order: ties go to whoever stands first."""


def split(amount: int, bps: tuple[int, int, int]) -> tuple[int, ...]:
    """Split `amount` among brand, supplier, retailer and platform, who keeps the rest of 10,000 basis points."""
    return apportion(amount, (*bps, WHOLE_BPS - sum(bps)))


def apportion(amount: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Divide `amount` in proportion to `weights` by the largest remainder (Hamilton's method), ties to the lower index.

    The result sums to `amount`, and no part is a whole unit or more away from its exact share. Raises ValueError when
    there is an amount but no weight to put it on.
    """
    whole = sum(weights)
    if amount == 0:
        return (0,) * len(weights)
    if whole <= 0 or min(weights) < 0 or amount < 0:
        raise ValueError(f"cannot divide {amount} by weights {list(weights)}")
    parts = [amount * weight // whole for weight in weights]
    left = amount - sum(parts)
    if left:
        by_remainder = sorted(range(len(weights)), key=lambda i: -(amount * weights[i] % whole))
        for i in by_remainder[:left]:
            parts[i] += 1
    return tuple(parts)


def returned(shares: Sequence[int], refunded: int) -> tuple[int, ...]:
    """What each party has given back by the time `refunded` of the captured sum of `shares` has gone back in all.

    This is the design's rule (section 1), a divisor method: unlike the largest remainder it is monotone, so a party
    never gets back what an earlier refund took from it. The reversal for one refund is the difference of two calls.
    Raises ValueError unless 0 <= refunded <= sum(shares).
    """
    return _returned(tuple(shares), refunded)


@lru_cache(maxsize=1024)
def _returned(shares: tuple[int, ...], refunded: int) -> tuple[int, ...]:
    """Remembered, because while a refund is under way its order asks the same again in every turn."""
    captured = sum(shares)
    if not 0 <= refunded <= captured:
        raise ValueError(f"cannot return {refunded} of {captured}")
    if captured == 0:
        return (0,) * len(shares)
    back = [max(0, _ceil_div(2 * share * refunded - captured, 2 * captured)) for share in shares]
    short = refunded - sum(back)
    if short > 0:
        # The largest quotient takes the next unit; the lowest index on ties.
        takers = [(-Fraction(share, 2 * back[i] + 1), i) for i, share in enumerate(shares)]
        heapify(takers)
        for _ in range(short):
            i = takers[0][1]
            back[i] += 1
            heapreplace(takers, (-Fraction(shares[i], 2 * back[i] + 1), i))
    elif short < 0:
        # The smallest quotient that has a unit gives one up; the highest index on ties.
        givers = [(Fraction(share, 2 * back[i] - 1), -i) for i, share in enumerate(shares) if back[i]]
        heapify(givers)
        for _ in range(-short):
            i = -heappop(givers)[1]
            back[i] -= 1
            if back[i]:
                heappush(givers, (Fraction(shares[i], 2 * back[i] - 1), -i))
    return tuple(back)


def allocate(amount: int, remaining: Sequence[int]) -> tuple[int, ...]:
    """Allocate an amount to be refunded over consignments, in proportion to what remains of each.

    No consignment gets more than remains of it. Raises ValueError if `amount` exceeds what remains in all.
    """
    if amount > sum(remaining):
        raise ValueError(f"cannot allocate {amount} to {sum(remaining)}")
    return apportion(amount, remaining)


def _ceil_div(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
