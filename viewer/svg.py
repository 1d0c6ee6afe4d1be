"""Small plots as SVG text: lines over time, and paths from above."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from recon.core.geometry import Array
from recon.core.palette import nice_step

_MAX_POINTS = 1200
"""Points drawn per line; longer ones are thinned, keeping the lowest and highest of each run."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a plot: x, y (N,), NaN where it is broken; colour as RGB 0-255."""

    name: str
    x: Array
    y: Array
    color: tuple[int, int, int]


def css(color: Sequence[int]) -> str:
    """A colour as CSS writes it."""
    return "#{:02x}{:02x}{:02x}".format(*color)


@dataclass(frozen=True, kw_only=True)
class Span:
    """A stretch of time to mark in a plot; a moment where first and last are the same."""

    name: str
    first: float
    last: float


@dataclass(frozen=True)
class _Axis:
    """Values low … high onto px start … end, evenly or by their logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, values: Array | float) -> Array:
        low, high, v = self.low, self.high, np.clip(values, self.low, self.high)
        if self.log:
            low, high, v = np.log10(low), np.log10(high), np.log10(v)
        return self.start + (v - low) / (high - low) * (self.end - self.start)

    def ticks(self, about: int = 4) -> list[float]:
        if not self.log:
            return [t for t in nice_ticks(self.low, self.high, about=about)
                    if self.low - 1e-9 <= t <= self.high + 1e-9]  # fmt: skip
        decades = range(round(np.log10(self.low)), round(np.log10(self.high)) + 1)
        return [10.0**k for k in decades]


def time_plot(
    lines: Sequence[Line],
    *,
    title: str,
    unit: str,
    span: tuple[float, float],
    limits: Mapping[str, float] | None = None,
    spans: Sequence[Span] = (),
    floor: float | None = 0.0,
    log: bool = False,
    size: tuple[int, int] = (440, 160),
) -> str:
    """An SVG plot of lines over time, with a legend where there are several.

    Args:
        span: first and last second. limits: values to mark with a dashed line, by name.
        spans: shaded. floor: the lowest value that the axis must show, None for the data's own.
        log: powers of ten on the value axis, from 0.01 on at least.
    """
    limits = limits or {}
    values = np.concatenate([line.y[np.isfinite(line.y)] for line in lines] or [np.zeros(0)])
    head = f"<figure><figcaption>{escape(title)} <small>{escape(unit)}</small></figcaption>"
    if len(values) == 0:
        return f'{head}<p class="none">nothing to show</p></figure>'
    width, height = size
    ends = 44.0, width - 8.0
    x_axis = _Axis(span[0], span[1] if span[1] > span[0] else span[0] + 1, *ends)
    y_axis = _value_axis(values, limits.values(), floor, height, log=log)
    parts = [f'{head}{_legend(lines)}<svg viewBox="0 0 {width} {height}" role="img" '
             f'aria-label="{escape(title)}, {escape(unit)}, over time in seconds">']  # fmt: skip
    parts += [_shade(mark, x_axis, height) for mark in spans]
    for tick in y_axis.ticks():
        y = y_axis.at(tick)
        parts.append(
            f'<path class="grid" d="M{ends[0]:.0f} {y:.1f}H{ends[1]:.0f}"/>'
            f'<text x="{ends[0] - 6:.0f}" y="{y + 3.5:.1f}" text-anchor="end">{tick:g}</text>'
        )
    for tick in x_axis.ticks(about=8):
        place = f'x="{x_axis.at(tick):.1f}" y="{height - 6}" text-anchor="middle"'
        parts.append(f"<text {place}>{tick:g} s</text>")
    for name, limit in limits.items():
        y = float(y_axis.at(limit))
        words_y = y - 3 if y > 20 else y + 11
        parts.append(
            f'<path class="limit" d="M{ends[0]:.0f} {y:.1f}H{ends[1]:.0f}"/>'
            f'<text class="limit-name" x="{ends[1]:.0f}" y="{words_y:.1f}" text-anchor="end">'
            f"{escape(name)} {limit:g}</text>"
        )
    for line in lines:
        x, y = _thin(line.x, line.y)
        parts.append(_named("line", line, _path(x_axis.at(x), y_axis.at(y))))
    return "".join(parts) + "</svg></figure>"


def _value_axis(
    values: Array, limits: Iterable[float], floor: float | None, height: int, *, log: bool
) -> _Axis:
    # A few wild frames must not flatten all others: they are cut off well above the rest.
    top = float(min(values.max(), 1.5 * max(np.percentile(values, 99), 1e-9)))
    top = max(top, float(np.median(values)), *limits)
    place = height - 22.0, 8.0
    if log:
        return _Axis(0.01, 10.0 ** max(0, np.ceil(np.log10(max(top, 0.1)))), *place, log=True)
    low = float(values.min()) if floor is None else min(floor, float(values.min()))
    ticks = nice_ticks(low, top if top > low + 1e-9 else low + 1)
    return _Axis(min(low, ticks[0]), max(top, ticks[-1]), *place)


def _shade(span: Span, axis: _Axis, height: int) -> str:
    first, last = float(axis.at(span.first)), float(axis.at(span.last))
    return (
        f'<rect class="span" x="{first - 1:.1f}" y="8" width="{last - first + 2:.1f}" '
        f'height="{height - 30}"><title>{escape(span.name)}</title></rect>'
    )


def _legend(lines: Sequence[Line]) -> str:
    entries = dict.fromkeys((css(line.color), line.name) for line in lines)
    return legend(list(entries)) if len(entries) > 1 else ""


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """Colours (as CSS) and their names in a row."""
    spans = "".join(f'<span><i style="background:{c}"></i>{escape(n)}</span>' for c, n in entries)
    return f'<p class="legend">{spans}</p>'


def plan(
    paths: Sequence[Line],
    *,
    marks: Sequence[Line] = (),
    dashed: Sequence[Line] = (),
    unit: str = "m",
    axes: tuple[str, str] = ("x", "y"),
    least: float = 2.0,
) -> str:
    """An SVG map with equal axes, the first to the right and the second up.

    Args:
        unit: of both axes. axes: their names. least: the least that the map shows, in `unit`.
        paths: drawn solid, with a ring at the start and a dot at the end. marks: small dots.
        dashed: drawn dashed, as the camera's way is.
    """
    every = [*paths, *dashed, *marks]
    xs = np.concatenate([line.x for line in every] or [np.zeros(1)])
    ys = np.concatenate([line.y for line in every] or [np.zeros(1)])
    low = np.array([xs.min(), ys.min()]) - 0.25 * least
    high = np.array([xs.max(), ys.max()]) + 0.25 * least
    high = np.maximum(high, low + least)
    # A frame from 1.2 to 2.2 times as wide as high fits every page.
    extent, center = high - low, (low + high) / 2
    extent[0] = max(extent[0], 1.2 * extent[1])
    extent[1] = max(extent[1], extent[0] / 2.2)
    low = center - extent / 2
    width, scale = 560.0, 560 / extent[0]
    height = float(extent[1]) * scale
    step = nice_step(extent.max() / 10)

    def at(line: Line) -> tuple[Array, Array]:
        x, y = line.x, line.y
        keep = slice(None, None, max(1, len(x) // _MAX_POINTS))
        return (x[keep] - low[0]) * scale, height - (y[keep] - low[1]) * scale

    parts = [
        f'<svg class="plan" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'aria-label="{escape(axes[0])} and {escape(axes[1])}, {escape(unit)}">'
    ]
    for axis, length in enumerate(extent):
        for k in range(int(np.ceil(low[axis] / step)), int((low[axis] + length) / step) + 1):
            offset = (k * step - low[axis]) * scale
            kind = "axis" if k == 0 else "grid"
            if axis == 0:
                d, x, y = f"M{offset:.1f} 0V{height:.1f}", offset + 3, height - 5
            else:
                d, x, y = f"M0 {height - offset:.1f}H{width:.1f}", 4, height - offset - 4
            parts.append(f'<path class="{kind}" d="{d}"/>')
            parts.append(f'<text x="{x:.1f}" y="{y:.1f}">{k * step:g}</text>')
    for line in dashed:
        x, y = at(line)
        parts.append(_named("line dashed", line, _path(x, y)))
        parts.append(f'<circle cx="{x[0]:.1f}" cy="{y[0]:.1f}" r="4" fill="{css(line.color)}"/>')
    for line in marks:
        dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in zip(*at(line), strict=True))
        parts.append(_named("marks", line, dots))
    for line in paths:
        x, y = at(line)
        color = css(line.color)
        parts.append(_named("line bold", line, _path(x, y)))
        parts.append(f'<circle class="start" cx="{x[0]:.1f}" cy="{y[0]:.1f}" r="5" '
                     f'stroke="{color}"/>')  # fmt: skip
        parts.append(f'<circle cx="{x[-1]:.1f}" cy="{y[-1]:.1f}" r="6" fill="{color}"/>')
    bar, right = step * scale, width - 14
    parts.append(f'<path class="bar" d="M{right - bar:.1f} 16H{right:.1f}"/>')
    parts.append(f'<text x="{right:.1f}" y="32" text-anchor="end">{step:g} {escape(unit)}</text>')
    parts.append(f'<text x="{right:.1f}" y="{height - 18:.1f}" text-anchor="end">'
                 f'{escape(axes[0])} ({escape(unit)}) →</text>')  # fmt: skip
    parts.append(f'<text x="26" y="14">↑ {escape(axes[1])} ({escape(unit)})</text></svg>')
    return "".join(parts)


def nice_ticks(low: float, high: float, *, about: int = 4) -> list[float]:
    """Round numbers from below `low` to above `high`, about so many."""
    step = nice_step(max(high - low, 1e-9) / about)
    first, last = int(np.floor(low / step + 1e-9)), int(np.ceil(high / step - 1e-9))
    return [round(k * step, 12) for k in range(first, max(last, first + 1) + 1)]


def _named(kind: str, line: Line, d: str) -> str:
    return (
        f'<path class="{kind}" stroke="{css(line.color)}" d="{d}">'
        f"<title>{escape(line.name)}</title></path>"
    )


def _path(x: Array, y: Array) -> str:
    """Path commands through points, lifted over NaN."""
    parts, pen = [], "M"
    for a, b in zip(np.asarray(x).tolist(), np.asarray(y).tolist(), strict=True):
        if not (np.isfinite(a) and np.isfinite(b)):
            pen = "M"
            continue
        parts.append(f"{pen}{a:.1f} {b:.1f}")
        pen = "L"
    return "".join(parts)


def _thin(x: Array, y: Array) -> tuple[Array, Array]:
    """At most about _MAX_POINTS points that keep every run's extremes."""
    if len(x) <= _MAX_POINTS:
        return x, y
    runs = np.array_split(np.arange(len(x)), _MAX_POINTS // 2)
    kept: list[int] = []
    for run in runs:
        finite = run[np.isfinite(y[run])]
        if len(finite) == 0:
            kept.append(int(run[0]))
        else:
            ends = {int(finite[np.argmin(y[finite])]), int(finite[np.argmax(y[finite])])}
            kept += sorted(ends)
    return x[kept], y[kept]
