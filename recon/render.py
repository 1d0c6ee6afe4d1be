"""`recon render`: new views of trained Gaussians, as a video or as pictures."""

from __future__ import annotations

from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recon.core.checks import MAX_SIDE_PX, check_array, check_poses, check_range
from recon.core.errors import InputError
from recon.core.geometry import Array
from recon.core.scene import Scene
from recon.core.untrusted import read_json
from recon.options import RenderOptions
from recon.runner import Silent, Watcher
from recon.shots import Views, check_output, intrinsics, picture_size, take_shots, write_shots
from recon.splat import default_folder
from recon.splat_results import METRICS, SPLATS

if TYPE_CHECKING:
    from splatting.gaussians import Gaussians

FRAMES = {"orbit": 120, "orbits": 240, "circles": 240, "spiral": 240}
"""Where it is not the number of pictures that were trained on."""
LATER = "the cameras that filmed it are in splats.json, which recon splat writes beside it"


def render(
    source: Path, out: Path, options: RenderOptions, *, watcher: Watcher | None = None
) -> list[Path]:
    """Renders a camera path; the files or the folder that it wrote.

    Args:
        source: a scene or folder that `recon splat` worked on, or a file of Gaussians.
        out: a video if it ends with .mp4, else a folder for PNGs.

    Raises:
        InputError: nothing to render there, no cameras for this path, or a file in the way.
    """
    from splatting.files import read_gaussians

    watcher = watcher or Silent()
    file, record = find_splats(source)
    check_output(out)
    gaussians = read_gaussians(file)
    views = _views(gaussians, record, options, out=out, centre=_people_of(source))
    shots = take_shots(repeat(gaussians), views, backend=options.backend)
    with watcher.stage("render", f"{len(views)} frames, path {options.path}") as progress:
        return write_shots(shots, out, views, depth=options.depth, progress=progress)


def find_splats(source: Path) -> tuple[Path, dict[str, Any] | None]:
    """The file of Gaussians, and what `recon splat` wrote of its cameras, if it did.

    Raises:
        InputError: there are none.
    """
    if not source.exists():
        raise InputError(
            f"expected a scene, a folder of recon splat, or a file of Gaussians, got no {source}; "
            "check the path"
        )
    file = source
    if source.is_dir():
        folder = default_folder(source) if (source / "scene.json").exists() else source
        file = folder / SPLATS
        if not file.exists():
            raise InputError(
                f"expected {file}, got no such file; make it with: recon splat {source}"
            )
    path = file.with_name(METRICS)
    if not path.exists():
        return file, None
    try:
        record = read_json(path)
        cameras = record["cameras"]
        cameras["Ts_world_camera"] = np.array(cameras["Ts_world_camera"], float)
        check_array("Ts_world_camera", cameras["Ts_world_camera"], (None, 4, 4))
        check_poses("Ts_world_camera", cameras["Ts_world_camera"])
        cameras["K"] = np.array(cameras["K"], float).reshape(3, 3)
        check_array("K", cameras["K"], (3, 3))
        for side in ("width", "height"):
            check_range(side, record[side], 1, MAX_SIDE_PX)
            record[side] = int(record[side])
    except (InputError, OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"expected what recon splat writes in {path}, got: {type(error).__name__} {error}; "
            "run recon splat again, or move the file away"
        ) from error
    return file, record


def _people_of(source: Path) -> Array | None:
    """Where a scene's people are on average, metres, to orbit around; None if nobody is placed."""
    if not (source / "scene.json").exists():
        return None
    scene = Scene.open(source)
    if not scene.is_current("world") or not scene.world_motions:
        return None
    return np.concatenate([motion.poses_world.root for motion in scene.world_motions]).mean(axis=0)


def _views(
    gaussians: Gaussians,
    record: dict[str, Any] | None,
    options: RenderOptions,
    *,
    out: Path,
    centre: Array | None,
) -> Views:
    from splatting import paths

    if record is None:
        if options.path != "orbit":
            raise InputError(
                f"--path {options.path}: expected known cameras, got a file alone; {LATER}; use "
                "--path orbit"
            )
        size = picture_size(options.size or (640, 480), out)
        eyes = _cameras_around(gaussians, options.frames or FRAMES["orbit"])
        return Views(eyes=(eyes,), K=intrinsics(0.9 * max(size), size), size=size)
    Ts = record["cameras"]["Ts_world_camera"]
    size = picture_size(options.size or (record["width"], record["height"]), out)
    K = intrinsics(record["cameras"]["K"][1, 1] * size[1] / record["height"], size)
    count = options.frames or FRAMES.get(options.path, max(len(Ts), 60))
    eyes = (free_path(options.path, Ts, count, centre),)
    if options.path == "stereo":
        eyes = paths.stereo(eyes[0], options.baseline)
    return Views(eyes=eyes, K=K, size=size)


def free_path(name: str, Ts_world_camera: Array, count: int, centre: Array | None) -> Array:
    """Cameras (count, 4, 4) of a path by its name, from those that filmed; any other name: calmed.

    Args:
        centre: (3,) of orbits; see `splatting.paths`.
    """
    from splatting import paths

    around = {"orbit": paths.orbit, "orbits": paths.orbits}
    along = {"spline": paths.spline, "circles": paths.circles, "spiral": paths.spiral}
    if name in around:
        return around[name](Ts_world_camera, count, centre=centre)
    return along.get(name, paths.smoothed)(Ts_world_camera, count)


def _cameras_around(gaussians: Gaussians, count: int) -> Array:
    """A circle around the middle of the Gaussians, from twice as far as most of them lie."""
    from splatting import paths

    means = gaussians.means.numpy()
    centre = np.median(means, axis=0)
    reach = 2.0 * float(np.percentile(np.linalg.norm(means - centre, axis=1), 80)) + 1e-6
    turn = 2 * np.pi * np.arange(count) / count
    circle = np.stack([np.cos(turn), np.sin(turn), np.full(count, 0.3)], axis=1)
    return paths.look_at(centre + reach * circle, centre, np.array([0.0, 0.0, 1.0]))
