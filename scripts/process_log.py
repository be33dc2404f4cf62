"""Where the processes of a system log to."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

LOG_BYTES_MAX = 20_000_000


def log_to_file(spec: Mapping[str, Any], name: str) -> None:
    """Log where an operator looks: in the data directory, where there is one, else on standard error."""
    handler: logging.Handler = logging.StreamHandler()
    if spec["logs"]:
        safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
        handler = RotatingFileHandler(Path(spec["logs"]) / f"{safe}.log", maxBytes=LOG_BYTES_MAX, backupCount=2)
    logging.basicConfig(
        level=spec["log_level"].upper(), handlers=[handler], force=True,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )  # fmt: skip
    for vendor in ("stripe", "uvicorn", "asyncio"):
        logging.getLogger(vendor).setLevel(logging.WARNING)
