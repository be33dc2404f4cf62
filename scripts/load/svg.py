"""Plots as SVG, drawn by hand: a report is one file, and needs no library and no network."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

Points = Sequence[tuple[float, float]]
WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 14, 34
COLOURS = ("#2f6fde", "#e0763a", "#3a9d5d", "#b04fc4", "#c9a227", "#5aa9c9", "#d1495b", "#7a7f87")
TICKS = 5


def lines(
    series: Mapping[str, Points], *, x_label: str, y_label: str, logarithmic: bool = False,
    x_ticks: Sequence[tuple[float, str]] = (),
) -> str:  # fmt: skip
    """Line plot of several series, with a legend. logarithmic: the y axis; values below its floor are drawn on it.
    x_ticks: where the x axis is no plain number."""
    series = {name: points for name, points in series.items() if points}
    if not series:
        return '<p class="none">nothing was measured</p>'
    xs = [x for points in series.values() for x, _ in points]
    ys = [y for points in series.values() for _, y in points]
    x_of = _scale(min(xs), max(xs), LEFT, WIDTH - RIGHT)
    if logarithmic:
        floor = min([y for y in ys if y > 0], default=1.0)
        bottom, top = math.floor(math.log10(floor)), math.ceil(math.log10(max(*ys, floor * 10)))
        log_of = _scale(bottom, top, HEIGHT - BOTTOM, TOP)
        y_of: Callable[[float], float] = lambda y: log_of(math.log10(max(y, 10**bottom)))  # noqa: E731
        y_ticks = [(10.0**power, number(10.0**power)) for power in range(bottom, top + 1)]
    else:
        step = nice_step(max(ys) / TICKS)
        highest = max(step, math.ceil(max(ys) / step) * step)
        y_of = _scale(0.0, highest, HEIGHT - BOTTOM, TOP)
        y_ticks = [(n * step, number(n * step)) for n in range(round(highest / step) + 1)]
    if not x_ticks:
        step = nice_step((max(xs) - min(xs)) / 8)
        first = math.ceil(min(xs) / step)
        x_ticks = [(n * step, number(n * step)) for n in range(first, math.floor(max(xs) / step) + 1)]
    parts = [_frame(x_ticks, y_ticks, x_of, y_of, x_label, y_label)]
    for place, (_, points) in enumerate(series.items()):
        drawn = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in points)
        parts.append(f'<polyline class="line" stroke="{COLOURS[place % len(COLOURS)]}" points="{drawn}"/>')
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(parts)}</svg>{legend(list(series))}'


def bar(shares: Mapping[str, float], unit: str) -> str:
    """One stacked bar, its parts named below with their values."""
    shares = {name: share for name, share in shares.items() if share > 0}
    whole = sum(shares.values())
    if not whole:
        return '<p class="none">nothing was measured</p>'
    parts, at = [], 0.0
    for place, (name, share) in enumerate(shares.items()):
        width = WIDTH * share / whole
        title = f"<title>{escape(name)} {number(share)}{unit}</title>"
        colour = COLOURS[place % len(COLOURS)]
        parts.append(f'<rect x="{at:.1f}" y="0" width="{width:.1f}" height="36" fill="{colour}">{title}</rect>')
        at += width
    names = [f"{name} {number(share)}{unit} ({share / whole:.1%})" for name, share in shares.items()]
    return f'<svg viewBox="0 0 {WIDTH} 36" role="img">{"".join(parts)}</svg>{legend(names)}'


def legend(names: Sequence[str]) -> str:
    items = [
        f'<li><span style="background:{COLOURS[place % len(COLOURS)]}"></span>{escape(name)}</li>'
        for place, name in enumerate(names)
    ]
    return f'<ul class="legend">{"".join(items)}</ul>'


def number(value: float) -> str:
    """As a person writes it: three significant digits, thousands separated."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def nice_step(rough: float) -> float:
    """1, 2 or 5 times a power of ten, at least `rough`."""
    if rough <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough * (1 - 1e-9))


def _scale(low: float, high: float, first: float, last: float) -> Callable[[float], float]:
    span = high - low or 1.0
    return lambda value: first + (value - low) / span * (last - first)


def _frame(  # noqa: PLR0917
    x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]], x_of: Callable[[float], float],
    y_of: Callable[[float], float], x_label: str, y_label: str,
) -> str:  # fmt: skip
    floor = HEIGHT - BOTTOM
    parts = []
    for value, text in y_ticks:
        y = y_of(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(text)}</text>')
    for value, text in x_ticks:
        parts.append(f'<text x="{x_of(value):.1f}" y="{floor + 15}" text-anchor="middle">{escape(text)}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 4}" text-anchor="end" class="axis">{escape(x_label)}</text>')
    parts.append(f'<text x="{LEFT}" y="{TOP - 3}" class="axis">{escape(y_label)}</text>')
    return "".join(parts)
