"""Times as the API writes them."""

from __future__ import annotations

from datetime import UTC, datetime

from models.decision import Millis


def rfc3339(at: Millis) -> str:
    """Milliseconds since the epoch as `2026-11-22T21:00:00.000Z`."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
