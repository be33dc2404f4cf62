"""Times as the order's view writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from models.order.view import rfc3339

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(at=st.integers(0, 4_102_444_800_000))
@example(0)
@example(59_999)
@example(60_000)
@example(1_709_251_199_999)  # the last moment of a leap day
def test_a_time_is_rfc_3339_to_the_millisecond(at: int) -> None:
    text = rfc3339(at)
    assert len(text) == len("2026-11-22T21:00:00.000Z") and text.endswith("Z")
    assert datetime.fromisoformat(text) - EPOCH == timedelta(milliseconds=at)
