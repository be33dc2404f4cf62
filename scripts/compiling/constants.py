"""Tells the compiler which names of a module never change.

mypyc looks a module's variable up in the module's dictionary at every use, unless it is declared `Final`: then it is
a variable of C, in the modules that import it, too. What is written in capitals and assigned once is meant so; in the
compiler's copy it is declared so.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator

CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]+")  # a single letter is a type variable
IMPORT = "from typing import Final as _Final\n"


def with_constants(source: str) -> str:
    """The same text, with its constants declared. Lines keep their places but for one import."""
    tree = ast.parse(source)
    lines = source.splitlines(keepends=True)
    for statement in _constants(tree):
        _declare(lines, statement)
    first = next((node for node in tree.body if isinstance(node, ast.ImportFrom)), None)
    if first is None or first.end_lineno is None:
        return source
    lines.insert(first.end_lineno, IMPORT)  # the first import may be that from the future, which has to be
    return "".join(lines)


def _constants(tree: ast.Module) -> Iterator[ast.Assign | ast.AnnAssign]:
    assigned = Counter(
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
    )
    shared = {name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names}
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            target = node.target
        else:
            continue
        if not isinstance(target, ast.Name) or not CONSTANT.fullmatch(target.id):
            continue
        if assigned[target.id] == 1 and target.id not in shared:
            yield node


def _declare(lines: list[str], statement: ast.Assign | ast.AnnAssign) -> None:
    """Write the declaration into the statement's first line: columns are counted in bytes."""
    line = lines[statement.lineno - 1].encode()
    if isinstance(statement, ast.Assign):
        after = statement.targets[0].end_col_offset
        assert after is not None
        declared = line[:after] + b": _Final" + line[after:]
    else:
        annotation = statement.annotation
        begin, end = annotation.col_offset, annotation.end_col_offset
        if annotation.end_lineno != statement.lineno or end is None:
            return
        declared = line[:begin] + b"_Final[" + line[begin:end] + b"]" + line[end:]
    lines[statement.lineno - 1] = declared.decode()
