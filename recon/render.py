"""`recon render`: new views of trained Gaussians, as a video or as pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recon.core.errors import InputError
from recon.core.geometry import Array
from recon.core.scene import Scene
from recon.core.storage import write_atomic
from recon.options import RenderOptions
from recon.runner import Silent, Watcher
from recon.splat import default_folder
from recon.splat_results import METRICS, SPLATS

if TYPE_CHECKING:
    from splatting.gaussians import Gaussians

FPS = 30.0
FRAMES = {"orbit": 120, "orbits": 240, "circles": 240, "spiral": 240}
"""Where it is not the number of pictures that were trained on."""
OTHER_VIDEOS = (".avi", ".gif", ".m4v", ".mkv", ".mov", ".webm")
MILLIMETRES, MOST_MILLIMETRES = 1000.0, 65535
LATER = "the cameras that filmed it are in splats.json, which recon splat writes beside it"


@dataclass(frozen=True, kw_only=True)
class Views:
    """Cameras to render from, in order.

    Args:
        eyes: of one path, or the left and the right one of a pair; (T, 4, 4) each.
        K: (3, 3) px, for pictures of `size` (width, height).
    """

    eyes: tuple[Array, ...]
    K: Array
    size: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One rendered moment, eyes side by side: RGB (H, W, 3) uint8, alpha 0-1 and depth (H, W)."""

    picture: np.ndarray
    alpha: np.ndarray
    depth: np.ndarray


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
    if out.suffix.lower() in OTHER_VIDEOS or (
        not is_video(out) and out.exists() and not out.is_dir()
    ):
        raise InputError(f"expected a name ending with .mp4, or a folder, got {out}")
    gaussians = read_gaussians(file)
    views = _views(gaussians, record, options, out=out, centre=_people_of(source))
    shots = _shots(gaussians, views, options)
    count = len(views.eyes[0])
    with watcher.stage("render", f"{count} frames, path {options.path}") as progress:

        def counted() -> Iterator[Shot]:
            for i, shot in enumerate(shots):
                yield shot
                progress(i + 1, count)

        write = _write_video if is_video(out) else _write_folder
        return write(counted(), out, views, options.depth)


def find_splats(source: Path) -> tuple[Path, dict[str, Any] | None]:
    """The file of Gaussians, and what `recon splat` wrote of its cameras, if it did.

    Raises:
        InputError: there are none.
    """
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
        record = json.loads(path.read_text())
        cameras = record["cameras"]
        cameras["Ts_world_camera"] = np.array(cameras["Ts_world_camera"], float)
        cameras["K"] = np.array(cameras["K"], float).reshape(3, 3)
        record["width"], record["height"] = int(record["width"]), int(record["height"])
    except (OSError, ValueError, KeyError, TypeError) as error:
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
        size = _size(options.size or (640, 480), out)
        eyes = _cameras_around(gaussians, options.frames or FRAMES["orbit"])
        return Views(eyes=(eyes,), K=_intrinsics(0.9 * max(size), size), size=size)
    Ts = record["cameras"]["Ts_world_camera"]
    size = _size(options.size or (record["width"], record["height"]), out)
    K = _intrinsics(record["cameras"]["K"][1, 1] * size[1] / record["height"], size)
    count = options.frames or FRAMES.get(options.path, max(len(Ts), 60))
    around = {"orbit": paths.orbit, "orbits": paths.orbits}
    along = {"spline": paths.spline, "circles": paths.circles, "spiral": paths.spiral}
    if options.path in around:
        eyes = (around[options.path](Ts, count, centre=centre),)
    else:
        eyes = (along.get(options.path, paths.smoothed)(Ts, count),)
    if options.path == "stereo":
        eyes = paths.stereo(eyes[0], options.baseline)
    return Views(eyes=eyes, K=K, size=size)


def _cameras_around(gaussians: Gaussians, count: int) -> Array:
    """A circle around the middle of the Gaussians, from twice as far as most of them lie."""
    from splatting import paths

    means = gaussians.means.numpy()
    centre = np.median(means, axis=0)
    reach = 2.0 * float(np.percentile(np.linalg.norm(means - centre, axis=1), 80)) + 1e-6
    turn = 2 * np.pi * np.arange(count) / count
    circle = np.stack([np.cos(turn), np.sin(turn), np.full(count, 0.3)], axis=1)
    return paths.look_at(centre + reach * circle, centre, np.array([0.0, 0.0, 1.0]))


def _intrinsics(focal: float, size: tuple[int, int]) -> Array:
    return np.array([[focal, 0, size[0] / 2], [0, focal, size[1] / 2], [0, 0, 1.0]])


def _size(size: tuple[int, int], out: Path) -> tuple[int, int]:
    """Videos have even sizes."""
    return (size[0] // 2 * 2, size[1] // 2 * 2) if is_video(out) else size


def is_video(out: Path) -> bool:
    return out.suffix.lower() == ".mp4"


def _shots(gaussians: Gaussians, views: Views, options: RenderOptions) -> Iterator[Shot]:
    import torch

    from splatting.gaussians import Cameras
    from splatting.rasterize import rasterize

    gaussians = gaussians.to("cuda" if options.backend == "gsplat" else "cpu")
    for poses in zip(*views.eyes, strict=True):
        cameras = Cameras.of(np.stack(poses), views.K, width=views.size[0], height=views.size[1])
        with torch.no_grad():
            seen = rasterize(gaussians, cameras.to(gaussians.means.device), backend=options.backend)
        colour = (seen.colour.clamp(0, 1) * 255).round().byte().cpu().numpy()
        yield Shot(
            picture=np.concatenate(list(colour), axis=1),
            alpha=np.concatenate(list(seen.alpha.cpu().numpy()), axis=1),
            depth=np.concatenate(list(seen.depth.cpu().numpy()), axis=1),
        )


def _write_video(shots: Iterator[Shot], out: Path, views: Views, with_depth: bool) -> list[Path]:
    """out.mp4 and, with depth, out_depth.mp4 (near is bright) and out_alpha.mp4."""
    from recon.export.mp4 import Mp4Writer

    out.parent.mkdir(parents=True, exist_ok=True)
    size = (views.size[0] * len(views.eyes), views.size[1])
    layers: dict[str, Callable[[Shot], np.ndarray]] = {"": lambda shot: shot.picture}
    if with_depth:
        near = _Nearness()
        layers |= {"_depth": near, "_alpha": lambda shot: _grey(shot.alpha)}
    files = {name: out.with_name(f"{out.stem}{name}{out.suffix}") for name in layers}
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(Mp4Writer(file, size, fps=FPS))
            for name, file in files.items()
        }
        for i, shot in enumerate(shots):
            for name, layer in layers.items():
                writers[name].write(layer(shot), i / FPS)
    return list(files.values())


class _Nearness:
    """Depth as brightness, by the nearest one that the first picture shows much of."""

    def __init__(self) -> None:
        self.nearest: float | None = None

    def __call__(self, shot: Shot) -> np.ndarray:
        seen = shot.depth > 0
        if self.nearest is None and seen.any():
            self.nearest = float(np.percentile(shot.depth[seen], 2))
        inverse = np.where(seen, (self.nearest or 1.0) / np.where(seen, shot.depth, 1), 0)
        return _grey(inverse)


def _grey(values: np.ndarray) -> np.ndarray:
    """Values of 0 to 1 (H, W) as (H, W, 3) uint8."""
    level = (np.clip(values, 0, 1) * 255).round().astype(np.uint8)
    return np.repeat(level[..., None], 3, axis=2)


def _write_folder(shots: Iterator[Shot], out: Path, views: Views, with_depth: bool) -> list[Path]:
    """frame000000.png …, cameras.json and, with depth, depth000000.png (16 bit, thousandths of
    the scene's unit, 0 where nothing is) and alpha000000.png."""
    out.mkdir(parents=True, exist_ok=True)
    for i, shot in enumerate(shots):
        _write_png(out / f"frame{i:06d}.png", shot.picture[..., ::-1])
        if with_depth:
            depth = np.clip(shot.depth * MILLIMETRES, 0, MOST_MILLIMETRES).round()
            _write_png(out / f"depth{i:06d}.png", depth.astype(np.uint16))
            _write_png(out / f"alpha{i:06d}.png", _grey(shot.alpha)[..., 0])
    cameras = {
        "K": views.K.tolist(), "width": views.size[0], "height": views.size[1],
        "Ts_world_camera": [eye.tolist() for eye in views.eyes],
    }  # fmt: skip
    text = json.dumps(cameras, indent=1)
    write_atomic(out / "cameras.json", lambda file: file.write(text.encode()))
    return [out]


def _write_png(path: Path, image: np.ndarray) -> None:
    import cv2

    done, png = cv2.imencode(".png", image)
    assert done
    write_atomic(path, lambda file: file.write(png.tobytes()))
