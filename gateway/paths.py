"""Which endpoint a request is for, found in as many steps as its path has parts.

Starlette tries every route's regular expression in turn, once for each of sixty routes when the last one matches; that
was a quarter of what a placed order cost the gateway, and three quarters of what a health check did. What is not
found here (unknown paths, other methods, FastAPI's own pages) goes through Starlette's routing as ever, so only that
says 404 and 405.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Found(NamedTuple, Generic[T]):
    """What a path leads to, and the values of its parameters."""

    target: T
    params: dict[str, str]


class _Node(Generic[T]):
    """What may follow one part of a path."""

    __slots__ = ("any", "parts", "targets")

    def __init__(self) -> None:
        self.parts: dict[str, _Node[T]] = {}
        self.any: _Node[T] | None = None  # a parameter
        self.targets: dict[str, tuple[T, tuple[str, ...]]] = {}  # by method, with the parameters' names


class Paths(Generic[T]):
    """Targets by method and path template (`/v1/orders/{id}`). Where a literal part and a parameter both fit, the
    literal wins, and nothing else is tried."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._exact: dict[tuple[str, str], Found[T]] = {}  # what has no parameters, found in one step

    def add(self, method: str, template: str, target: T) -> None:
        """Raises ValueError if the method and path lead somewhere already."""
        node = self._root
        names = []
        for part in template.split("/"):
            if part.startswith("{"):
                names.append(part[1:-1])
                node.any = node.any or _Node()
                node = node.any
            else:
                node = node.parts.setdefault(part, _Node())
        if method in node.targets:
            raise ValueError(f"{method} {template} is taken")
        node.targets[method] = (target, tuple(names))
        if not names:
            self._exact[method, template] = Found(target, {})

    def find(self, method: str, path: str) -> Found[T] | None:
        """The target of a decoded path, None if there is none."""
        exact = self._exact.get((method, path))
        if exact is not None:
            return exact
        node = self._root
        values = []
        for part in path.split("/"):
            following = node.parts.get(part)
            if following is None:
                following = node.any
                if following is None or not part:
                    return None
                values.append(part)
            node = following
        found = node.targets.get(method)
        if found is None:
            return None
        target, names = found
        return Found(target, dict(zip(names, values, strict=True)))
