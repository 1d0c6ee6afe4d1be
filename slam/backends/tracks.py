"""A moving camera: keyframes by pycolmap's mappers, the frames between by resection."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, replace
from typing import Any, Literal

import numpy as np

from recon.core.camera import CameraTrajectory, Intrinsics
from recon.core.errors import CameraError
from recon.core.geometry import Array
from recon.core.stage import Check, Decision
from slam.backends.base import CameraProblem, CameraSolution
from slam.features import describe
from slam.intrinsics import MAX_FOV_DEG, MIN_FOV_DEG
from slam.mapping import KeyframeMap, map_keyframes
from slam.refine_path import RefinedPath, refine_path
from slam.resection import match_frame, place_frames
from slam.tracks import LONG_SIDE, BackgroundTracks

MIN_KEYFRAMES, MIN_TRACKED = 0.7, 0.7
MIN_TRIANGULATION_DEG = 1.0
MAX_REPROJECTION_PX = 1.5
MIN_SURVIVAL = 0.5
# In median scene depths; the study in benchmarks.camera shows where good and bad paths lie.
MAX_DISAGREEMENT, MAX_DISAGREEMENT_DEG = 0.05, 2.0
OTHER_FLAGS = (
    "if the camera stood still or only turned, run again with --camera static or --camera rotating"
)


class MappedCamera(ABC):
    """A back-end that reconstructs keyframes and judges the result; how is its subclass's own."""

    backend: str

    @abstractmethod
    def reconstruct(
        self,
        tracks: BackgroundTracks,
        intrinsics: Intrinsics,
        *,
        focal_range: tuple[float, float] | None,
        seed: int,
    ) -> KeyframeMap | None:
        """As `map_keyframes`, from the keyframes of `tracks`."""

    @abstractmethod
    def place(
        self, problem: CameraProblem, mapped: KeyframeMap, intrinsics: Intrinsics
    ) -> tuple[Array, np.ndarray, dict[str, Any]]:
        """As `place_frames`: poses (T, 4, 4) of all frames, and which of them were seen, (T,);
        more numbers, JSON-native."""

    def solve(self, problem: CameraProblem) -> CameraSolution:
        tracks, intrinsics = problem.tracks, problem.intrinsics
        small = intrinsics.resized(tracks.width, tracks.height)
        guess = intrinsics.source == "prior"
        mapped = self.reconstruct(
            tracks,
            small,
            focal_range=video_focal_range(small) if guess else None,
            seed=problem.seed,
        )
        if mapped is None:
            raise no_model(len(tracks.keyframes))
        focal_why = ""
        if guess:
            intrinsics, focal_why = judge_focal(mapped, intrinsics, small=small)
        poses, tracked, placing = self.place(
            problem, mapped, intrinsics.resized(tracks.width, tracks.height)
        )
        numbers = map_numbers(mapped, tracks, tracked=tracked) | placing
        require_trust(numbers)
        return CameraSolution(
            trajectory=CameraTrajectory(
                kind="moving",
                backend=self.backend,
                intrinsics=intrinsics,
                Ts_slam_camera=poses,
                tracked=tracked,
                points_slam=mapped.points_map,
                point_colors=mapped.colors,
            ),
            focal_why=focal_why,
            decisions=(trust_decision(numbers),),
            warnings=gaps(tracked),
            numbers=numbers,
        )


class TracksCamera(MappedCamera):
    """Structure from motion on the keyframes' KLT points and SIFT, the rest from KLT points."""

    backend = "tracks"

    def reconstruct(
        self,
        tracks: BackgroundTracks,
        intrinsics: Intrinsics,
        *,
        focal_range: tuple[float, float] | None,
        seed: int,
    ) -> KeyframeMap | None:
        features = [describe(tracks, keyframe) for keyframe in tracks.keyframes]
        return map_keyframes(features, intrinsics, focal_range=focal_range, seed=seed)

    def place(
        self, problem: CameraProblem, mapped: KeyframeMap, intrinsics: Intrinsics
    ) -> tuple[Array, np.ndarray, dict[str, Any]]:
        tracks, times = problem.tracks, problem.times
        poses, tracked = place_frames(tracks, mapped, times=times, intrinsics=intrinsics)
        held = np.zeros(tracks.num_frames, bool)
        held[[tracks.keyframes[row].index for row in mapped.rows]] = True
        matches = [match_frame(tracks, mapped, i) for i in range(tracks.num_frames)]
        path = refine_path(poses, matches, held=held, times=times, intrinsics=intrinsics)
        return path.Ts_map_camera, tracked, path_numbers(path)


def map_numbers(
    mapped: KeyframeMap, tracks: BackgroundTracks, *, tracked: np.ndarray
) -> dict[str, Any]:
    """The numbers by which a map is judged, JSON-native; px in a 640 px wide picture."""
    num_keyframes, agreed = len(tracks.keyframes), mapped.agreement
    numbers: dict[str, Any] = {
        "keyframes": num_keyframes,
        "registered_keyframes": round(len(mapped.rows) / num_keyframes, 3),
        "tracked": round(float(tracked.mean()), 3),
        "survival": round(float(np.median(tracks.looks[:, 0])), 3),
        "triangulation_deg": round(mapped.triangulation_deg, 2),
        "reprojection_px": round(
            mapped.reprojection_px * LONG_SIDE / max(tracks.width, tracks.height), 3
        ),
        "points": len(mapped.points_map),
    }
    if agreed is not None:
        numbers["mappers_shared"] = round(agreed.shared, 3)
        if np.isfinite(agreed.position):
            numbers["mappers_differ"] = round(agreed.position, 4)
            numbers["mappers_differ_deg"] = round(agreed.rotation_deg, 3)
    if mapped.focal_relative_std is not None:
        numbers["focal_relative_std"] = round(mapped.focal_relative_std, 3)
    return numbers | {"path_checks": [asdict(check) for check in trust_checks(numbers)]}


def path_numbers(path: RefinedPath) -> dict[str, Any]:
    """How many frames saw few points, and how far their poses moved (median scene depths)."""
    return {
        "few_points": int(path.few.sum()),
        "few_points_moved": round(float(path.moved.max()), 5),
        "few_points_turned_deg": round(float(np.degrees(path.turned.max())), 4),
    }


def no_model(num_keyframes: int) -> CameraError:
    """The error that nothing could be reconstructed."""
    return CameraError(
        f"expected to reconstruct the moving camera's {num_keyframes} keyframes, got no "
        f"consistent model; {OTHER_FLAGS}"
    )


def video_focal_range(intrinsics: Intrinsics) -> tuple[float, float]:
    """Focal lengths (px) that video cameras have."""
    half = 0.5 * max(intrinsics.width, intrinsics.height)
    wide, narrow = half / np.tan(np.radians([MAX_FOV_DEG, MIN_FOV_DEG]) / 2)
    return float(wide), float(narrow)


def judge_focal(
    mapped: KeyframeMap, intrinsics: Intrinsics, *, small: Intrinsics
) -> tuple[Intrinsics, str]:
    """The video's intrinsics with the map's focal length, and what the bundle did to it."""
    enlarge = intrinsics.fx / small.fx
    wanted = mapped.wanted_focal_px * enlarge
    contrast = (
        f"25 % off raises the reprojection error {mapped.focal_contrast:.2f} times, so it is good "
        f"to about {mapped.focal_relative_std:.0%}"
    )
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


def trust_checks(numbers: dict[str, Any]) -> list[Check]:
    """What a moving camera's path must hold to be believed, from `map_numbers`."""
    checks: list[tuple[str, str, float, Literal["below", "above"], str]] = [
        ("keyframes registered", "registered_keyframes", MIN_KEYFRAMES, "above", "%"),
        ("frames placed", "tracked", MIN_TRACKED, "above", "%"),
        ("angle under which points are seen, median", "triangulation_deg",
         MIN_TRIANGULATION_DEG, "above", "degrees"),
        ("reprojection error, mean", "reprojection_px", MAX_REPROJECTION_PX, "below", "px"),
        ("points followed forward and back, median", "survival", MIN_SURVIVAL, "above", "%"),
        ("mappers' difference in place, of the scene's depth", "mappers_differ",
         MAX_DISAGREEMENT, "below", "%"),
        ("mappers' difference in direction", "mappers_differ_deg", MAX_DISAGREEMENT_DEG,
         "below", "degrees"),
    ]  # fmt: skip
    return [
        Check(
            key=key,
            what=what,
            value=numbers[key],
            limit=limit,
            passes=passes,
            says="trusted",
            unit=unit,
        )
        for what, key, limit, passes, unit in checks
        if key in numbers
    ]


def require_trust(numbers: dict[str, Any]) -> None:
    """Raises CameraError with the first number that is too bad to go on."""
    for check in trust_checks(numbers):
        if not check.holds:
            bound = "at least" if check.passes == "above" else "at most"
            raise CameraError(
                f"expected {check.what}: {bound} {check.text(check.limit)} for a moving camera, "
                f"got {check.text(check.value)}: its path cannot be trusted; {OTHER_FLAGS}"
            )


def trust_decision(numbers: dict[str, Any]) -> Decision:
    """Why the path is believed, in words."""
    checked = "; a second mapper found no model as good, so none checks it"
    if "mappers_differ" in numbers:
        checked = (
            f"; a second mapper puts the cameras within {numbers['mappers_differ']:.1%} of the "
            f"scene's depth and {numbers['mappers_differ_deg']} degrees"
        )
    return Decision(
        name="camera path",
        value="trusted",
        why=(
            f"{numbers['registered_keyframes']:.0%} of {numbers['keyframes']} keyframes registered"
            f", {numbers['tracked']:.0%} of all frames placed; {numbers['points']} points, seen "
            f"under {numbers['triangulation_deg']} degrees (median), mean reprojection error "
            f"{numbers['reprojection_px']} px of a 640 px wide picture{checked}"
        ),
    )


def gaps(tracked: np.ndarray) -> tuple[str, ...]:
    """The warning that frames had to be interpolated, if any were."""
    missing = int((~tracked).sum())
    return (f"the camera's pose was interpolated in {missing} frames",) if missing else ()
