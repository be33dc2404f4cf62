"""List, retry or discard parked commands: those whose turn raised five times."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys

from scripts.settings import BadSetting, Resolved


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("list", "retry", "discard"))
    parser.add_argument("id", nargs="?", help="of the command to send to its actor again, or to drop for good")


def run(arguments: argparse.Namespace, resolved: Resolved) -> int:
    from scripts import inside, run_state

    if arguments.action != "list" and not arguments.id:
        raise BadSetting(f"parked {arguments.action} needs the ID that `parked list` shows")
    settings = resolved.settings
    state = run_state.running(settings)
    inside.join(settings, state.ray)
    return asyncio.run(_run(arguments, state.shards))


async def _run(arguments: argparse.Namespace, shards: int) -> int:
    from actors.runtime.envelope import Overloaded, Status, Unanswered
    from models.parking import PARKING, DiscardParked, RetryParked
    from scripts.composition import Reach

    reach = Reach({"shards": shards}, f"parked-{os.getpid()}")
    await reach.open()
    try:
        if arguments.action == "list":
            reply = await reach.router.read(PARKING)
        else:
            command = RetryParked if arguments.action == "retry" else DiscardParked
            reply = await reach.router.ask(PARKING, command(parked=arguments.id))
    except (Overloaded, Unanswered) as error:
        print(f"dray: no answer: {error}", file=sys.stderr)
        return 1
    finally:
        await reach.close()
    if reply.status is Status.REJECTED:
        print(f"dray: {json.loads(reply.body)['detail']}", file=sys.stderr)
        return 1
    for entry in (json.loads(reply.body) or {}).get("parked", []):
        print(f"{entry['id']}  {entry['kind']}:{entry['actor']}  {entry['command_name']}  {entry['cause']}")
        print(f"    {entry['command']}")
    return 0
