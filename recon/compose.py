"""`recon compose`: the filmed place and its people over time, seen along free paths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recon.core.errors import InputError
from recon.core.geometry import Array
from recon.core.scene import Scene
from recon.export.resample import transforms_at
from recon.options_avatars import ComposeOptions
from recon.performers import Performer, scene_performers, subject_of
from recon.render import find_splats, free_path
from recon.runner import Silent, Watcher
from recon.shots import Views, check_output, intrinsics, picture_size, take_shots, write_shots

if TYPE_CHECKING:
    from splatting.gaussians import Gaussians

Lens = tuple[Array, tuple[int, int]]
"""K (3, 3) px and the pictures' width and height."""
LONG_SIDE = 640
"""Pixels, of pictures of a scene whose place was not trained."""
_UNEVEN = 0.1
"""Of a frame's length, by which times may differ from an even rate and still count as even."""
_NO_CUTS = np.zeros(0)
"""A path goes on across a cut, as the people's motions do."""
_MOVED = 0.25
"""Metres by which cameras of splats may differ from the scene's own."""


def compose(
    source: Path, out: Path, options: ComposeOptions, *, watcher: Watcher | None = None
) -> list[Path]:
    """Renders the scene with its people; the files or the folder that it wrote.

    All Gaussians of a moment are one set, so that people and things hide each other by depth.

    Args:
        source: a scene with splats (`recon splat`) and avatars (`recon avatar`).
        out: a video if it ends with .mp4, else a folder for PNGs.

    Raises:
        ReconError: something is missing, or made from another run of the scene; the line names
            the command to run. Nothing was written.
    """
    watcher = watcher or Silent()
    scene = Scene.open(source)
    check_output(out)
    cast = scene_performers(scene, options.person, watcher=watcher)
    place, record = _place(scene, options)
    times, fps = _moments(_filmed(scene)[0], options)
    lens = _lens(scene, record, options, out)
    times, Ts = _path(scene, cast, times, options, lens=lens)
    views = Views(eyes=(Ts,), K=lens[0], size=lens[1], fps=fps)
    cast = [one.at(times) for one in cast]

    def moments() -> Iterator[Gaussians]:
        from splatting.gaussians import joined

        # Where nobody is and no place either, back-ends still want something to draw.
        someone = cast[0].avatar.gaussians
        unseen = replace(someone, opacities=0 * someone.opacities)
        for moment in range(len(times)):
            people = [one.gaussians(moment) for one in cast]
            seen = [*place, *(person for person in people if person is not None)]
            yield joined(seen or [unseen])

    why = f"{len(views)} frames, path {options.path}"
    with watcher.stage("compose", why) as progress:
        shots = take_shots(moments(), views, backend=options.backend)
        return write_shots(shots, out, views, depth=options.depth, progress=progress)


def _place(scene: Scene, options: ComposeOptions) -> tuple[list[Gaussians], dict[str, Any] | None]:
    """The background if it is wanted, and the cameras that it was trained on."""
    if not options.background:
        return [], None
    try:
        place, record = place_of(scene)
    except InputError as error:
        raise InputError(f"{error}; or show the people alone with --no-background") from error
    return [place], record


def place_of(scene: Scene) -> tuple[Gaussians, dict[str, Any] | None]:
    """The Gaussians of the scene's place, and what `recon splat` wrote of its cameras.

    Raises:
        InputError: there are none, or they are of another run of the scene.
    """
    from splatting.files import read_gaussians

    file, record = find_splats(scene.path)
    if record is not None:
        _check_world(scene, record)
    return read_gaussians(file), record


def _check_world(scene: Scene, record: dict[str, Any]) -> None:
    """Raises InputError where the splats lie in a world that is not the scene's any more."""
    try:
        rows = [int(name.removeprefix("frame")) for name in record["cameras"]["names"]]
        own = scene.placement.Ts_world_camera[rows, :3, 3]
    except (ValueError, IndexError, KeyError):
        own = np.full((1, 3), np.inf)
    trained = record["cameras"]["Ts_world_camera"][:, :3, 3]
    if len(own) != len(trained) or np.median(np.linalg.norm(own - trained, axis=1)) > _MOVED:
        raise InputError(
            f"expected splats in the world that {scene.path} holds now, got those of another run; "
            f"delete {scene.path / 'splats'} and run: recon splat {scene.path}"
        )


def _filmed(scene: Scene) -> tuple[Array, Array]:
    """Seconds (T,) and cameras (T, 4, 4), from the first to the last frame whose camera is known.

    After a cut to another shot people and camera are in a world of that shot's own.
    """
    rows = np.flatnonzero(scene.camera.tracked)
    known = slice(rows[0], rows[-1] + 1) if len(rows) else slice(None)
    return scene.video.times[known], scene.placement.Ts_world_camera[known]


def _moments(own: Array, options: ComposeOptions) -> tuple[Array, float]:
    """Seconds of the frames, evenly spaced, and their rate."""
    kept = own[
        (own >= (own[0] if options.start is None else options.start))
        & (own <= (own[-1] if options.end is None else options.end))
    ]
    if not len(kept):
        raise InputError(
            f"expected a part of the scene's {own[0]:.2f} to {own[-1]:.2f} s, got "
            f"--start {options.start} --end {options.end}"
        )
    step = (kept[-1] - kept[0]) / (len(kept) - 1) if len(kept) > 1 else 1 / 30
    even = kept[0] + step * np.arange(len(kept))
    if options.fps is None and np.abs(kept - even).max() <= _UNEVEN * step:
        return kept, 1 / step
    fps = options.fps or 1 / float(np.median(np.diff(kept)))
    return kept[0] + np.arange(int((kept[-1] - kept[0]) * fps + 1e-6) + 1) / fps, fps


def _lens(scene: Scene, record: dict[str, Any] | None, options: ComposeOptions, out: Path) -> Lens:
    """The video's field of view from top to bottom."""
    video, lens = scene.video, scene.camera.intrinsics
    scale = min(1.0, LONG_SIDE / max(video.width, video.height))
    usual = (round(video.width * scale), round(video.height * scale))
    if record is not None:
        usual = record["width"], record["height"]
    size = picture_size(options.size or usual, out)
    return intrinsics(lens.fy * size[1] / lens.height, size), size


def _path(
    scene: Scene,
    cast: list[Performer],
    times: Array,
    options: ComposeOptions,
    *,
    lens: Lens,
) -> tuple[Array, Array]:
    """The moments, which bullet-time changes, and a camera (T, 4, 4) for each."""
    own, filmed = _filmed(scene)
    if options.path == "turntable":
        from splatting import people_paths

        return times, people_paths.turntable(subject_of([p.at(times) for p in cast]), *lens)
    if options.path == "bullet-time":
        return _bullet_time(own, filmed, cast, times, options)
    if options.path == "original":
        return times, transforms_at(times, own, filmed, _NO_CUTS)
    centre = np.concatenate([one.at(times).roots for one in cast]).mean(axis=0)
    part = filmed[(own >= times[0] - 1e-6) & (own <= times[-1] + 1e-6)]
    return times, free_path(options.path, part, len(times), centre)


def _bullet_time(
    own: Array, filmed: Array, cast: list[Performer], times: Array, options: ComposeOptions
) -> tuple[Array, Array]:
    """Moments and cameras that swing around the people while time stands."""
    from splatting import paths, people_paths

    at = 0.5 * (times[0] + times[-1]) if options.at is None else options.at
    if not times[0] <= at <= times[-1]:
        raise InputError(f"--at: expected {times[0]:.2f} to {times[-1]:.2f} seconds, got {at:g}")
    schedule = people_paths.bullet_time(
        times, at=at, seconds=options.freeze, arc=float(np.radians(options.arc)), slow=options.slow
    )
    calm = paths.smoothed(filmed, len(filmed)) if len(filmed) > 1 else filmed
    centres = np.mean([one.at(schedule.times).roots for one in cast], axis=0)
    Ts = transforms_at(schedule.times, own, calm, _NO_CUTS)
    return schedule.times, people_paths.swung(Ts, centres, schedule.angles)
