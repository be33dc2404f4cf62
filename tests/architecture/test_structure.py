"""What holds for the code as a whole: who imports whom, how long things are, names that outlive every refactoring."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.catalogue import EVENTS

ROOT = Path(__file__).parents[2]
PACKAGES = ("models", "actors", "gateway", "scripts")
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
FROZEN = Path(__file__).with_name("event_names.txt")

VENDORS = {
    "ray": "ray_",
    "redis": "redis_",
    "stripe": "stripe_",
    "cryptography": "aesgcm_",
    "sqlalchemy": "sqlalchemy_",
    "alembic": "sqlalchemy_",
    "psycopg": "sqlalchemy_",
}
"""A vendor's top-level package -> the prefix of the adapters that may import it."""

BANNED_WORDS = ("Manager", "Helper", "Utils")


def modules() -> list[Path]:
    found = [path for package in (*PACKAGES, "tests") for path in (ROOT / package).rglob("*.py")]
    return [path for path in found if "__pycache__" not in path.parts]


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture(scope="module")
def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(), str(path)) for path in modules()}


def test_imports_follow_the_layers() -> None:
    checked = subprocess.run(
        [sys.executable, "-c", "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_modules_fit_in_the_head(trees: dict[Path, ast.Module]) -> None:
    ours = [path for path in trees if path.parts[len(ROOT.parts)] in PACKAGES]
    lines = {shown(path): len(path.read_text().splitlines()) for path in ours}
    long = {name: count for name, count in lines.items() if count > MODULE_LINES_MAX}
    assert not long


def test_functions_fit_on_a_screen(trees: dict[Path, ast.Module]) -> None:
    long = [
        f"{shown(path)}:{node.lineno} {node.name} {length}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert not long


def imported(tree: ast.Module) -> Iterator[str]:
    """Top-level packages that a module imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]


def test_only_its_adapters_import_a_vendor(trees: dict[Path, ast.Module]) -> None:
    strangers = [
        f"{shown(path)} imports {vendor}"
        for path, tree in trees.items()
        if path.parts[len(ROOT.parts)] in PACKAGES
        for vendor in sorted(set(imported(tree)) & set(VENDORS))
        if not _adapter(path).startswith(VENDORS[vendor])
    ]
    assert not strangers


def _adapter(path: Path) -> str:
    """The adapter that a module is or belongs to; '' for any other module."""
    adapters = ROOT / "actors" / "adapters"
    return path.relative_to(adapters).parts[0] if path.is_relative_to(adapters) else ""


def test_adapters_and_kinds_of_actors_do_not_know_each_other(trees: dict[Path, ast.Module]) -> None:
    """`models` and `actors.runtime` are what they share."""
    for path, tree in trees.items():
        if path.parent != ROOT / "actors" and path.parent.name != "adapters":
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("actors"):
                allowed = ("actors.runtime", "actors.adapters" if path.parent.name == "adapters" else "actors")
                assert node.module.startswith(allowed), f"{shown(path)} imports {node.module}"
                if path.parent.name != "adapters":
                    assert not node.module.startswith("actors.adapters"), f"{shown(path)} imports {node.module}"


def test_nothing_is_called_by_a_word_that_says_nothing(trees: dict[Path, ast.Module]) -> None:
    empty = [
        f"{shown(path)}:{node.lineno} {node.name}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name.endswith(BANNED_WORDS)
    ]
    assert not empty


def test_public_names_say_what_they_are(trees: dict[Path, ast.Module]) -> None:
    silent = [shown(path) for path, tree in trees.items() if ast.get_docstring(tree) is None and tree.body]
    assert not silent


def test_stored_event_names_are_for_ever() -> None:
    """A name that was ever stored must be readable: it may move to the upcasters, but it never disappears from here. A
    new one is added to the file by hand, on purpose."""
    for package in ("models",):
        for module in pkgutil.walk_packages([str(ROOT / package)], f"{package}."):
            importlib.import_module(module.name)
    frozen = FROZEN.read_text().split()
    current = sorted(name for name, codec in EVENTS.items() if codec.type.__module__.startswith("models."))
    assert frozen == sorted(frozen)
    assert [name for name in current if name not in frozen] == [], "add new names to event_names.txt"
    from models.catalogue import _UPCASTERS

    assert [name for name in frozen if name not in current and name not in _UPCASTERS] == []
