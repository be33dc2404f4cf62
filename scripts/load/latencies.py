"""Latencies counted in buckets, so that those of many processes and intervals can be added up.

The buckets have seven significant bits: below 256 µs exact, above it 128 to each doubling, so a percentile is at most
0.8 % too high and never too low.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from models.buckets import bucket_of, highest_in, percentiles

BITS = 7
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "max": 1.0}


class Latencies:
    """How often each latency was seen. The longest is kept exactly."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self.count = 0
        self._total_us = 0
        self.max_us = 0

    def record(self, seconds: float) -> None:
        us = max(0, round(seconds * 1e6))
        bucket = bucket_of(us, BITS)
        self._counts[bucket] = self._counts.get(bucket, 0) + 1
        self.count += 1
        self._total_us += us
        self.max_us = max(self.max_us, us)

    def add(self, other: Latencies) -> None:
        for bucket, count in other._counts.items():
            self._counts[bucket] = self._counts.get(bucket, 0) + count
        self.count += other.count
        self._total_us += other._total_us
        self.max_us = max(self.max_us, other.max_us)

    def percentile_ms(self, share: float) -> float:
        """The latency that `share` of all (0 to 1) did not exceed; 0 if there were none."""
        return self.percentiles_ms([share])[0]

    def percentiles_ms(self, shares: Iterable[float]) -> list[float]:
        """Several at once. `shares` must ascend."""
        return [min(us, self.max_us) / 1000 for us in percentiles(self._counts, BITS, shares)]

    def summary_ms(self) -> dict[str, float]:
        """p50, p90, p99, p999 and max in milliseconds, as `load --json` has them."""
        values = self.percentiles_ms(PERCENTILES.values())
        return {name: round(value, 3) for name, value in zip(PERCENTILES, values, strict=True)}

    @property
    def mean_ms(self) -> float:
        return self._total_us / self.count / 1000 if self.count else 0.0

    def distribution(self) -> list[tuple[float, int]]:
        """Every bucket's longest latency in milliseconds and its count, ascending."""
        return [(highest_in(bucket, BITS) / 1000, count) for bucket, count in sorted(self._counts.items())]

    def to_json(self) -> dict[str, object]:
        return {"counts": self._counts, "total_us": self._total_us, "max_us": self.max_us}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Latencies:
        found = cls()
        counts, total_us, max_us = data["counts"], data["total_us"], data["max_us"]
        assert isinstance(counts, dict) and isinstance(total_us, int) and isinstance(max_us, int)
        found._counts = {int(bucket): int(count) for bucket, count in counts.items()}
        found.count = sum(found._counts.values())
        found._total_us, found.max_us = total_us, max_us
        return found
