"""The router: finds the host of an actor and carries commands there in batches, from gateways and from hosts.

A command is sent at once when its destination is idle and piles up while calls are under way, so batches grow with
load. Where an actor lives is a hint: a host that does not own it says MOVED, and the router looks again. A timeout
means unknown: the same command is sent again, and receivers are idempotent.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable, Sequence

from actors.runtime.envelope import Envelope, Overloaded, Read, Reply, Status, Unanswered
from actors.runtime.lane import Lane, Pending
from actors.runtime.limits import LIMITS, Limits
from actors.runtime.ports import Cell, Directory, Guard, HostUnavailable, Placement, Transport, Wall
from models.decision import Address, Command
from models.identity import shard_of

log = logging.getLogger("dray.router")

DEDICATED_HOSTS_REMEMBERED_MAX = 10_000


def is_dedicated(rules: frozenset[str], home: Address) -> bool:
    """True if a rule names the actor (`sku:HOT-1`) or its kind (`supplier`)."""
    return bool(rules) and (home.kind in rules or str(home) in rules)


def rules_of(text: str) -> frozenset[str]:
    """Read `DRAY_DEDICATED`: rules separated by commas."""
    return frozenset(rule.strip() for rule in text.split(",") if rule.strip())


def _told(to: Address, reply: Reply) -> Reply:
    """The reply, if somebody has looked at the command. Raises Overloaded and Unanswered."""
    if reply.status is Status.BUSY:
        raise Overloaded(1.0)
    if reply.status is Status.EXPIRED:
        raise Unanswered(f"{to} did not answer in time")
    return reply


class Router:
    """Sends commands to actors wherever they are.

    name:   unique among senders; hosts give its notices back under it.
    homes:  kind -> home kind, for kinds that accompany another.
    shards: how many shards the journal has.
    """

    def __init__(
        self,
        transport: Transport,
        directory: Directory,
        *,
        name: str,
        shards: int,
        wall: Wall,
        homes: dict[str, str],
        limits: Limits = LIMITS,
    ) -> None:
        self.name = name
        self.limits = limits
        self.wall = wall
        self.placement = Placement(0, [""] * shards)
        self._transport = transport
        self._directory = directory
        self._shards = shards
        self._homes = homes
        self._lanes: dict[str, Lane] = {}
        self._dedicated_hosts: OrderedDict[Cell, str] = OrderedDict()
        self._refreshing: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Learn where things are."""
        self.placement = await self._directory.placement()
        self._sweep()

    async def close(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
        tasks = [*self._tasks, *([self._refreshing] if self._refreshing else [])]
        tasks += [task for lane in self._lanes.values() for task in lane.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- asking and telling -------------------------------------------------------------------------------------------

    async def ask(
        self,
        to: Address,
        command: Command,
        *,
        command_id: str = "",
        digest: str = "",
        guard: Guard | None = None,
        data_key: str = "",
        watch: float | None = None,
        timeout_s: float | None = None,
        expected_version: int = 0,
        taken: Callable[[], None] | None = None,
    ) -> Reply:
        """Send a command and wait for its answer.

        expected_version: decide only at this version of the actor (else status STALE); 0 means any.

        watch: seconds to wait until the actor has got somewhere (`ActorKind.awaited`); then, or when they have passed,
               the reply carries its view.
        taken: called, if there is such a wait, once the command has done its work durably; perhaps more than once.

        Raises Overloaded if a queue on the way is full (nothing was accepted), and Unanswered if no answer came in
        time (unknown: the same command may be sent again).
        """
        reply = await self.asking(
            to,
            command,
            command_id=command_id,
            digest=digest,
            guard=guard,
            data_key=data_key,
            watch=watch,
            timeout_s=timeout_s,
            expected_version=expected_version,
            taken=taken,
        )
        if watch is not None and reply.status is Status.OK and reply.body == b"null":
            return await self.read(to)
        return _told(to, reply)

    def asking(
        self,
        to: Address,
        command: Command,
        *,
        command_id: str = "",
        digest: str = "",
        guard: Guard | None = None,
        data_key: str = "",
        watch: float | None = None,
        timeout_s: float | None = None,
        expected_version: int = 0,
        taken: Callable[[], None] | None = None,
    ) -> asyncio.Future[Reply]:
        """As `ask`, but the command is on its way when this returns, so that one task can ask for many things; and the
        future brings the reply as it is, BUSY and EXPIRED included."""
        now = self.wall()
        wait_s = timeout_s or self.limits.call_timeout_s
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        envelope = Envelope(
            to,
            command,
            now + int((wait_s + (watch or 0.0)) * 1000),
            command_id,
            digest,
            guard,
            data_key,
            watch is not None,
            True,  # it asks
            expected_version,
        )
        pending = Pending(envelope, future, taken)
        if watch is not None:
            pending.watch_until = now + int(watch * 1000)
        self._route(pending)
        return future

    async def read(self, to: Address) -> Reply:
        """The actor's view as it is now; status ABSENT if there is no such actor."""
        return await self.ask(to, Read())

    async def read_many(self, addresses: Iterable[Address]) -> Sequence[Reply]:
        """The views of many actors, in their order; one batch per host. Raises as `ask` does."""
        reading = [(address, self.asking(address, Read())) for address in addresses]
        return [_told(address, await reply) for address, reply in reading]

    def tell(self, envelope: Envelope) -> None:
        """Send a message at least once until it expires; nobody waits for it."""
        self._route(Pending(envelope, None))

    # --- routing ------------------------------------------------------------------------------------------------------

    def lane(self, host: str) -> Lane:
        lane = self._lanes.get(host)
        if lane is None:
            lane = self._lanes[host] = Lane(host, self._transport, self.name, self.limits, self._came_back)
        return lane

    def _route(self, pending: Pending) -> None:
        envelope = pending.envelope
        if envelope.expires_at < self.wall():
            pending.answer(Reply(Status.EXPIRED))
            return
        to = envelope.to
        home_kind = self._homes.get(to.kind, "")
        home = Address(home_kind, to.id) if home_kind else to
        try:
            shard = shard_of(home, self._shards)
        except ValueError:
            pending.answer(Reply(Status.ABSENT))
            return
        if is_dedicated(self.placement.dedicated, home):
            self._route_dedicated(pending, Cell(shard, str(home)))
            return
        host = self.placement.hosts[shard]
        if not host:
            self._look_again(pending)
            return
        self.lane(host).put(pending)

    def _route_dedicated(self, pending: Pending, cell: Cell) -> None:
        host = self._dedicated_hosts.get(cell)
        if host is not None:
            self._dedicated_hosts.move_to_end(cell)
            self.lane(host).put(pending)
            return
        self._background(self._resolve(pending, cell))

    async def _resolve(self, pending: Pending, cell: Cell) -> None:
        try:
            host = await self._directory.host_of(cell)
        except HostUnavailable:
            self._look_again(pending)
            return
        self._dedicated_hosts[cell] = host
        if len(self._dedicated_hosts) > DEDICATED_HOSTS_REMEMBERED_MAX:
            self._dedicated_hosts.popitem(last=False)
        self.lane(host).put(pending)

    def _came_back(self, pending: Pending, reply: Reply | None) -> None:
        """One item's answer; None when its host could not be reached and nobody knows whether it was taken."""
        if reply is None or reply.status is Status.MOVED:
            self._forget_dedicated(pending)
            self._look_again(pending)
        elif reply.status is Status.BUSY and pending.future is None:
            self._look_again(pending)
        else:
            pending.answer(reply)

    def _forget_dedicated(self, pending: Pending) -> None:
        if self.placement.dedicated:
            to = pending.envelope.to
            home = Address(self._homes.get(to.kind, "") or to.kind, to.id)
            self._dedicated_hosts.pop(Cell(shard_of(home, self._shards), str(home)), None)

    def _look_again(self, pending: Pending) -> None:
        """Refresh the placement (one refresh serves all) and route anew after a moment."""
        pending.attempts += 1
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.get_running_loop().create_task(self._refresh())
        delay_s = min(self.limits.router_retry_s * 2 ** min(pending.attempts, 8), self.limits.router_retry_max_s)
        asyncio.get_running_loop().call_later(delay_s, self._route, pending)

    async def _refresh(self) -> None:
        try:
            self.placement = await self._directory.placement()
        except HostUnavailable as error:
            log.warning("the director does not answer: %s", error)
            await asyncio.sleep(self.limits.router_retry_max_s)

    def _background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _sweep(self) -> None:
        """Answer what has waited too long: one timer for all instead of one each."""
        now = self.wall()
        for lane in self._lanes.values():
            lane.sweep(now)
        self._sweeper = asyncio.get_running_loop().call_later(self.limits.router_sweep_s, self._sweep)

    def queued(self) -> int:
        """Messages that wait for a call, over all destinations."""
        return sum([lane.queued() for lane in self._lanes.values()])
