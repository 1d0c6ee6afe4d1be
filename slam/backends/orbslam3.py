"""ORB-SLAM3 through pyorbslam3, which the user installs: a moving camera from sparse features.

Licence: GPL-3.0 (both). It is not part of this project and runs in a process of its own, which
also keeps us alive where its C++ ends the process or crashes. Its result differs a little from run
to run: it maps in threads beside the tracking, at the pace of the video.

Source: Campos et al. 2021, ORB-SLAM3; the interface is that of pyorbslam3 0.1.1.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from recon.core.camera import CameraTrajectory, Intrinsics
from recon.core.errors import CameraError, MissingDependencyError
from recon.core.geometry import (
    Array,
    hat,
    invert_transform,
    make_transform,
    quat_to_matrix,
    xyzw_to_wxyz,
)
from recon.core.stage import Decision
from slam.backends.base import CameraProblem, CameraSolution
from slam.backends.tracks import MIN_TRACKED, OTHER_FLAGS, gaps
from slam.resection import interpolate_poses
from slam.tracks import LONG_SIDE, BackgroundTracks, Keyframe

FEATURES = 1500
# Frames apart at which the path is held against the background's points, and how far those may
# lie from where it allows them, px in a 640 px wide picture.
CHECK_FRAMES, MAX_EPIPOLAR_PX = 10, 1.5
START_SECONDS = 900.0  # reading its vocabulary takes tens of seconds, fetching it minutes
PAINT_SIGMA = 12.0

SETTINGS = """%YAML:1.0
File.version: "1.0"
Camera.type: "PinHole"
Camera1.fx: {fx:.6f}
Camera1.fy: {fy:.6f}
Camera1.cx: {cx:.6f}
Camera1.cy: {cy:.6f}
Camera.width: {width}
Camera.height: {height}
Camera.fps: {fps}
Camera.RGB: 1
ORBextractor.nFeatures: {features}
ORBextractor.scaleFactor: 1.2
ORBextractor.nLevels: 8
ORBextractor.iniThFAST: 20
ORBextractor.minThFAST: 7
Viewer.KeyFrameSize: 0.05
Viewer.KeyFrameLineWidth: 1.0
Viewer.GraphLineWidth: 1.0
Viewer.PointSize: 2.0
Viewer.CameraSize: 0.1
Viewer.CameraLineWidth: 1.0
Viewer.ViewpointX: 0.0
Viewer.ViewpointY: 0.0
Viewer.ViewpointZ: 0.0
Viewer.ViewpointF: 500.0
"""
"""All that ORB-SLAM3 insists on; a missing viewer setting ends its process."""


class OrbSlam3Camera:
    """Poses from ORB-SLAM3's monocular mode; people are painted out of its pictures.

    Raises:
        MissingDependencyError: pyorbslam3 is not installed.
    """

    every_frame = True

    def __init__(self) -> None:
        try:
            installed = find_spec("pyorbslam3") is not None
        except ValueError:  # blocked in sys.modules
            installed = False
        if not installed:
            raise MissingDependencyError("pyorbslam3", "orbslam3")

    def solve(self, problem: CameraProblem) -> CameraSolution:
        tracks, times = problem.tracks, problem.times
        with tempfile.TemporaryDirectory(prefix="recon3d-orbslam3-") as name:
            folder = Path(name)
            for row, keyframe in enumerate(tracks.keyframes):
                picture = cv2.cvtColor(paint_out_people(keyframe), cv2.COLOR_RGB2BGR)
                cv2.imwrite(str(folder / f"{row:06d}.png"), picture)
            np.save(folder / "times.npy", times)
            small = problem.intrinsics.resized(tracks.width, tracks.height)
            fps = max(1, round((len(times) - 1) / max(times[-1] - times[0], 1e-3)))
            (folder / "settings.yaml").write_text(settings(small, fps=fps), encoding="utf-8")
            _run(folder, seconds=START_SECONDS + 4 * float(times[-1] - times[0]))
            found, poses = read_trajectory(folder / "trajectory.txt", times)
        tracked = np.zeros(len(times), bool)
        tracked[found] = True
        path = interpolate_poses(times, times[found], poses)
        off = epipolar_error_px(tracks, path, tracked, small)
        off *= LONG_SIDE / max(small.width, small.height)
        numbers = {"tracked": round(float(tracked.mean()), 3), "epipolar_px": round(off, 3)}
        _require_trust(numbers)
        return CameraSolution(
            trajectory=CameraTrajectory(
                kind="moving", backend="orbslam3", intrinsics=problem.intrinsics,
                Ts_slam_camera=path, tracked=tracked,
                points_slam=np.zeros((0, 3)), point_colors=np.zeros((0, 3), np.uint8),
            ),
            focal_why=(
                "kept as assumed: ORB-SLAM3 takes the lens as given; --focal or --fov sets it"
                if problem.intrinsics.source == "prior"
                else ""
            ),
            decisions=(
                Decision(
                    name="camera path", value="trusted",
                    why=f"ORB-SLAM3 placed {tracked.mean():.0%} of the frames; the background's "
                    f"points lie {numbers['epipolar_px']} px (median) from where its path allows "
                    "them",
                ),
            ),
            warnings=gaps(tracked),
            numbers=numbers,
        )  # fmt: skip


def _require_trust(numbers: dict[str, float]) -> None:
    """Raises CameraError with the first number that is too bad to go on."""
    checks = (
        (numbers["tracked"] >= MIN_TRACKED,
         f"at least {MIN_TRACKED:.0%} of the frames placed", f"{numbers['tracked']:.0%}"),
        (numbers["epipolar_px"] <= MAX_EPIPOLAR_PX,
         f"the background's points within {MAX_EPIPOLAR_PX} px of where the path allows them",
         f"{numbers['epipolar_px']} px"),
    )  # fmt: skip
    for fine, expected, actual in checks:
        if not fine:
            raise CameraError(
                f"expected {expected} by ORB-SLAM3, got {actual}: its path cannot be trusted; "
                f"{OTHER_FLAGS}"
            )


def epipolar_error_px(
    tracks: BackgroundTracks, Ts_slam_camera: Array, tracked: np.ndarray, intrinsics: Intrinsics
) -> float:
    """Median distance (px) of background points from their epipolar lines along a path, between
    placed frames CHECK_FRAMES apart; inf where no two share points.

    Args: intrinsics: for the tracks' pictures.
    """
    K_inverse = np.linalg.inv(intrinsics.matrix)
    distances = [np.zeros(0)]
    for a in range(len(tracked) - CHECK_FRAMES):
        b = a + CHECK_FRAMES
        if not (tracked[a] and tracked[b]):
            continue
        T_b_a = invert_transform(Ts_slam_camera[b]) @ Ts_slam_camera[a]
        F = K_inverse.T @ hat(T_b_a[:3, 3]) @ T_b_a[:3, :3] @ K_inverse
        in_a, in_b = (np.column_stack([p, np.ones(len(p))]) for p in tracks.common(a, b))
        lines = in_a @ F.T
        length = np.maximum(np.linalg.norm(lines[:, :2], axis=1), 1e-12)
        distances.append(np.abs((in_b * lines).sum(axis=1)) / length)
    everything = np.concatenate(distances)
    return float(np.median(everything)) if len(everything) else np.inf


def settings(intrinsics: Intrinsics, *, fps: int) -> str:
    """ORB-SLAM3's settings file. Its first pixel's centre is (0, 0)."""
    k = intrinsics
    return SETTINGS.format(
        fx=k.fx, fy=k.fy, cx=k.cx - 0.5, cy=k.cy - 0.5, width=k.width, height=k.height, fps=fps,
        features=FEATURES,
    )  # fmt: skip


def paint_out_people(keyframe: Keyframe) -> np.ndarray:
    """The picture (H, W, 3) uint8 RGB with a blur of their surroundings in place of people, in
    which no corner is found: ORB-SLAM3 knows no masks."""
    image = keyframe.image()
    free = keyframe.background(*image.shape[:2])
    if free.all():
        return image
    weight = free.astype(np.float32)[..., None]
    around = cv2.GaussianBlur(image * weight, (0, 0), PAINT_SIGMA)
    share = cv2.GaussianBlur(weight, (0, 0), PAINT_SIGMA)[..., None]
    known = image[free].mean(axis=0) if free.any() else 128.0
    blurred = (around + 1e-3 * known) / (share + 1e-3)
    return np.where(weight > 0, image, blurred.round()).astype(np.uint8)


def read_trajectory(path: Path, times: Array) -> tuple[np.ndarray, Array]:
    """Frames (n,) int and their poses (n, 4, 4), camera to slam, from ORB-SLAM3's EuRoC format:
    nanoseconds, position, quaternion xyzw."""
    rows = np.loadtxt(path, ndmin=2)
    found = np.abs(rows[:, :1] * 1e-9 - times).argmin(axis=1)
    found, first = np.unique(found, return_index=True)
    rows = rows[first]
    return found, make_transform(quat_to_matrix(xyzw_to_wxyz(rows[:, 4:8])), rows[:, 1:4])


def _run(folder: Path, *, seconds: float) -> None:
    """Follows the folder's pictures in another process.

    Raises:
        CameraError: it left no trajectory. It may yet have crashed after writing one.
    """
    command = [sys.executable, "-m", "slam.backends.orbslam3_worker", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise CameraError(
            f"expected ORB-SLAM3 to end, got no end after {seconds:.0f} s; {OTHER_FLAGS}"
        ) from error
    path = folder / "trajectory.txt"
    if not (path.is_file() and path.stat().st_size):
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        why = said[-1] if said and done.returncode > 0 else f"exit code {done.returncode}"
        raise CameraError(f"expected a trajectory from ORB-SLAM3, got: {why}")
