"""What is compiled: what an order goes through in a host, and in the projector."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("models", "actors")
"""Copied whole: a package has one directory, compiled or not."""

FOLDERS = ("models", "actors/runtime")
"""Where the compiled modules are."""

AS_WRITTEN = frozenset({
    "models/record.py",  # what records are where nothing is compiled
    "models/catalogue.py",  # decorators and pydantic's adapters: nothing to gain
    "models/sealing.py",
    "actors/runtime/archive_stream.py",  # an asynchronous generator, which mypyc cannot compile
    "actors/runtime/director.py",
    "actors/runtime/local_archive.py",  # for tests and the simulator, as are the next
    "actors/runtime/local_journal.py",
    "actors/runtime/local_stream.py",
    "actors/runtime/local_transport.py",
})  # fmt: skip


def compiled_modules(root: Path) -> Iterator[str]:
    """The files that are compiled, relative to `root`."""
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            if path.name != "__init__.py" and name not in AS_WRITTEN:
                yield name
