"""The camera stage: path error and time on a hand-held scan with truth, classes on real clips.

No masks here: the hand-held scan shows nobody, and the classes must not hang on the people stage.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.camera_paths import path_error_cm
from benchmarks.camera_person import composited_person
from benchmarks.camera_study import study
from benchmarks.common import DATA, Row, main, row
from recon.core.camera import CameraTrajectory
from recon.core.errors import CameraError
from recon.core.stage import StageReport
from recon.core.video import Frame, VideoInfo
from recon.video import VideoConfig, VideoReader
from slam.camera import CameraConfig, estimate_camera

CLIPS = {
    "videos/dancer_static.mp4": "static",
    "videos/pedestrians_static.avi": "static",
    "pose2sim/cam02.mp4": "static",
    "videos/runner_moving.mp4": "moving",
    "videos/walker_moving.mp4": "moving",
}


@dataclass(frozen=True, kw_only=True)
class Timed:
    """A run's result and cost; the result is None where the run raised CameraError."""

    result: tuple[CameraTrajectory, StageReport] | None
    cpu: float
    per_frame_ms: float


def timed(reader: VideoReader, config: CameraConfig) -> Timed:
    """Runs the stage; `per_frame_ms` is wall time less that of only decoding the frames."""
    start = time.perf_counter()
    num_frames = sum(1 for _ in reader)
    decoding = time.perf_counter() - start
    start, start_cpu = time.perf_counter(), time.process_time()
    try:
        result = estimate_camera(reader, reader.info, lambda *_: None, config)
    except CameraError:
        result = None
    wall, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    return Timed(result=result, cpu=cpu, per_frame_ms=1000 * (wall - decoding) / num_frames)


def handheld(num_frames: int, *, known_focal: bool) -> Iterator[Row]:
    """Path error, focal length and time on the first frames of the hand-held scan."""
    folder = DATA / "handheld_rgb"
    with np.load(folder / "truth.npz") as truth:
        poses, focal = truth["Ts_world_camera"][:num_frames], float(truth["K"][0, 0])
    reader = VideoReader.open(folder, VideoConfig(fps=30, end=(num_frames - 0.5) / 30))
    run = timed(reader, CameraConfig(focal_px=focal if known_focal else None))
    name = f"handheld {num_frames} frames, focal {'known' if known_focal else 'unknown'}"
    if run.result is None:
        yield row(f"{name}: solved", 0, "", at_least=1)
        return
    trajectory, report = run.result
    error = path_error_cm(trajectory.Ts_slam_camera, poses)
    yield row(f"{name}: path error", error, "cm", at_most=1.5 if num_frames <= 120 else 5.3)
    yield row(f"{name}: frames tracked", 100 * trajectory.tracked.mean(), "%", at_least=95)
    yield row(f"{name}: keyframes", report.numbers["keyframes"], "")
    yield row(f"{name}: CPU time", run.cpu, "s")
    if not known_focal:
        off = 100 * abs(trajectory.intrinsics.fx / focal - 1)
        yield row(f"{name}: focal length off by", off, "%", at_most=5)
        spread = 100 * report.numbers.get("focal_relative_std", float("nan"))
        yield row(f"{name}: focal length's stated deviation", spread, "%")


def classes(limit: int | None) -> Iterator[Row]:
    """Whether each sample clip is told right, its evidence, and the time beyond decoding."""
    for path, expected in CLIPS.items():
        end = None if limit is None else limit / 25
        run = timed(VideoReader.open(DATA / path, VideoConfig(end=end)), CameraConfig())
        name = Path(path).name
        right = run.result is not None and run.result[0].kind == expected
        yield row(f"{name}: told {expected}", right, "", at_least=1)
        if run.result is not None:
            windows = run.result[1].numbers["windows_long"]
            yield row(f"{name}: largest flow, 30 frames", max(windows["flow_px"]), "px/640")
            yield row(f"{name}: rotation residual", max(windows["residual_px"]), "px/640")
        yield row(
            f"{name}: time beyond decoding", run.per_frame_ms, "ms/frame",
            at_most=15 if expected == "static" else None,
        )  # fmt: skip


def backends(num_frames: int) -> Iterator[Row]:
    """Path error and CPU time of the moving camera's other back-ends, focal length known."""
    folder = DATA / "handheld_rgb"
    with np.load(folder / "truth.npz") as truth:
        poses, focal = truth["Ts_world_camera"][:num_frames], float(truth["K"][0, 0])
    reader = VideoReader.open(folder, VideoConfig(fps=30, end=(num_frames - 0.5) / 30))
    for backend in ("colmap", "colmap_incremental", "dense_ba"):
        run = timed(reader, CameraConfig(focal_px=focal, kind="moving", backend=backend))
        name = f"handheld {num_frames} frames, {backend}"
        yield row(f"{name}: solved", run.result is not None, "")
        if run.result is not None:
            error = path_error_cm(run.result[0].Ts_slam_camera, poses)
            yield row(f"{name}: path error", error, "cm")
        yield row(f"{name}: CPU time", run.cpu, "s")


class Looped:
    """The hand-held scan forwards and backwards until there are `num_frames`."""

    def __init__(self, num_frames: int) -> None:
        self.paths = sorted((DATA / "handheld_rgb").glob("*.jpg"))
        self.info = VideoInfo(
            path="looped", width=640, height=480, times=np.arange(num_frames) / 30,
            focal_px=None, sha256="looped",
        )  # fmt: skip

    def __iter__(self) -> Iterator[Frame]:
        period = 2 * len(self.paths) - 2
        for i, seconds in enumerate(self.info.times):
            place = min(i % period, period - i % period)
            image = cv2.imread(str(self.paths[place]), cv2.IMREAD_COLOR_RGB)
            yield Frame(index=i, time=float(seconds), image=np.asarray(image, np.uint8))


def growth() -> Iterator[Row]:
    """Time of 600, 1200 and 2400 frames, and the process's largest memory after each."""
    before = None
    for num_frames in (600, 1200, 2400):
        clip = Looped(num_frames)
        start = time.perf_counter()
        estimate_camera(clip, clip.info, lambda *_: None, CameraConfig(focal_px=585.0))
        wall = time.perf_counter() - start
        yield row(f"{num_frames} frames: time", wall, "s")
        if before is not None:
            yield row(f"{num_frames} frames: over half as many", wall / before, "x", at_most=2.2)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        yield row(f"{num_frames} frames: peak memory", peak, "MiB")
        before = wall


def measure(quick: bool, pictures: Path | None) -> Iterator[Row]:
    for num_frames in (120,) if quick else (120, 300):
        for known_focal in (True, False):
            yield from handheld(num_frames, known_focal=known_focal)
        if not quick:
            yield from backends(num_frames)
    yield from composited_person(120, pictures=pictures, quick=quick)
    yield from classes(100 if quick else None)
    yield from study(range(1) if quick else range(3))
    if not quick:
        yield from growth()


if __name__ == "__main__":
    main("Camera", measure)
