"""The arithmetic of shares and refunds holds for every amount, not only for the ones we thought of."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.payment_split import PARTY_ROLES, WHOLE_BPS, allocate, apportion, returned, split

AMOUNTS = st.integers(0, 10**9)
BPS = st.tuples(*[st.integers(0, 3333)] * 3)
SHARES = st.lists(st.integers(0, 10**7), min_size=1, max_size=6)


@st.composite
def shares_and_refund(draw):
    shares = draw(SHARES)
    return shares, draw(st.integers(0, sum(shares)))


@given(AMOUNTS, BPS)
def test_a_split_sums_exactly_and_is_within_a_unit_of_the_exact_share(amount, bps):
    parts = split(amount, bps)
    assert len(parts) == len(PARTY_ROLES)
    assert sum(parts) == amount
    for part, share in zip(parts, (*bps, WHOLE_BPS - sum(bps)), strict=True):
        assert abs(part * WHOLE_BPS - amount * share) < WHOLE_BPS


def test_ties_go_to_the_party_that_stands_first():
    assert split(1, (2500, 2500, 2500)) == (1, 0, 0, 0)
    assert split(3, (2500, 2500, 2500)) == (1, 1, 1, 0)
    assert split(100, (1000, 6000, 2500)) == (10, 60, 25, 5)


def test_there_must_be_somebody_to_give_an_amount_to():
    with pytest.raises(ValueError, match="cannot divide"):
        apportion(1, (0, 0))
    assert apportion(0, (0, 0)) == (0, 0)


@given(shares_and_refund())
def test_what_is_returned_sums_to_the_refund_and_never_exceeds_a_share(case):
    shares, refund = case
    back = returned(shares, refund)
    assert sum(back) == refund
    assert all(0 <= unit <= share for unit, share in zip(back, shares, strict=True))


@given(shares_and_refund(), st.data())
def test_what_is_returned_never_shrinks_as_refunds_grow(case, data):
    shares, refund = case
    earlier = data.draw(st.integers(0, refund))
    assert all(old <= new for old, new in zip(returned(shares, earlier), returned(shares, refund), strict=True))


@given(st.lists(st.integers(0, 40), min_size=1, max_size=4))
def test_each_further_unit_comes_from_exactly_one_party(shares):
    steps = [returned(shares, refund) for refund in range(sum(shares) + 1)]
    assert steps[-1] == tuple(shares)
    for old, new in pairwise(steps):
        assert sorted(n - o for o, n in zip(old, new, strict=True)) == [0] * (len(shares) - 1) + [1]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=9), st.data())
def test_what_is_returned_is_the_rule_of_the_design_to_the_letter(shares, data):
    captured, parties = sum(shares), range(len(shares))
    refund = data.draw(st.integers(0, captured))
    t = [max(0, -((captured - 2 * share * refund) // (2 * captured))) if captured else 0 for share in shares]
    while sum(t) < refund:
        t[max(parties, key=lambda i: (Fraction(shares[i], 2 * t[i] + 1), -i))] += 1
    while sum(t) > refund:
        t[min((i for i in parties if t[i]), key=lambda i: (Fraction(shares[i], 2 * t[i] - 1), -i))] -= 1
    assert returned(shares, refund) == tuple(t)


def test_the_shares_of_the_design_on_which_largest_remainder_fails():
    shares = (6, 6, 2)
    assert [apportion(10, shares), apportion(11, shares)] == [(4, 4, 2), (5, 5, 1)]
    at_10, at_11 = returned(shares, 10), returned(shares, 11)
    assert sum(at_10) == 10
    assert sum(at_11) == 11
    assert all(old <= new for old, new in zip(at_10, at_11, strict=True))


@pytest.mark.parametrize("refund", [-1, 15])
def test_no_more_is_returned_than_was_captured(refund):
    with pytest.raises(ValueError, match="cannot return"):
        returned((6, 6, 2), refund)


@given(shares_and_refund())
def test_an_allocation_sums_exactly_and_stays_within_what_remains(case):
    remaining, amount = case
    parts = allocate(amount, remaining)
    assert sum(parts) == amount
    assert all(0 <= part <= rest for part, rest in zip(parts, remaining, strict=True))


def test_no_more_is_allocated_than_remains():
    with pytest.raises(ValueError, match="cannot allocate"):
        allocate(6, (2, 3))
