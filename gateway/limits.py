"""Every bound of the gateway, each with its unit last in its name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GatewayLimits:
    # A request
    body_bytes_max: int = 1_048_576
    nesting_levels_max: int = 32
    order_lines_max: int = 1_000
    idempotency_key_chars_max: int = 255
    prefer_wait_s_max: float = 60.0
    # A key: a token bucket of requests; each line of a batch counts as one
    requests_per_second_max: float = 10_000.0
    requests_burst_max: float = 20_000.0
    # The door for new orders
    door_shut_s: float = 0.05
    loop_round_s_max: float = 0.5
    door_waiting_messages_max: int = 1_000  # for a call to a host, which takes up to a hundred orders
    door_wait_s: float = 0.5  # from the door until an order is durable, while there are more than:
    backlog_orders_min: int = 256
    backlog_orders_max: int = 2_000
    backlog_window_s: float = 0.25
    retry_after_s_max: int = 10
    repeats_remembered_max: int = 20_000
    # Caches
    cache_age_s_max: float = 1.0
    cached_views_max: int = 50_000
    # Batches
    batch_orders_in_flight_max: int = 256
    # Idempotency keys
    placing_key_ttl_ms: int = 24 * 3_600_000
    # The feed: streams, and requests that wait for events, which count as streams
    feed_wait_s_max: int = 30
    feed_poll_s: float = 0.1  # by one task for all who wait
    feed_retry_s: float = 1.0
    feed_linger_s: float = 5.0
    feed_rows_per_read_max: int = 500
    feed_reads_per_request_max: int = 8
    streams_per_key_max: int = 100
    streams_max: int = 2_000  # per process
    stream_queue_rows_max: int = 500
    stream_rows_cached_max: int = 1_000  # as sent, for streams of the same reader
    stream_chunk_events_max: int = 50
    stream_heartbeat_s: float = 15.0
    stream_stalled_s: float = 30.0  # a client that takes nothing for so long is disconnected
    stream_reconnect_ms: int = 2_000
    # Readiness
    ready_timeout_s: float = 2.0


GATEWAY_LIMITS = GatewayLimits()
