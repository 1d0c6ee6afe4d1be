"""`recon serve` and `recon share`: finished scenes in a browser, with video and Gaussians."""

from __future__ import annotations

import math
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recon.core.errors import InputError, ReconError
from recon.core.scene import Scene
from recon.core.storage import write_bytes
from recon.runner import Watcher
from viewer.web_world import WebContent
from viewer.world import World

if TYPE_CHECKING:
    from recon.core.video import VideoInfo

PICTURE_WIDTH, SHARED_WIDTH, JPEG_QUALITY = 640, 320, 85
PICTURES_PER_SECOND, SHARED_PICTURES, MOST_PICTURES = 12.5, 5.0, 400
"""Small frames in the camera's pyramid; in a file to share fewer and smaller ones."""


def web_content(
    scene: Scene,
    watcher: Watcher,
    *,
    pictures_per_second: float = PICTURES_PER_SECOND,
    picture_width: int = PICTURE_WIDTH,
) -> WebContent:
    """What a web page shows of a finished scene; what cannot be had is told there and the watcher.

    Args:
        pictures_per_second: of the video in the camera's pyramid, 0 for none.

    Raises:
        StaleSceneError: a stage has not run.
    """
    from recon.scene_splats import find_scene_splats

    world, notes = World.from_scene(scene), ()
    try:
        pictures = _pictures(scene, pictures_per_second, picture_width)
    except ReconError as error:
        pictures, notes = {}, (f"The camera's pictures are left out: {error}",)
        watcher.note(notes[0])
    return WebContent(
        world=world,
        pictures=pictures,
        confidence={m.track_id: m.confidence for m in scene.camera_motions},
        splats=find_scene_splats(scene, watcher),
        notes=notes,
    )


def wanted_frames(info: VideoInfo, pictures_per_second: float) -> list[int]:
    """Frames about evenly spaced in time, the first among them; none for a rate of 0."""
    if pictures_per_second <= 0:
        return []
    seconds = float(info.times[-1] - info.times[0])
    count = min(MOST_PICTURES, len(info.times), math.floor(seconds * pictures_per_second) + 1)
    at = np.linspace(info.times[0], info.times[-1], count + 1)[:-1]
    return np.unique(np.searchsorted(info.times, at - 1e-9)).tolist()


def _pictures(scene: Scene, rate: float, most_width: int) -> dict[int, bytes]:
    from recon.export.draw import small_jpeg
    from recon.export.overlay import open_frames

    wanted = set(wanted_frames(scene.video, rate))
    out: dict[int, bytes] = {}
    for frame in open_frames(scene) if wanted else ():
        if frame.index in wanted:
            scale = most_width / frame.image.shape[1]
            out[frame.index] = small_jpeg(frame.image, scale, quality=JPEG_QUALITY)
    return out


def open_scenes(paths: list[Path]) -> dict[str, Scene]:
    """Scenes by the names of their folders, told apart where two have one name.

    Raises:
        InputError: no folder, or one without a scene.
    """
    if not paths:
        raise InputError("expected one scene folder or more, got none")
    out: dict[Path, Scene] = {}
    for path in paths:
        scene, place = Scene.open(path), path.resolve()
        if place in out:
            raise InputError(f"expected every scene once, got {path} twice; leave one out")
        out[place] = scene
    names = Counter(place.name for place in out)
    return {p.name if names[p.name] == 1 else str(p): scene for p, scene in out.items()}


def serve(paths: list[Path], *, host: str, port: int, watcher: Watcher) -> None:
    """Shows scenes in the browser until it is interrupted.

    Raises:
        MissingDependencyError: the web viewer is not installed. InputError: no scene in one of
            the folders, or the host is none of this machine's.
    """
    from viewer.splats import check_viser
    from viewer.web import WebViewer

    check_viser()
    scenes = {name: partial(web_content, s, watcher) for name, s in open_scenes(paths).items()}
    with WebViewer(scenes, host=host, port=port) as viewer:
        watcher.note(f"{', '.join(scenes)} at {viewer.url}   (Ctrl-C ends it)")
        if host not in ("127.0.0.1", "localhost", "::1"):
            watcher.note("everybody who reaches this machine may look: no password is asked for")
        with suppress(KeyboardInterrupt):
            viewer.wait()


def share(path: Path, out: Path, *, fps: float | None, max_mb: float, watcher: Watcher) -> None:
    """Writes a scene as one HTML file.

    Raises:
        MissingDependencyError: the web viewer is not installed. InputError: no scene, not an HTML
            file's name, or it cannot be made so small.
    """
    from viewer.share import share as make_page

    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"-o: expected a name that ends in .html, got {out}")
    if (fps is not None and not 0 < fps < math.inf) or not 0 < max_mb < math.inf:
        raise InputError(f"--fps, --max-mb: expected positive numbers, got {fps}, {max_mb}")
    content = web_content(
        Scene.open(path), watcher, pictures_per_second=SHARED_PICTURES, picture_width=SHARED_WIDTH
    )
    with watcher.stage("share", f"to {out}") as progress:
        page = make_page(content, fps=fps, max_mb=max_mb, progress=progress)
    write_bytes(out, page.html.encode("utf-8"))
    watcher.note(page.words)
