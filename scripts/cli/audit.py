"""Audit a system, running or stopped: invariants A1 to A10.

Computed from the journal, the payment ledger and the receipts of clients, by code that shares nothing with the actors
but the event decoder. Prints a line for each, names what offends, ends with 1 if anything does.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.settings import Resolved, Settings

if TYPE_CHECKING:
    from scripts.audit.live import Gateway


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--json", type=Path, metavar="FILE", help="write the result there")
    add("--receipts", type=Path, action="append", metavar="FILE", help="what clients were told: a file, or a directory")
    add("--settle", type=float, default=10.0, metavar="S", help="wait so long for what is under way to end (10)")


def run(arguments: argparse.Namespace, resolved: Resolved) -> int:
    import asyncio
    import json
    import sys

    from actors.runtime.archive import ArchiveUnavailable
    from actors.runtime.ports import JournalMismatch, JournalUnavailable
    from scripts.audit.run import Case, audit
    from scripts.redis_server import RedisServerError

    settings = resolved.settings
    receipts = tuple(arguments.receipts or receipts_of(settings))
    try:
        with journal_of(settings) as (redis, running):
            gateway = gateway_of(settings) if running else None
            case = Case(
                redis, settings.data, receipts, running, arguments.settle, gateway=gateway,
                archive=archive_url(settings),
            )  # fmt: skip
            findings = asyncio.run(audit(case))
    except (JournalUnavailable, ArchiveUnavailable, JournalMismatch, RedisServerError, ValueError, OSError) as error:
        print(f"dray: the audit could not be made: {error}", file=sys.stderr)
        return 1
    print("\n".join(findings.lines()))
    print("passed" if findings.passed else "FAILED")
    if arguments.json:
        arguments.json.write_text(json.dumps(findings.to_json(), indent=2) + "\n")
    return 0 if findings.passed else 1


def gateway_of(settings: Settings) -> Gateway | None:
    """The gateway of a running system; None if its keys are not here."""
    from scripts import run_state
    from scripts.audit.live import Gateway
    from scripts.client import Keys

    state = run_state.read(settings)
    if state is None or not state.ready or not settings.keys_file.exists():
        return None
    return Gateway(state.url, Keys.of(settings).ops)


def archive_url(settings: Settings) -> str:
    """Where the orders are that have left the journal."""
    from scripts import run_state
    from scripts.spec import archive_of

    state = run_state.read(settings)
    return archive_of(state.database if state is not None else settings.database, settings.data)


def receipts_of(settings: Settings) -> list[Path]:
    """The receipts that load tests have left in the data directory."""
    directory = settings.data / "receipts"
    return sorted(path for path in directory.iterdir() if path.is_dir()) if directory.is_dir() else []


@contextlib.contextmanager
def journal_of(settings: Settings) -> Iterator[tuple[str, bool]]:
    """The Redis of a data directory, and whether the system runs. One that is stopped has its embedded server started
    for the audit's sake, and stopped again; nothing writes to it."""
    from scripts import redis_server, run_state

    state = run_state.read(settings)
    if state is not None and state.redis and state.supervisor.alive():
        yield state.redis, True
        return
    external = settings.redis or (state.redis if state is not None and not state.redis.startswith("unix:") else "")
    if external:
        yield external, False
        return
    left = redis_server.running(settings.data)
    if left is not None:
        yield left.url, False
        return
    if not (settings.data / "redis").is_dir():
        raise FileNotFoundError(f"there is no journal in {settings.data}")
    server = redis_server.start(settings.data)
    try:
        yield server.url, False
    finally:
        server.stop()
