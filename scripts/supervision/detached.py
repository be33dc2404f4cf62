"""An `up` that outlives the command that started it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from scripts import run_state
from scripts.settings import Settings
from scripts.supervision.processes import Child

STOP_TIMEOUT_S = 60.0
FOLLOW_S = 0.03


def detach(settings: Settings, arguments: list[str]) -> int:
    """Start an `up` that outlives this process, and return once orders are accepted: 0, or 1 with the reason."""
    run_state.prepare(settings)
    log = Path(settings.logs / "up.log")
    offset = log.stat().st_size if log.exists() else 0
    child = Child([sys.executable, "-m", "scripts.cli", "up", *arguments], log, {"PYTHONUNBUFFERED": "1"})
    child.tell("")
    try:
        return _followed(child, log, offset)
    except BaseException:  # Ctrl-C, for instance: an `up` that was never announced as ready is nobody's
        child.stop(STOP_TIMEOUT_S)
        raise


def _followed(child: Child, log: Path, offset: int) -> int:
    """Repeat what `up` says, until it is ready (0) or has ended (1)."""
    while True:
        ended = child.ended()
        with log.open("rb") as lines:
            lines.seek(offset)
            text = lines.read()
        whole = text[: text.rfind(b"\n") + 1]
        offset += len(whole)
        sys.stdout.write(whole.decode(errors="replace"))
        sys.stdout.flush()
        if any(line.startswith(b"ready ") for line in whole.splitlines()):
            return 0
        if ended is not None:
            sys.stderr.write(f"dray: not started; the logs are in {log.parent}\n")
            return 1
        time.sleep(FOLLOW_S)
