"""The director's mind: facts in, orders out."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.runtime.director import Director, Disown, Order, Own, Retire, Spawn
from actors.runtime.ports import Cell

SHARDS = 6
HOT = Cell(2, "sku:HOT-1")


def director(expected: int = 2, **more: float) -> Director:
    return Director(SHARDS, expected, version=1, now=0.0, gather_s=3.0, settle_s=2.0, **more)  # type: ignore[arg-type]


class Hosts:
    """Hosts that do as they are told, at once; what they own by their own lights."""

    def __init__(self, mind: Director) -> None:
        self.mind = mind
        self.now = 0.0
        self.owned: dict[str, set[Cell]] = {}
        self.lives: Counter[str] = Counter()
        self.spawned: list[Cell] = []
        self.retired: list[str] = []

    def owner(self, name: str) -> str:
        return f"{name}#{self.lives[name]}"

    def join(self, name: str, cell: Cell | None = None, owned: set[Cell] | None = None) -> None:
        if owned is None:  # a fresh process
            self.lives[name] += 1
        self.owned[name] = set(owned or ())
        self.obey(self.mind.joined(name, self.owner(name), cell, self.owned[name], self.now))

    def die(self, name: str) -> None:
        del self.owned[name]
        self.obey(self.mind.left(name, self.owner(name), self.now))

    def tick(self, seconds: float) -> None:
        self.now += seconds
        self.obey(self.mind.tick(self.now))

    def obey(self, orders: list[Order] | tuple[Order, ...] | object) -> None:
        for order in list(orders):  # type: ignore[call-overload]
            match order:
                case Own(name, cells):
                    self.owned[name] |= set(cells)
                    self.obey(self.mind.owned(name, self.owner(name), cells))
                case Disown(name, cells):
                    self.owned[name] -= set(cells)
                    self.obey(self.mind.disowned(name, self.owner(name), cells, self.now))
                case Spawn(cell):
                    self.spawned.append(cell)
                case Retire(name):
                    self.retired.append(name)


def test_nothing_is_given_away_until_the_expected_hosts_have_reported() -> None:
    hosts = Hosts(director(expected=2))
    hosts.join("a")
    assert hosts.mind.placement().hosts == [""] * SHARDS
    hosts.join("b")
    assert Counter(hosts.mind.placement().hosts) == {"a": 3, "b": 3}


def test_a_host_that_never_comes_is_not_waited_for() -> None:
    hosts = Hosts(director(expected=2))
    hosts.join("a")
    hosts.tick(3.1)
    assert hosts.mind.placement().hosts == ["a"] * SHARDS


def test_a_dead_hosts_shards_go_to_the_survivors_at_once() -> None:
    hosts = Hosts(director())
    hosts.join("a")
    hosts.join("b")
    before = hosts.mind.placement().version
    hosts.die("a")
    assert hosts.mind.placement().hosts == ["b"] * SHARDS
    assert hosts.mind.placement().version > before


def test_a_standby_holds_nothing_until_another_dies_and_then_all_of_it() -> None:
    hosts = Hosts(director(expected=2, standby=1))
    hosts.join("a")
    hosts.join("b")
    assert hosts.mind.placement().hosts == ["a"] * SHARDS
    hosts.tick(10.0)
    assert hosts.mind.placement().hosts == ["a"] * SHARDS
    hosts.die("a")
    assert hosts.mind.placement().hosts == ["b"] * SHARDS
    hosts.join("a")  # from now on it stands by
    hosts.tick(10.0)
    assert hosts.mind.placement().hosts == ["b"] * SHARDS


def test_hosts_beyond_the_expected_ones_share_with_the_others_and_one_still_stands_by() -> None:
    hosts = Hosts(director(expected=3, standby=1))
    for name in ("a", "b", "c"):
        hosts.join(name)
    assert Counter(hosts.mind.placement().hosts) == {"a": 3, "b": 3}
    hosts.die("b")
    assert Counter(hosts.mind.placement().hosts) == {"a": 3, "c": 3}
    for name in ("b", "d"):
        hosts.join(name)
    hosts.tick(10.0)
    assert Counter(hosts.mind.placement().hosts) == {"a": 2, "b": 2, "c": 2}


def test_a_standby_that_holds_shards_hands_them_over() -> None:
    hosts = Hosts(director(expected=2, standby=1))
    hosts.join("a", owned={Cell(n) for n in range(4)})
    hosts.join("b", owned={Cell(4), Cell(5)})
    hosts.tick(10.0)
    assert hosts.mind.placement().hosts == ["a"] * SHARDS


def test_a_late_word_of_a_dead_incarnation_changes_nothing() -> None:
    hosts = Hosts(director())
    hosts.join("a")
    hosts.join("b")
    first = hosts.owner("a")
    hosts.join("a")  # restarted before its old connection was seen to close
    assert not hosts.mind.left("a", first, 0.0)
    assert not hosts.mind.owned("a", first, [Cell(0)])
    assert hosts.mind.placement().hosts.count("a") + hosts.mind.placement().hosts.count("b") == SHARDS


def test_a_newcomer_gets_its_share_after_it_has_settled() -> None:
    hosts = Hosts(director(expected=1))
    hosts.join("a")
    assert hosts.mind.placement().hosts == ["a"] * SHARDS
    hosts.join("b")
    hosts.tick(1.0)
    assert hosts.mind.placement().hosts == ["a"] * SHARDS  # it might die again at once
    hosts.tick(1.5)
    assert Counter(hosts.mind.placement().hosts) == {"a": 3, "b": 3}


def test_a_shard_is_let_go_before_another_takes_it() -> None:
    mind = director(expected=1)
    mind.joined("a", "a#1", None, [], 0.0)
    mind.owned("a", "a#1", [Cell(n) for n in range(SHARDS)])
    mind.joined("b", "b#1", None, [], 0.0)
    orders = mind.tick(2.5)
    assert orders == [Disown("a", (Cell(5), Cell(4), Cell(3)))]
    assert mind.placement().hosts[3:] == ["", "", ""]  # routers wait: neither of them answers now
    assert mind.disowned("a", "a#1", [Cell(4)], 2.6) == [Own("b", (Cell(4),))]


def test_a_successor_learns_from_the_hosts_what_they_hold() -> None:
    hosts = Hosts(director())
    hosts.join("a", owned={Cell(0), Cell(1), Cell(2), Cell(3)})
    hosts.join("b", owned={Cell(4)})
    assert hosts.owned == {"a": {Cell(0), Cell(1), Cell(2), Cell(3)}, "b": {Cell(4), Cell(5)}}


def test_what_was_given_away_meanwhile_is_not_given_back() -> None:
    hosts = Hosts(director())
    hosts.join("a")
    hosts.join("b")
    mine = set(hosts.owned["a"])
    hosts.obey(hosts.mind.left("a", hosts.owner("a"), 0.0))  # it hung, and its lease ran out
    orders = hosts.mind.joined("a", hosts.owner("a"), None, mine, 10.0)  # it wakes up and believes to own what it had
    assert Disown("a", tuple(sorted(mine))) in orders
    assert hosts.mind.placement().hosts == ["b"] * SHARDS


def test_a_drained_host_is_retired_when_it_holds_nothing() -> None:
    hosts = Hosts(director())
    hosts.join("a")
    hosts.join("b")
    hosts.obey(hosts.mind.drain("a"))
    assert hosts.retired == ["a"]
    assert hosts.mind.placement().hosts == ["b"] * SHARDS
    assert not hosts.mind.drain("a")


def test_a_dedicated_host_is_ordered_once_and_found_when_it_owns_its_cell() -> None:
    hosts = Hosts(director(expected=1, dedicated=["sku:HOT-1"]))  # type: ignore[arg-type]
    hosts.join("a")
    hosts.obey(hosts.mind.wanted(HOT))
    hosts.obey(hosts.mind.wanted(HOT))
    assert hosts.spawned == [HOT]
    assert hosts.mind.host_of(HOT) == ""
    hosts.join("sku:HOT-1", cell=HOT)
    assert hosts.mind.host_of(HOT) == "sku:HOT-1"
    assert hosts.mind.placement().hosts == ["a"] * SHARDS  # it takes no shards
    hosts.die("sku:HOT-1")
    hosts.join("sku:HOT-1", cell=HOT)  # restarted by its supervisor
    assert hosts.mind.host_of(HOT) == "sku:HOT-1"


def test_a_dedicated_host_that_could_not_be_had_is_ordered_again() -> None:
    hosts = Hosts(director(expected=1))
    hosts.obey(hosts.mind.wanted(HOT))
    hosts.mind.not_spawned(HOT)
    hosts.obey(hosts.mind.wanted(HOT))
    assert hosts.spawned == [HOT, HOT]


def test_a_dedicated_host_that_was_fenced_takes_its_cell_again() -> None:
    hosts = Hosts(director(expected=1))
    hosts.join("sku:HOT-1", cell=HOT)
    orders = hosts.mind.disowned("sku:HOT-1", hosts.owner("sku:HOT-1"), [HOT], 0.0)
    assert orders[0] == Own("sku:HOT-1", (HOT,))


STEPS = st.lists(
    st.tuples(st.sampled_from(["join", "die", "drain", "tick"]), st.sampled_from("abcd")), min_size=1, max_size=40
)


@settings(max_examples=200, deadline=None)
@given(STEPS, st.integers(0, 1))
def test_whatever_happens_no_shard_has_two_owners_and_in_the_end_each_has_one(
    steps: list[tuple[str, str]], standby: int
) -> None:
    hosts = Hosts(director(expected=2, standby=standby))
    for step, name in steps:
        match step:
            case "join" if name not in hosts.owned:
                hosts.join(name)
            case "die" | "drain" if name in hosts.owned:
                if step == "drain":
                    hosts.obey(hosts.mind.drain(name))
                hosts.die(name)
            case "tick":
                hosts.tick(1.0)
        held = [cell for cells in hosts.owned.values() for cell in cells]
        assert len(held) == len(set(held))
    if not hosts.owned:
        hosts.join("a")
    for _ in range(8):
        hosts.tick(1.0)
    shares = Counter(hosts.mind.placement().hosts)
    assert sum(shares.values()) == SHARDS and "" not in shares
    counts = sorted(shares[name] for name in hosts.owned)
    active = counts[standby:] if standby and counts[0] == 0 else counts
    assert max(active) - min(active) <= 1
