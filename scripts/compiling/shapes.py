"""Writes out how compiled records are made of what JSON knows, and how they become it again, as source text.

pydantic and orjson find out for every record anew what the compiler knows: which fields there are, and of which types.
What is written here is for the shapes that events, commands and states are made of; where a record has another one, it
is left to them. It takes exactly what was stored. Whatever else it is given it stumbles over, and pydantic is asked.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import NamedTuple

Name = tuple[str, str]
"""A module, and a name in it."""

SCALARS = frozenset({"int", "str", "bool"})
SUPPORT = "from typing import cast as _cast"


class Field(NamedTuple):
    """A field of a record. Expressions are source text; '' where there is none. module: where it was written."""

    name: str
    annotation: str
    default: str
    factory: str
    kw_only: bool
    module: str

    @property
    def parameter(self) -> str:
        if self.factory:
            return f"{self.name}: ({self.annotation}) | None = None"
        return f"{self.name}: {self.annotation}" + (f" = {self.default}" if self.default else "")

    @property
    def made(self) -> str:
        """What it is where nothing is given; '' if it has to be given."""
        return {"": self.default, "dict": "{}", "list": "[]"}.get(self.factory, f"({self.factory})()")

    @property
    def value(self) -> str:
        return f"{self.made} if {self.name} is None else {self.name}" if self.factory else self.name

    @property
    def definition(self) -> str:
        about = f"default={self.default}" if self.default else f"default_factory={self.factory}" if self.factory else ""
        return f"_record_field({about or ('kw_only=True' if self.kw_only else '')})"


class Shapes:
    """Knows what the types of fields are: scalars, records, named tuples, and tuples and dictionaries of them.

    trees: by module. home: where the thing is defined that a module knows by this name. fields: of a record; None for
    what is none.
    """

    def __init__(
        self,
        trees: Mapping[str, ast.Module],
        home: Callable[[str, str], Name],
        fields: Callable[[Name], list[Field] | None],
    ) -> None:
        self._home = home
        self._fields = fields
        self._aliases: dict[Name, ast.expr] = {}
        self._tuples: dict[Name, list[ast.expr]] = {}
        for module, tree in trees.items():
            for node in tree.body:
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    self._aliases[module, node.targets[0].id] = node.value
                elif isinstance(node, ast.ClassDef) and [ast.unparse(base) for base in node.bases] == ["NamedTuple"]:
                    members = [statement for statement in node.body if isinstance(statement, ast.AnnAssign)]
                    if not any(member.value for member in members):
                        self._tuples[module, node.name] = [member.annotation for member in members]

    def reading(self, module: str, name: str) -> str | None:
        """The expression that makes the record of `known`, its fields by name; None if a field is of another shape."""
        arguments = []
        for field in self._fields((module, name)) or []:
            read = self._read(module, field.module, _parsed(field.annotation), f"known[{field.name!r}]")
            if read is None:
                return None
            if field.made:
                read = f"({read} if {field.name!r} in known else {field.made})"
            arguments.append(f"{field.name}={read}" if field.kw_only else read)
        return f"{name}({', '.join(arguments)})"

    def plain(self, field: Field) -> str:
        """The expression for a field as JSON knows it, or as it is where that is left to the encoder."""
        return self._plain(field.module, _parsed(field.annotation), f"self.{field.name}")

    # --- inside ---

    def _read(self, into: str, module: str, type_: ast.expr, value: str, depth: int = 0) -> str | None:
        """The expression that makes a `type_`, as `module` calls it, of `value`, for the module `into`."""
        each = f"each{depth}"
        match type_:
            case ast.Name(id=scalar) if scalar in SCALARS:
                return f"_cast({scalar}, {value})"
            case ast.Name(id=name):
                return self._read_named(into, self._home(module, name), name, value, depth)
            case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[item, ast.Constant(value=x)])) if (
                x is ...
            ):
                read = self._read(into, module, item, each, depth + 1)
                return read and f"tuple([{read} for {each} in _cast(list, {value})])"
            case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=items)):
                scalars = [self._scalar(module, item) for item in items]
                return f"_cast(tuple[{', '.join(scalars)}], tuple(_cast(list, {value})))" if all(scalars) else None
            case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[ast.Name(id="str"), item])):
                read = self._read(into, module, item, each, depth + 1)
                return read and f"{{_cast(str, key): {read} for key, {each} in _cast(dict, {value}).items()}}"
            case ast.BinOp(left=some, op=ast.BitOr(), right=ast.Constant(value=None)):
                read = self._read(into, module, some, value, depth)
                return read and f"(None if {value} is None else {read})"
        return None

    def _read_named(self, into: str, home: Name, name: str, value: str, depth: int) -> str | None:
        if home == ("typing", "Any"):
            return value
        if home in self._aliases:
            return self._read(into, home[0], self._aliases[home], value, depth)
        if self._home(into, name) != home:
            return None  # an alias from elsewhere, of something that is not known here
        if home in self._tuples:
            scalars = [self._scalar(home[0], item) for item in self._tuples[home]]
            members = [f"member{n}" for n in range(len(scalars))]
            made = ", ".join(f"_cast({scalar}, {member})" for scalar, member in zip(scalars, members, strict=True))
            return f"[{name}({made}) for {', '.join(members)} in [_cast(list, {value})]][0]" if all(scalars) else None
        return f"{name}._read({value})" if self._fields(home) is not None and self.reading(*home) else None

    def _scalar(self, module: str, type_: ast.expr) -> str:
        """The scalar that a type is, maybe by another name; '' if it is none."""
        if not isinstance(type_, ast.Name):
            return ""
        home = self._home(module, type_.id)
        if home in self._aliases:
            return self._scalar(home[0], self._aliases[home])
        return type_.id if type_.id in SCALARS else ""

    def _plain(self, module: str, type_: ast.expr, value: str, depth: int = 0) -> str:
        each = f"each{depth}"
        match type_:
            case ast.Name(id=name):
                home = self._home(module, name)
                if home in self._aliases:
                    return self._plain(home[0], self._aliases[home], value, depth)
                if home in self._tuples:
                    return f"tuple({value})"
                return f"{value}._plain()" if self._fields(home) is not None else value
            case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[item, ast.Constant(value=x)])) if (
                x is ...
            ):
                made = self._plain(module, item, each, depth + 1)
                return value if made == each else f"[{made} for {each} in {value}]"
            case ast.BinOp(left=some, op=ast.BitOr(), right=ast.Constant(value=None)):
                made = self._plain(module, some, value, depth)
                return value if made == value else f"(None if {value} is None else {made})"
        return value


def _parsed(annotation: str) -> ast.expr:
    return ast.parse(annotation, mode="eval").body
