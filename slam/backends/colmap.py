"""A moving camera: keyframes by pycolmap's global mapper, the frames between by resection."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recon.core.camera import CameraTrajectory, Intrinsics
from recon.core.errors import CameraError
from recon.core.stage import Decision
from slam.backends.base import CameraProblem, CameraSolution
from slam.features import describe
from slam.intrinsics import MAX_FOV_DEG, MIN_FOV_DEG
from slam.mapping import KeyframeMap, map_keyframes
from slam.resection import place_frames
from slam.tracks import LONG_SIDE

MIN_KEYFRAMES, MIN_TRACKED = 0.7, 0.7
MIN_TRIANGULATION_DEG = 1.0
MAX_REPROJECTION_PX = 1.5
OTHER_FLAGS = (
    "if the camera stood still or only turned, run again with --camera static or --camera rotating"
)


class ColmapCamera:
    """Global structure from motion on KLT points and SIFT of the keyframes."""

    def solve(self, problem: CameraProblem) -> CameraSolution:
        tracks, intrinsics = problem.tracks, problem.intrinsics
        small = intrinsics.resized(tracks.width, tracks.height)
        features = [describe(tracks, keyframe) for keyframe in tracks.keyframes]
        guess = intrinsics.source == "prior"
        mapped = map_keyframes(
            features, small, focal_range=_focal_range(small) if guess else None, seed=problem.seed
        )
        num_keyframes = len(tracks.keyframes)
        if mapped is None:
            raise CameraError(
                f"expected to reconstruct the moving camera's {num_keyframes} keyframes, got no "
                f"consistent model; {OTHER_FLAGS}"
            )
        focal_why = ""
        if guess:
            intrinsics, focal_why = _judge_focal(mapped, intrinsics, small=small)
        poses, tracked = place_frames(
            tracks, mapped, times=problem.times,
            intrinsics=intrinsics.resized(tracks.width, tracks.height),
        )  # fmt: skip
        numbers = {
            "keyframes": num_keyframes,
            "registered_keyframes": round(len(mapped.rows) / num_keyframes, 3),
            "tracked": round(float(tracked.mean()), 3),
            "triangulation_deg": round(mapped.triangulation_deg, 2),
            "reprojection_px": round(
                mapped.reprojection_px * LONG_SIDE / max(tracks.width, tracks.height), 3
            ),
            "points": len(mapped.points_map),
        }
        _require_trust(numbers)
        return CameraSolution(
            trajectory=CameraTrajectory(
                kind="moving",
                backend="colmap",
                intrinsics=intrinsics,
                Ts_slam_camera=poses,
                tracked=tracked,
                points_slam=mapped.points_map,
                point_colors=mapped.colors,
            ),
            focal_why=focal_why,
            decisions=(_trust_decision(numbers),),
            warnings=_gaps(tracked),
            numbers=numbers,
        )


def _focal_range(intrinsics: Intrinsics) -> tuple[float, float]:
    """Focal lengths (px) that video cameras have."""
    half = 0.5 * max(intrinsics.width, intrinsics.height)
    wide, narrow = half / np.tan(np.radians([MAX_FOV_DEG, MIN_FOV_DEG]) / 2)
    return float(wide), float(narrow)


def _judge_focal(
    mapped: KeyframeMap, intrinsics: Intrinsics, *, small: Intrinsics
) -> tuple[Intrinsics, str]:
    """The video's intrinsics with the map's focal length, and what the bundle did to it."""
    enlarge = intrinsics.fx / small.fx
    wanted = mapped.wanted_focal_px * enlarge
    contrast = f"25 % off raises the reprojection error {mapped.focal_contrast:.2f} times"
    if mapped.focal_px != mapped.wanted_focal_px:
        return intrinsics, (
            f"kept as assumed: the bundle wanted {wanted:.0f} px, but the motion hardly determines "
            f"it ({contrast}); --focal or --fov sets it"
        )
    refined = replace(intrinsics, fx=wanted, fy=wanted, source="estimated")
    return refined, (
        f"refined in the bundle from {intrinsics.fx:.0f} px as assumed, with {len(mapped.rows)} "
        f"keyframes and {len(mapped.points_map)} points; {contrast}"
    )


def _require_trust(numbers: dict) -> None:
    """Raises CameraError with the first number that is too bad to go on."""
    checks = (
        (numbers["registered_keyframes"] >= MIN_KEYFRAMES,
         f"at least {MIN_KEYFRAMES:.0%} of the keyframes registered",
         f"{numbers['registered_keyframes']:.0%}"),
        (numbers["tracked"] >= MIN_TRACKED,
         f"at least {MIN_TRACKED:.0%} of the frames placed", f"{numbers['tracked']:.0%}"),
        (numbers["triangulation_deg"] >= MIN_TRIANGULATION_DEG,
         f"points seen under at least {MIN_TRIANGULATION_DEG} degrees",
         f"{numbers['triangulation_deg']} degrees"),
        (numbers["reprojection_px"] <= MAX_REPROJECTION_PX,
         f"points to reproject within {MAX_REPROJECTION_PX} px",
         f"{numbers['reprojection_px']} px"),
    )  # fmt: skip
    for fine, expected, actual in checks:
        if not fine:
            raise CameraError(
                f"expected {expected} for a moving camera, got {actual}: its path cannot be "
                f"trusted; {OTHER_FLAGS}"
            )


def _trust_decision(numbers: dict) -> Decision:
    return Decision(
        name="camera path",
        value="trusted",
        why=(
            f"{numbers['registered_keyframes']:.0%} of {numbers['keyframes']} keyframes registered"
            f", {numbers['tracked']:.0%} of all frames placed; {numbers['points']} points, seen "
            f"under {numbers['triangulation_deg']} degrees (median), mean reprojection error "
            f"{numbers['reprojection_px']} px of a 640 px wide picture"
        ),
    )


def _gaps(tracked: np.ndarray) -> tuple[str, ...]:
    missing = int((~tracked).sum())
    return (f"the camera's pose was interpolated in {missing} frames",) if missing else ()
