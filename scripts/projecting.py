"""Builds the projector inside its Ray actor. Apart from `composition`: it needs nothing of what hosts need."""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping
from typing import Any

from actors.adapters.sqlalchemy_projection import SqlReadModel
from actors.kinds import KINDS
from actors.runtime.projector import Projector
from models.decision import Millis
from scripts.journal import open_journal
from scripts.process_log import log_to_file


def wall() -> Millis:
    return time.time_ns() // 1_000_000


async def open_projector(spec: Mapping[str, Any]) -> Projector:
    """The database may be away for now: the projector waits for that itself."""
    log_to_file(spec, "projector")
    model = SqlReadModel(spec["database"])
    projector = Projector(KINDS["order"], await open_journal(spec), model, shards=spec["shards"], wall=wall)
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # folding makes many small records and no cycles: a fifth of the time went there
    return projector
