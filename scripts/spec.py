"""What every process of one system is built from. Imports nothing heavy: the command line and `up` use it, too."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from scripts.settings import Settings

HOST_FACTORY = "scripts.composition:open_host"
JOURNAL_FACTORY = "scripts.journal:open_director_journal"
PROJECTOR_FACTORY = "scripts.projecting:open_projector"


class Spec(TypedDict):
    """What every process of one system is built from. Secrets are not in it: each process has them in its environment.

    stripe_url: of the sandbox, or of the server that `--stripe-url` names; '' means Stripe itself.
    logs, ledger, endpoint_file, data: paths on this machine; '' where nodes do not share one.
    database:   where the read side is, as SQLAlchemy names it. archive: where orders at rest are.
    key_id:     tells master keys apart without showing them: all nodes must have the same.
    """

    shards: int
    hosts: int
    standby: int
    dedicated: list[str]
    redis: str
    database: str
    archive: str
    archive_after_s: float
    arrivals_max: int
    payments: str
    stripe_url: str
    simulated_latency_ms: float
    ledger: str
    logs: str
    log_level: str
    endpoint_file: str
    data: str
    key_id: str
    host_factory: str
    journal_factory: str
    projector_factory: str


def archive_of(database: str, data: Path) -> str:
    """Where the archive is: in the PostgreSQL that is shared, else in a file of its own, whatever becomes of the read
    side's."""
    shared = database.startswith("postgres")
    return database if shared else f"sqlite:///{data.resolve() / 'archive.db'}"


def spec_of(settings: Settings, redis: str, stripe_url: str) -> Spec:
    """The spec of a system with these settings; `redis` and `stripe_url` as they have turned out."""
    data = settings.data.resolve()
    alone = not settings.address
    return Spec(
        shards=settings.shards,
        hosts=settings.hosts if alone else 0,  # nodes of a cluster add their own
        standby=settings.standby if alone else 0,
        dedicated=sorted({rule.strip() for rule in settings.dedicated.split(",") if rule.strip()}),
        redis=redis,
        database=settings.database or f"sqlite:///{data / 'read.db'}",
        archive=archive_of(settings.database, data),
        archive_after_s=settings.archive_after,
        arrivals_max=settings.arrivals_max,
        payments=settings.payments,
        stripe_url=stripe_url,
        simulated_latency_ms=settings.simulated_latency_ms,
        ledger=str(data / "simulated-ledger.jsonl") if alone else "",
        logs=str(settings.logs.resolve()) if alone else "",
        log_level=settings.log_level,
        endpoint_file=str(data / "director.json") if alone else "",
        data=str(data) if alone and not settings.redis else "",
        key_id="",  # known when the keys have been loaded
        host_factory=HOST_FACTORY,
        journal_factory=JOURNAL_FACTORY,
        projector_factory=PROJECTOR_FACTORY,
    )
