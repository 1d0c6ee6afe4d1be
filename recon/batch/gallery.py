"""The batch as a page: a picture, the numbers and the links of every scene."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from recon.batch.book import GALLERY, LOGS, TABLE, THUMBNAILS, Entry
from viewer.page import header, relative_link, table, write_page

_LINKS = {"report": "report", "overlay": "video", "evidence": "camera"}
_STATES = ("done", "refused", "crashed", "interrupted", "waiting")
_STYLE = """<style>
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 14px; }
.card h2, .card p { overflow-wrap: anywhere; margin: .4rem 0; }
.card img { width: 100%; border-radius: 6px; background: #111; }
.card a { margin-right: 1em; }
.words td:nth-child(2) { white-space: nowrap; }
</style>"""


def write_gallery(out: Path, entries: Sequence[Entry]) -> Path:
    """Writes index.html into the batch's folder; its pictures lie beside it."""
    page = out / GALLERY
    counts = {state: sum(e.state == state for e in entries) for state in _STATES}
    done = [e.figures for e in entries if e.state == "done"]
    tiles = [
        ("videos", str(len(entries)), ", ".join(f"{n} {s}" for s, n in counts.items() if n)),
        ("people", str(sum(f["people"] for f in done)), ""),
        ("filmed", _time(sum(f["duration_s"] for f in done)), ""),
        ("work", _time(sum(e.seconds for e in entries)), "of all processes"),
    ]
    cards = "".join(_card(entry, page) for entry in entries if entry.state == "done")
    link = f'<p><a href="{TABLE}">{TABLE}</a></p>'
    sections = [
        _STYLE, header("Batch", tiles), _failed(entries, page),
        f"<section><h2>Scenes</h2>{link}<div class='cards'>{cards}</div></section>",
    ]  # fmt: skip
    write_page(page, "Batch", sections)
    return page


def _card(entry: Entry, page: Path) -> str:
    figures, scene = entry.figures, page.parent / entry.name
    thumbnail = page.parent / THUMBNAILS / f"{entry.name}.jpg"
    image = ""
    if thumbnail.exists():
        source = relative_link(thumbnail, page)
        image = f'<img loading="lazy" alt="{escape(entry.name)}" src="{source}">'
    facts = [
        "1 person" if figures["people"] == 1 else f"{figures['people']} people",
        f"{figures['duration_s']:.1f} s, {figures['frames']} frames",
        f"{figures['width']}x{figures['height']}",
        f"camera {figures['camera']}",
    ]
    if figures["reprojection_px"] is not None:
        facts.append(f"off by {figures['reprojection_px']:.1f} px")
    if figures["scale_std_percent"] is not None:
        facts.append(f"scale ± {figures['scale_std_percent']:.0f} %")
    if figures["warnings"]:
        facts.append(f"{figures['warnings']} warnings")
    links = " ".join(_links(entry, scene, page))
    return (
        f'<div class="card" title="{escape(_shown(entry.video))}">{image}'
        f"<h2>{escape(entry.name)}</h2>"
        f"<p class='hint'>{escape(' · '.join(facts))}</p><p>{links}</p></div>"
    )


def _links(entry: Entry, scene: Path, page: Path) -> Iterator[str]:
    outputs = entry.figures["outputs"]
    for output, word in _LINKS.items():
        for file in outputs.get(output, ()):
            yield f'<a href="{relative_link(scene / file, page)}">{word}</a>'
    if outputs.get("exports"):
        yield f'<a href="{relative_link(scene / "exports", page)}/">exports</a>'


def _failed(entries: Sequence[Entry], page: Path) -> str:
    bad = [e for e in entries if e.state not in ("done", "waiting")]
    if not bad:
        return ""
    rows = []
    for entry in bad:
        log = page.parent / LOGS / f"{entry.name}.log"
        name = escape(_shown(entry.video))
        cell = f'<a href="{relative_link(log, page)}">{name}</a>' if log.exists() else name
        rows.append([cell, escape(entry.state), escape(_shown(entry.message))])
    body = table(("video", "state", "why"), rows, kind="words")
    return f'<section class="warn"><h2>Not done</h2>{body}</section>'


def _time(seconds: float) -> str:
    """A span in the unit that suits it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _shown(text: str) -> str:
    """Undecodable file names as text that can be written."""
    return text.encode("utf-8", "replace").decode("utf-8")
