"""The schedule of a chaos run depends on its seed and on nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scripts.chaos.schedule import FAULTS, QUIET_S, schedule

seeds = st.integers(0, 2**32)
durations = st.floats(5, 600)
kinds = st.lists(st.sampled_from(sorted(FAULTS)), min_size=1, unique=True)


@given(seeds, durations, kinds, st.randoms())
def test_the_same_seed_gives_the_same_schedule(seed: int, duration_s: float, faults: list[str], draw) -> None:  # type: ignore[no-untyped-def]
    shuffled = [*faults, *faults]
    draw.shuffle(shuffled)
    assert schedule(seed, duration_s, faults) == schedule(seed, duration_s, shuffled)


@given(seeds, durations, kinds)
def test_strikes_come_in_order_and_are_over_before_the_load_is(seed: int, duration_s: float, faults: list[str]) -> None:
    strikes = schedule(seed, duration_s, faults)
    assert [strike.at_s for strike in strikes] == sorted(strike.at_s for strike in strikes)
    for strike in strikes:
        least_s, most_s = FAULTS[strike.fault].lasts_s
        assert strike.fault in faults
        assert 0 <= strike.pick < 1
        assert least_s <= strike.lasts_s <= most_s
        assert strike.at_s >= QUIET_S
        assert strike.at_s + strike.lasts_s <= duration_s - QUIET_S


@given(seeds, st.floats(5, 60), kinds)
def test_a_longer_run_begins_like_a_shorter_one_of_deaths(seed: int, duration_s: float, faults: list[str]) -> None:
    deaths = [fault for fault in faults if FAULTS[fault].lasts_s == (0.0, 0.0)]
    shorter, longer = schedule(seed, duration_s, deaths), schedule(seed, duration_s + 60, deaths)
    assert longer[: len(shorter)] == shorter


@given(seeds, kinds)
def test_every_kind_comes_before_any_comes_again(seed: int, faults: list[str]) -> None:
    strikes = schedule(seed, 600, faults)
    assert {strike.fault for strike in strikes[: len(faults)]} == set(faults)


def test_seeds_differ() -> None:
    assert len({schedule(seed, 60, FAULTS) for seed in range(100)}) == 100
