"""Video Gaussians: how well they show a clip, what lies between its frames, and its motion.

Published, on DAVIS at 854x480 (whole clips, all frames trained on, RAFT-class flow and a depth
network, about 30 minutes of a GPU): 28.6 dB, SSIM 0.837 (Sun et al. 2024, Splatter a Video).
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import recon  # noqa: F401  (first: it tells OpenMP's threads not to spin)

# isort: split
import cv2
import numpy as np

from benchmarks.common import DATA, Row, main, row
from recon.core.geometry import Array, invert_transform, transform_points
from recon.core.scene import Scene
from recon.options import RunOptions
from recon.options_video import VideoSplatOptions
from recon.pipeline import run
from recon.runner import Silent
from recon.splat_video import splat_video
from recon.synth import WorldSpec, make_world, read_depth, read_masks
from recon.video import VideoConfig, VideoReader
from recon.video_clip import load_clip
from recon.video_results import draw, eyes
from splatting.video.drawing import track_points
from splatting.video.flow import clip_flow, follow, inside, sample
from splatting.video.model import load_video_gaussians

CLIP = "runner_moving.mp4"
STEPS, GAUSSIANS, FRAMES, HEIGHT = 500, 30_000, 60, 240
QUICK = {"steps": 250, "frames": 24, "gaussians": 15_000}
WORLD = WorldSpec(seed=7310, camera="swaying", people=1, frames=48, size=(424, 240))
LIMITS_PX = (1, 2, 4, 8, 16)
"""Of TAP-Vid, which counts at 256x256; here at 424x240."""
IN_SIGHT = 0.05
"""A true point nearer than this share of its depth to what is drawn there is seen."""
POINTS = 400


def measure_video(quick: bool, pictures: Path | None) -> Iterator[Row]:
    """Rows of a real clip, alone and with its scene, and of tracks on a drawn world."""
    with tempfile.TemporaryDirectory(prefix="recon3d-video-") as name:
        folder = Path(name)
        sections = {"alone": alone_rows} if quick else {
            "tracks": track_rows, "scene": scene_rows, "alone": alone_rows,
        }  # fmt: skip
        for what, rows in sections.items():
            started, burnt = time.perf_counter(), time.process_time()
            for found in rows(quick, folder, pictures):
                print(found, file=sys.stderr, flush=True)
                yield found
            spent = time.perf_counter() - started, time.process_time() - burnt
            print(f"{what}: {spent[0]:.0f} s, CPU {spent[1]:.0f} s", file=sys.stderr, flush=True)


def chosen(quick: bool) -> VideoSplatOptions:
    """By steps, so that a busy machine measures the same."""
    return VideoSplatOptions(
        video=True, iterations=QUICK["steps"] if quick else STEPS, height=HEIGHT,
        gaussians=QUICK["gaussians"] if quick else GAUSSIANS,
        frames=QUICK["frames"] if quick else FRAMES,
    )  # fmt: skip


def alone_rows(quick: bool, folder: Path, pictures: Path | None) -> Iterator[Row]:
    """The clip without a camera, people or depth."""
    yield from _clip_rows("alone", DATA / "videos" / CLIP, chosen(quick), folder, pictures)


def scene_rows(quick: bool, folder: Path, pictures: Path | None) -> Iterator[Row]:
    """The clip with the masks, the bodies and the dense depth of its scene."""
    options = RunOptions(end=2.5, overlay=False, formats=("npz",))
    scene = run(DATA / "videos" / CLIP, folder / "run", options)
    yield from _clip_rows("with its scene", scene.path, chosen(quick), folder, pictures)


def _clip_rows(
    label: str, source: Path, options: VideoSplatOptions, folder: Path, pictures: Path | None
) -> Iterator[Row]:
    burnt = time.process_time()
    result = splat_video(source, folder / label, options)
    name = f"video runner, {label}"
    kind = f"{result['frames']} frames of {result['width']}x{result['height']}"
    yield row(f"{name}: {kind}, reconstruction PSNR", result["psnr"], "dB", at_least=28.6)
    yield row(f"{name}: reconstruction SSIM", result["ssim"], "", at_least=0.837)
    yield row(f"{name}: PSNR where the runner is", result["foreground_psnr"], "dB")
    yield row(f"{name}: held-out frames' PSNR", result["held_out_psnr"], "dB")
    yield row(f"{name}: held-out frames' SSIM", result["held_out_ssim"], "")
    yield row(f"{name}: held-out PSNR where the runner is", result["held_out_foreground_psnr"],
              "dB")  # fmt: skip
    yield row(f"{name}: held-out PSNR of the frame before instead", _frame_before(source, options,
              result["held_out"]), "dB")  # fmt: skip
    yield row(f"{name}: motion against flow, median", result["flow_px"], "px", at_most=0.5)
    yield row(f"{name}: Gaussians", result["gaussians"], "")
    yield row(f"{name}: training", result["seconds"] / 60, "min")
    yield row(f"{name}: CPU time of everything", (time.process_time() - burnt) / 60, "min")
    yield row(f"{name}: peak memory", result["memory_mb"], "MB")
    if pictures is not None:
        sheet = pictures / f"video_{label.replace(' ', '_')}.jpg"
        (folder / label / "frames.jpg").replace(sheet.with_stem(f"{sheet.stem}_held_out"))
        _write_views(source, folder / label, options, sheet, result["held_out"])


def _frame_before(source: Path, options: VideoSplatOptions, held_out: list[int]) -> float:
    """PSNR of each held-out frame if the one before is shown again."""
    images = load_clip(source, options, Silent()).clip.images.astype(float) / 255
    errors = [np.mean((images[i] - images[i - 1]) ** 2) for i in held_out]
    return float(np.mean(-10 * np.log10(errors)))


def _write_views(
    source: Path, out: Path, options: VideoSplatOptions, sheet: Path, held_out: list[int]
) -> None:
    """A stereo pair; below, a moment between two frames and a view from the side."""
    video = load_video_gaussians(out / "video_gaussians.npz")
    clip = load_clip(source, options, Silent()).clip
    i = held_out[len(held_out) // 2]
    now, step = float(clip.times[i]), float(clip.times[i + 1] - clip.times[i])
    half = options.stereo / 2
    offsets = np.array([[-half, 0], [half, 0], [options.sway, 0]])
    left, right, side = (draw(video, now, eye) for eye in eyes(video, clip, offsets))
    between = draw(video, now + step / 2)
    rows = [np.concatenate(pair, axis=1) for pair in ((left, right), (between, side))]
    cv2.imwrite(str(sheet), np.concatenate(rows)[..., ::-1])


# Tracks ------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class TrueTracks:
    """Points (P, T, 2) px that are seen at frame `start`; seen (P, T) and person (P,) bool."""

    points: Array
    seen: np.ndarray
    person: np.ndarray
    start: int


def track_rows(quick: bool, folder: Path, pictures: Path | None) -> Iterator[Row]:
    """Points of a drawn person and of what is behind: against the truth, and chained flow."""
    scene = make_world(WORLD, folder / "world")
    truth = true_tracks(scene, WORLD.frames // 2)
    video_file = scene.path / "video.mp4"
    options = VideoSplatOptions(
        video=True, iterations=STEPS, gaussians=GAUSSIANS, frames=WORLD.frames,
        height=WORLD.size[1], held_out=0, stereo=0, sway=0,
    )  # fmt: skip
    splat_video(video_file, folder / "tracks", options)
    video = load_video_gaussians(folder / "tracks" / "video_gaussians.npz")
    start = truth.points[:, truth.start]
    found = track_points(video, start, float(video.times[truth.start]), video.times)
    images = np.stack([f.image for f in VideoReader.open(video_file, VideoConfig())])
    chained, alive = follow(clip_flow(images, (1,)), truth.start, start, num_frames=len(images))
    others = np.arange(WORLD.frames) != truth.start
    for who, rows in {"person": truth.person, "place": ~truth.person}.items():
        counted = truth.seen[rows] & others
        for how, points in {"Gaussians": found, "chained flow": chained}.items():
            errors = np.linalg.norm(points - truth.points, axis=-1)[rows][counted]
            share = np.mean([(errors < limit).mean() for limit in LIMITS_PX])
            name = f"video tracks of a drawn {who}, {how}"
            yield row(f"{name}: median error", float(np.median(errors)), "px")
            yield row(f"{name}: mean share within 1, 2, 4, 8, 16 px", 100 * float(share), "%")
        lost = 100 * (1 - alive[rows][counted].mean())
        yield row(f"video tracks of a drawn {who}, chained flow: lost", lost, "%")


def true_tracks(scene: Scene, start: int) -> TrueTracks:
    """Vertices of the first person and points of the place that are seen at one frame."""
    K, Ts = scene.camera.intrinsics, scene.placement.Ts_world_camera
    size = (K.width, K.height)
    motion, generator = scene.world_motions[0], np.random.default_rng(0)
    assert np.array_equal(motion.frame_idx, np.arange(len(Ts)))
    body = scene.rigs[0].vertices(motion.poses_world).astype(float)
    grid = np.stack(np.meshgrid(np.arange(4, size[0], 8), np.arange(4, size[1], 8)), -1)
    pixels = grid.reshape(-1, 2) + 0.5
    z = sample(read_depth(scene.path, start), pixels, nearest=True)
    behind = sample(read_masks(scene.path, start), pixels, nearest=True) == 0
    still = np.isfinite(z) & behind
    place = transform_points(Ts[start], K.unproject(pixels[still].astype(float), z[still]))
    points, seen = [], []
    for i, T in enumerate(Ts):
        world = np.concatenate((body[i], place))
        camera = transform_points(invert_transform(T), world)
        at = K.project(camera)
        drawn = sample(read_depth(scene.path, i), at, nearest=True)
        near = np.abs(drawn / np.maximum(camera[:, 2], 1e-6) - 1) < IN_SIGHT
        points.append(at)
        seen.append(near & inside(at, width=size[0], height=size[1]) & (camera[:, 2] > 0))
    at, visible = np.stack(points, axis=1), np.stack(seen, axis=1)
    person = np.arange(len(at)) < body.shape[1]
    kept = [np.flatnonzero(visible[:, start] & kind) for kind in (person, ~person)]
    rows = np.concatenate([generator.permutation(k)[:POINTS] for k in kept])
    return TrueTracks(points=at[rows], seen=visible[rows], person=person[rows], start=start)


if __name__ == "__main__":
    main("Video Gaussians", measure_video)
