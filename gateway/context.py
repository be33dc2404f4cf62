"""The gateway itself: the services it was given and what it keeps between requests."""

from __future__ import annotations

from gateway.auth import Keys
from gateway.backlog import Backlog
from gateway.cache import ViewCache
from gateway.catalogue import Catalogue
from gateway.door import Door
from gateway.feed import Feed
from gateway.metrics import Metrics
from gateway.rates import RateLimit
from gateway.services import Services


class Gateway:
    """Shared by all requests of one process. It holds no truth: everything here may vanish at any moment."""

    def __init__(self, services: Services) -> None:
        limits = services.limits
        self.services = services
        self.router = services.router
        self.sealer = services.sealer
        self.limits = limits
        self.metrics = Metrics(services.metrics)
        self.keys = Keys(services.router, limits.cache_age_s_max)
        self.views = ViewCache(services.router, limits.cache_age_s_max, limits.cached_views_max)
        self.catalogue = Catalogue(self.views, limits.cached_views_max)
        self.rates = RateLimit(limits.requests_per_second_max, limits.requests_burst_max)
        backlog = Backlog(
            wait_s=limits.door_wait_s, few=limits.backlog_orders_min, many=limits.backlog_orders_max,
            window_s=limits.backlog_window_s, retry_after_s_max=limits.retry_after_s_max,
        )  # fmt: skip
        self.door = Door(
            backlog, shut_s=limits.door_shut_s, round_s_max=limits.loop_round_s_max,
            waiting_max=limits.door_waiting_messages_max, repeats_max=limits.repeats_remembered_max,
            waiting=services.waiting,
        )  # fmt: skip
        self.feed = Feed(services.feed, services.sealer, limits)
        self.metrics.streams(lambda: self.feed.followers)

    def stop(self) -> None:
        """End what would never end by itself: the process is shutting down."""
        self.feed.close()
