"""What can be set, in one table: each setting is a flag, an environment variable and a default, and `dray config` shows
where its value came from. Secrets are never flags.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple


class BadSetting(ValueError):
    """A value that cannot be used; the message names the setting and says what fits."""


class About(NamedTuple):
    """A setting's row of the table. flag: False for secrets and for what only an operator of a cluster touches."""

    parse: Callable[[str], Any]
    help: str
    variable: str = ""
    flag: bool = True
    secret: bool = False
    metavar: str = ""


def _set(default: Any, help_: str, parse: Callable[[str], Any] = str, **more: Any) -> Any:
    return field(default=default, metadata={"about": About(parse, help_, **more)})


def _at_least(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.lstrip("-").isdigit() or int(text) < least:
            raise BadSetting(f"a whole number from {least} on, not {text!r}")
        return int(text)

    return parse


_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise BadSetting(f"one of {', '.join(choices)}, not {text!r}")
        return text

    return parse


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise BadSetting(f"a number from 0 on, not {text!r}")
    return value


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise BadSetting(f"a port (0 takes a free one), not {text!r}")
    return int(text)


@dataclass(frozen=True)
class Settings:
    """Everything that `up` can be told. The order is that of `dray config`."""

    data: Path = _set(Path(".dray"), "data directory: names the system that a command means", Path, metavar="DIR")
    port: int = _set(8080, "port of the gateways; 0 takes a free one", _port, metavar="PORT")
    bind: str = _set("127.0.0.1", "address that the gateways listen on", metavar="ADDRESS")
    hosts: int = _set(
        max(1, _CORES // 2), "pooled hosts that share the shards; half as many as cores unless you say", _at_least(1),
        metavar="N",
    )  # fmt: skip
    standby: int = _set(
        1, "hosts that hold no shards until another dies; a cluster's nodes stand in for each other", _at_least(0),
        metavar="N",
    )  # fmt: skip
    gateways: int = _set(1, "gateway processes that share the port", _at_least(1), metavar="N")
    payments: str = _set(
        "sandbox", "who takes the money: the Stripe-compatible sandbox, an in-process simulation, or Stripe",
        _one_of("sandbox", "simulated", "stripe"), metavar="sandbox|simulated|stripe",
    )  # fmt: skip
    redis: str = _set("", "Redis to use (redis://, rediss:// or unix://); empty starts an embedded one", metavar="URL")
    database: str = _set("", "SQL database of the read side; empty uses SQLite in the data directory", metavar="URL")
    arrivals_max: int = _set(
        2_000, "orders that a host has under way before it refuses more with 429", _at_least(1), metavar="N",
    )
    archive_after: float = _set(
        600.0, "seconds an order at rest is quiet before it leaves Redis for the archive; 0 keeps all in Redis",
        _number, variable="DRAY_ARCHIVE_AFTER_S", metavar="S",
    )  # fmt: skip
    address: str = _set("", "Ray cluster to join (host:port); empty starts one on this machine alone", metavar="RAY")
    stripe_url: str = _set("", "Stripe-compatible server for --payments stripe; empty means Stripe", metavar="URL")
    simulated_latency_ms: float = _set(20.0, "how long a simulated payment takes", _number, metavar="MS")
    dedicated: str = _set(
        "", "actors with a Ray actor of their own: kinds and kind:id, separated by commas", metavar="RULES"
    )
    shards: int = _set(16, "units of storage; fixed at the first start", _at_least(1), metavar="N")
    sandbox_port: int = _set(0, "port of the sandbox that `up` starts; 0 takes a free one", _port, metavar="PORT")
    sandbox_faults: str = _set("", "faults that the sandbox injects", metavar="FILE")
    sandbox_seed: int = _set(0, "seed of those faults", _at_least(0), metavar="K")
    ray_dashboard: str = _set(
        "auto", "run Ray's dashboard (280 MB), which `ray list actors` needs; auto: if there are dedicated actors",
        _one_of("auto", "yes", "no"), metavar="auto|yes|no",
    )  # fmt: skip
    compiled: str = _set(
        "auto", "compile what orders go through (once, a minute or two); auto: where there is a C compiler",
        _one_of("auto", "yes", "no"), metavar="auto|yes|no",
    )  # fmt: skip
    log_level: str = _set("info", "of all processes", _one_of("debug", "info", "warning", "error"), metavar="LEVEL")
    master_key: str = _set(
        "", "keys that wrap the data keys of personal data; else DIR/master.key", flag=False, secret=True
    )
    digest_key: str = _set("", "key of the keyed hashes that find personal data", flag=False, secret=True)
    stripe_api_key: str = _set("", "Stripe's secret key", flag=False, secret=True, variable="STRIPE_API_KEY")
    stripe_webhook_secret: str = _set(
        "", "signing secret of Stripe's webhooks", flag=False, secret=True, variable="STRIPE_WEBHOOK_SECRET"
    )

    @property
    def wants_dashboard(self) -> bool:
        return self.ray_dashboard == "yes" or (self.ray_dashboard == "auto" and bool(self.dedicated))

    @property
    def run_file(self) -> Path:
        """What `up` has started, for every other command."""
        return self.data / "run.json"

    @property
    def keys_file(self) -> Path:
        return self.data / "keys.json"

    @property
    def master_key_file(self) -> Path:
        return self.data.resolve() / "master.key"

    @property
    def ray_token(self) -> Path:
        """Admits to the Ray that `up` starts."""
        return self.data / "ray.token"

    @property
    def logs(self) -> Path:
        return self.data / "logs"


def table() -> dict[str, About]:
    """Every setting's row, its environment variable filled in."""
    rows = {}
    for entry in fields(Settings):
        about: About = entry.metadata["about"]
        rows[entry.name] = about._replace(variable=about.variable or f"DRAY_{entry.name.upper()}")
    return rows


class Resolved(NamedTuple):
    """The settings in force, and where each came from: a flag, a variable or `default`."""

    settings: Settings
    sources: Mapping[str, str]


def resolve(flags: Mapping[str, str | None], environ: Mapping[str, str] = os.environ) -> Resolved:
    """A flag beats the environment, which beats the default. Raises BadSetting."""
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, about in table().items():
        flag = flags.get(name)
        if flag is not None:
            text, source = flag, flag_of(name)
        elif environ.get(about.variable):
            text, source = environ[about.variable], about.variable
        else:
            sources[name] = "default"
            continue
        try:
            values[name] = about.parse(text)
        except BadSetting as error:
            raise BadSetting(f"{source}: {error}") from None
        sources[name] = source
    settings = Settings(**values)
    return Resolved(checked(settings), sources)


def flag_of(name: str) -> str:
    return "--" + name.replace("_", "-")


def checked(settings: Settings) -> Settings:
    """Refuse combinations that cannot work. Raises BadSetting."""
    if settings.payments == "stripe" and not settings.stripe_api_key:
        raise BadSetting("--payments stripe needs STRIPE_API_KEY in the environment")
    if settings.address and not settings.redis:
        raise BadSetting("--address joins a cluster, whose nodes share one Redis: name it with --redis URL")
    if settings.address and not settings.database:
        raise BadSetting("--address joins a cluster, whose nodes share one PostgreSQL: name it with --database URL")
    if settings.database.partition("://")[0] not in ("", "sqlite", "postgres", "postgresql"):
        raise BadSetting("--database is postgresql://USER@HOST/NAME, or sqlite:///PATH")
    if settings.address and settings.payments == "sandbox":
        raise BadSetting(
            "--address joins a cluster, and the sandbox is of one machine: take --payments simulated or stripe (which"
            " --stripe-url can point at a sandbox that you start)"
        )
    if settings.stripe_url and settings.payments != "stripe":
        raise BadSetting("--stripe-url goes with --payments stripe")
    return settings


def masked(name: str, value: Any) -> str:
    """A value as it may be shown: secrets and passwords in addresses are not."""
    if table()[name].secret:
        return "****" if value else ""
    text = str(value)
    scheme, divider, rest = text.partition("://")
    if divider and "@" in rest:
        return f"{scheme}://****@{rest.rpartition('@')[2]}"
    return text
