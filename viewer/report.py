"""One HTML file that shows what a run found, how sure it is, and every choice it made."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import av
import cv2
import numpy as np

from recon.core.errors import StaleSceneError
from recon.core.geometry import Array
from recon.core.palette import person_color
from recon.core.scene import Scene
from recon.core.storage import write_atomic
from viewer.measures import PersonMeasures, measure_people
from viewer.svg import Line, css, plan, time_plot

MAX_EMBEDDED_BYTES = 15_000_000
_NUM_STILLS = 12
_STILL_WIDTH = 480
_OPEN_PEOPLE = 4
_SLIDE_LIMIT_CM = 2.0
_CAMERA_COLOR = (110, 114, 124)


def write_report(scene: Scene, path: Path) -> None:
    """Writes the report: a single HTML file without requests to any other place.

    The overlay is taken from `overlay.mp4` in the scene folder, if it is there; a large one is
    linked instead of embedded.

    Raises:
        StaleSceneError: the video, people, camera or body stage has not run.
    """
    people = measure_people(scene)
    title = f"{Path(scene.video.path).name or scene.path.name} in 3D"
    overlay = scene.path / "overlay.mp4"
    sections = [
        _header(scene, people, title),
        _warnings(scene),
        _video(overlay, Path(path)),
        _plan(scene, people),
        _people_table(people),
        *(_person(p, scene.video.times, k < _OPEN_PEOPLE) for k, p in enumerate(people)),
        _decisions(scene),
        _stages(scene),
        _conventions(scene),
    ]
    html = _PAGE.format(title=escape(title), style=_STYLE, body="\n".join(filter(None, sections)))
    write_atomic(Path(path), lambda file: file.write(html.encode("utf-8")))


# Sections --------------------------------------------------------------------------------------


def _header(scene: Scene, people: list[PersonMeasures], title: str) -> str:
    video, camera = scene.video, scene.camera
    duration = float(video.times[-1] - video.times[0]) + 1 / video.fps
    tiles = [
        ("people", str(len(people)), ""),
        ("clip", f"{duration:.1f} s", f"{len(video.times)} frames, {video.width}×{video.height}"),
        ("camera", camera.kind, f"{camera.intrinsics.fov_deg:.0f}° wide"),
    ]
    if people:
        percent = _median(np.concatenate([p.reprojection_percent for p in people]))
        tiles.append(("reprojection", _number(percent, "%", 2), "median, of the box height"))
    slides = [p.stance_slide for p in people if p.stance_slide is not None]
    if slides:
        slide = 100 * _median(np.concatenate(slides))
        tiles.append(("standing feet", _number(slide, "cm", 2), "median movement per frame"))
    if "world" in scene.manifest["stages"]:
        std = scene.placement.scale_log_std
        sure = f"± {100 * np.expm1(std):.0f} %" if np.isfinite(std) and std < 3 else "not measured"
        tiles.append(("metric scale", sure, scene.placement.scale_source))
    cells = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd><small>{escape(note)}</small></div>"
        for name, value, note in tiles
    )
    return f'<header><h1>{escape(title)}</h1><dl class="tiles">{cells}</dl></header>'


def _warnings(scene: Scene) -> str:
    found = [(s, w) for s in scene.manifest["stages"] for w in scene.report(s).warnings]
    found += [("video", w) for w in scene.video.warnings if ("video", w) not in found]
    if not found:
        return ""
    items = "".join(f"<li><b>{escape(s)}</b>: {escape(w)}</li>" for s, w in found)
    return f'<section class="warn"><h2>Warnings</h2><ul>{items}</ul></section>'


def _video(overlay: Path, report: Path) -> str:
    if not overlay.exists():
        return "<section><h2>Overlay</h2><p>No overlay.mp4 in the scene folder.</p></section>"
    size = overlay.stat().st_size
    relative = quote(os.path.relpath(overlay, report.parent).replace(os.sep, "/"))
    source, note = relative, ""
    if size <= MAX_EMBEDDED_BYTES:
        source = f"data:video/mp4;base64,{base64.b64encode(overlay.read_bytes()).decode()}"
    else:
        note = (
            f"<p>The video ({size / 1e6:.0f} MB) is not inside this file: keep "
            f'<a href="{relative}">overlay.mp4</a> beside it.</p>'
        )
    stills = "".join(
        f'<figure><img alt="overlay at {time:.2f} s" src="data:image/jpeg;base64,{data}">'
        f"<figcaption>{time:.2f} s</figcaption></figure>"
        for time, data in overlay_stills(overlay)
    )
    return (
        f'<section><h2>Overlay</h2><p class="hint">Mesh and dark skeleton: the fitted body. '
        f"White dots: the keypoints that were detected.</p>"
        f'<video controls loop muted playsinline preload="metadata" src="{source}"></video>{note}'
        f'<div class="stills">{stills}</div></section>'
    )


def overlay_stills(overlay: Path, *, count: int = _NUM_STILLS) -> list[tuple[float, str]]:
    """Evenly spaced pictures of a video: seconds, and JPEG data as base64 text.

    Raises:
        StaleSceneError: the file cannot be decoded.
    """
    out: list[tuple[float, str]] = []
    try:
        with av.open(str(overlay)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            total = max(stream.frames, 1)
            wanted = set(np.linspace(0, total - 1, min(count, total)).round().astype(int).tolist())
            for index, frame in enumerate(container.decode(stream)):
                if index in wanted:
                    image = frame.to_ndarray(format="bgr24")
                    height = max(1, round(image.shape[0] * _STILL_WIDTH / image.shape[1]))
                    small = cv2.resize(image, (_STILL_WIDTH, height), interpolation=cv2.INTER_AREA)
                    _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])
                    out.append((frame.time or 0.0, base64.b64encode(data.tobytes()).decode()))
    except (av.FFmpegError, IndexError) as error:
        raise StaleSceneError(
            f"expected a playable video {overlay}, got: {error}; run again with --force overlay"
        ) from error
    return out


def _plan(scene: Scene, people: list[PersonMeasures]) -> str:
    if "world" not in scene.manifest["stages"]:
        return ""
    camera = scene.placement.Ts_world_camera[:, :2, 3]
    paths = [
        Line(name=f"person {p.track_id}", x=p.track_xy[:, 0], y=p.track_xy[:, 1],
             color=person_color(p.track_id))
        for p in people if p.track_xy is not None
    ]  # fmt: skip
    marks = []
    for motion in scene.world_motions:
        feet = motion.feet_world[motion.contacts > 0.5]
        name = f"standing feet of person {motion.track_id}"
        color = person_color(motion.track_id)
        marks.append(Line(name=name, x=feet[:, 0], y=feet[:, 1], color=color))
    way = Line(name="camera", x=camera[:, 0], y=camera[:, 1], color=_CAMERA_COLOR)
    key = [(css(p.color), p.name) for p in paths] + [(css(_CAMERA_COLOR), "camera (dashed)")]
    legend = "".join(f'<span><i style="background:{c}"></i>{escape(n)}</span>' for c, n in key)
    return (
        '<section><h2>Seen from above</h2><p class="hint">Metres; the floor is level. '
        "Ring: start. Disc: end. Small dots: feet that stand still.</p>"
        f'<p class="legend">{legend}</p>{plan(paths, marks=marks, dashed=[way])}</section>'
    )


def _people_table(people: list[PersonMeasures]) -> str:
    if not people:
        return "<section><h2>People</h2><p>Nobody was seen in this clip.</p></section>"
    head = (
        "person", "frames", "seen", "stature", "walked", "mean speed", "peak speed",
        "reprojection", "", "stance slide",
    )  # fmt: skip
    rows = []
    for p in people:
        speed = np.zeros(0) if p.speed is None else p.speed
        slide = np.full(1, np.nan) if p.stance_slide is None else p.stance_slide
        rows.append([
            _swatch(p.track_id), str(p.num_frames), str(p.num_observed),
            _number(p.stature, "m", 2), _number(p.distance, "m", 1),
            _number(float(speed.mean()) if len(speed) else None, "m/s", 2),
            _number(float(speed.max()) if len(speed) else None, "m/s", 2),
            _number(_median(p.reprojection_percent), "%", 2),
            _number(_median(p.reprojection_px), "px", 1),
            _number(100 * _median(slide), "cm/frame", 2),
        ])  # fmt: skip
    note = (
        '<p class="hint">Medians over frames where the person was seen. Reprojection: distance '
        "between fitted and detected joints, in percent of the person's box height and in pixels. "
        "Stance slide: how far standing feet move from frame to frame; 0 would be perfect.</p>"
    )
    return f"<section><h2>People</h2>{_table(head, rows)}{note}</section>"


def _person(p: PersonMeasures, times: Array, is_open: bool) -> str:
    span = (float(times[0]), float(times[-1]))
    color = person_color(p.track_id)

    def plot(
        title: str, unit: str, y: Array, *, limit: float | None = None, floor: float | None = 0.0
    ) -> str:
        line = Line(name=title, x=p.times, y=y, color=color)
        return time_plot([line], title=title, unit=unit, span=span, limit=limit, floor=floor)

    plots = [
        plot("Reprojection error", "% of box height", p.reprojection_percent, limit=2.0),
        plot("Reprojection error", "px", p.reprojection_px),
        plot("Keypoint confidence", "0 to 1", p.confidence),
    ]
    if p.stance_slide is not None and p.pelvis_height is not None and p.speed is not None:
        plots += [
            plot("Standing feet", "cm per frame", 100 * p.stance_slide, limit=_SLIDE_LIMIT_CM),
            plot("Pelvis above the floor", "m", p.pelvis_height, floor=None),
            plot("Speed over the floor", "m/s", p.speed),
        ]
    shown = " open" if is_open else ""
    return (
        f"<details{shown}><summary>{_swatch(p.track_id)} over time</summary>"
        f'<div class="plots">{"".join(plots)}</div></details>'
    )


def _decisions(scene: Scene) -> str:
    parts = []
    for stage in scene.manifest["stages"]:
        report = scene.report(stage)
        rows = [
            [escape(d.name), f"<b>{escape(d.value)}</b>", escape(d.why)] for d in report.decisions
        ]
        if not rows and not report.numbers:
            continue
        by = f" <small>by {escape(report.backend)}</small>" if report.backend else ""
        parts.append(f"<h3>{escape(stage)}{by}</h3>")
        if rows:
            parts.append(_table(("what", "decided", "because"), rows, kind="words"))
        if report.numbers:
            numbers = [[escape(str(k)), escape(_plain(v))] for k, v in report.numbers.items()]
            table = _table(("measured", ""), numbers, kind="words")
            parts.append(f"<details><summary>measured values</summary>{table}</details>")
    return f"<section><h2>What the run decided</h2>{''.join(parts)}</section>" if parts else ""


def _stages(scene: Scene) -> str:
    frames, rows, total = len(scene.video.times), [], 0.0
    for stage in scene.manifest["stages"]:
        seconds = scene.seconds(stage) or 0.0
        total += seconds
        rate = f"{frames / seconds:.1f}" if seconds > 0 else "–"
        rows.append([escape(stage), f"{seconds:.1f}", rate])
    rate = f"{frames / total:.1f}" if total > 0 else "–"
    rows.append(["<b>together</b>", f"<b>{total:.1f}</b>", f"<b>{rate}</b>"])
    table = _table(("stage", "seconds", "frames per second"), rows)
    return f"<section><h2>Time</h2>{table}</section>"


def _conventions(scene: Scene) -> str:
    rows = [
        [escape(str(k)), escape(str(v))] for k, v in scene.manifest.get("conventions", {}).items()
    ]
    source = f"<p class='hint'>Made from {escape(scene.video.path)}</p>"
    return (
        f"<section><h2>Conventions</h2>{_table(('name', 'meaning'), rows, kind='words')}"
        f"{source}</section>"
    )


# Pieces ----------------------------------------------------------------------------------------


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, kind: str = "") -> str:
    """A table whose cells are HTML already."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>" for row in rows)
    return (
        f'<div class="scroll"><table class="{kind}"><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _swatch(track_id: int) -> str:
    return f'<i style="background:{css(person_color(track_id))}"></i>person {track_id}'


def _median(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else float("nan")


def _number(value: float | None, unit: str, digits: int) -> str:
    return "–" if value is None or not np.isfinite(value) else f"{value:.{digits}f} {unit}"


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{k}: {_plain(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(v) for v in value)
    return str(value)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style></head>
<body><main>
{body}
</main></body></html>
"""

_STYLE = """
:root { --ink: #1f2430; --soft: #667085; --rule: #e3e6eb; --paper: #fff; --page: #f4f5f7; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 16px; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .6rem 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 0 0 .6rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; text-transform: capitalize; }
small, .hint, figcaption { color: var(--soft); font-size: .85rem; text-transform: none; }
section, main > details { background: var(--paper); border: 1px solid var(--rule);
  border-radius: 10px; padding: 16px; margin: 0 0 14px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 10px;
  margin: 0 0 14px; }
.tiles div { background: var(--paper); border: 1px solid var(--rule); border-radius: 10px;
  padding: 10px 14px; }
.tiles dt { color: var(--soft); font-size: .85rem; }
.tiles dd { margin: 0; font-size: 1.35rem; font-weight: 600; }
.warn { background: #fff6e0; border-color: #e6a700; }
.warn ul { margin: 0; padding-left: 1.2rem; }
video { width: 100%; max-height: 75vh; background: #111; border-radius: 6px; display: block; }
.stills { display: grid; grid-template-columns: repeat(auto-fill, minmax(160px, 1fr)); gap: 8px;
  margin-top: 10px; }
figure { margin: 0; min-width: 0; }
.stills img { width: 100%; display: block; border-radius: 4px; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr));
  gap: 12px 18px; margin-top: 10px; }
.plots figcaption { color: var(--ink); font-weight: 600; }
summary { cursor: pointer; font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 5px 10px; border-bottom: 1px solid var(--rule);
  white-space: nowrap; }
th:first-child, td:first-child, .words th, .words td { text-align: left; }
.words td { white-space: normal; vertical-align: top; overflow-wrap: anywhere; }
.words td:first-child { white-space: nowrap; }
th { color: var(--soft); font-weight: 500; font-size: .85rem; }
i { display: inline-block; width: .8em; height: .8em; border-radius: 50%; margin-right: .45em; }
.legend span { margin-right: 1.2em; white-space: nowrap; }
svg { width: 100%; height: auto; display: block; }
svg.plan { max-height: 85vh; max-width: 860px; margin: 0 auto; background: #fcfcfb;
  border: 1px solid var(--rule); }
svg text { font-size: 11px; fill: var(--soft); }
.grid { stroke: var(--rule); } .axis { stroke: #b6bcc6; }
.limit { stroke: #b3261e; stroke-dasharray: 5 4; }
.line, .marks, .bar, .start { fill: none; stroke-linejoin: round; stroke-linecap: round; }
.line { stroke-width: 1.6; } .bold, .start { stroke-width: 3; } .bar { stroke: #333;
  stroke-width: 3; } .marks { stroke-width: 5; stroke-opacity: .35; }
.dashed { stroke-dasharray: 6 5; }
.none { color: var(--soft); }
@media (max-width: 560px) { main { padding: 8px; } section, main > details { padding: 12px; }
  .words td:first-child { white-space: normal; } }
@media print { body { background: #fff; font-size: 11pt; } video { display: none; }
  section, .tiles div, main > details { break-inside: avoid; border-color: #ccc; } }
"""
