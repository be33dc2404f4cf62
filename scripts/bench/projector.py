"""What an order costs the projector, the reports' roll-ups included: its CPU, and Redis's, with the streams of a busy
system and SQLite. What is measured, in a process of its own, is what a system would run: compiled code, unless there is
no compiler or `DRAY_COMPILED` says no.

Orders have two lines, mostly of two suppliers, and go from placed to paid out in eight or nine events. Their lives fall
into one round of the projector, or into two or three: that is what makes the difference between a system that is slow
or fast, or a round that is long or short.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path

from actors.adapters.redis_stream import RedisStream
from actors.adapters.sqlalchemy_projection import SqlReadModel
from actors.adapters.sqlalchemy_rollups import SqlRollUps
from actors.order import KIND
from actors.runtime import projector as projecting
from actors.runtime.codec import encode_event
from actors.runtime.ports import Append, Cell, Commit, Group, Ownership, Stored
from actors.runtime.projector import Projector
from actors.runtime.rollups import RollUps
from models.decision import Address, Event
from models.identity import order_id
from models.order import messages as m
from scripts import redis_server
from scripts.bench.measuring import Bar, measured_environment, show
from scripts.collector import spare_the_collector

SHARDS = 16
ORDERS_PER_ROUND = 180
APPENDS_PER_COMMIT = 4
NOW = 1_790_000_000_000
SUPPLIERS = 10
SPLIT = (1000, 6000, 2500)
BAR_US = 250.0


@dataclass(frozen=True)
class Line:
    """One measurement; CPU per order in microseconds. `rounds`: how many an order's life falls into."""

    code: str
    rounds: int
    orders: int
    projector_us: float
    writing_us: float
    redis_us: float
    database_bytes: int


def run(orders: int = 4_000, rounds: Sequence[int] = (1, 2, 3)) -> list[Bar]:
    """Measure against a Redis and a SQLite file of its own; print a table, the bar and a JSON line."""
    environment = measured_environment()
    lines = []
    for count in rounds:
        command = [sys.executable, "-m", __name__, str(orders), str(count)]
        measured = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=False)
        assert measured.returncode == 0, f"the measuring process ended with {measured.returncode}"
        lines.append(Line(**json.loads(measured.stdout)))
    bars = [
        Bar(f"projector, us per order in {line.rounds} rounds", line.projector_us, BAR_US, at_least=False)
        for line in lines
    ]
    return show("projector", lines, bars)


def measure(orders: int, rounds: int) -> Line:
    """Measure this process."""
    with tempfile.TemporaryDirectory(prefix="dray-bench-") as directory:
        server = redis_server.start(Path(directory))
        try:
            path = Path(directory) / "read.db"
            line = asyncio.run(_measure(server.url, path, orders, rounds))
            return replace(line, database_bytes=round(path.stat().st_size / orders))
        finally:
            server.stop()


async def _measure(url: str, path: Path, orders: int, rounds: int) -> Line:
    journal = RedisStream(url, stream_kinds=frozenset({"order"}))
    await journal.open()
    model = _Timed(f"sqlite:///{path}")
    projector = Projector(KIND, journal, model, shards=SHARDS, wall=_wall)
    await projector.prepare()
    await projector.round()
    while await projector.rebuild_page():
        pass
    counting = SqlRollUps(f"sqlite:///{path}")
    rollups = RollUps(KIND, counting, wall=_wall)
    while rollups.step():
        pass
    owned = [await journal.acquire(Cell(shard), "bench") for shard in range(SHARDS)]
    spare_the_collector()
    spent = redis = 0.0
    for part in _parts(orders, rounds):
        await _store(journal, owned, part)
        before, cpu = await journal.health(), _cpu_s()
        while await projector.round():
            pass
        spent += _cpu_s() - cpu
        redis += (await journal.health()).cpu_s - before.cpu_s
    assert not rollups.step(), "the projector has not counted all that it has written"
    counting.close()
    await journal.close()
    model.close()
    return Line(
        code="as written" if projecting.__file__.endswith(".py") else "compiled",
        rounds=rounds,
        orders=orders,
        projector_us=round(spent / orders * 1e6, 1),
        writing_us=round(model.spent_s / orders * 1e6, 1),
        redis_us=round(redis / orders * 1e6, 1),
        database_bytes=0,
    )


class _Timed(SqlReadModel):
    """Knows the CPU that its writing has cost."""

    spent_s = 0.0

    def write(self, *arguments: object) -> None:
        began = time.thread_time()
        super().write(*arguments)  # type: ignore[arg-type]
        self.spent_s += time.thread_time() - began


def _wall() -> int:
    return time.time_ns() // 1_000_000


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


# --- the orders ------------------------------------------------------------------------------------------------------


def _parts(orders: int, rounds: int) -> Iterator[list[Append]]:
    """What the projector finds in each of its rounds: new orders, and how older ones went on."""
    draw = random.Random(1)
    flying: list[Iterator[Append]] = []
    begun = 0
    while begun < orders or flying:
        new = range(begun, min(orders, begun + ORDERS_PER_ROUND))
        flying += [_life(number, rounds, draw) for number in new]
        begun = new.stop
        going = [(life, append) for life in flying if (append := next(life, None)) is not None]
        flying = [life for life, _ in going]
        yield [append for _, append in going]


def _life(number: int, rounds: int, draw: random.Random) -> Iterator[Append]:
    """An order's events, in so many pieces."""
    address = Address("order", order_id(draw.randrange(SHARDS), NOW + number, draw.randbytes(10)))
    events = [encode_event(event) for event in _events(address.id, NOW + number, draw)]
    cuts = [round(len(events) * place / rounds) for place in range(rounds + 1)]
    for first, last in pairwise(cuts):
        yield Append(address, first, events[first:last], data_key="" if first else draw.randbytes(40).hex())


def _events(order: str, at: int, draw: random.Random) -> list[Event]:
    skus = [min(100, int(draw.paretovariate(0.6))) for _ in range(2)]
    lines = tuple(
        m.LineTerms(f"product-{n}", f"SKU-{n}", draw.randrange(1, 4), 1999, f"supplier-{n % SUPPLIERS}", "brand", SPLIT)
        for n in skus
    )
    suppliers = list(dict.fromkeys(line.supplier for line in lines))
    accounts = {f"supplier:{name}": f"acct_{name}" for name in suppliers}
    accounts |= {"brand:brand": "acct_brand", "retailer:acme": "acct_acme"}
    words = tuple(f"word-of-a-name-{draw.randrange(2_000):08x}" for _ in range(2))
    intent, charge = _stripe_id("pi", at, draw), _stripe_id("ch", at, draw)
    amounts = [sum(x.quantity * x.unit_amount for x in lines if x.supplier == name) for name in suppliers]
    shares = tuple((a // 10, a * 6 // 10, a // 4, a - a // 10 - a * 6 // 10 - a // 4) for a in amounts)
    made = tuple(
        m.Made(number, party, shares[number - 1][party], _stripe_id("tr", at, draw))
        for number in range(1, len(suppliers) + 1)
        for party in range(3)
    )
    placed = m.OrderPlaced(
        at, order, "acme", "gbp", lines, accounts, {}, "pm_card_visa", False, {},
        draw.randbytes(150).hex(), draw.randbytes(16).hex(), words,
    )  # fmt: skip
    accepted = [m.ConsignmentAccepted(at + 40, n, f"supplier:{name}", ()) for n, name in enumerate(suppliers, 1)]
    return [
        placed, m.PaymentAuthorised(at + 20, intent, at + 604_800_000), m.StockReserved(at + 30), *accepted,
        m.CaptureBegun(at + 45, sum(amounts)), m.PaymentCaptured(at + 70, charge, sum(amounts), shares),
        m.SharesTransferred(at + 100, made),
    ]  # fmt: skip


def _stripe_id(prefix: str, at: int, draw: random.Random) -> str:
    """Like Stripe's, which begin with their time."""
    return f"{prefix}_3{at:012x}{draw.randbytes(6).hex()}"


async def _store(journal: RedisStream, owned: list[Ownership], appends: Sequence[Append]) -> None:
    """Commit them as hosts do: a few orders to a commit, a commit to a shard."""
    by_shard: dict[int, list[Append]] = {}
    for append in appends:
        by_shard.setdefault(int(append.address.id[4:7], 16), []).append(append)
    commits = []
    for shard, members in by_shard.items():
        for first in range(0, len(members), APPENDS_PER_COMMIT):
            owner = owned[shard] = owned[shard]._replace(number=owned[shard].number + 1)
            groups = [Group([append]) for append in members[first : first + APPENDS_PER_COMMIT]]
            commits.append(Commit(owner.cell, owner.epoch, owner.owner, owner.number, groups))
    for result in await journal.commit(commits):
        assert isinstance(result, Stored), result


if __name__ == "__main__":
    print(json.dumps(asdict(measure(*map(int, sys.argv[1:])))))
