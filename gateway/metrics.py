"""What the gateway counts, in Prometheus' terms."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
CONTENT_TYPE = CONTENT_TYPE_LATEST.encode()

Observe = Callable[[int, float], None]


class Metrics:
    """The gateway's own counters, registered in `registry` beside whatever else is there."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._requests = _Requests()
        registry.register(self._requests)
        self._read_lag_s = Gauge(
            "dray_read_side_lag_seconds", "How far lists are behind the orders; NaN while nobody can say.",
            registry=registry,
        )  # fmt: skip
        self._streams = Gauge(
            "dray_http_streams", "Streams open and requests waiting for events.", registry=registry
        )

    def observer(self, method: str, route: str) -> Observe:
        """A function that counts one answer of a route: its status and seconds."""
        return self._requests.of(method, route).observe

    def read_lag(self, seconds: float) -> None:
        """Note how far lists are behind."""
        self._read_lag_s.set(seconds)

    def streams(self, count: Callable[[], int]) -> None:
        """Where to look for how many streams there are."""
        self._streams.set_function(count)

    def exposition(self) -> bytes:
        """Everything in the registry, as Prometheus reads it."""
        return generate_latest(self._registry)


class _Route:
    """What is counted of one route. One thread counts, so it takes neither locks nor a look-up by labels, which would
    cost an answer as much as its headers do."""

    def __init__(self, method: str, route: str) -> None:
        self.labels = (method, route)
        self.by_status: defaultdict[int, int] = defaultdict(int)
        self.seconds = 0.0
        self.in_bucket = [0] * (len(LATENCY_BUCKETS_S) + 1)  # not those of the buckets below

    def observe(self, status: int, seconds: float) -> None:
        """Count one answer."""
        self.by_status[status] += 1
        self.seconds += seconds
        self.in_bucket[bisect_left(LATENCY_BUCKETS_S, seconds)] += 1

    def buckets(self) -> list[tuple[str, float]]:
        """As Prometheus wants them: each with all those below it."""
        counted, found = 0, []
        for bound, count in zip((*map(str, LATENCY_BUCKETS_S), "+Inf"), self.in_bucket, strict=True):
            counted += count
            found.append((bound, float(counted)))
        return found


class _Requests(Collector):
    """Requests and their seconds by route: `dray_http_requests` and `dray_http_request_seconds`."""

    def __init__(self) -> None:
        self._routes: dict[tuple[str, str], _Route] = {}

    def of(self, method: str, route: str) -> _Route:
        found = self._routes.get((method, route))
        if found is None:
            found = self._routes[method, route] = _Route(method, route)
        return found

    def collect(self) -> Iterable[Metric]:
        requests = CounterMetricFamily(
            "dray_http_requests", "Requests answered.", labels=["method", "route", "status"]
        )
        seconds = HistogramMetricFamily(
            "dray_http_request_seconds",
            "Time from a request's head to its answer, waiting by Prefer: wait included.",
            labels=["method", "route"],
        )
        for route in self._routes.values():
            for status, count in route.by_status.items():
                requests.add_metric([*route.labels, str(status)], count)
            seconds.add_metric(route.labels, route.buckets(), route.seconds)
        return requests, seconds
