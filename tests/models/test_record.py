"""Records behave as the standard frozen dataclasses that type checkers take them for."""

from __future__ import annotations

import dataclasses
from dataclasses import field

import pytest
from pydantic import TypeAdapter, ValidationError

from models.decision import stamped
from models.record import changed, dataclass


@dataclass(frozen=True)
class Base:
    at: int = 0


@dataclass(frozen=True)
class Parcel(Base):
    weight_g: int = field(kw_only=True)
    labels: dict[str, str] = field(default_factory=dict)
    note: str = ""


def test_a_record_takes_its_fields_as_a_dataclass_does() -> None:
    parcel = Parcel(7, weight_g=20)
    assert dataclasses.asdict(parcel) == {"at": 7, "weight_g": 20, "labels": {}, "note": ""}
    assert parcel == Parcel(at=7, weight_g=20, note="") != Parcel(at=7, weight_g=21)
    assert Parcel(weight_g=1).labels is not Parcel(weight_g=1).labels, "a default factory makes one each"
    assert hash(Base(3)) == hash(Base(3))
    with pytest.raises(TypeError):
        Parcel(7)  # type: ignore[call-arg]


def test_a_changed_record_is_another_one() -> None:
    parcel = Parcel(7, weight_g=20, labels={"a": "b"})
    lighter = changed(parcel, weight_g=10)
    assert (parcel.weight_g, lighter.weight_g, lighter.at) == (20, 10, 7)
    assert lighter.labels is parcel.labels, "what has not changed is shared"


def test_a_record_is_read_and_checked_by_pydantic() -> None:
    read = TypeAdapter(Parcel).validate_python
    assert read({"weight_g": 5}) == Parcel(weight_g=5)
    with pytest.raises(ValidationError):
        read({"weight_g": "heavy"})


def test_a_command_is_stamped_in_place() -> None:
    command = Parcel(weight_g=1)
    assert stamped(command, 9) is command
    assert command.at == 9
