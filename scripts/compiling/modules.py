"""What is compiled: what an order goes through, in a gateway, in a host and in the projector."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("models", "actors", "gateway")
"""Copied whole: a package has one directory, compiled or not."""

WHOLE = ("models", "actors/runtime")
"""Folders that are compiled but for a few files. Records are all in them: who inherits from one that is compiled has to
be compiled, too."""

AS_WRITTEN = frozenset({
    "models/record.py",  # what records are where nothing is compiled
    "models/catalogue.py",  # decorators and pydantic's adapters: nothing to gain
    "models/sealing.py",
    "actors/runtime/archive_stream.py",  # an asynchronous generator, which mypyc cannot compile
    "actors/runtime/director.py",
    "actors/runtime/local_archive.py",  # for tests and the simulator, as are the next
    "actors/runtime/local_journal.py",
    "actors/runtime/local_stream.py",
    "actors/runtime/local_transport.py",
})  # fmt: skip

SINGLE = (
    "actors/adapters/aesgcm_sealer.py",
    "actors/adapters/redis_layout.py",
    "actors/adapters/simulated_payments.py",
    "actors/adapters/sqlalchemy_rows.py",
    "gateway/auth.py",
    "gateway/backlog.py",
    "gateway/cache.py",
    "gateway/catalogue.py",
    "gateway/demand.py",
    "gateway/door.py",
    "gateway/endpoint.py",
    "gateway/idempotency.py",
    "gateway/metrics.py",
    "gateway/parsing.py",
    "gateway/paths.py",
    "gateway/personal_data.py",
    "gateway/placing.py",
    "gateway/rates.py",
    "gateway/replies.py",
    "gateway/routers/batch.py",
    "gateway/routers/orders.py",
    "gateway/short_way.py",
    "gateway/views.py",
)
"""Files of other folders that are compiled."""


def compiled_modules(root: Path) -> Iterator[str]:
    """The files that are compiled, relative to `root`."""
    for folder in WHOLE:
        for path in sorted((root / folder).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            if path.name != "__init__.py" and name not in AS_WRITTEN:
                yield name
    yield from SINGLE
