"""The keyring actor: every API key, by hash. There is one, `models.keyring.KEYRING`."""

from __future__ import annotations

from actors.runtime.kind import ActorKind
from models import keyring

KIND = ActorKind(
    name="keyring",
    initial=keyring.INITIAL,
    decide=keyring.decide,
    evolve=keyring.evolve,
    view=keyring.view,
    state_type=keyring.Keyring,
    weight=keyring.weight,
)
