"""DROID-SLAM: a moving camera from learned dense matches, with the user's own droid.pth.

The official weights have never been run here; see slam.droid. On a CPU every keyframe takes about
a minute and every other frame a few seconds: it is meant for a GPU.

Licence: BSD-3-Clause (princeton-vl/DROID-SLAM).
"""

from __future__ import annotations

import torch
from threadpoolctl import threadpool_limits

from recon.core.camera import CameraTrajectory
from recon.core.errors import InputError
from recon.core.weights import cache_dir
from slam.backends.base import CameraProblem, CameraSolution
from slam.backends.dense_ba import require_trust, trust_decision
from slam.backends.tracks import gaps
from slam.droid import DroidView, network_size, prepare, solve_clip
from slam.droid_network import CELL, NetworkMatcher, load_checkpoint
from slam.tracks import LONG_SIDE

WEIGHTS = "droid.pth"
# Px in a 640 px wide picture; a guess, since the official weights were never seen at work.
MAX_RESIDUAL_PX = 3.0


class DroidCamera:
    """Poses from DROID-SLAM's network; see slam.droid.

    Raises:
        InputError: droid.pth is not in the cache folder.
    """

    every_frame = True

    def __init__(self) -> None:
        self.weights = cache_dir() / WEIGHTS
        if not self.weights.is_file():
            raise InputError(
                f"camera back-end droid: expected DROID-SLAM's weights {self.weights}, got no such "
                "file; download droid.pth as github.com/princeton-vl/DROID-SLAM tells and put it "
                "there"
            )

    def solve(self, problem: CameraProblem) -> CameraSolution:
        tracks, intrinsics = problem.tracks, problem.intrinsics
        device = "cuda" if torch.cuda.is_available() else "cpu"
        matcher = NetworkMatcher(load_checkpoint(self.weights), device=device)
        width, height = network_size(tracks.width, tracks.height)
        frames = tracks.keyframes

        def view(frame: int) -> DroidView:
            return prepare(frames[frame], width=width, height=height)

        # The bundle adjustment's small products: threads would only wait for each other.
        with threadpool_limits(1, user_api="blas"):
            found = solve_clip(
                view, times=problem.times, matcher=matcher,
                camera=intrinsics.resized(width // CELL, height // CELL),
            )  # fmt: skip
        unit = LONG_SIDE * CELL / max(width, height)
        numbers = {
            "keyframes": len(found.keyframes),
            "links": found.links,
            "tracked": round(float(found.tracked.mean()), 3),
            "residual_px": round(found.residual * unit, 3),
            "parallax_px": round(found.parallax * unit, 3),
            "points": len(found.points_slam),
            "device": device,
        }
        require_trust(numbers, max_residual_px=MAX_RESIDUAL_PX)
        return CameraSolution(
            trajectory=CameraTrajectory(
                kind="moving", backend="droid", intrinsics=intrinsics,
                Ts_slam_camera=found.Ts_slam_camera, tracked=found.tracked,
                points_slam=found.points_slam, point_colors=found.point_colors,
            ),
            focal_why=(
                "kept as assumed: DROID-SLAM takes the lens as given; --focal or --fov sets it"
                if intrinsics.source == "prior"
                else ""
            ),
            decisions=(trust_decision(numbers),),
            warnings=gaps(found.tracked),
            numbers=numbers,
        )  # fmt: skip
