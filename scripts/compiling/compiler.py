"""Run mypyc on a prepared tree: `python -m scripts.compiling.compiler DIRECTORY`, in a process of its own.

mypyc is driven through setuptools, which knows how this Python's extensions are linked.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from mypyc.build import mypycify
from setuptools import setup
from setuptools.command.build_ext import build_ext

from scripts.compiling.modules import compiled_modules

CHECKER = ["--config-file=", "--follow-imports=silent", "--ignore-missing-imports", "--disable-error-code=misc"]
"""The tree is what the strict check has passed, with its records written out: here mypy only has to know the types."""


class ParallelBuild(build_ext):  # type: ignore[misc]
    """Compiles as many files at once as there are cores: one library is made of all of them."""

    def build_extensions(self) -> None:
        compiler: Any = self.compiler
        compiler.compile = partial(_compiled_side_by_side, compiler.compile)
        super().build_extensions()


def _compiled_side_by_side(compile_: Any, sources: Sequence[str], *arguments: Any, **options: Any) -> list[str]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(lambda source: compile_([source], *arguments, **options), sources))
    return [made for each in objects for made in each]


def main() -> None:
    """Leaves a library beside each compiled module. Ends with another code than 0 if that cannot be done."""
    os.chdir(sys.argv[1])
    extensions = mypycify(
        [*CHECKER, *compiled_modules(Path())],
        opt_level="1",
        debug_level="0",
        multi_file=True,
        target_dir="build",
        group_name="dray",
    )
    setup(
        name="dray-compiled",
        packages=[],
        ext_modules=extensions,
        cmdclass={"build_ext": ParallelBuild},
        script_args=["--quiet", "build_ext", "--inplace"],
    )


if __name__ == "__main__":
    main()
