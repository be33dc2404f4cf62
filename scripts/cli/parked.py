"""List, retry or discard parked commands: those whose turn raised five times."""

from __future__ import annotations

import argparse

from scripts.settings import BadSetting, Resolved


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("list", "retry", "discard"))
    parser.add_argument("id", nargs="?", help="of the command to send to its actor again, or to drop for good")


def run(arguments: argparse.Namespace, resolved: Resolved) -> int:
    from scripts.ops_client import OpsClient

    if arguments.action != "list" and not arguments.id:
        raise BadSetting(f"parked {arguments.action} needs the ID that `parked list` shows")
    ops = OpsClient(resolved.settings)
    if arguments.action == "list":
        for entry in ops.call("GET", "/v1/parked")["data"]:
            print(f"{entry['id']}  {entry['at']}  {entry['kind']}:{entry['actor']}  {entry['command_name']}")
            print(f"    {entry['cause']}\n    {entry['command']}")
        return 0
    ops.call("POST", f"/v1/parked/{arguments.id}/{arguments.action}")
    print(f"{arguments.id}: {'sent again' if arguments.action == 'retry' else 'dropped'}")
    return 0
