"""Seeded faults: what goes wrong, how often, and where, from a JSON file or the control endpoint.

Whether a request is hit depends only on the seed, the rule, and the request's idempotency key and attempt number (its
position, if it has no key), never on the order in which concurrent requests arrive; so a run repeats from its seed.
docs/sandbox.md describes the format.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from statistics import NormalDist
from typing import Any

import orjson

from scripts.sandbox.rate_limits import RateLimitInvalid, RateLimits

BEFORE = ("rate_limit", "lock_timeout", "error_500_before", "closed_before")
AFTER = ("error_500_after", "closed_after")
KINDS = BEFORE + AFTER
ATTEMPTS_KEPT = 200_000
_DISTRIBUTIONS = {
    "constant": ("ms",),
    "uniform": ("min_ms", "max_ms"),
    "exponential": ("mean_ms",),
    "lognormal": ("median_ms", "sigma"),
}


class FaultsInvalid(ValueError):
    """A fault plan that cannot be understood; the message names the place."""


@dataclass(frozen=True)
class Rule:
    """One kind of fault on some endpoints (all, if none is named), at most `times` times."""

    fault: str
    probability: float = 1.0
    endpoints: tuple[str, ...] = ()
    times: int | None = None


@dataclass(frozen=True)
class Webhooks:
    """Probabilities per delivery, and the bounds of a late one's delay."""

    duplicate: float = 0.0
    late: float = 0.0
    late_min_ms: float = 500.0
    late_max_ms: float = 5_000.0
    reorder: float = 0.0


@dataclass(frozen=True)
class Plan:
    """A whole fault plan, as read. Without a seed of its own it takes the sandbox's."""

    seed: str = ""
    rate_limit: str = "none"
    latency: dict[str, Any] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    webhooks: Webhooks = Webhooks()
    source: dict[str, Any] = field(default_factory=dict)


def read_file(path: Path) -> Plan:
    """Read a fault file. Raises FaultsInvalid."""
    try:
        return read(orjson.loads(path.read_bytes()))
    except (OSError, orjson.JSONDecodeError) as error:
        raise FaultsInvalid(f"{path}: {error}") from None
    except FaultsInvalid as error:
        raise FaultsInvalid(f"{path}: {error}") from None


def read(source: Any) -> Plan:
    """Check a decoded plan. Raises FaultsInvalid, naming the place."""
    _keys(source, "the plan", ("seed", "rate_limit", "latency", "rules", "webhooks"))
    rate_limit = source.get("rate_limit", "none")
    try:
        RateLimits(str(rate_limit))
    except RateLimitInvalid as error:
        raise FaultsInvalid(f"rate_limit: {error}") from None
    rules = source.get("rules", [])
    if not isinstance(rules, list):
        raise FaultsInvalid("rules must be a list")
    return Plan(
        seed=str(source.get("seed", "")),
        rate_limit=rate_limit,
        latency=_latency(source.get("latency", {})),
        rules=tuple(_rule(rule, f"rules[{place}]") for place, rule in enumerate(rules)),
        webhooks=_webhooks(source.get("webhooks", {})),
        source=source,
    )


def _keys(value: Any, place: str, allowed: tuple[str, ...], required: tuple[str, ...] = ()) -> None:
    if not isinstance(value, dict):
        raise FaultsInvalid(f"{place} must be an object")
    for key in value:
        if key not in allowed:
            raise FaultsInvalid(f"{place} has the unknown key {key!r}; known are {', '.join(allowed)}")
    for key in required:
        if key not in value:
            raise FaultsInvalid(f"{place} lacks {key!r}")


def _number(value: Any, place: str, most: float = math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise FaultsInvalid(f"{place} must be a number from 0 to {most}")
    return float(value)


def _latency(value: Any) -> dict[str, Any]:
    if value == {}:
        return {}
    every = ("distribution", "ms", "min_ms", "max_ms", "mean_ms", "median_ms", "sigma")
    _keys(value, "latency", every, ("distribution",))
    kind = value["distribution"]
    if kind not in _DISTRIBUTIONS:
        raise FaultsInvalid(f"latency.distribution must be one of {', '.join(_DISTRIBUTIONS)}")
    needed = _DISTRIBUTIONS[kind]
    _keys(value, f"a latency of distribution {kind}", ("distribution", "max_ms", *needed), needed)
    for key in value:
        if key != "distribution":
            _number(value[key], f"latency.{key}")
    if kind == "uniform" and value["min_ms"] > value["max_ms"]:
        raise FaultsInvalid("latency.min_ms is above latency.max_ms")
    return dict(value)


def _rule(value: Any, place: str) -> Rule:
    _keys(value, place, ("fault", "probability", "endpoints", "times"), ("fault",))
    if value["fault"] not in KINDS:
        raise FaultsInvalid(f"{place}.fault must be one of {', '.join(KINDS)}")
    endpoints = value.get("endpoints", [])
    if not isinstance(endpoints, list) or not all(isinstance(endpoint, str) for endpoint in endpoints):
        raise FaultsInvalid(f"{place}.endpoints must be a list of names such as 'POST /v1/transfers'")
    from scripts.sandbox.routes import ENDPOINTS

    for endpoint in endpoints:
        if endpoint not in ENDPOINTS:
            raise FaultsInvalid(f"{place}.endpoints: there is no {endpoint!r}; ids are written {{}}")
    times = value.get("times")
    if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 0):
        raise FaultsInvalid(f"{place}.times must be a whole number")
    probability = _number(value.get("probability", 1.0), f"{place}.probability", 1.0)
    return Rule(value["fault"], probability, tuple(endpoints), times)


def _webhooks(value: Any) -> Webhooks:
    names = ("duplicate", "late", "late_min_ms", "late_max_ms", "reorder")
    _keys(value, "webhooks", names)
    numbers = {
        name: _number(value[name], f"webhooks.{name}", math.inf if name.endswith("_ms") else 1.0)
        for name in names
        if name in value
    }
    return Webhooks(**numbers)


class Faults:
    """The plan in force, and what it has done so far."""

    def __init__(self, plan: Plan, seed: str = "0") -> None:
        self.plan = plan
        self._seed = plan.seed or seed
        self.active = bool(self.plan.rules or self.plan.latency)
        self.injected: dict[str, int] = {}
        self._times = [0] * len(self.plan.rules)
        self._attempts: dict[str, int] = {}
        self._requests = 0

    def decide(self, endpoint: str, key: str | None) -> tuple[str, float]:
        """The fault that hits this request ("" for none) and its latency in seconds."""
        identity = self._identity(key)
        for place, rule in enumerate(self.plan.rules):
            if rule.endpoints and endpoint not in rule.endpoints:
                continue
            if rule.times is not None and self._times[place] >= rule.times:
                continue
            if self.draw(f"rule {place}", identity) < rule.probability:
                self._times[place] += 1
                self.injected[rule.fault] = self.injected.get(rule.fault, 0) + 1
                return rule.fault, self._latency_s(identity)
        return "", self._latency_s(identity)

    def _identity(self, key: str | None) -> str:
        if key is None:
            self._requests += 1
            return f"request {self._requests}"
        attempt = self._attempts.pop(key, 0) + 1
        self._attempts[key] = attempt
        if len(self._attempts) > ATTEMPTS_KEPT:
            del self._attempts[next(iter(self._attempts))]
        return f"{key} {attempt}"

    def _latency_s(self, identity: str) -> float:
        latency = self.plan.latency
        if not latency:
            return 0.0
        share = self.draw("latency", identity)
        kind = latency["distribution"]
        if kind == "constant":
            ms = latency["ms"]
        elif kind == "uniform":
            ms = latency["min_ms"] + share * (latency["max_ms"] - latency["min_ms"])
        elif kind == "exponential":
            ms = -math.log1p(-share) * latency["mean_ms"]
        else:
            deviations = NormalDist().inv_cdf(min(max(share, 1e-9), 1 - 1e-9))
            ms = latency["median_ms"] * math.exp(latency["sigma"] * deviations)
        return float(min(ms, latency.get("max_ms", math.inf))) / 1000

    def draw(self, purpose: str, identity: str) -> float:
        """A number in [0, 1) that depends on nothing but the seed and the arguments."""
        text = f"{self._seed}/{purpose}/{identity}".encode()
        return int.from_bytes(blake2b(text, digest_size=6).digest()) / (1 << 48)
