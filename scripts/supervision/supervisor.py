"""`up`: starts everything in the order that costs the least time, looks after it, and ends it.

Nothing here is needed for an order to go on: if this process is killed the system runs on, unsupervised, until the next
`up` or `down` finds it in `run.json`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import FrameType

from scripts import redis_server, run_state
from scripts.compiling.build import CannotCompile
from scripts.run_state import RunState
from scripts.settings import Settings
from scripts.spec import Spec, spec_of
from scripts.supervision import leftovers, ray_head
from scripts.supervision.environment import environment_of, is_compiled
from scripts.supervision.processes import Child, ProcessName
from scripts.supervision.ray_head import RayHead, RayHeadError, free_port

START_TIMEOUT_S = 60.0
WATCH_S = 0.2
BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 10.0
DEPLOY = "deploy"
STEADY_S = 30.0  # a process that has run for so long may die again without waiting longer

WEBHOOK_EVENTS = (
    "payment_intent.canceled", "charge.refunded", "charge.dispute.created", "charge.dispute.updated",
    "charge.dispute.closed",
)  # fmt: skip
"""What Stripe tells us that we have not done ourselves."""

Say = Callable[[str], None]


class CannotStart(Exception):
    """The system could not be started; the message says why and what to do."""


class Supervisor:
    """One `up`, from start to end. `say` prints a line for the operator."""

    def __init__(self, settings: Settings, say: Say) -> None:
        self._settings = settings
        self._say = say
        self._state = RunState(ProcessName.of(os.getpid()), payments=settings.payments, shards=settings.shards)
        self._children: dict[str, Child] = {}
        self._redis: redis_server.RunningRedis | None = None
        self._ray: RayHead | None = None
        self._spec: Spec | None = None
        self._reserved: socket.socket | None = None
        self._stopping = False
        self._ray_is_starting = False
        self._environment: dict[str, str] = {}
        self._restarts: dict[str, tuple[float, float]] = {}  # role -> (last start, next pause)

    def run(self) -> int:
        """Until a signal comes; 0 if all ended in good order, 1 if it could not start."""
        with self._signals(), run_state.held(self._settings):
            try:
                self._start()
                self._watch()
            except (CannotStart, RayHeadError, redis_server.RedisServerError) as error:
                self._fail(str(error))
                return 1
            finally:
                self._stop()
        return 0

    # --- starting -----------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        settings = self._settings
        if leftovers.stop_all(settings, run_state.read(settings)):
            self._say("ended what an earlier run had left behind")
        self._reserve_port()
        self._save()
        self._prepare_environment()
        began = time.monotonic()
        with ThreadPoolExecutor(3) as pool:
            redis = pool.submit(self._start_redis)
            ray = pool.submit(self._start_ray)
            for number in range(settings.gateways):
                self._start_child(f"gateway-{number}", ["-m", "scripts.gateway_process"])
            deploy = self._start_child(DEPLOY, ["-m", "scripts.deploy"])
            self._start_sandbox()
            self._await(redis, ray)
        self._spec = spec_of(settings, self._state.redis, self._state.stripe_url)
        self._state.database = self._spec["database"]
        self._tell_gateways()
        self._deploy(deploy)
        self._await_ready()
        self._state.ready = True
        self._save()
        self._announce(time.monotonic() - began)

    def _prepare_environment(self) -> None:
        try:
            self._environment = environment_of(self._settings, self._say, self._check_stopping)
        except CannotCompile as error:
            raise CannotStart(str(error)) from error
        self._state.compiled = is_compiled(self._environment)

    def _reserve_port(self) -> None:
        """Keep the port for our gateways, without listening; refuse one that somebody else uses."""
        settings = self._settings
        family = socket.AF_INET6 if ":" in settings.bind else socket.AF_INET
        try:
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((settings.bind, settings.port))
                probe.listen(1)
                port = probe.getsockname()[1]
        except OSError as error:
            raise CannotStart(
                f"{settings.bind}:{settings.port} cannot be used ({error.strerror}): choose another with --port"
            ) from error
        self._reserved = socket.socket(family)
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._reserved.bind((settings.bind, port))
        reachable = "127.0.0.1" if settings.bind in ("127.0.0.1", "0.0.0.0") else settings.bind  # noqa: S104
        self._port, self._state.url = port, f"http://{reachable}:{port}"

    def _start_redis(self) -> None:
        if self._settings.redis:
            self._state.redis = self._settings.redis
            return
        self._redis = redis_server.start(self._settings.data)
        self._state.redis = self._redis.url
        self._state.processes[leftovers.REDIS] = ProcessName.of(self._redis.pid)

    def _start_ray(self) -> None:
        if self._settings.address:
            self._state.ray = self._settings.address
            return
        self._ray = self._ray_head()
        self._state.ray, self._state.ray_dashboard = self._ray.address, self._ray.dashboard
        self._state.ray_directory = str(self._ray.directory)
        self._state.processes[leftovers.RAY] = self._ray.name

    def _ray_head(self, tries: int = 2) -> RayHead:
        """Ray gives its own processes thirty seconds, which a very busy machine may not have the first time."""
        settings = self._settings
        try:
            return ray_head.start(settings.logs / "ray.log", self._environment, dashboard=settings.wants_dashboard)
        except RayHeadError as error:
            if tries <= 1 or self._stopping:
                raise
            self._say(f"ray did not start, trying once more: {str(error).splitlines()[0]}")
            return self._ray_head(tries - 1)

    def _start_sandbox(self) -> None:
        settings = self._settings
        if settings.payments != "sandbox":
            self._state.stripe_url = settings.stripe_url
            if settings.payments == "simulated":
                self._state.ledger = str(settings.data.resolve() / "simulated-ledger.jsonl")
            return
        if not self._state.stripe_url:
            self._state.stripe_url = f"http://127.0.0.1:{settings.sandbox_port or free_port()}"
        self._state.sandbox_data = str(settings.data.resolve() / "sandbox")
        port = self._state.stripe_url.rpartition(":")[2]
        command = ["-m", "scripts.sandbox", "--port", port, "--data", self._state.sandbox_data]
        command += ["--webhook", f"{self._state.url}/v1/stripe/webhook", "--webhook-events", ",".join(WEBHOOK_EVENTS)]
        command += ["--faults", settings.sandbox_faults] if settings.sandbox_faults else []
        command += ["--seed", str(settings.sandbox_seed)] if settings.sandbox_seed else []
        self._start_child("sandbox", command)

    def _start_child(self, role: str, arguments: list[str]) -> Child:
        child = Child(
            [sys.executable, *arguments], self._settings.logs / f"{role}.log",
            {**self._environment, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        self._children[role] = child
        self._state.processes[role] = child.name
        self._restarts[role] = (time.monotonic(), self._restarts.get(role, (0.0, BACKOFF_FIRST_S))[1])
        self._save()
        return child

    def _await(self, *started: Future[None]) -> None:
        """Until what was started in threads runs. Raises what went wrong there, and CannotStart when told to stop."""
        for future in started:
            while not future.done():
                self._wait_a_little()
            future.result()
        self._save()

    def _tell_gateways(self) -> None:
        for role, child in self._children.items():
            if role.startswith("gateway-"):
                self._tell_gateway(role, child)

    def _tell_gateway(self, role: str, child: Child) -> None:
        told = {
            "spec": self._spec, "ray": self._state.ray, "bind": self._settings.bind, "port": self._port,
            "number": int(role.rpartition("-")[2]), "master_key_file": str(self._settings.master_key_file),
        }  # fmt: skip
        child.tell(json.dumps(told))

    def _deploy(self, child: Child, *, leaving: bool = False) -> None:
        settings = self._settings
        told = {
            "spec": self._spec, "ray": self._state.ray, "add_hosts": settings.hosts if settings.address else 0,
            "leaving": leaving, "keys_file": str(settings.keys_file.resolve()),
            "hosts_file": str(settings.data.resolve() / "cluster-hosts.json"),
            "master_key_file": str(settings.master_key_file),
        }  # fmt: skip
        child.tell(json.dumps(told))
        deadline = time.monotonic() + START_TIMEOUT_S
        while (code := child.ended()) is None:
            self._wait_a_little()
            if self._ray is not None and not self._ray.alive():
                raise CannotStart("ray has ended again")
            if time.monotonic() > deadline:
                raise CannotStart(f"the hosts did not start within {START_TIMEOUT_S:.0f} s: see {settings.logs}")
        if code:
            raise CannotStart(f"the hosts did not start:\n{child.last_words()}\nSee {settings.logs}")
        del self._children[DEPLOY], self._state.processes[DEPLOY]

    def _await_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _answers(f"{self._state.url}/readyz"):
            self._check_stopping()
            for role, child in self._children.items():
                if child.ended() is not None:
                    raise CannotStart(f"{role} ended with {child.ended()}:\n{child.last_words()}")
            if time.monotonic() > deadline:
                raise CannotStart(f"no orders are accepted after {START_TIMEOUT_S:.0f} s: see {self._settings.logs}")
            time.sleep(0.03)

    def _announce(self, seconds: float) -> None:
        state = self._state
        self._say(f"gateway   {state.url}")
        self._say(f"redis     {'external' if self._settings.redis else state.redis}")
        if state.payments == "sandbox":
            self._say(f"sandbox   {state.stripe_url}")
        else:
            self._say(f"payments  {state.payments} {state.stripe_url}".rstrip())
        self._say(f"ray       {state.ray}" + (f", dashboard {state.ray_dashboard}" if state.ray_dashboard else ""))
        self._say(f"code      {'compiled' if state.compiled else 'as written'}")
        self._say(f"keys      {self._settings.keys_file}")
        self._say(f"started in {seconds:.1f} s")
        self._say(f"ready {state.url}")

    # --- looking after ------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._stopping:
            time.sleep(WATCH_S)
            self._revive()
            if self._ray is not None and not self._ray.alive() and self._may_restart("ray"):
                self._restart_ray()

    def _wait_a_little(self) -> None:
        """While something starts. If that is Ray's second start or a later one, the rest may be dying meanwhile."""
        self._check_stopping()
        if self._state.ready:
            self._revive()
        time.sleep(0.02)

    def _revive(self) -> None:
        """Start again what has ended, Ray apart."""
        if self._redis is not None and not self._redis.alive() and self._may_restart("redis"):
            self._say("redis has ended; starting it again")
            try:
                self._start_redis()
            except redis_server.RedisServerError as error:
                self._say(f"that failed, and will be tried again: {error}")
            self._save()
        for role, child in list(self._children.items()):
            if role != DEPLOY and child.ended() is not None and self._may_restart(role):
                self._say(f"{role} has ended with {child.ended()}; starting it again")
                self._restart(role)

    def _may_restart(self, role: str) -> bool:
        """True once the pause after the last start is over; it doubles while a process keeps dying."""
        now = time.monotonic()
        started, pause = self._restarts.get(role, (0.0, BACKOFF_FIRST_S))
        if now - started > STEADY_S:
            pause = BACKOFF_FIRST_S
        if now - started < pause:
            return False
        self._restarts[role] = (now, min(pause * 2, BACKOFF_MAX_S))
        return True

    def _restart(self, role: str) -> None:
        if role == "sandbox":
            self._start_sandbox()
            return
        child = self._start_child(role, ["-m", "scripts.gateway_process"])
        if not self._ray_is_starting:
            self._tell_gateway(role, child)

    def _restart_ray(self) -> None:
        """Without its head nothing of a cluster can go on: start all of it again. The journal has everything.

        Gateways and what deploys the hosts import what they need while Ray is starting, and are told then where it is.
        """
        assert self._ray is not None
        self._say("ray has ended; starting it and the hosts again")
        self._ray_is_starting = True
        try:
            for role in [role for role in self._children if role.startswith("gateway-")]:
                self._children[role].stop(within_s=0.0)  # they answer nobody any more
                self._start_child(role, ["-m", "scripts.gateway_process"])
            deploy = self._start_child(DEPLOY, ["-m", "scripts.deploy"])
            self._ray.stop(within_s=0.0)  # what it hosts can do nothing any more
            with ThreadPoolExecutor(1) as pool:
                self._await(pool.submit(self._start_ray))
            self._tell_gateways()
            self._ray_is_starting = False
            self._deploy(deploy)
        except (CannotStart, RayHeadError) as error:
            if not self._stopping:
                self._say(f"that failed, and will be tried again: {error}")
            self._ray.stop(within_s=0.0)
        finally:
            self._ray_is_starting = False
            if (left := self._children.pop(DEPLOY, None)) is not None:
                left.stop(within_s=1.0)
                self._state.processes.pop(DEPLOY, None)
        self._save()

    # --- ending -------------------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        began = time.monotonic()
        self._state.ready = False
        self._save()
        if self._settings.address and self._spec is not None:
            self._leave_cluster()
        leftovers.stop_all(self._settings, self._state)
        for child in self._children.values():
            child.stop(within_s=1.0)
        self._state.processes = {}
        self._save()
        if self._reserved is not None:
            self._reserved.close()
        self._say(f"stopped in {time.monotonic() - began:.1f} s")

    def _leave_cluster(self) -> None:
        """This node's hosts hand over what they own before they end; the others go on."""
        self._stopping = False
        try:
            self._deploy(self._start_child(DEPLOY, ["-m", "scripts.deploy"]), leaving=True)
        except CannotStart as error:
            self._say(f"this node's hosts could not be taken out of the cluster: {error}")

    def _fail(self, message: str) -> None:
        self._state.failure = message
        if not self._stopping:
            self._say(f"could not start: {message}")

    def _check_stopping(self) -> None:
        if self._stopping:
            raise CannotStart("told to stop")

    def _save(self) -> None:
        self._state.write(self._settings)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        def stop(_signal: int, _frame: FrameType | None) -> None:
            self._stopping = True

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
