"""Builds the projector, and the roll-ups that follow it, inside their Ray actor. Apart from `composition`: they need
nothing of what hosts need."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from actors.adapters.redis_system import archive_of
from actors.adapters.sqlalchemy_archive import SqlArchive
from actors.adapters.sqlalchemy_projection import SqlReadModel
from actors.adapters.sqlalchemy_rollups import SqlRollUps
from actors.kinds import KINDS
from actors.runtime.archive_stream import ArchiveStream
from actors.runtime.projector import Projector
from actors.runtime.rollups import RollUps
from models.decision import Millis
from scripts.collector import spare_the_collector
from scripts.journal import open_stream
from scripts.process_log import log_to_file


def wall() -> Millis:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class ReadSide:
    """Both of them."""

    projector: Projector
    rollups: RollUps

    async def run(self) -> None:
        """Until it is cancelled."""
        await asyncio.gather(self.projector.run(), self.rollups.run())


async def open_projector(spec: Mapping[str, Any]) -> ReadSide:
    """The database may be away for now: they wait for that themselves."""
    log_to_file(spec, "projector")
    model, orders = SqlReadModel(spec["database"]), KINDS["order"]
    archive = SqlArchive(spec["archive"], wall, partial(archive_of, spec["redis"]))
    stream = ArchiveStream(await open_stream(spec), archive)
    projector = Projector(orders, stream, model, shards=spec["shards"], wall=wall)
    rollups = RollUps(orders, SqlRollUps(spec["database"]), wall=wall, at_hand=projector.at_hand)
    spare_the_collector()
    return ReadSide(projector, rollups)
