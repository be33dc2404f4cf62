"""What an orchestrator remembers: its intents, and what it has learnt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any
from zlib import crc32

from models.decision import Due, Millis
from models.orchestrator.messages import IntentSettled, Params, SagaAdvanced, SagaRetrying, Woken
from models.orchestrator.tables import REMEMBERED, STEPS
from models.record import changed, dataclass


@dataclass(frozen=True)
class Intent:
    """Something that has to happen, journalled before it is asked for.

    name:     `step:object`. key: `step:object:attempt`; both written out, since every answer is looked up by them.
    since:    when it was first intended. tries, again_at, waiting, unsure, lookup: see `SagaRetrying`.
    """

    name: str
    key: str
    step: str
    object: str
    attempt: int
    params: Params
    since: Millis
    again_at: Millis
    tries: int = 1
    waiting: bool = False
    unsure: bool = False
    lookup: bool = False


@dataclass(frozen=True)
class Saga:
    """Keyed by name (`step:object`), of which at most one attempt is under way.

    noted, results: gathered since the last stored event; lost with the process and asked for again.
    done:           names of steps that are done, as far as nobody else remembers (stock and tasks).
    attempts:       the last attempt of names that were dropped or may be wanted again.
    wake_at:        the earliest retry or timer.
    """

    phase: str = ""
    intents: dict[str, Intent] = field(default_factory=dict)
    noted: tuple[str, ...] = ()
    results: dict[str, str] = field(default_factory=dict)
    done: frozenset[str] = frozenset()
    attempts: dict[str, int] = field(default_factory=dict)
    learnt: dict[str, str] = field(default_factory=dict)
    timers: dict[str, Millis] = field(default_factory=dict)
    wake_at: Millis = 0


def name_of(key: str) -> str:
    """`step:object` of `step:object:attempt`."""
    return key[: key.rindex(":")]


def attempt_of(key: str) -> int:
    return int(key[key.rindex(":") + 1 :])


def _intent(key: str, params: Params, at: Millis) -> Intent:
    step, object_, attempt = key.split(":")
    return Intent(name_of(key), key, step, object_, int(attempt), params, at, at + STEPS[step].patience_ms)


def patience(step: str, key: str, tries: int) -> int:
    """Milliseconds to wait for the answer to the `tries`-th try."""
    row = STEPS[step]
    return backoff(key, tries, row.patience_ms, row.patience_max_ms)


def backoff(key: str, tries: int, base_ms: int, most_ms: int) -> int:
    """Exponential, with up to a quarter less or more: a jitter that is drawn from the key, so that replaying it gives
    the same times."""
    wait = min(base_ms << min(tries - 1, 20), most_ms)
    return wait * (750 + crc32(f"{key}:{tries}".encode()) % 500) // 1000


def due(saga: Saga) -> Due | None:
    """When the orchestrator wants to be woken, and whether something is under way."""
    return Due(saga.wake_at, bool(saga.intents)) if saga.wake_at else None


def view(saga: Saga) -> dict[str, Any] | None:
    """For ops: what is under way. None while there is no saga."""
    if not saga.phase:
        return None
    return {
        "phase": saga.phase,
        "intents": [
            {"key": i.key, "since": i.since, "tries": i.tries, "again_at": i.again_at, "unsure": i.unsure}
            for i in saga.intents.values()
        ],
        "timers": saga.timers,
    }


# --- evolve ----------------------------------------------------------------------------------------------------------


def evolve(saga: Saga, event: Any) -> Saga:
    """Raises KeyError for an event that is none of the saga's: a bug, never a stored fact."""
    fold: Callable[[Saga, Any], Saga] = _FOLDS[type(event)]
    return fold(saga, event)


def _advanced(saga: Saga, event: SagaAdvanced) -> Saga:
    intents = dict(saga.intents)
    results, attempts, done = saga.results, saga.attempts, saga.done
    remembered = []
    for key in event.settled:
        name = name_of(key)
        intents.pop(name, None)
        step = name[: name.index(":")]
        if step in REMEMBERED:
            remembered.append(name)
        elif step == "reverse":
            attempts = {**attempts, name: attempt_of(key)}
    for key in event.dropped:
        intents.pop(name_of(key), None)
        attempts = {**attempts, name_of(key): attempt_of(key)}
    for key, params in event.intended.items():
        intent = _intent(key, params, event.at)
        intents[intent.name] = intent
    if results:
        results = {name: result for name, result in results.items() if name in intents}
    if remembered:
        done = done.union(remembered)
    timers = saga.timers if event.timers is None else event.timers
    return changed(
        saga,
        phase=event.phase,
        intents=intents,
        noted=(),
        results=results,
        done=done,
        attempts=attempts,
        learnt=saga.learnt | event.learnt if event.learnt else saga.learnt,
        timers=timers,
        wake_at=_wake_at(intents, results, timers),
    )


def _retrying(saga: Saga, event: SagaRetrying) -> Saga:
    name = name_of(event.key)
    intent = saga.intents[name]
    attempt = intent.attempt + event.fresh
    intent = changed(
        intent,
        key=f"{name}:{attempt}",
        attempt=attempt,
        since=event.at if event.fresh else intent.since,
        tries=event.tries,
        again_at=event.again_at,
        waiting=event.waiting,
        unsure=event.unsure,
        lookup=event.lookup,
    )
    intents = {**saga.intents, name: intent}
    return changed(saga, intents=intents, wake_at=_wake_at(intents, saga.results, saga.timers))


def _settled(saga: Saga, note: IntentSettled) -> Saga:
    name = name_of(note.key)
    if note.result:
        return changed(saga, results={**saga.results, name: note.result})
    intents, results = dict(saga.intents), saga.results
    intents.pop(name, None)
    if name in results:
        results = {other: result for other, result in results.items() if other != name}
    done = saga.done.union((name,)) if name[: name.index(":")] in REMEMBERED else saga.done
    return changed(saga, intents=intents, noted=(*saga.noted, note.key), results=results, done=done)


def _woken(saga: Saga, _note: Woken) -> Saga:
    """Notes leave `wake_at` alone, so that gathering costs no writes; it may then be too early, once."""
    return changed(saga, wake_at=_wake_at(saga.intents, saga.results, saga.timers))


def _wake_at(intents: dict[str, Intent], results: dict[str, str], timers: dict[str, Millis]) -> Millis:
    times = [intent.again_at for name, intent in intents.items() if name not in results]
    times += timers.values()
    return min(times, default=0)


_FOLDS: dict[type, Any] = {SagaAdvanced: _advanced, SagaRetrying: _retrying, IntentSettled: _settled, Woken: _woken}
