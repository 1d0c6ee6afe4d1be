"""`recon animate`: an avatar makes a motion, as a video or in files that other programs open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recon.core.errors import InputError
from recon.core.geometry import Array
from recon.core.scene import Scene
from recon.motion.clip import Box, MotionClip
from recon.motion.sources import find_motion
from recon.options_avatars import AnimateOptions
from recon.performers import Performer, find_avatar, own_motion, performer, rig_of, subject_of
from recon.runner import Silent, Watcher
from recon.shots import FPS, Views, intrinsics, picture_size, take_shots, write_shots

if TYPE_CHECKING:
    from splatting.avatars.avatar import Avatar
    from splatting.gaussians import Gaussians
    from splatting.people_paths import Subject

BACKDROP = (0.953, 0.957, 0.965)
SIZE = (512, 640)
FOCAL = 1.4
"""Of the camera, in longer sides of the picture: 39 degrees, so that faces are not drawn out."""
PROP_COLOR = (0.45, 0.47, 0.52)
SUFFIXES = (".mp4", ".npz", ".glb")


def animate(
    source: Path,
    motion: str,
    out: Path,
    options: AnimateOptions,
    *,
    watcher: Watcher | None = None,
) -> list[Path]:
    """Writes the avatar in a motion; the files or the folder that it wrote.

    Args:
        source: an avatar's .npz, or a scene with avatars. motion: see `find_motion`.
        out: .mp4, .npz (one rigged file), .glb (one moment) or a folder (a .ply per frame).

    Raises:
        ReconError: no such avatar or motion, or a file in the way; nothing was written.
    """
    watcher = watcher or Silent()
    write = _writer(out)
    avatar = find_avatar(source, options.person)
    clip = _clip(source, motion, avatar, options, watcher)
    times = _moments(clip.times, options, own=options.fps is None and out.suffix == ".npz")
    acting = performer(avatar, clip.at(times))
    why = f"{clip.name} on person {avatar.track_id}, {len(times)} frames"
    with watcher.stage("animate", why) as progress:
        return write(acting, out, options, progress)


def _clip(
    source: Path, motion: str, avatar: Avatar, options: AnimateOptions, watcher: Watcher
) -> MotionClip:
    """The motion that is asked for; in the scene that the avatar was made from, its own."""
    own, home = source.resolve(), Path(motion).resolve()
    if home in (own, own.parent.parent) and (home / "scene.json").exists():
        if options.motion_person in (None, avatar.track_id):
            return own_motion(Scene.open(home), avatar.track_id, rig_of(avatar), watcher)
    return find_motion(
        motion, rig_of(avatar), person=options.motion_person, seconds=options.seconds,
        fps=options.fps or FPS, seed=options.seed,
    )  # fmt: skip


def _writer(out: Path) -> Callable[..., list[Path]]:
    suffix = out.suffix.lower()
    if suffix in SUFFIXES:
        if out.is_dir():
            raise InputError(f"expected a file to write, got the folder {out}; choose another name")
        return {".mp4": _write_video, ".npz": _write_rigged, ".glb": _write_moment}[suffix]
    if not out.is_dir() and (suffix or out.exists()):
        raise InputError(
            f"expected a name ending with {', '.join(SUFFIXES)}, or a folder for a .ply per frame; "
            f"got {out}"
        )
    return _write_plys


def _moments(times: Array, options: AnimateOptions, *, own: bool) -> Array:
    """Seconds of the frames over the wanted part of the motion: evenly spaced, or its own."""
    start = times[0] if options.start is None else max(options.start, times[0])
    end = times[-1] if options.end is None else min(options.end, times[-1])
    if start > end:
        raise InputError(
            f"expected a part of the motion's {times[0]:.2f} to {times[-1]:.2f} s, got "
            f"--start {options.start} --end {options.end}"
        )
    if own:
        return times[(times >= start) & (times <= end)]
    fps = options.fps or FPS
    return start + np.arange(int((end - start) * fps + 1e-6) + 1) / fps


def _write_video(
    acting: Performer, out: Path, options: AnimateOptions, progress: Callable[[int, int], None]
) -> list[Path]:
    from splatting.gaussians import joined

    size = picture_size(options.size or SIZE, out)
    K = intrinsics(FOCAL * max(size), size)
    Ts = _cameras(subject_of([acting]), K, size, options)
    stage = [] if options.no_floor else _floor_and_props(acting)

    def moments() -> Iterator[Gaussians]:
        for moment in range(len(acting.clip.times)):
            yield joined([*stage, _posed(acting, moment)])

    views = Views(eyes=(Ts,), K=K, size=size, fps=options.fps or FPS)
    shots = take_shots(moments(), views, backend=options.backend, background=BACKDROP)
    return write_shots(shots, out, views, depth=False, progress=progress)


def _cameras(subject: Subject, K: Array, size: tuple[int, int], options: AnimateOptions) -> Array:
    from splatting import people_paths

    if options.path == "turntable":
        return people_paths.turntable(subject, K, size)
    return people_paths.beside(subject, K, size, follow=options.path == "follow")


def _posed(acting: Performer, moment: int) -> Gaussians:
    posed = acting.gaussians(moment)
    assert posed is not None  # who is animated is always there
    return posed


def _floor_and_props(acting: Performer) -> list[Gaussians]:
    """The floor and what the motion stands or sits on, as lines."""
    from splatting.lines import floor, lines

    boxes = acting.clip.props
    points = [acting.joints.reshape(-1, 3), *(box.corners() for box in boxes)]
    drawn = [floor(np.concatenate(points))]
    for box in boxes:
        drawn.append(lines(*_edges(box), color=PROP_COLOR))
    return drawn


def _edges(box: Box) -> tuple[Array, Array]:
    corners = box.corners()
    pairs = [(k, k | 1 << bit) for k in range(8) for bit in range(3) if not k >> bit & 1]
    a, b = np.array(pairs).T
    return corners[a], corners[b]


def _write_plys(
    acting: Performer, out: Path, options: AnimateOptions, progress: Callable[[int, int], None]
) -> list[Path]:
    """frame000000.ply …: INRIA's layout in its viewers' y-down axes."""
    from splatting.files import write_gaussians

    count = len(acting.clip.times)
    out.mkdir(parents=True, exist_ok=True)
    for moment in range(count):
        write_gaussians(out / f"frame{moment:06d}.ply", _posed(acting, moment))
        progress(moment + 1, count)
    return [out]


def _write_rigged(acting: Performer, out: Path, *_: object) -> list[Path]:
    from recon.export.rigged_splats import write_rigged

    write_rigged(out, acting.avatar, acting.clip)
    return [out]


def _write_moment(
    acting: Performer, out: Path, options: AnimateOptions, progress: Callable[[int, int], None]
) -> list[Path]:
    from recon.export.splat_glb import write_splat_glb

    count = len(acting.clip.times)
    if not 0 <= options.frame < count:
        raise InputError(f"--frame: expected 0 to {count - 1}, got {options.frame}")
    at = acting.clip.times[options.frame]
    says = f"one moment ({at:.3f} s) of {acting.clip.name}; splats do not move in this file"
    posed = _posed(acting, options.frame)
    write_splat_glb(out, posed, name=f"person{acting.avatar.track_id}", says=says)
    return [out]
