"""Small plots as SVG text: lines over time, and paths from above."""

from __future__ import annotations

from collections.abc import Sequence
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


def time_plot(
    lines: Sequence[Line],
    *,
    title: str,
    unit: str,
    span: tuple[float, float],
    limit: float | None = None,
    floor: float | None = 0.0,
    size: tuple[int, int] = (440, 160),
) -> str:
    """An SVG plot of lines over time.

    Args:
        span: first and last second. limit: a value to mark with a dashed line.
        floor: the lowest value that the axis must show, None for the data's own.
    """
    values = np.concatenate([line.y[np.isfinite(line.y)] for line in lines] or [np.zeros(0)])
    head = f"<figure><figcaption>{escape(title)} <small>{escape(unit)}</small></figcaption>"
    if len(values) == 0:
        return f'{head}<p class="none">nothing to show</p></figure>'
    # A few wild frames must not flatten all others: they are cut off well above the rest.
    top = float(min(values.max(), 1.5 * max(np.percentile(values, 99), 1e-9)))
    top = max(top, float(np.median(values)))
    low = float(values.min()) if floor is None else min(floor, float(values.min()))
    top = max(top, limit or -np.inf)
    top = top if top > low + 1e-9 else low + 1
    ticks = nice_ticks(low, top)
    low, top = min(low, ticks[0]), max(top, ticks[-1])
    width, height = size
    left, right, above, below = 44, 8, 8, 22
    x0, x1 = span if span[1] > span[0] else (span[0], span[0] + 1)

    def at_x(x: Array | float) -> Array:
        return left + (np.asarray(x) - x0) / (x1 - x0) * (width - left - right)

    def at_y(y: Array | float) -> Array:
        return above + (top - np.clip(y, low, top)) / (top - low) * (height - above - below)

    parts = [f'{head}<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">']
    for tick in ticks:
        y = at_y(tick)
        parts.append(
            f'<path class="grid" d="M{left} {y:.1f}H{width - right}"/>'
            f'<text x="{left - 6}" y="{y + 3.5:.1f}" text-anchor="end">{tick:g}</text>'
        )
    for tick in nice_ticks(x0, x1, about=8):
        if x0 <= tick <= x1:
            place = f'x="{at_x(tick):.1f}" y="{height - 6}" text-anchor="middle"'
            parts.append(f"<text {place}>{tick:g} s</text>")
    if limit is not None:
        parts.append(f'<path class="limit" d="M{left} {at_y(limit):.1f}H{width - right}"/>')
    for line in lines:
        x, y = _thin(line.x, line.y)
        parts.append(
            f'<path class="line" stroke="{css(line.color)}" d="{_path(at_x(x), at_y(y))}">'
            f"<title>{escape(line.name)}</title></path>"
        )
    return "".join(parts) + "</svg></figure>"


def plan(paths: Sequence[Line], *, marks: Sequence[Line] = (), dashed: Sequence[Line] = ()) -> str:
    """An SVG map with equal axes, +x right and +y up, in metres.

    Args:
        paths: drawn solid, with a ring at the start and a dot at the end. marks: small dots.
        dashed: drawn dashed, as the camera's way is.
    """
    every = [*paths, *dashed, *marks]
    xs = np.concatenate([line.x for line in every] or [np.zeros(1)])
    ys = np.concatenate([line.y for line in every] or [np.zeros(1)])
    low = np.array([xs.min(), ys.min()]) - 0.5
    high = np.array([xs.max(), ys.max()]) + 0.5
    high = np.maximum(high, low + 2.0)
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
        'aria-label="paths from above">'
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
    parts.append(f'<text x="{right:.1f}" y="32" text-anchor="end">{step:g} m</text></svg>')
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
