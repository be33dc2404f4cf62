"""Create, list and revoke API keys. A key is shown once and stored hashed."""

from __future__ import annotations

import argparse

from scripts.settings import BadSetting, Resolved


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("create", "list", "revoke"))
    parser.add_argument("id", nargs="?", help="of the key to revoke")
    parser.add_argument("--role", choices=("retailer", "supplier", "ops"), help="of the key to create")
    parser.add_argument("--name", help="the tenant that the key to create speaks for")


def run(arguments: argparse.Namespace, resolved: Resolved) -> int:
    from scripts.ops_client import OpsClient

    if arguments.action == "create" and not (arguments.role and arguments.name):
        raise BadSetting("keys create needs --role and --name")
    if arguments.action == "revoke" and not arguments.id:
        raise BadSetting("keys revoke needs the ID that `keys list` shows")
    ops = OpsClient(resolved.settings)
    match arguments.action:
        case "create":
            made = ops.call("POST", "/v1/api_keys", {"role": arguments.role, "name": arguments.name})
            print(f"{made['key']}\n{made['id']}: {made['role']} {made['name']}; the key is not shown again")
        case "list":
            for key in ops.call("GET", "/v1/api_keys")["data"]:
                revoked = f"revoked {key['revoked_at']}" if key["revoked_at"] else "in force"
                print(f"{key['id']}  {key['role']:<8}  {key['name']:<20}  {key['created_at']}  {revoked}")
        case "revoke":
            gone = ops.call("DELETE", f"/v1/api_keys/{arguments.id}")
            print(f"{gone['id']} is revoked")
    return 0
