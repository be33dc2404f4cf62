"""docs/sandbox.md tells the truth: endpoints, options, test cards and control endpoints."""

from __future__ import annotations

import re
from pathlib import Path

from scripts.sandbox.__main__ import parser
from scripts.sandbox.api import Api
from scripts.sandbox.cards import by_alias
from scripts.sandbox.control import Control
from scripts.sandbox.faults import Plan
from scripts.sandbox.routes import ENDPOINTS
from scripts.sandbox.store import Settings, Store
from scripts.sandbox.webhooks import Dispatcher

TEXT = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text()


def test_the_endpoints_are_these() -> None:
    listed = TEXT.split("```text endpoints\n")[1].split("```")[0]
    names = set()
    for methods, path in re.findall(r"((?:(?:GET|POST|DELETE) +)+)(/v1/\S+)", listed):
        names |= {f"{method} {path}" for method in methods.split()}
    assert names == set(ENDPOINTS)


def test_the_options_are_these() -> None:
    known = {option for action in parser()._actions for option in action.option_strings} - {"-h", "--help"}
    assert set(re.findall(r"`(--[a-z-]+)", TEXT)) - {"--payments", "--help"} == known


def test_the_cards_exist() -> None:
    named = set(re.findall(r"pm_card_[A-Za-z0-9_]+", TEXT))
    assert len(named) > 10
    assert [alias for alias in named - {"pm_card_"} if by_alias(alias) is None] == []


def test_the_control_endpoints_are_these() -> None:
    store = Store(Settings(), lambda _: 0)
    api = Api(store, Plan(), "none")
    routes = Control(store, api, Dispatcher(store, lambda: api.faults), store.clear).routes()
    paths = {route.path.removeprefix("/_sandbox").replace("{id}", "{}") for route in routes} - {""}
    section = TEXT.split("## Control endpoints")[1].split("## Faults")[0] + TEXT.split("### Test cards")[1]
    told = re.sub(r"\{[a-z_]+\}", "{}", section)
    assert [path for path in sorted(paths) if path not in told] == []
