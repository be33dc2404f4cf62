"""Brings Dray up inside a running Ray cluster: director, hosts, demo tenants; and takes a node's hosts out of one.

Started by `up`, which writes one line of JSON to its input; safe to run again at any time.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import orjson

from actors.adapters import ray_cluster, ray_director, ray_projector
from actors.adapters.aesgcm_sealer import key_id
from actors.adapters.key_file import load_keys
from actors.adapters.placement_link import PlacementLink
from actors.runtime.envelope import Overloaded, Reply, Status, Unanswered
from actors.runtime.ports import HostUnavailable
from gateway.auth import hash_of, new_key
from models.decision import Address, Command
from models.keyring import KEYRING, CreateKey, Role
from models.party import PutParty
from models.supplier.messages import Mode, PutSupplier
from scripts.composition import Reach
from scripts.process_log import log_to_file
from scripts.spec import Spec

RETAILERS = ("acme",)
SUPPLIERS: dict[str, Mode] = {"north": "auto", "south": "manual"}
TRIES = 60
PAUSE_S = 0.25
FIXED_FOR_A_CLUSTER = ("shards", "dedicated", "payments", "stripe_url", "key_id", "archive_after_s")
DRAIN_TIMEOUT_S = 60.0


def main() -> int:
    line = sys.stdin.readline()
    if not line:
        return 0
    told = json.loads(line)
    spec: Spec = told["spec"]
    log_to_file(spec, "deploy")
    spec["key_id"] = key_id(load_keys(os.environ, Path(told["master_key_file"])).masters[0])
    hosts_file = Path(told["hosts_file"])
    ray_cluster.join(told["ray"])
    try:
        if told["leaving"]:
            asyncio.run(_leave(json.loads(hosts_file.read_text()) if hosts_file.exists() else []))
            return 0
        director = ray_director.ensure_director(spec)
        if told["add_hosts"]:
            hosts_file.write_text(json.dumps(_add_hosts(director, spec, told["add_hosts"])))
        asyncio.run(_seed(spec, Path(told["keys_file"])))
        ray_projector.ensure_projector(spec)  # last: orders can be accepted without
    finally:
        ray_cluster.leave()
    return 0


def _add_hosts(director: Any, spec: Spec, count: int) -> list[str]:
    """This node's hosts for a system that may be running already. Exits if that was started with other settings."""
    running = ray_director.spec_of(director)
    for name in FIXED_FOR_A_CLUSTER:
        if running[name] != spec[name]:  # type: ignore[literal-required]
            sys.exit(f"the cluster's Dray runs with another {name}: {running[name]!r}, not {spec[name]!r}")  # type: ignore[literal-required]
    return ray_director.add_hosts(director, count, ray_cluster.node_id())


async def _leave(hosts: list[str]) -> None:
    """Let this node's hosts hand over what they own, and end them."""
    link = PlacementLink(ray_cluster.find_director)
    link.start()
    try:
        await link.placement()
        for host in hosts:
            await link.request({"drain": host}, DRAIN_TIMEOUT_S)
    finally:
        await link.close()


# --- the demo tenants ------------------------------------------------------------------------------------------------


async def _seed(spec: Spec, keys_file: Path) -> None:
    """See to it that the demo tenants exist and that the keys in the file open what they should."""
    reach = Reach(spec, f"deploy-{os.getpid()}")
    await reach.open()
    try:
        keys = stored_keys(keys_file)
        await asyncio.gather(
            _create_key(reach, "ops", "ops", keys["ops"]),
            *(_create_key(reach, "retailer", name, key) for name, key in keys["retailers"].items()),
            *(_create_key(reach, "supplier", name, key) for name, key in keys["suppliers"].items()),
            *(_put_if_absent(reach, Address("retailer", name), PutParty(party=name, name=name.title()))
              for name in RETAILERS),
            *(_put_if_absent(reach, Address("supplier", name), PutSupplier(supplier=name, name=name.title(), mode=mode))
              for name, mode in SUPPLIERS.items()),
        )  # fmt: skip
    finally:
        await reach.close()


def stored_keys(path: Path) -> dict[str, Any]:
    """The keys of `keys.json`, made at the first start. The file appears whole, and only its owner can read it."""
    if path.exists():
        keys: dict[str, Any] = json.loads(path.read_text())
        return keys
    made = {
        "ops": new_key(os.urandom),
        "retailers": {name: new_key(os.urandom) for name in RETAILERS},
        "suppliers": {name: new_key(os.urandom) for name in SUPPLIERS},
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(json.dumps(made, indent=2) + "\n")
    temporary.replace(path)
    return made


async def _create_key(reach: Reach, role: Role, name: str, key: str) -> None:
    """A key's id follows from the key, so that a repeat is the same command."""
    hashed = hash_of(key)
    await _asked(reach, KEYRING, CreateKey(id=f"key_{hashed[:16]}", role=role, name=name, hash=hashed))


async def _put_if_absent(reach: Reach, to: Address, command: Command) -> None:
    """What an operator has changed since is left alone."""
    if (await _asked(reach, to, None)).status is Status.ABSENT:
        await _asked(reach, to, command)


async def _asked(reach: Reach, to: Address, command: Command | None) -> Reply:
    """Ask until answered: hosts may be starting still. Exits if the answer is no."""
    for _ in range(TRIES):
        try:
            reply = await (reach.router.read(to) if command is None else reach.router.ask(to, command))
        except (Overloaded, Unanswered, HostUnavailable):
            await asyncio.sleep(PAUSE_S)
            continue
        if reply.status in (Status.OK, Status.ABSENT):
            return reply
        sys.exit(f"{to} refused {type(command).__name__}: {reply.status} {orjson.loads(reply.body)}")
    sys.exit(f"{to} does not answer: see the hosts' logs")


if __name__ == "__main__":
    sys.exit(main())
