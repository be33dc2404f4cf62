"""Joining a Ray cluster and finding Dray's actors in it. Only the `ray_*` adapters import ray.

Ray is transport and supervision, never truth: nothing here knows what an actor has decided.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.experimental.internal_kv import _internal_kv_get, _internal_kv_put

from actors.adapters.director_link import Endpoint
from actors.runtime.ports import HostUnavailable

log = logging.getLogger("dray.ray")

NAMESPACE = "dray"
CODE = Path(__file__).resolve().parents[2]
"""Where this process has its code from. Ray lets the directory in which it is joined come first on its workers' path:
so they run the same code, and none of whatever directory the user is in."""

DIRECTOR = "dray:director"
HOST_PREFIX = "dray:host:"
START_AGAIN_S = 0.5

LOOPBACK_ONLY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""The setting under which Ray takes the loopback address for its node's (`ray start --node-ip-address=127.0.0.1` alone
is turned into a reachable one). Every process of the cluster, and every driver, needs it in its environment."""


def join(address: str) -> None:
    """Connect this process to the cluster as a driver. Raises ConnectionError."""
    if ray.is_initialized():
        return
    options: dict[str, Any] = {"_node_ip_address": "127.0.0.1"} if on_loopback() else {}
    try:
        with contextlib.chdir(CODE):
            ray.init(
                address=address, namespace=NAMESPACE, log_to_driver=False, configure_logging=False, **options
            )
    except (RayError, RuntimeError, ValueError) as error:
        raise ConnectionError(f"no Ray cluster at {address}: {error}") from error


def on_loopback() -> bool:
    """True in the environment that keeps a cluster to this machine."""
    return all(os.environ.get(name) == value for name, value in LOOPBACK_ONLY.items())


def leave() -> None:
    """Disconnect; detached actors stay."""
    ray.shutdown()


def node_id() -> str:
    """The node this process runs on."""
    return str(ray.get_runtime_context().get_node_id())


def node_address() -> str:
    """Where other nodes reach this one."""
    return str(ray.util.get_node_ip_address())


def find(name: str) -> Any:
    """The handle of a named actor. Raises HostUnavailable when there is none. Blocks for a round trip to Ray."""
    try:
        return ray.get_actor(name, namespace=NAMESPACE)
    except (ValueError, RayError) as error:
        raise HostUnavailable(f"no Ray actor {name}: {error}") from error


async def publish_director(endpoint: Endpoint) -> None:
    """Let everybody in the cluster know where the director is."""
    value = json.dumps(endpoint).encode()
    await asyncio.to_thread(_internal_kv_put, DIRECTOR, value, overwrite=True, namespace=NAMESPACE)


async def find_director() -> Endpoint:
    """Where the director was last. Raises HostUnavailable when there has been none.

    It is looked up in Ray's store, not asked for: calls of an actor that Ray is restarting hold up the caller's calls
    of all other actors until it is back (measured: two to four seconds without traffic).
    """
    try:
        value = await asyncio.to_thread(_internal_kv_get, DIRECTOR, namespace=NAMESPACE)
    except (RayError, RuntimeError) as error:
        raise HostUnavailable(f"Ray does not know the director: {error}") from error
    if value is None:
        raise HostUnavailable("there is no director yet")
    return Endpoint(*json.loads(value))


def load(path: str) -> Callable[..., Any]:
    """The callable that `module:name` names, so that adapters need not import what uses them."""
    module, _, name = path.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


@asynccontextmanager
async def or_start_again() -> AsyncIterator[None]:
    """Around an actor's `__init__`. Ray restarts a process that dies for ever, but gives an actor up whose `__init__`
    raises; what goes wrong there (a journal that is away, most likely) may be over in a moment, so die instead."""
    try:
        yield
    except Exception:
        log.exception("this actor cannot start; it will be started again")
        logging.shutdown()
        await asyncio.sleep(START_AGAIN_S)
        os._exit(1)


def outrank() -> None:
    """Undo the low priority that Ray gives its workers, where this process may."""
    niceness = os.nice(0)
    if niceness > 0:
        try:
            os.nice(-niceness)
        except PermissionError:
            return
