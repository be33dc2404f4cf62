"""`docs/events.md`, made from the table of types: `python -m models.feed.page` prints it."""

from __future__ import annotations

from collections.abc import Iterator

from models.feed.types import EVENT_TYPES


def page() -> str:
    """The published page, in Markdown."""
    return "\n".join(_page_lines()) + "\n"


def _page_lines() -> Iterator[str]:
    yield "# Events"
    yield ""
    yield "Generated from `models/feed/types.py` by `python -m models.feed.page`; a test keeps it current. How they"
    yield "are read is told in [http.md](http.md#events). Fields in brackets are not shown to suppliers."
    yield ""
    yield "| type | when | `data` | suppliers |"
    yield "|---|---|---|---|"
    for name, described in EVENT_TYPES.items():
        fields = [f"({field})" if field in described.withheld else f"`{field}`" for field in described.fields]
        yield f"| `{name}` | {described.meaning} | {' '.join(fields)} | {'yes' if described.suppliers else ''} |"


if __name__ == "__main__":
    print(page(), end="")
