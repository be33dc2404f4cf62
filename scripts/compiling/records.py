"""Rewrites records into classes that the compiler makes well.

mypyc compiles a class to a C structure, but what the `dataclass` decorator adds is made at run time, in Python. So the
methods of every record are written out here as source text, and its decorators become calls behind the class:

    @event("stock.received/1")            class StockReceived(Event):
    @dataclass(frozen=True)                   quantity: int
    class StockReceived(Event):     ->        def __init__(self, at: Millis, quantity: int) -> None: ...
        quantity: int                         def __eq__, __hash__, __repr__, _changed, _copied, _plain, _read
                                          record_class(StockReceived, {"quantity": ("int", record_field())})
                                          event("stock.received/1")(StockReceived)

The rewritten text is for the compiler alone: nobody reads, tests or edits it.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeGuard

from scripts.compiling.shapes import SUPPORT as SHAPES_SUPPORT
from scripts.compiling.shapes import Field, Shapes

RECORD = "models.record"
BASES = frozenset({("models.decision", "Command"), ("models.decision", "Event")})
"""Records that others may inherit from which are not compiled: machines of tests."""
COMPILED = "models.compiled"
_OPEN = ast.parse("_mypyc_attr(allow_interpreted_subclasses=True)", mode="eval").body
SUPPORT = f"""
from typing import Any as _Any
from mypy_extensions import mypyc_attr as _mypyc_attr
from {COMPILED} import SAME as _SAME, record_class as _record_class, record_field as _record_field, shown as _shown
{SHAPES_SUPPORT}
"""


class Record(NamedTuple):
    """A record as it is written: its own fields, the names of its bases, whether it compares by value."""

    fields: list[Field]
    bases: list[str]
    eq: bool


class Rewriter:
    """Rewrites the modules that it is given, all at once: records inherit fields across modules."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        """sources: source text by the module's dotted name."""
        self._trees = {module: ast.parse(source) for module, source in sources.items()}
        self._imports = {module: dict(_imported(tree)) for module, tree in self._trees.items()}
        self._records = {
            (module, node.name): _record(module, node, decorator)
            for module, tree in self._trees.items()
            for node, decorator in self._found(module, tree)
        }
        self._shapes = Shapes(
            self._trees, self._defined, lambda home: self._fields(*home) if home in self._records else None
        )

    def rewritten(self) -> dict[str, str]:
        """The new source text of every module that has a record or changes one."""
        return {
            module: self._module(module, tree)
            for module, tree in self._trees.items()
            if any(home == RECORD for home, _ in self._imports[module].values())
        }

    def _found(self, module: str, tree: ast.Module) -> Iterator[tuple[ast.ClassDef, ast.Call]]:
        if self._imports[module].get("dataclass") != (RECORD, "dataclass"):
            return
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                for decorator in node.decorator_list:
                    if _is_record_decorator(decorator):
                        yield node, decorator

    def _module(self, module: str, tree: ast.Module) -> str:
        body: list[ast.stmt] = []
        borrowed: set[tuple[str, str]] = set()
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.module == RECORD:
                body += _import_of_records(node)
            elif isinstance(node, ast.ClassDef) and (module, node.name) in self._records:
                borrowed |= self._borrowed(module, node.name)
                body += self._class(module, node)
            else:
                body.append(node)
        if self._imports[module].get("changed") == (RECORD, "changed"):
            body = [_Changes().visit(node) for node in body]
        after_future = 1 + next(i for i, node in enumerate(body) if isinstance(node, ast.ImportFrom))
        imports = "\n".join([SUPPORT, *_import_lines(borrowed)])
        body[after_future:after_future] = ast.parse(imports).body
        return ast.unparse(ast.fix_missing_locations(ast.Module(body, [])))

    def _class(self, module: str, node: ast.ClassDef) -> list[ast.stmt]:
        record, fields = self._records[module, node.name], self._fields(module, node.name)
        for statement in node.body:
            if isinstance(statement, ast.AnnAssign):
                statement.value = None
        written = ast.parse(self._methods(module, node.name, fields, eq=record.eq)).body[0]
        assert isinstance(written, ast.ClassDef)
        behind = [decorator for decorator in node.decorator_list if not _is_record_decorator(decorator)]
        node.decorator_list = [_OPEN] if (module, node.name) in BASES else []
        node.body += written.body
        defined = ", ".join(f"{f.name!r}: ({f.annotation!r}, {f.definition})" for f in record.fields)
        calls = [f"_record_class({node.name}, {{{defined}}})"]
        calls += [f"{ast.unparse(decorator)}({node.name})" for decorator in reversed(behind)]
        return [node, *ast.parse("\n".join(calls)).body]

    def _methods(self, module: str, name: str, fields: list[Field], *, eq: bool) -> str:
        """The class's methods as source text, in a class of the same name."""
        parameters = ["self", *(field.parameter for field in fields if not field.kw_only)]
        keywords = [field.parameter for field in fields if field.kw_only]
        if keywords:
            parameters += ["*", *keywords]
        copies = ", ".join(f"{f.name}=self.{f.name}" if f.kw_only else f"self.{f.name}" for f in fields)
        changes = ", ".join(f"{f.name}=self.{f.name} if {f.name} is _SAME else {f.name}" for f in fields)
        lines = [
            f"class {name}:",
            f"    def __init__({', '.join(parameters)}) -> None:",
            *(f"        self.{field.name} = {field.value}" for field in fields),
            "        pass",
            "    def _copied(self) -> _Any:",
            f"        return {name}({copies})",
            f"    def _changed(self{''.join(f', {f.name}: _Any = _SAME' for f in fields)}) -> {name!r}:",
            f"        return {name}({changes})",
            "    def _plain(self) -> _Any:",
            f"        return {{{', '.join(f'{f.name!r}: {self._shapes.plain(f)}' for f in fields)}}}",
            "    def __repr__(self) -> str:",
            "        return _shown(self)",
        ]
        read = self._shapes.reading(module, name)
        if read is not None:
            lines += [
                "    @staticmethod",
                f"    def _read(plain: _Any) -> {name}:",
                "        known = _cast(dict[str, _Any], plain)",
                f"        return {read}",
            ]
        if eq:
            same = " and ".join(["type(other) is type(self)", *(f"self.{f.name} == other.{f.name}" for f in fields)])
            lines += [
                "    def __eq__(self, other: _Any) -> bool:",
                f"        return {same}",
                "    def __hash__(self) -> int:",
                f"        return hash(({''.join(f'self.{f.name}, ' for f in fields)}))",
            ]
        return "\n".join(lines)

    def _fields(self, module: str, name: str) -> list[Field]:
        """All fields, those of the bases first, as `dataclasses` orders them."""
        record = self._records[module, name]
        fields: dict[str, Field] = {}
        for base in record.bases:
            home = self._home(module, base)
            if home is not None:
                fields |= {field.name: field for field in self._fields(*home)}
        fields |= {field.name: field for field in record.fields}
        return sorted(fields.values(), key=lambda field: field.kw_only)

    def _home(self, module: str, name: str) -> tuple[str, str] | None:
        """Where a record that a module knows by this name was written; None if it is none of ours."""
        home = self._defined(module, name)
        return home if home in self._records else None

    def _defined(self, module: str, name: str) -> tuple[str, str]:
        """Where the thing is defined that a module knows by this name."""
        while name in self._imports.get(module, {}):
            module, name = self._imports[module][name]
        return module, name

    def _borrowed(self, module: str, name: str) -> set[tuple[str, str]]:
        """Names that inherited fields mention and this module does not have: (where they are known, name)."""
        own = self._imports[module].keys() | vars(builtins).keys()
        return {
            (field.module, mentioned.id)
            for field in self._fields(module, name)
            if field.module != module
            for text in (field.annotation, field.default, field.factory)
            if text
            for mentioned in ast.walk(ast.parse(text, mode="eval"))
            if isinstance(mentioned, ast.Name) and mentioned.id not in own
        }


class _Changes(ast.NodeTransformer):
    """`changed(record, a=1)` becomes `record._changed(a=1)`: where the record's class is known, a call in C. Of
    `changed(record, a=1, **more)` the names are known at run time only: `changed(record, {"a": 1, **more})`."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if not isinstance(node.func, ast.Name) or node.func.id != "changed":
            return node
        if all(keyword.arg for keyword in node.keywords):
            node.func, node.args = ast.Attribute(node.args[0], "_changed", ast.Load()), []
        else:
            names = [None if keyword.arg is None else ast.Constant(keyword.arg) for keyword in node.keywords]
            values = [keyword.value for keyword in node.keywords]
            node.args, node.keywords = [*node.args, ast.Dict([*names], values)], []
        return node


def _is_record_decorator(decorator: ast.expr) -> TypeGuard[ast.Call]:
    return isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name) and decorator.func.id == "dataclass"


def _imported(tree: ast.Module) -> Iterator[tuple[str, tuple[str, str]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield alias.asname or alias.name, (node.module, alias.name)


def _record(module: str, node: ast.ClassDef, decorator: ast.Call) -> Record:
    eq = not any(keyword.arg == "eq" and ast.unparse(keyword.value) == "False" for keyword in decorator.keywords)
    fields = [
        _field(module, statement.target.id, statement)
        for statement in node.body
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
    ]
    return Record(fields, [base.id for base in node.bases if isinstance(base, ast.Name)], eq)


def _field(module: str, name: str, statement: ast.AnnAssign) -> Field:
    about, default = {}, ""
    if isinstance(statement.value, ast.Call) and ast.unparse(statement.value.func) == "field":
        about = {keyword.arg: ast.unparse(keyword.value) for keyword in statement.value.keywords}
    elif statement.value is not None:
        default = ast.unparse(statement.value)
    factory, kw_only = about.pop("default_factory", ""), about.pop("kw_only", "")
    assert not about, f"{module}: the field {name} says what is not rewritten: {about}"
    return Field(name, ast.unparse(statement.annotation), default, factory, kw_only == "True", module)


def _import_of_records(node: ast.ImportFrom) -> list[ast.stmt]:
    """What is left of an import of `models.record`: `changed` has a compiled twin, `dataclass` has done its work."""
    lines = [
        f"from {COMPILED if alias.name == 'changed' else RECORD} import {alias.name}"
        for alias in node.names
        if alias.name != "dataclass"
    ]
    return list(ast.parse("\n".join(lines)).body)


def _import_lines(borrowed: Iterable[tuple[str, str]]) -> list[str]:
    return [f"from {module} import {name}" for module, name in sorted(borrowed)]
