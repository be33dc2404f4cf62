"""Counting values in buckets, so that counts of many places and times can be added up and percentiles still be told.

The buckets are those of an HdrHistogram with `bits` significant bits: below `2 << bits` exact, above it `1 << bits` to
each doubling. So a percentile is never too low, and too high by one part in `1 << bits` at most.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def bucket_of(value: int, bits: int) -> int:
    """The bucket that counts `value`, which is not negative."""
    if value < 2 << bits:
        return value
    doublings = value.bit_length() - (bits + 1)
    return (doublings << bits) + (value >> doublings)


def highest_in(bucket: int, bits: int) -> int:
    """The highest value that a bucket counts."""
    if bucket < 2 << bits:
        return bucket
    doublings = (bucket >> bits) - 1
    mantissa = bucket - (doublings << bits)
    return ((mantissa + 1) << doublings) - 1


def percentiles(counts: Mapping[int, int], bits: int, shares: Iterable[float]) -> list[int]:
    """For each of `shares` (0 to 1, ascending) the value that this share of all did not exceed; 0 if there were none.
    `counts`: by bucket."""
    found: list[int] = []
    whole, seen, value = sum(counts.values()), 0, 0
    buckets = iter(sorted(counts.items()))
    for share in shares:
        while seen < share * whole:
            bucket, count = next(buckets)
            seen += count
            value = highest_in(bucket, bits)
        found.append(value)
    return found
