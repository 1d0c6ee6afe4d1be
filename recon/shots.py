"""Pictures of Gaussians along cameras, moment by moment, and the files that they go to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recon.core.errors import InputError
from recon.core.geometry import Array
from recon.core.stage import Progress
from recon.core.storage import write_atomic

if TYPE_CHECKING:
    from splatting.gaussians import Gaussians

FPS = 30.0
OTHER_VIDEOS = (".avi", ".gif", ".m4v", ".mkv", ".mov", ".webm")
MILLIMETRES, MOST_MILLIMETRES = 1000.0, 65535


@dataclass(frozen=True, kw_only=True)
class Views:
    """Cameras to render from, in order.

    Args:
        eyes: of one path, or the left and the right one of a pair; (T, 4, 4) each.
        K: (3, 3) px, for pictures of `size` (width, height). fps: of a video of them.
    """

    eyes: tuple[Array, ...]
    K: Array
    size: tuple[int, int]
    fps: float = FPS

    def __len__(self) -> int:
        return len(self.eyes[0])


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One rendered moment, eyes side by side: RGB (H, W, 3) uint8, alpha 0-1 and depth (H, W)."""

    picture: np.ndarray
    alpha: np.ndarray
    depth: np.ndarray


def intrinsics(focal: float, size: tuple[int, int]) -> Array:
    """K (3, 3) of a focal length in px and the middle of a picture (width, height)."""
    return np.array([[focal, 0, size[0] / 2], [0, focal, size[1] / 2], [0, 0, 1.0]])


def is_video(out: Path) -> bool:
    return out.suffix.lower() == ".mp4"


def picture_size(size: tuple[int, int], out: Path) -> tuple[int, int]:
    """Videos have even sizes."""
    return (size[0] // 2 * 2, size[1] // 2 * 2) if is_video(out) else size


def check_output(out: Path) -> None:
    """Raises InputError for what is neither an .mp4 nor a folder."""
    if out.suffix.lower() in OTHER_VIDEOS or (
        not is_video(out) and out.exists() and not out.is_dir()
    ):
        raise InputError(f"expected a name ending with .mp4, or a folder, got {out}")


def take_shots(
    moments: Iterable[Gaussians],
    views: Views,
    *,
    backend: str = "auto",
    background: Sequence[float] | None = None,
) -> Iterator[Shot]:
    """Each moment's Gaussians as its camera (both eyes, if two) sees them, drawn one by one.

    Args:
        moments: as many as the views have cameras. backend: see `splatting.rasterize`.
        background: RGB in 0 to 1 behind everything; default black.
    Raises:
        InputError, MissingDependencyError: the back-end does not work here; nothing was drawn.
    """
    from splatting.rasterize import device_of

    return _taken(moments, views, backend, device_of(backend), background)


def _taken(
    moments: Iterable[Gaussians], views: Views, backend: str, device: str,
    background: Sequence[float] | None,
) -> Iterator[Shot]:  # fmt: skip
    import torch

    from splatting.gaussians import Cameras
    from splatting.rasterize import rasterize

    behind = None if background is None else torch.tensor(background, device=device)
    for gaussians, poses in zip(moments, zip(*views.eyes, strict=True), strict=False):
        cameras = Cameras.of(np.stack(poses), views.K, width=views.size[0], height=views.size[1])
        with torch.no_grad():
            seen = rasterize(
                gaussians.to(device), cameras.to(device), background=behind, backend=backend
            )
        colour = (seen.colour.clamp(0, 1) * 255).round().byte().cpu().numpy()
        yield Shot(
            picture=np.concatenate(list(colour), axis=1),
            alpha=np.concatenate(list(seen.alpha.cpu().numpy()), axis=1),
            depth=np.concatenate(list(seen.depth.cpu().numpy()), axis=1),
        )


def write_shots(
    shots: Iterable[Shot], out: Path, views: Views, *, depth: bool, progress: Progress
) -> list[Path]:
    """Writes pictures to an .mp4 or a folder; the files or the folder that it wrote.

    Args:
        depth: write depth and alpha too.
    """

    def counted() -> Iterator[Shot]:
        for i, shot in enumerate(shots):
            yield shot
            progress(i + 1, len(views))

    write = _write_video if is_video(out) else _write_folder
    return write(counted(), out, views, depth)


def write_png(path: Path, image: np.ndarray) -> None:
    """Writes BGR or grey pixels, 8 or 16 bit, as OpenCV takes them."""
    import cv2

    done, png = cv2.imencode(".png", image)
    assert done
    write_atomic(path, lambda file: file.write(png.tobytes()))


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
            name: stack.enter_context(Mp4Writer(file, size, fps=views.fps))
            for name, file in files.items()
        }
        for i, shot in enumerate(shots):
            for name, layer in layers.items():
                writers[name].write(layer(shot), i / views.fps)
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
        write_png(out / f"frame{i:06d}.png", shot.picture[..., ::-1])
        if with_depth:
            depth = np.clip(shot.depth * MILLIMETRES, 0, MOST_MILLIMETRES).round()
            write_png(out / f"depth{i:06d}.png", depth.astype(np.uint16))
            write_png(out / f"alpha{i:06d}.png", _grey(shot.alpha)[..., 0])
    cameras = {
        "K": views.K.tolist(), "width": views.size[0], "height": views.size[1],
        "Ts_world_camera": [eye.tolist() for eye in views.eyes],
    }  # fmt: skip
    text = json.dumps(cameras, indent=1)
    write_atomic(out / "cameras.json", lambda file: file.write(text.encode()))
    return [out]
