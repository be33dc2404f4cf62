"""The audit that ends a load test."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from actors.runtime.archive import ArchiveUnavailable
from actors.runtime.ports import JournalMismatch, JournalUnavailable
from scripts import run_state
from scripts.audit.run import Case, audit
from scripts.cli.audit import archive_url, gateway_of
from scripts.load.measured import Measured
from scripts.settings import Settings

SETTLE_S = 60.0


def audited(measured: Measured, settings: Settings) -> bool:
    """Wait until the system is at rest, then audit it with this test's receipts. Prints and keeps what it finds."""
    case = Case(
        run_state.running(settings).redis, settings.data, (Path(measured.receipts),), settle_s=SETTLE_S, strict=True,
        gateway=gateway_of(settings), archive=archive_url(settings),
    )  # fmt: skip
    try:
        findings = asyncio.run(audit(case))
    except (JournalUnavailable, ArchiveUnavailable, JournalMismatch, ValueError) as error:
        print(f"dray: the audit could not be made: {error}", file=sys.stderr)
        return False
    measured.audit = findings.to_json()
    print("\n".join(findings.lines()))
    return findings.passed
