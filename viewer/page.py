"""What every HTML page of a scene shares: its frame and style, tables, numbers and pictures."""

from __future__ import annotations

import base64
import os
from collections.abc import Collection, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np

from recon.core.geometry import Array
from recon.core.palette import person_color
from recon.core.scene import Scene, StageName
from recon.core.storage import write_atomic
from viewer.svg import css

CAMERA_PAGE = "camera.html"
"""Name of the camera's own page in the scene folder."""

DRAWN_NUMBERS = (
    "windows_short", "windows_long", "class_checks", "path_checks", "followed", "shots",
    "lost_frames", "blurred_frames",
)  # fmt: skip
"""Measured values that camera.html draws or tabulates; a plain list of them says nothing."""


def write_page(path: Path, title: str, sections: Iterable[str]) -> None:
    """Writes the sections (HTML; empty ones are left out) as one self-contained file."""
    body = "\n".join(filter(None, sections))
    html = _PAGE.format(title=escape(title), style=_STYLE, body=body)
    write_atomic(Path(path), lambda file: file.write(html.encode("utf-8")))


def header(title: str, tiles: Iterable[tuple[str, str, str]]) -> str:
    """The page's head; tiles: (name, value, note), plain text."""
    cells = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd><small>{escape(note)}</small></div>"
        for name, value, note in tiles
    )
    return f'<header><h1>{escape(title)}</h1><dl class="tiles">{cells}</dl></header>'


def warnings(scene: Scene, stages: Collection[StageName]) -> str:
    """What these stages warn of, or nothing."""
    found = [(s, w) for s in stages for w in scene.report(s).warnings]
    found += [("video", w) for w in scene.video.warnings if ("video", w) not in found]
    if not found:
        return ""
    items = "".join(f"<li><b>{escape(s)}</b>: {escape(w)}</li>" for s, w in found)
    return f'<section class="warn"><h2>Warnings</h2><ul>{items}</ul></section>'


def decisions(scene: Scene, stages: Collection[StageName]) -> str:
    """What these stages decided and measured, or nothing."""
    parts = []
    for stage in stages:
        report = scene.report(stage)
        rows = [
            [escape(d.name), f"<b>{escape(d.value)}</b>", escape(d.why)] for d in report.decisions
        ]
        numbers = [
            [escape(str(k)), escape(plain(v))]
            for k, v in report.numbers.items()
            if k not in DRAWN_NUMBERS
        ]
        if not rows and not numbers:
            continue
        by = f" <small>by {escape(report.backend)}</small>" if report.backend else ""
        parts.append(f"<h3>{escape(stage)}{by}</h3>")
        if rows:
            parts.append(table(("what", "decided", "because"), rows, kind="words"))
        if numbers:
            values = table(("measured", ""), numbers, kind="words")
            parts.append(f"<details><summary>measured values</summary>{values}</details>")
    return f"<section><h2>What the run decided</h2>{''.join(parts)}</section>" if parts else ""


def conventions(scene: Scene) -> str:
    """The scene's axes and units, and where it comes from."""
    rows = [
        [escape(str(k)), escape(str(v))] for k, v in scene.manifest.get("conventions", {}).items()
    ]
    source = f"<p class='hint'>Made from {escape(scene.video.path)}</p>"
    return (
        f"<section><h2>Conventions</h2>{table(('name', 'meaning'), rows, kind='words')}"
        f"{source}</section>"
    )


def picture(image: np.ndarray, caption: str) -> str:
    """A figure with an (H, W, 3) uint8 RGB picture inside the page; the caption is plain text."""
    return (
        f'<figure><img alt="{escape(caption)}" src="data:image/jpeg;base64,{jpeg_text(image)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def relative_link(file: Path, page: Path) -> str:
    """The link from a page to a file near it."""
    return quote(os.path.relpath(file, page.parent).replace(os.sep, "/"))


def jpeg_text(image: np.ndarray) -> str:
    """An (H, W, 3) uint8 RGB picture as JPEG in base64."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 80])
    return base64.b64encode(data.tobytes()).decode()


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, kind: str = "") -> str:
    """A table whose cells are HTML already."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>" for row in rows)
    return (
        f'<div class="scroll"><table class="{kind}"><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def swatch(track_id: int) -> str:
    """A person's colour and name."""
    return f'<i style="background:{css(person_color(track_id))}"></i>person {track_id}'


def median(values: Array) -> float:
    """The median of the finite values, NaN without any."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else float("nan")


def number(value: float | None, unit: str, digits: int) -> str:
    """A number with its unit, or a dash where there is none."""
    return "–" if value is None or not np.isfinite(value) else f"{value:.{digits}f} {unit}"


def plain(value: Any) -> str:
    """A JSON-native value as short text."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{k}: {plain(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(plain(v) for v in value)
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
figure img { width: 100%; display: block; border-radius: 4px; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr));
  gap: 12px 18px; }
.pair h3 { margin: 0 0 .3rem; }
.pairs, .clouds { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 8px; }
.pairs { grid-template-columns: repeat(auto-fill, minmax(min(48%, 230px), 1fr)); }
.clouds figure:first-child { grid-column: 1 / -1; }
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
.dashed { stroke-dasharray: 6 5; } .span { fill: #e6a700; fill-opacity: .3; }
svg .limit-name { fill: #b3261e; font-size: 10px; paint-order: stroke; stroke: #fff;
  stroke-width: 3px; }
.plots .legend { margin: 0; font-size: .8rem; color: var(--soft); }
.none { color: var(--soft); }
@media (max-width: 560px) { main { padding: 8px; } section, main > details { padding: 12px; }
  .words td:first-child { white-space: normal; } }
@media print { body { background: #fff; font-size: 11pt; } video { display: none; }
  section, .tiles div, main > details { break-inside: avoid; border-color: #ccc; } }
"""
