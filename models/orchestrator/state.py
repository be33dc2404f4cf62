"""What an orchestrator remembers: its intents, and what it has learnt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from functools import lru_cache
from typing import Any, NamedTuple
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
    done:           names of steps that are done, as far as nobody else remembers (stock and tasks); of those that are
                    `noted`, see `steps_done`.
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


def steps_done(saga: Saga) -> frozenset[str]:
    """Names of the steps that are done, those included that were noted since the last stored event. They are put
    together when they are asked for: an order of a hundred lines notes a hundred answers in between."""
    noted = [key.name for key in map(parsed, saga.noted) if key.step in REMEMBERED]
    return saga.done.union(noted) if noted else saga.done


class Key(NamedTuple):
    """What a key `step:object:attempt` says; its `name` is `step:object`."""

    name: str
    step: str
    object: str
    attempt: int


@lru_cache(maxsize=4096)  # all orders have the same few keys, but for their SKUs
def parsed(key: str) -> Key:
    """Take a key apart."""
    step, object_, attempt = key.split(":")
    return Key(f"{step}:{object_}", step, object_, int(attempt))


def _intent(key: str, params: Params, at: Millis) -> Intent:
    name, step, object_, attempt = parsed(key)
    return Intent(name, key, step, object_, attempt, params, at, at + STEPS[step].patience_ms)


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
    intents = saga.intents.copy()
    results, attempts, done = saga.results, saga.attempts, saga.done
    remembered = []
    for key in event.settled:
        name, step, _, attempt = parsed(key)
        intents.pop(name, None)
        if step in REMEMBERED:
            remembered.append(name)
        elif step == "reverse":
            attempts = {**attempts, name: attempt}
    for key in event.dropped:
        name, _, _, attempt = parsed(key)
        intents.pop(name, None)
        attempts = {**attempts, name: attempt}
    for key, params in event.intended.items():
        intent = _intent(key, params, event.at)
        intents[intent.name] = intent
    if results:
        results = {name: result for name, result in results.items() if name in intents}
    if remembered:
        done = done.union(remembered)
    learnt = saga.learnt | event.learnt if event.learnt else saga.learnt
    timers = saga.timers if event.timers is None else event.timers
    wake_at = _wake_at(intents, results, timers)
    return Saga(event.phase, intents, (), results, done, attempts, learnt, timers, wake_at)


def _retrying(saga: Saga, event: SagaRetrying) -> Saga:
    name = parsed(event.key).name
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
    name = parsed(note.key).name
    if note.result:
        return changed(saga, results={**saga.results, name: note.result})
    intents, results = saga.intents.copy(), saga.results
    intents.pop(name, None)
    if name in results:
        results = {other: result for other, result in results.items() if other != name}
    noted = (*saga.noted, note.key)
    return Saga(
        saga.phase, intents, noted, results, saga.done, saga.attempts, saga.learnt, saga.timers, saga.wake_at
    )


def _woken(saga: Saga, _note: Woken) -> Saga:
    """Notes leave `wake_at` alone, so that gathering costs no writes; it may then be too early, once."""
    return changed(saga, wake_at=_wake_at(saga.intents, saga.results, saga.timers))


def _wake_at(intents: dict[str, Intent], results: dict[str, str], timers: dict[str, Millis]) -> Millis:
    times = [intent.again_at for name, intent in intents.items() if name not in results]
    times += timers.values()
    return min(times) if times else 0


_FOLDS: dict[type, Any] = {SagaAdvanced: _advanced, SagaRetrying: _retrying, IntentSettled: _settled, Woken: _woken}
