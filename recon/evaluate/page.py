"""An evaluation as an HTML page: figures, paths from above, errors over time, contacts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

import numpy as np

from recon.core.geometry import Array
from recon.core.palette import person_color
from recon.core.people import FOOT_POINTS
from recon.evaluate.camera_metrics import aligned
from recon.evaluate.figures import FIGURES, levels, shown
from recon.evaluate.person_measures import PersonEvaluation
from recon.evaluate.scenes import Evaluation
from recon.evaluate.table import is_defined, person_cells, remarks
from viewer.page import header, swatch, table, write_page
from viewer.svg import Line, css, legend, plan, time_plot

_TILES = (
    "w_mpjpe_mm", "wa_mpjpe_mm", "rte_percent", "mpjpe_mm", "foot_sliding_mm", "jitter",
    "ate_s_m", "scale_percent", "gravity_deg", "contact_f1",
)  # fmt: skip
_PLOTS = {
    "mpjpe_mm": "MPJPE",
    "pa_mpjpe_mm": "PA-MPJPE",
    "w_mpjpe_mm": "W-MPJPE100, each hundred aligned on two frames",
    "wa_mpjpe_mm": "WA-MPJPE100, each hundred aligned as a whole",
    "rte_percent": "RTE: root after one rigid alignment",
}
_CAMERA_PLOTS = {
    "ate_s_m": "ATE-S: camera after one rigid alignment",
    "rotation_deg": "Camera's rotation error",
    "gravity_deg": "Gravity error",
}
_TRUTH = (130, 130, 130)
_CAMERA = (40, 40, 40)
_ROW, _LEFT, _WIDTH = 9, 84, 860


def write_evaluation_page(result: Evaluation, path: Path) -> None:
    """Writes the evaluation as one self-contained HTML file."""
    tiles = [_tile(name, result.summary[name]) for name in _TILES]
    tiles = [tile for tile in tiles if tile[1] != "–"]
    title = f"{result.predicted} against {result.truth}"
    write_page(path, title, [header(title, tiles), *_sections(result)])


def _tile(name: str, value: float) -> tuple[str, str, str]:
    """A figure with the lowest published level."""
    figure, text = FIGURES[name], shown(name, value)
    note = levels(name, 1) and f"published: {levels(name, 1)}"
    label = f"{figure.label}, {figure.unit}" if figure.unit else figure.label
    return label, text, note


def _sections(result: Evaluation) -> Iterator[str]:
    notes = "".join(f"<li>{escape(text)}</li>" for text in remarks(result))
    yield f"<section><h2>What was measured</h2><ul>{notes}</ul></section>"
    yield _figures(result)
    yield _top_view(result)
    yield _over_time(result)
    yield _contacts(result.people)


def _figures(result: Evaluation) -> str:
    """All figures, people side by side, with the levels that papers report."""
    head = ["", "all", *(f"person {p.truth_id}" for p in result.people), "unit", "published"]
    rows, group = [], None
    for name, figure in FIGURES.items():
        if not is_defined(result, name):
            continue
        if figure.group != group:
            group = figure.group
            rows.append([f"<b>{escape(group)}</b>", *[""] * (len(head) - 1)])
        value = shown(name, result.summary[name])
        cells = [f"<b>{value}</b>", *person_cells(result, name), figure.unit, levels(name, 3)]
        rows.append([escape(figure.label), *cells])
    hint = (
        f"Figures as {result.protocol.name.upper()}'s evaluation computes them; “all” is the mean "
        "over all people's frames. Published levels are those of other clips (EMDB-2 where not "
        "said otherwise): they show the scale, not a ranking."
    )
    return (
        f"<section><h2>Figures</h2><p class='hint'>{escape(hint)}</p>{table(head, rows)}</section>"
    )


def _top_view(result: Evaluation) -> str:
    """All true and found paths in the true world, the found ones moved by one rigid alignment."""
    pairs = [(p.path, p.true_path) for p in result.people]
    if result.camera is not None:
        pairs.append((result.camera.path, result.camera.true_path))
    if not pairs:
        return ""
    found = aligned(
        np.concatenate([p for p, _ in pairs]), np.concatenate([t for _, t in pairs]),
        with_scale=False,
    )  # fmt: skip
    parts = np.split(found, np.cumsum([len(p) for p, _ in pairs])[:-1])
    people = [
        _plan_line(f"person {p.truth_id}, found", part, person_color(p.truth_id))
        for p, part in zip(result.people, parts, strict=False)
    ]
    truths = [_plan_line(f"person {p.truth_id}, true", p.true_path, _TRUTH) for p in result.people]
    dashed = []
    if result.camera is not None:
        dashed = [
            _plan_line("camera, true", result.camera.true_path, _TRUTH),
            _plan_line("camera, found", parts[-1], _CAMERA),
        ]
    names = [(css(person_color(p.truth_id)), f"person {p.truth_id}, found") for p in result.people]
    names += [(css(_TRUTH), "true"), (css(_CAMERA), "camera, found (dashed)")]
    drawing = plan([*truths, *people], dashed=dashed)
    return (
        "<section><h2>From above</h2><p class='hint'>Pelvises and camera in the true world, "
        "metres; everything found was moved together, without a change of scale. Rings mark the "
        f"start.</p>{legend(names)}{drawing}</section>"
    )


def _plan_line(name: str, points: Array, color: tuple[int, int, int]) -> Line:
    return Line(name=name, x=points[:, 0], y=points[:, 1], color=color)


def _over_time(result: Evaluation) -> str:
    """Errors per frame, one line per person, and those of the camera."""
    plots = []
    for name, title in _PLOTS.items():
        lines = [
            _time_line(f"person {p.truth_id}", p.times, p.values[name], person_color(p.truth_id))
            for p in result.people
            if len(p.values.get(name, ()))
        ]
        if lines:
            plots.append(_plot(lines, title, name))
    for name, title in _CAMERA_PLOTS.items():
        if result.camera is not None and name in result.camera.values:
            line = _time_line("camera", result.camera.times, result.camera.values[name], _CAMERA)
            plots.append(_plot([line], title, name))
    if not plots:
        return ""
    return f"<section><h2>Errors over time</h2><div class='plots'>{''.join(plots)}</div></section>"


def _plot(lines: Sequence[Line], title: str, name: str) -> str:
    span = min(line.x[0] for line in lines), max(line.x[-1] for line in lines)
    return time_plot(lines, title=title, unit=FIGURES[name].unit, span=span)


def _time_line(name: str, times: Array, values: Array, color: tuple[int, int, int]) -> Line:
    """A line that is lifted over frames that were not measured."""
    times = times[: len(values)]
    steps = np.diff(times)
    gaps = np.flatnonzero(steps > 1.5 * np.median(steps)) + 1 if len(steps) else np.zeros(0, int)
    return Line(
        name=name, x=np.insert(times, gaps, times[gaps]), y=np.insert(values, gaps, np.nan),
        color=color,
    )  # fmt: skip


def _contacts(people: Sequence[PersonEvaluation]) -> str:
    """For each sole point a true bar above a found one."""
    parts = [
        f"<h3>{swatch(p.truth_id)} <small>F1 {shown('contact_f1', p.figures['contact_f1'])}"
        f"</small></h3>{_bars(p)}"
        for p in people
        if p.contacts is not None
    ]
    if not parts:
        return ""
    hint = "Grey: true; below it in the person's colour: found."
    return (
        f"<section><h2>Contacts over time</h2><p class='hint'>{hint}</p>{''.join(parts)}</section>"
    )


def _bars(person: PersonEvaluation) -> str:
    assert person.contacts is not None
    height = 4 * (2 * _ROW + 8) + 18
    first, last = float(person.times[0]), float(person.times[-1])
    scale = (_WIDTH - _LEFT - 8) / max(last - first, 1e-9)
    parts = [f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="contacts over time">']
    for k, point in enumerate(FOOT_POINTS):
        top = k * (2 * _ROW + 8)
        parts.append(f'<text x="0" y="{top + _ROW + 4}">{point.replace("_", " ")}</text>')
        rows = ((person.true_contacts, _TRUTH), (person.contacts, person_color(person.truth_id)))
        for row, (contacts, color) in enumerate(rows):
            for start, end in _runs(contacts[:, k] > 0.5):
                x = _LEFT + (person.times[start] - first) * scale
                width = max((person.times[end] - person.times[start]) * scale, 1.0)
                parts.append(
                    f'<rect x="{x:.1f}" y="{top + row * _ROW}" width="{width:.1f}" '
                    f'height="{_ROW - 1}" fill="{css(color)}"/>'
                )
    for x, anchor, seconds in ((_LEFT, "start", first), (_WIDTH - 8, "end", last)):
        parts.append(
            f'<text x="{x}" y="{height - 4}" text-anchor="{anchor}">{seconds:.1f} s</text>'
        )
    return "".join(parts) + "</svg>"


def _runs(on: np.ndarray) -> list[tuple[int, int]]:
    """First and last index of every run of True."""
    edges = np.diff(np.concatenate([[False], on, [False]]).astype(int))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    return list(zip(starts.tolist(), ends.tolist(), strict=True))
