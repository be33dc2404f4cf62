"""Records that are rewritten for the compiler behave as those they were written as; it shows without compiling them."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import orjson
import pytest
from pydantic import TypeAdapter, ValidationError

from models.plain import plain
from models.record import reader
from scripts.compiling.constants import with_constants
from scripts.compiling.records import Rewriter

BASE = """
from __future__ import annotations
from models.record import dataclass

Grams = int

@dataclass(frozen=True)
class Base:
    at: Grams = 0
"""

PARCELS = """
from __future__ import annotations
from dataclasses import field
from typing import Generic, NamedTuple, TypeVar
from models.record import changed, dataclass
from rewritten_base import Base, Grams

V = TypeVar("V")
NAMES = []

def named(name):
    def register(cls):
        NAMES.append((name, cls.__name__))
        return cls
    return register

@named("parcel")
@dataclass(frozen=True)
class Parcel(Base):
    weight_g: int = field(kw_only=True)
    labels: dict[str, str] = field(default_factory=dict)
    note: str = ""

@dataclass(frozen=True)
class Shelf(Generic[V]):
    rows: dict[str, V] = field(default_factory=dict)

@dataclass(frozen=True)
class Store:
    parcels: Shelf[Parcel]
    pair: tuple[Shelf[int], Shelf[int]] = (Shelf(), Shelf())

class Stop(NamedTuple):
    place: str
    minutes: Grams

Stops = tuple[Stop, ...]

@dataclass(frozen=True)
class Route:
    parcels: tuple[Parcel, ...]
    stops: Stops = ()
    spans: tuple[tuple[Grams, str], ...] = ()
    first: Parcel | None = None

@dataclass(frozen=True, eq=False)
class Token:
    id: str

def lighter(parcel):
    return changed(parcel, weight_g=parcel.weight_g // 2)
"""


@pytest.fixture(name="parcels")
def parcels_fixture() -> Iterator[Any]:
    sources = {"rewritten_base": BASE, "rewritten_parcels": PARCELS}
    for name, source in Rewriter(sources).rewritten().items():
        module = sys.modules[name] = ModuleType(name)
        exec(compile(source, name, "exec"), module.__dict__)
    yield sys.modules["rewritten_parcels"]
    for name in sources:
        del sys.modules[name]


def test_a_rewritten_record_takes_its_fields_as_a_dataclass_does(parcels: Any) -> None:
    parcel = parcels.Parcel(7, weight_g=20)
    assert plain(parcel) == {"at": 7, "labels": {}, "note": "", "weight_g": 20}
    assert [field.name for field in dataclasses.fields(parcel)] == ["at", "weight_g", "labels", "note"]
    assert parcels.Parcel(weight_g=1).labels is not parcels.Parcel(weight_g=1).labels
    with pytest.raises(TypeError):
        parcels.Parcel(7)


def test_rewritten_records_compare_by_value_and_class(parcels: Any) -> None:
    parcel = parcels.Parcel(7, weight_g=20)
    assert parcel == parcels.Parcel(7, weight_g=20) != parcels.Parcel(7, weight_g=21)
    assert parcel != parcels.Base(7)
    base = sys.modules["rewritten_base"].Base
    assert hash(base(3)) == hash(base(3))
    assert parcels.Token("a") != parcels.Token("a"), "eq=False compares by identity"
    assert repr(base(3)) == "Base(at=3)"


def test_what_stands_over_a_record_is_called_behind_it(parcels: Any) -> None:
    assert parcels.NAMES == [("parcel", "Parcel")]


def test_a_changed_rewritten_record_is_another_one(parcels: Any) -> None:
    parcel = parcels.Parcel(7, weight_g=20, labels={"a": "b"})
    half = parcels.lighter(parcel)
    assert (parcel.weight_g, half.weight_g, half.at) == (20, 10, 7)
    assert half.labels is parcel.labels, "what has not changed is shared"


def test_pydantic_reads_rewritten_records_whatever_they_are_inside(parcels: Any) -> None:
    read = TypeAdapter(parcels.Store).validate_python
    store = read({"parcels": {"rows": {"a": {"weight_g": 5}}}, "pair": [{"rows": {"b": 1}}, {}]})
    assert store.parcels.rows == {"a": parcels.Parcel(weight_g=5)}
    assert store.pair == (parcels.Shelf({"b": 1}), parcels.Shelf())
    with pytest.raises(ValidationError):
        read({"parcels": {"rows": {"a": {"weight_g": "heavy"}}}})
    with pytest.raises(ValidationError):
        read({})


def test_a_record_is_made_of_what_it_was_stored_as(parcels: Any) -> None:
    parcel = parcels.Parcel(7, weight_g=20, labels={"a": "b"})
    route = parcels.Route((parcel,), (parcels.Stop("Leeds", 5),), ((1, "a"), (2, "b")), parcel)
    stored = orjson.loads(orjson.dumps(plain(route)))
    read: Any = reader(parcels.Route)
    assert read(stored) == route == TypeAdapter(parcels.Route).validate_python(stored)
    assert type(read(stored).stops[0]) is parcels.Stop
    assert read({"parcels": [{"weight_g": 1}]}) == parcels.Route((parcels.Parcel(weight_g=1),)), "defaults"
    assert read({"parcels": [], "stops": [["York", 1]], "new": 1}).stops == (("York", 1),), "what is new is left out"


def test_a_record_that_is_plain_is_so_all_the_way_down(parcels: Any) -> None:
    parcel = parcels.Parcel(7, weight_g=20)
    found = plain(parcels.Route((parcel,), (parcels.Stop("Leeds", 5),), first=parcel))
    assert found["parcels"] == [plain(parcel)]
    assert found["first"] == plain(parcel)
    assert type(found["stops"][0]) is tuple, "orjson takes no named one"


@pytest.mark.parametrize("stored", [{}, {"parcels": [{}]}, {"parcels": [], "stops": [["York"]]}])
def test_what_does_not_fit_is_stumbled_over(parcels: Any, stored: Any) -> None:
    read: Any = reader(parcels.Route)
    assert read is not None
    with pytest.raises((KeyError, TypeError, ValueError)):
        read(stored)


def test_what_no_reader_can_be_written_for_is_left_to_pydantic(parcels: Any) -> None:
    assert reader(parcels.Shelf) is None, "what its rows are is not known"
    assert reader(parcels.Store) is None, "for it has shelves"

    class Heavier(parcels.Parcel):  # type: ignore[misc]
        pass

    assert reader(Heavier) is None, "its base's makes another class"


def test_what_is_written_in_capitals_and_assigned_once_is_declared_constant() -> None:
    source = """from __future__ import annotations
R = TypeVar("R")
ONE = 1
_TABLE: dict[str, int] = {"ä": 1}
LATE = 1
SHARED = None
lower = 2
def late():
    global SHARED
    SHARED = 2
LATE = 2
"""
    declared = with_constants(source).splitlines()
    assert declared[1] == "from typing import Final as _Final"
    del declared[1]
    expected = source.replace("ONE =", "ONE: _Final =").replace("dict[str, int]", "_Final[dict[str, int]]")
    assert declared == expected.splitlines(), "lines keep their places, others their text"
