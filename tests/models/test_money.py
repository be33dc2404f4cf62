"""Minor units, there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.money import EXPONENTS, basis_points, format_major, is_currency, parse_major


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [("12.50", "gbp", 1250), ("12.5", "gbp", 1250), ("-0.01", "eur", -1), ("500", "jpy", 500), ("1.234", "kwd", 1234)],
)
def test_amounts_are_read_exactly(text, currency, minor):
    assert parse_major(text, currency) == minor


@pytest.mark.parametrize("text", ["", "1,50", "1.234", "1e3", "nan", " 1", "0x1"])
def test_what_is_no_amount_of_the_currency_is_refused(text):
    with pytest.raises(ValueError, match=r"amount|decimals"):
        parse_major(text, "gbp")


@given(st.integers(-(10**12), 10**12), st.sampled_from(sorted(EXPONENTS)))
def test_writing_and_reading_are_inverse(amount, currency):
    assert parse_major(format_major(amount, currency), currency) == amount


def test_small_amounts_are_written_in_full():
    assert [format_major(5, code) for code in ("gbp", "jpy", "kwd", "clf")] == ["0.05", "5", "0.005", "0.0005"]


def test_currencies_are_lower_case_codes():
    assert is_currency("gbp")
    assert not is_currency("GBP")
    assert not is_currency("xyz")


def test_basis_points_round_down():
    assert basis_points(999, 1000) == 99
