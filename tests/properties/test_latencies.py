"""Percentiles that can be added up, and latencies that a stall cannot hide from."""

from __future__ import annotations

import itertools
import math

from hypothesis import given, settings
from hypothesis import strategies as st

from models.buckets import bucket_of, highest_in
from scripts.load.latencies import BITS, Latencies
from scripts.load.plan import Plan

MICROSECONDS = st.integers(min_value=0, max_value=10**9)
PRECISION = 1 / 128

unhurried = settings(deadline=None, max_examples=50)


@unhurried
@given(MICROSECONDS)
def test_a_bucket_holds_its_latencies_and_is_narrow(us: int) -> None:
    highest = highest_in(bucket_of(us, BITS), BITS)
    assert us <= highest <= us + us * PRECISION


@unhurried
@given(MICROSECONDS, MICROSECONDS)
def test_buckets_are_in_order(one: int, other: int) -> None:
    assert (bucket_of(one, BITS) <= bucket_of(other, BITS)) == (one <= other) or (
        bucket_of(one, BITS) == bucket_of(other, BITS)
    )


@unhurried
@given(st.lists(MICROSECONDS, min_size=1), st.sampled_from([0.5, 0.9, 0.99, 0.999, 1.0]))
def test_a_percentile_is_that_of_the_sorted_list(all_us: list[int], share: float) -> None:
    latencies = Latencies()
    for us in all_us:
        latencies.record(us / 1e6)
    exact_us = sorted(all_us)[max(0, math.ceil(share * len(all_us)) - 1)]
    assert exact_us <= latencies.percentile_ms(share) * 1000 + 1e-6
    assert latencies.percentile_ms(share) * 1000 <= exact_us * (1 + PRECISION) + 1e-6
    assert latencies.summary_ms()["max"] == round(max(all_us) / 1000, 3)


@unhurried
@given(st.lists(MICROSECONDS), st.lists(MICROSECONDS))
def test_processes_add_up(ours: list[int], theirs: list[int]) -> None:
    """Two processes' latencies, one of which came over the wire, are those of one process that saw it all."""
    one, other, whole = Latencies(), Latencies(), Latencies()
    for latencies, seen in ((one, ours), (other, theirs), (whole, ours + theirs)):
        for us in seen:
            latencies.record(us / 1e6)
    one.add(Latencies.from_json(other.to_json()))
    assert one.summary_ms() == whole.summary_ms()
    assert (one.count, one.mean_ms) == (whole.count, whole.mean_ms)
    assert one.distribution() == whole.distribution()


@unhurried
@given(
    st.integers(min_value=1, max_value=1_000), st.floats(min_value=10, max_value=5_000), st.booleans(),
    st.sampled_from([1.0, 3.0]),
)  # fmt: skip
def test_a_schedule_has_every_order_once_and_never_goes_back(
    orders: int, rate: float, ramp: bool, spike: float
) -> None:
    plan = Plan(orders=orders, rate=rate, ramp=ramp, spike=spike)
    times = list(plan.schedule())
    assert len(times) == orders
    assert times == sorted(times)
    assert times[0] >= 0


@unhurried
@given(st.floats(min_value=10, max_value=1_000), st.floats(min_value=1, max_value=10))
def test_a_constant_schedule_is_even(rate: float, seconds: float) -> None:
    times = list(Plan(duration_s=seconds, rate=rate).schedule())
    assert abs(len(times) - rate * seconds) <= 1 + rate / 100
    assert all(abs((later - earlier) - 1 / rate) < 1e-6 for earlier, later in itertools.pairwise(times))


@unhurried
@given(st.integers(min_value=10, max_value=500), st.floats(min_value=0.5, max_value=5.0))
def test_a_stall_is_seen_by_everyone_who_was_due_meanwhile(rate: int, stall_s: float) -> None:
    """Coordinated omission: a server that stands still for a while keeps an open loop's orders waiting from the moment
    they were due, all of them. A client that waits for the answer before it sends the next would count one slow order.
    """
    times = list(Plan(duration_s=10.0, rate=float(rate)).schedule())
    begins, ends = 2.0, 2.0 + stall_s
    latencies = Latencies()
    for due in times:
        answered = ends if begins <= due < ends else due
        latencies.record(answered - due)
    hit = sum(begins <= due < ends for due in times)
    slow = sum(count for ms, count in latencies.distribution() if ms > 0)
    assert hit - 1 <= slow <= hit
    assert latencies.max_us >= (stall_s - 2 / rate) * 1e6
    assert latencies.mean_ms >= hit / len(times) * (stall_s / 2 - 2 / rate) * 1000
