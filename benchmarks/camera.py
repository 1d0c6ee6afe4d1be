"""The camera stage: path error and time on a hand-held scan with truth, classes on real clips.

No masks here: the hand-held scan shows nobody, and the classes must not hang on the people stage.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.camera_paths import path_error_cm
from benchmarks.camera_person import composited_person
from benchmarks.camera_study import study
from benchmarks.common import DATA, Row, main, row
from recon.core.camera import CameraTrajectory
from recon.core.errors import CameraError
from recon.core.stage import StageReport
from recon.core.video import Frame, FrameSource, VideoInfo
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
    """A run's result and cost beyond decoding; the result is None where it raised CameraError.

    Args:
        cpu: seconds of all threads. per_frame_ms: wall time.
    """

    result: tuple[CameraTrajectory, StageReport] | None
    cpu: float
    per_frame_ms: float


def timed(clip: FrameSource, config: CameraConfig) -> Timed:
    """Runs the stage, and takes off what only decoding the frames costs."""
    start = _clocks()
    num_frames = sum(1 for _ in clip)
    decoding, start = _clocks() - start, _clocks()
    try:
        result = estimate_camera(clip, clip.info, lambda *_: None, config)
    except CameraError:
        result = None
    wall, cpu = (_clocks() - start - decoding).tolist()
    return Timed(result=result, cpu=cpu, per_frame_ms=1000 * wall / num_frames)


def _clocks() -> np.ndarray:
    """Wall and CPU seconds."""
    return np.array([time.perf_counter(), time.process_time()])


@contextmanager
def one_thread() -> Iterator[None]:
    """OpenCV and the linear algebra on one thread, so that CPU seconds count no waiting threads."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        cv2.setNumThreads(threads)


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
    """Path error and CPU time of the moving camera's back-ends, focal length known, one thread."""
    folder = DATA / "handheld_rgb"
    with np.load(folder / "truth.npz") as truth:
        poses, focal = truth["Ts_world_camera"][:num_frames], float(truth["K"][0, 0])
    reader = VideoReader.open(folder, VideoConfig(fps=30, end=(num_frames - 0.5) / 30))
    errors, cpu = {}, {}
    for backend in ("tracks", "colmap", "colmap_incremental", "dense_ba"):
        with one_thread():
            run = timed(reader, CameraConfig(focal_px=focal, kind="moving", backend=backend))
        name = f"handheld {num_frames} frames, {backend}"
        yield row(f"{name}: solved", run.result is not None, "")
        if run.result is not None:
            errors[backend] = path_error_cm(run.result[0].Ts_slam_camera, poses)
            yield row(f"{name}: path error", errors[backend], "cm")
        cpu[backend] = run.cpu
        yield row(f"{name}: CPU time", run.cpu, "s")
    name = f"handheld {num_frames} frames"
    share = 100 * cpu["tracks"] / cpu["colmap"]
    yield row(f"{name}: tracks CPU / SIFT-global CPU", share, "%", at_most=25)
    excess = errors.get("tracks", np.inf) / min(errors.values(), default=1.0)
    yield row(f"{name}: tracks ATE / best ATE", excess, "x", at_most=1.1)


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
    """CPU time of 600, 1200 and 2400 frames, and the process's largest memory after each."""
    with np.load(DATA / "handheld_rgb" / "truth.npz") as truth:
        config = CameraConfig(focal_px=float(truth["K"][0, 0]))
    before = None
    for num_frames in (600, 1200, 2400):
        with one_thread():
            run = timed(Looped(num_frames), config)
        yield row(f"{num_frames} frames: solved", run.result is not None, "", at_least=1)
        yield row(f"{num_frames} frames: CPU time", run.cpu, "s")
        if before is not None:
            ratio = run.cpu / before
            yield row(f"{num_frames} frames: CPU over half as many", ratio, "x", at_most=2.2)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        yield row(f"{num_frames} frames: peak memory", peak, "MiB")
        before = run.cpu


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
