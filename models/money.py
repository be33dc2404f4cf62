"""Money as Dray counts it: integers in the minor unit of a currency (ISO 4217). There is no float anywhere."""

from __future__ import annotations

import re
from fractions import Fraction

_ZERO_DECIMALS = "bif clp djf gnf isk jpy kmf krw pyg rwf ugx uyi vnd vuv xaf xof xpf"
_TWO_DECIMALS = (
    "aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd btn bwp byn bzd cad cdf chf cny cop "
    "crc cup cve czk dkk dop dzd egp ern etb eur fjd fkp gbp gel ghs gip gmd gtq gyd hkd hnl htg huf idr ils inr irr "
    "jmd kes kgs khr kpw kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mru mur mvr mwk mxn myr mzn nad ngn "
    "nio nok npr nzd pab pen pgk php pkr pln qar ron rsd rub sar sbd scr sdg sek sgd shp sle sos srd ssp stn svc syp "
    "szl thb tjs tmt top try ttd twd tzs uah usd uyu uzs ves wst xcd yer zar zmw zwg"
)
_THREE_DECIMALS = "bhd iqd jod kwd lyd omr tnd"
_FOUR_DECIMALS = "clf uyw"

EXPONENTS: dict[str, int] = {
    code: exponent
    for exponent, codes in ((0, _ZERO_DECIMALS), (2, _TWO_DECIMALS), (3, _THREE_DECIMALS), (4, _FOUR_DECIMALS))
    for code in codes.split()
}
"""Digits after the decimal point, by lower-case ISO 4217 code. Vendors that deviate are their adapters' business."""

_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?\Z")


def is_currency(code: str) -> bool:
    return code in EXPONENTS


def parse_major(text: str, currency: str) -> int:
    """Read an amount in major units, such as `"12.50"`, as minor units.

    Raises ValueError if the text is no plain decimal number or has more decimals than the currency knows, and
    KeyError for an unknown currency.
    """
    exponent: int = EXPONENTS[currency]
    if not _DECIMAL.match(text):
        raise ValueError(f"{text!r} is not an amount")
    minor = Fraction(text) * Fraction(10**exponent)
    if minor.denominator != 1:
        raise ValueError(f"{text!r} has more than {exponent} decimals, too many for {currency}")
    return minor.numerator


def format_major(amount: int, currency: str) -> str:
    """Minor units as people write them: `1250` of `gbp` is `"12.50"`. Raises KeyError for an unknown currency."""
    exponent = EXPONENTS[currency]
    if not exponent:
        return str(amount)
    units, rest = divmod(abs(amount), 10**exponent)
    return f"{'-' if amount < 0 else ''}{units}.{rest:0{exponent}d}"


def basis_points(amount: int, bps: int) -> int:
    """`bps` ten-thousandths of `amount`, rounded down."""
    return amount * bps // 10_000
