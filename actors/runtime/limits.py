"""Every bound of the runtime, each with its unit last in its name. Nothing in Dray queues without one of these."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    # A host
    mailbox_messages_max: int = 10_000  # per actor
    host_queue_messages_max: int = 50_000  # delivered and not yet turned
    arrivals_in_flight_max: int = 2_000  # orders begun and not yet answered for; beyond it new orders get BUSY
    resident_actors_max: int = 50_000
    resident_idle_s: float = 30.0
    works_per_slice_max: int = 256  # turned before the event loop gets a breath
    commit_groups_max: int = 512  # per cell and commit
    part_events_max: int = 1_000  # of one actor that wait for the journal before it is busy; a commit takes 7,000
    load_batch_actors_max: int = 256
    poison_attempts_max: int = 5
    effects_in_flight_max: int = 10_000
    command_memory_s: float = 24 * 3600.0  # how long an actor remembers the command ids it has answered
    watches_max: int = 20_000
    linger_s: float = 10.0  # how long a call that only waits for notices is held
    answer_bytes_max: int = 90_000  # of a call, unless one reply alone is larger: notices that have no room ride on
    # Leases
    lease_renew_s: float = 1.0
    lease_lost_s: float = 5.0
    # Retries
    commit_retry_s: float = 0.05
    commit_retry_max_s: float = 2.0
    due_poll_s: float = 0.25
    due_batch_actors_max: int = 1_000
    # Storage: beyond these, new orders are refused
    disk_free_bytes_min: int = 256 * 2**20
    journal_memory_share_max: float = 0.9
    # The archive
    archive_after_s: float = 600.0  # how long an order is quiet before it leaves the journal; 0: none ever does
    archive_timer_min_s: float = 3600.0  # what has to wake up sooner stays in the journal
    archive_poll_s: float = 1.0
    archive_wait_s: float = 0.05  # how long askers, and their whole batch, wait for an order that is looked up
    archive_pause_s: float = 0.05  # between two batches: some 11 ms of the event loop's time
    archive_batch_orders_max: int = 256  # per host and transaction
    archive_cell_orders_max: int = 128  # per cell and commit: Redis serves nobody else meanwhile
    archive_events_max: int = 2_000  # of one actor: all of them come back in one append
    # The projector
    projector_poll_s: float = 0.25  # the longer, the more of an order's events become one row
    projector_busy_round_s: float = 0.6  # from one to the next, once one has had so many orders:
    projector_busy_orders_min: int = 50
    projector_wait_rounds_max: int = 2  # then, for an order that has begun and goes on
    projector_retry_s: float = 0.5
    projector_report_ms: int = 1_000
    projector_entries_max: int = 512  # per shard and read
    projector_orders_known_max: int = 1_000  # more are read again sooner than they pay for their place in the caches
    rebuild_page_orders_max: int = 500
    feed_kept_days: int = 30
    feed_trimmed_rows_max: int = 10_000  # at a time, once every `projector_report_ms`
    feed_scanned_rows_max: int = 10_000  # looked at for one page of somebody who sees few of them
    # The roll-ups
    rollups_poll_s: float = 5.0
    rollups_orders_max: int = 500  # per transaction: other writers wait for it
    rollups_share_min: float = 0.05  # of the time, while they are not behind
    rollups_share_max: float = 0.5
    rollups_patience_s: float = 60.0  # behind by so much they take twice the least share, by twice as much three times
    # The router
    router_calls_in_flight_max: int = 2  # per destination
    router_batch_bytes_max: int = 90_000  # below the 100 KiB that Ray sends inline unless told otherwise
    router_batch_messages_max: int = 1_000
    router_queue_messages_max: int = 20_000  # per destination
    router_retry_s: float = 0.02
    router_retry_max_s: float = 0.5
    router_sweep_s: float = 0.25
    message_ttl_s: float = 30.0
    call_timeout_s: float = 10.0


LIMITS = Limits()
