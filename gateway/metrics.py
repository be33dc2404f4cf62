"""What the gateway counts, in Prometheus' terms."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
CONTENT_TYPE = CONTENT_TYPE_LATEST.encode()

Observe = Callable[[int, float], None]


class Metrics:
    """The gateway's own counters, registered in `registry` beside whatever else is there."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._requests = Counter(
            "dray_http_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self._read_lag_s = Gauge(
            "dray_read_side_lag_seconds", "How far lists are behind the orders; NaN while nobody can say.",
            registry=registry,
        )  # fmt: skip
        self._streams = Gauge(
            "dray_http_streams", "Streams open and requests waiting for events.", registry=registry
        )
        self._seconds = Histogram(
            "dray_http_request_seconds",
            "Time from a request's head to its answer, waiting by Prefer: wait included.",
            ["method", "route"],
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )

    def observer(self, method: str, route: str) -> Observe:
        """A function that counts one answer of a route: its status and seconds. Label look-ups are done once."""
        by_status: dict[int, Counter] = {}
        observe_s = self._seconds.labels(method, route).observe

        def observe(status: int, seconds: float) -> None:
            counter = by_status.get(status)
            if counter is None:
                counter = by_status[status] = self._requests.labels(method, route, str(status))
            counter.inc()
            observe_s(seconds)

        return observe

    def read_lag(self, seconds: float) -> None:
        """Note how far lists are behind."""
        self._read_lag_s.set(seconds)

    def streams(self, count: Callable[[], int]) -> None:
        """Where to look for how many streams there are."""
        self._streams.set_function(count)

    def exposition(self) -> bytes:
        """Everything in the registry, as Prometheus reads it."""
        return generate_latest(self._registry)
