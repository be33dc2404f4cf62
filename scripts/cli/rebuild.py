"""Make the read model anew from the journal, while orders flow.

Lists stay whole and usable meanwhile. Returns once everything has been made anew; the projector goes on if this command
is interrupted.
"""

from __future__ import annotations

import argparse
import sys
import time

from scripts.settings import Resolved

LOOK_S = 0.5


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-wait", action="store_true", help="return at once")


def run(arguments: argparse.Namespace, resolved: Resolved) -> int:
    from actors.adapters.sqlalchemy_projection import SqlReadModel
    from actors.runtime.reading import ReadModelUnavailable
    from scripts import run_state

    state = run_state.running(resolved.settings)
    model = SqlReadModel(state.database)
    began = time.monotonic()
    try:
        model.request_rebuild()
        left = state.shards
        while left and not arguments.no_wait:
            time.sleep(LOOK_S)
            left = sum(position.rebuilding for position in model.positions().values())
            print(f"{state.shards - left} of {state.shards} shards", flush=True)
    except ReadModelUnavailable as error:
        print(f"dray: {error}", file=sys.stderr)
        return 1
    finally:
        model.close()
    print("asked for" if arguments.no_wait else f"made anew in {time.monotonic() - began:.1f} s")
    return 0
