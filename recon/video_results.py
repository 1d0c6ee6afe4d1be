"""What `recon splat --video` leaves: the Gaussians, tracks, figures, and videos drawn from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recon import __version__
from recon.core.geometry import Array
from recon.core.storage import write_atomic, write_bytes
from recon.options_video import VideoSplatOptions
from recon.runner import Watcher

if TYPE_CHECKING:
    from splatting.video.clip import Clip
    from splatting.video.model import VideoGaussians

FILE, TRACKS, RECORD, SHEET = "video_gaussians.npz", "tracks.npz", "video.json", "frames.jpg"
SHEET_ROWS, SHEET_WIDTH = 4, 480
SWAY_ROUNDS = 1.0
"""Of the swaying camera in the clip."""


@dataclass(frozen=True, kw_only=True)
class Eye:
    """A camera beside the clip's own: right and down by so much, and all that is at the distance
    `still` stays where it was on screen."""

    right: float = 0.0
    down: float = 0.0
    still: float = 1.0
    enlarged: float = 1.0


def write_results(
    video: VideoGaussians,
    clip: Clip,
    out: Path,
    options: VideoSplatOptions,
    *,
    record: dict[str, Any],
    watcher: Watcher,
) -> dict[str, Any]:
    """Writes video_gaussians.npz, tracks.npz, video.json, frames.jpg and the videos that were asked
    for; what is in the JSON, and the folder."""
    from splatting.video.drawing import dense_tracks
    from splatting.video.model import save_video_gaussians

    out.mkdir(parents=True, exist_ok=True)
    save_video_gaussians(video, out / FILE)
    with watcher.stage("measure", "frames, flow and tracks"):
        tracks = dense_tracks(video, backend=options.backend)
        write_atomic(out / TRACKS, lambda file: np.savez_compressed(file, **tracks))  # type: ignore[arg-type]
        result = {
            **record, "version": __version__, "unit": video.unit, "gaussians": len(video),
            "tracks": len(tracks["depth"]), "frames": len(clip),
            "width": video.width, "height": video.height,
            **_measured(video, clip, record["held_out"], options.backend),
        }  # fmt: skip
    write_bytes(out / RECORD, json.dumps(result, indent=1).encode())
    _write_sheet(video, clip, record["held_out"], out / SHEET, options.backend)
    films = _films(video, clip, options)
    for name, (shots, fps) in films.items():
        with watcher.stage(name, "drawing"):
            _write_film(shots(), out / f"{name}.mp4", fps=fps)
    if options.plys:
        _write_plys(video, clip.times, out / "frames")
    return {**result, "folder": str(out), "films": [f"{name}.mp4" for name in films]}


def _measured(
    video: VideoGaussians, clip: Clip, held_out: list[int], backend: str
) -> dict[str, Any]:
    """Of the frames that were trained on and, apart, of those that were not."""
    from splatting.video.evaluation import flow_error, score

    held = np.isin(np.arange(len(clip)), held_out)
    trained = score(video, clip, np.flatnonzero(~held), backend=backend)
    between = score(video, clip, np.flatnonzero(held), backend=backend)
    return {
        **{name: _finite(value) for name, value in trained.items()},
        **{f"held_out_{name}": _finite(value) for name, value in between.items()},
        "flow_px": _finite(flow_error(video, clip.take(np.flatnonzero(~held)), backend=backend)),
    }


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def figures(result: dict[str, Any]) -> str:
    """The measures in words, as far as there are any: black pictures, say, have no finite PSNR."""
    parts = [f"SSIM {result['ssim']:.3f}"]
    if result["psnr"] is not None:
        parts.insert(0, f"PSNR {result['psnr']:.2f} dB")
    if result["held_out_psnr"] is not None:
        parts.append(f"held-out frames {result['held_out_psnr']:.2f} dB")
    if result["flow_px"] is not None:
        parts.append(f"motion {result['flow_px']:.2f} px off optical flow")
    return ", ".join(parts)


# Pictures ----------------------------------------------------------------------------------------


def draw(
    video: VideoGaussians, time: float, eye: Eye | None = None, *, backend: str = "auto"
) -> np.ndarray:
    """What an eye sees at a time, (H, W, 3) uint8 RGB."""
    import torch

    from splatting.gaussians import Cameras
    from splatting.rasterize import rasterize

    eye = eye or Eye()
    T, K = np.eye(4), video.K.copy()
    T[:2, 3] = eye.right, eye.down
    centre = np.array([video.width, video.height]) / 2
    K[:2, 2] += K[[0, 1], [0, 1]] * T[:2, 3] / eye.still
    K[:2, 2] = centre + (K[:2, 2] - centre) * eye.enlarged
    K[[0, 1], [0, 1]] *= eye.enlarged
    camera = Cameras.of(T[None], K, width=video.width, height=video.height)
    with torch.no_grad():
        seen = rasterize(video.at(time), camera.to(video.places.device), backend=backend)
    return (seen.colour[0].clamp(0, 1) * 255).round().byte().cpu().numpy()


def eyes(video: VideoGaussians, clip: Clip, offsets: Array) -> list[Eye]:
    """Eyes at offsets (M, 2), right and down, that look at the same window; so much enlarged that
    what the clip never showed stays beyond the edges.

    The window is at the foreground's middle distance, or the picture's.
    """
    mask = clip.foreground if clip.foreground is not None and clip.foreground.any() else ...
    still, nearest = float(np.median(clip.depth[mask])), float(np.quantile(clip.depth, 0.02))
    farthest = float(np.quantile(clip.depth, 0.98))
    shift = float(np.abs(offsets).max()) * max(1 / nearest - 1 / still, 1 / still - 1 / farthest)
    focal, side = float(video.K[0, 0]), min(video.width, video.height)
    enlarged = 1 / max(1 - 2 * focal * shift / side, 0.7)
    return [Eye(right=float(x), down=float(y), still=still, enlarged=enlarged) for x, y in offsets]


Shots = Callable[[], Iterator[tuple[np.ndarray, float]]]
"""Pictures and their times."""


def _films(
    video: VideoGaussians, clip: Clip, options: VideoSplatOptions
) -> dict[str, tuple[Shots, float]]:
    """What is to be drawn, and its frames a second, by name."""
    times, backend = clip.times, options.backend
    rate = 1 / float(times[1] - times[0])

    def of(moments: Array) -> Iterator[tuple[np.ndarray, float]]:
        yield from ((draw(video, float(t), backend=backend), float(t)) for t in moments)

    def stereo() -> Iterator[tuple[np.ndarray, float]]:
        half = options.stereo / 2
        pair = eyes(video, clip, np.array([[-half, 0], [half, 0]]))
        for t in times.tolist():
            views = [draw(video, t, eye, backend=backend) for eye in pair]
            yield np.concatenate(views, axis=1), t

    def sway() -> Iterator[tuple[np.ndarray, float]]:
        turn = 2 * np.pi * SWAY_ROUNDS * np.linspace(0, 1, len(times))
        offsets = options.sway * np.stack((np.sin(turn), 0.4 * (np.cos(turn) - 1)), axis=1)
        for t, eye in zip(times.tolist(), eyes(video, clip, offsets), strict=True):
            yield draw(video, t, eye, backend=backend), t

    films: dict[str, tuple[Shots, float]] = {"reconstruction": (lambda: of(times), rate)}
    if options.stereo:
        films["stereo"] = stereo, rate
    if options.sway:
        films["sway"] = sway, rate
    if options.fps is not None:
        fine = np.arange(times[0], times[-1] + 1e-9, 1 / options.fps)
        films["interpolated"] = lambda: of(fine), options.fps
    return films


def _write_film(frames: Iterator[tuple[np.ndarray, float]], path: Path, *, fps: float) -> None:
    from recon.export.mp4 import Mp4Writer

    first, start = next(frames)
    with Mp4Writer(path, (first.shape[1], first.shape[0]), fps=fps) as writer:
        writer.write(first, start)
        for picture, time in frames:
            writer.write(picture, time)


def _write_plys(video: VideoGaussians, times: Array, folder: Path) -> None:
    """The Gaussians of each frame, in the camera's frame turned upright (z up, metres)."""
    import torch

    from splatting.axes import from_axes
    from splatting.files import write_gaussians

    for i, t in enumerate(times.tolist()):
        with torch.no_grad():
            upright = from_axes(video.at(t).to("cpu"), "y-down")
            write_gaussians(folder / f"frame{i:06d}.ply", upright)


def _write_sheet(
    video: VideoGaussians, clip: Clip, held_out: list[int], path: Path, backend: str
) -> None:
    """Some frames, held-out ones if there are any: as drawn on the left, as filmed on the right."""
    import cv2

    offered = np.array(held_out or range(len(clip)))
    chosen = np.unique(np.linspace(0, len(offered) - 1, SHEET_ROWS).round().astype(int))
    rows = []
    for i in offered[chosen].tolist():
        drawn = draw(video, float(clip.times[i]), backend=backend)
        pair = np.concatenate((drawn, clip.images[i]), axis=1)
        height = round(2 * SHEET_WIDTH * pair.shape[0] / pair.shape[1])
        rows.append(cv2.resize(pair, (2 * SHEET_WIDTH, height), interpolation=cv2.INTER_AREA))
    done, jpeg = cv2.imencode(".jpg", np.concatenate(rows)[..., ::-1])
    assert done
    write_bytes(path, jpeg.tobytes())
