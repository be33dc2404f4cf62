"""Show every setting: what is in force, and where its value came from. Secrets are masked."""

from __future__ import annotations

import argparse

from scripts.settings import Resolved, flag_of, masked, table

SETTINGS = tuple(name for name, about in table().items() if about.flag and name != "data")


def configure(_parser: argparse.ArgumentParser) -> None:
    """No arguments of its own."""


def run(_arguments: argparse.Namespace, resolved: Resolved) -> int:
    rows = [("setting", "value", "from", "variable", "meaning")]
    for name, about in table().items():
        shown = masked(name, getattr(resolved.settings, name))
        label = flag_of(name) if about.flag else name
        rows.append((label, shown or "-", resolved.sources[name], about.variable, about.help))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]))
    return 0
