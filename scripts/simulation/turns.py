"""Deciders that raise now and then, as code with a bug does: the runtime aborts that turn alone and tries it again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from actors.runtime.kind import ActorKind, Kinds


class Bug(Exception):
    """Raised on purpose."""


def flaky(kinds: Kinds, random: Random, rate: Callable[[], float]) -> dict[str, ActorKind]:
    """The same kinds, whose every turn raises at `rate`."""

    def wrap(decide: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def decide_or_raise(state: Any, command: Any) -> Any:
            now = rate()
            if now and random.random() < now:
                raise Bug(type(command).__name__)
            return decide(state, command)

        return decide_or_raise

    return {name: replace(kind, decide=wrap(kind.decide)) for name, kind in kinds.items()}
