"""A scene as one HTML file that plays in any browser, from a disk as from a server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape
from itertools import pairwise

import numpy as np

from recon.core.errors import InputError
from recon.core.geometry import Array
from recon.core.stage import Progress, no_progress
from viewer.splats import HOST, PORT
from viewer.web import close_server, look_first, open_server
from viewer.web_plots import drawn_plots
from viewer.web_world import MOST_SPLATS, WebContent, WebWorld

MEGABYTE = 1_000_000
GRAIN = 2.0**-13
"""Metres, and parts of a quaternion: 0.06 mm of rounding, and numbers that pack well."""
LARGEST_START = 15.0
"""Metres that the first view holds: nobody follows who goes out of it."""
_TITLE, _END = "<title>Viser</title>", "</body>"
_FROM_DISK = """<script>
if (location.protocol === "file:") {
  const Module = Worker;
  window.Worker = class extends Module {
    constructor(url, options) {
      const code = new XMLHttpRequest();
      code.open("GET", url, false);
      code.send();
      super("data:text/javascript," + encodeURIComponent(code.responseText), options);
    }
  };
}
</script>"""
"""Pages from a disk may not start a worker out of a blob, and viser sorts Gaussians in one: without
it they are drawn in any order."""


@dataclass(frozen=True, kw_only=True)
class Detail:
    """How much of a scene goes into a file.

    Args:
        fps: moments a second at most, None for all. num_faces: of every body at most, None for
            all. pictures: seconds between the video's pictures at least, infinite for none.
        num_splats: Gaussians of the place at most. avatars: whether people are shown as theirs.
    """

    fps: float | None = None
    num_faces: int | None = None
    pictures: float = 0.0
    num_splats: int = MOST_SPLATS
    avatars: bool = True


@dataclass(frozen=True, kw_only=True)
class SharedPage:
    """A page and what is in it: moments out of frames, moments a second, faces of a body, pictures
    of the video, Gaussians of the place, and people shown as avatars."""

    html: str
    num_moments: int
    num_frames: int
    rate: float
    num_faces: int
    num_pictures: int
    num_splats: int
    num_avatars: int

    @property
    def words(self) -> str:
        """What is in it, in one phrase."""
        words = (
            f"{len(self.html) / MEGABYTE:.1f} MB: {self.num_moments} of {self.num_frames} frames "
            f"({self.rate:.3g} a second), {self.num_faces} faces a body, {self.num_pictures} "
            "pictures of the video"
        )
        if self.num_splats or self.num_avatars:
            words += f", {self.num_splats} Gaussians, {self.num_avatars} avatars"
        return words


def details(fps: float | None) -> Iterator[Detail]:
    """From everything to little, what a file may hold; `fps` caps the moments a second."""
    for rate, num_faces, pictures, num_splats, avatars in (
        (None, None, 0.0, MOST_SPLATS, True), (None, 12_000, 0.2, 100_000, True),
        (25.0, 8_000, 0.5, 50_000, True), (15.0, 5_000, 1.0, 25_000, True),
        (10.0, 3_000, 2.0, 12_000, False), (5.0, 1_500, np.inf, 0, False),
    ):  # fmt: skip
        slower = rate if fps is None or (rate is not None and rate < fps) else fps
        yield Detail(
            fps=slower, num_faces=num_faces, pictures=pictures, num_splats=num_splats,
            avatars=avatars,
        )  # fmt: skip


def share(
    content: WebContent, *, fps: float | None = None, max_mb: float = 10.0,
    progress: Progress = no_progress,
) -> SharedPage:  # fmt: skip
    """The scene as a page of at most `max_mb` megabytes, with as much in it as fits.

    Avatars are carried in parts, and left out where there is no room for them.

    Args:
        fps: moments a second at most; default all frames, as far as they fit.
        progress: told the moments recorded, anew for every try.

    Raises:
        MissingDependencyError: viser is not installed. InputError: it cannot be made so small.
    """
    page = None
    for detail in details(fps):
        page = record(content, detail, progress)
        if len(page.html) <= max_mb * MEGABYTE:
            return page
    assert page is not None
    raise InputError(
        f"--max-mb: expected to fit {max_mb:g} MB, got {page.words}; use a larger --max-mb, a "
        "smaller --fps or fewer people"
    )


def record(content: WebContent, detail: Detail, progress: Progress = no_progress) -> SharedPage:
    """The scene as a page with so much detail.

    Raises:
        MissingDependencyError: viser is not installed.
    """
    times = content.world.times
    moments = spaced(range(len(times)), times, 1 / detail.fps if detail.fps else 0.0)
    kept = spaced(sorted(content.pictures), times, detail.pictures)
    thinned = replace(content, pictures={f: content.pictures[f] for f in kept})
    server = open_server(host=HOST, port=PORT, label=content.world.name)
    try:
        world = WebWorld(
            server.scene, thinned, num_faces=detail.num_faces, grain=GRAIN,
            num_splats=detail.num_splats, avatars="carried" if detail.avatars else "meshes",
        )  # fmt: skip
        look_first(server, content.world, largest=LARGEST_START)
        serializer = server.get_scene_serializer()
        for k, (before, frame) in enumerate(pairwise(moments), start=2):
            serializer.insert_sleep(float(times[frame] - times[before]))
            world.show(frame)
            progress(k, len(moments))
        # The last moment stays on show as long as one usually does.
        steps = np.diff(times[moments])
        serializer.insert_sleep(float(np.median(steps)) if len(steps) else 0.0)
        html = serializer.as_html()
    finally:
        close_server(server)
    assert _TITLE in html and _END in html
    num_avatars = len(content.splats.people) if content.splats and detail.avatars else 0
    span = float(times[moments[-1]] - times[moments[0]])
    return SharedPage(
        html=_dressed(html, content),
        num_moments=len(moments), num_frames=len(times),
        rate=(len(moments) - 1) / span if span > 0 else 0.0, num_faces=world.num_faces,
        num_pictures=len(kept), num_splats=world.num_splats, num_avatars=num_avatars,
    )  # fmt: skip


def _dressed(html: str, content: WebContent) -> str:
    """The page under the scene's name, with its plots, also from a disk."""
    head, end, tail = html.rpartition(_END)
    title = f"<title>{escape(content.world.name)}</title>{_FROM_DISK}"
    return head.replace(_TITLE, title) + drawn_plots(content) + end + tail


def spaced(frames: range | list[int], times: Array, seconds: float) -> list[int]:
    """Those of rising `frames` that lie `seconds` or more apart in the mean, with the first; none
    if infinite."""
    if not np.isfinite(seconds) or not frames:
        return []
    kept: list[int] = []
    due = times[frames[0]]
    for frame in frames:
        if times[frame] >= due - 1e-6:
            kept.append(frame)
            # From when it was due, not from when it came: the mean rate is then the asked one.
            due = max(due, times[frame] - seconds) + seconds
    return kept
