"""A camera that turns or zooms in one place: robust fits against a chain of anchor frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recon.core.camera import CameraKind, CameraTrajectory, Intrinsics
from recon.core.errors import CameraError
from recon.core.geometry import Array, make_transform, slerp_matrices
from slam.backends.base import CameraProblem, CameraSolution
from slam.evidence import MIN_SHARED, MotionEvidence
from slam.intrinsics import PRIOR_RELATIVE_STD
from slam.rotations import fit_rotation, fit_zoom
from slam.tracks import LONG_SIDE, BackgroundTracks

# A new anchor while half of the old one's points live: few anchors, so little drift.
ANCHOR_KEPT = 0.5
MIN_TRACKED = 0.7


class RotatingCamera:
    """Rotations only; the camera's centre is the slam frame's origin."""

    kind: CameraKind = "rotating"

    def solve(self, problem: CameraProblem) -> CameraSolution:
        tracks = problem.tracks
        intrinsics, focal_why = settle_focal(problem.evidence, problem.intrinsics)
        small = intrinsics.resized(tracks.width, tracks.height)
        zooming = self.kind == "zooming"
        rotations, tracked, residuals, zooms = chain_rotations(tracks, small, zooming=zooming)
        if tracked.mean() < MIN_TRACKED:
            raise CameraError(
                f"expected to follow a turning camera in most frames, got {tracked.mean():.0%}: "
                "too few background points last from frame to frame; if the camera stood still, "
                "run again with --camera static"
            )
        times = problem.times
        filled = slerp_matrices(times, times[tracked], rotations[tracked])
        warnings = ()
        if not tracked.all():
            warnings = (f"the camera's turn was interpolated in {(~tracked).sum()} frames",)
        if zooming:
            warnings = (*warnings, _zoom_warning(zooms))
        unit = LONG_SIDE / max(tracks.width, tracks.height)
        return CameraSolution(
            trajectory=CameraTrajectory(
                kind=self.kind,
                backend="zoom" if zooming else "rotation",
                intrinsics=intrinsics,
                Ts_slam_camera=make_transform(filled, np.zeros(3)),
                tracked=tracked,
                points_slam=np.zeros((0, 3)),
                point_colors=np.zeros((0, 3), np.uint8),
            ),
            focal_why=focal_why,
            warnings=warnings,
            numbers={
                "tracked": round(float(tracked.mean()), 3),
                "residual_px": round(float(np.median(residuals[tracked])) * unit, 3),
                **({"zoom": [round(float(z), 4) for z in zooms]} if zooming else {}),
                **focal_numbers(problem.evidence, problem.intrinsics),
            },
        )


class ZoomingCamera(RotatingCamera):
    """Rotations and a change of focal length; the trajectory holds one focal length only."""

    kind: CameraKind = "zooming"


def _zoom_warning(zooms: Array) -> str:
    return (
        "the lens zooms, or a flat wall that fills the picture comes nearer, which looks the same: "
        f"the focal length would change {zooms.max() / zooms.min():.2f} times, between "
        f"{zooms.min():.2f} and {zooms.max():.2f} of the first frame's; one focal length is used "
        "for all frames and no path is invented, so people's distances are wrong by as much; if "
        "the camera did move, run again with --camera moving"
    )


def chain_rotations(
    tracks: BackgroundTracks, intrinsics: Intrinsics, *, zooming: bool = False
) -> tuple[Array, np.ndarray, Array, Array]:
    """Rotations camera to first camera (T, 3, 3), tracked (T,), residuals (T,) px, zooms (T,).

    Every frame is fitted to the latest anchor, so errors add up per anchor, not per frame.

    Args:
        tracks: of the background. intrinsics: of the first frame, for the tracks' pictures.
        zooming: the focal length changes; zooms are its ratios to the first frame's.
    """
    num_frames = tracks.num_frames
    rotations = np.repeat(np.eye(3)[None], num_frames, axis=0)
    tracked, residuals = np.ones(num_frames, bool), np.zeros(num_frames)
    zooms = np.ones(num_frames)
    anchor = 0
    for i in range(1, num_frames):
        a, b = tracks.common(anchor, i)
        if len(a) < ANCHOR_KEPT * len(tracks.ids[anchor]) and anchor < i - 1 and tracked[i - 1]:
            anchor = i - 1
            a, b = tracks.common(anchor, i)
        if len(a) < MIN_SHARED // 2:
            tracked[i] = False
            continue
        focal = intrinsics.fx * zooms[anchor]
        lens = replace(intrinsics, fx=focal, fy=focal)
        ratio = fit_zoom(a, b, lens)[0] if zooming else 1.0
        zooms[i] = zooms[anchor] * ratio
        R_frame_anchor, errors = fit_rotation(a, b, lens, zoom=ratio)
        rotations[i] = rotations[anchor] @ R_frame_anchor.T
        residuals[i] = np.median(errors)
    return rotations, tracked, residuals, zooms


def focal_numbers(evidence: MotionEvidence, intrinsics: Intrinsics) -> dict[str, float]:
    """How well the turning determines a focal length that was not given."""
    if intrinsics.source != "prior" or evidence.focal is None:
        return {}
    return {"focal_relative_std": round(evidence.focal.relative_std, 3)}


def settle_focal(evidence: MotionEvidence, intrinsics: Intrinsics) -> tuple[Intrinsics, str]:
    """Intrinsics for the video under the focal length that the turning determines, and why.

    Args:
        evidence: of a camera that only turns. intrinsics: the assumed ones, video's own size.
    """
    search = evidence.focal
    if intrinsics.source != "prior" or search is None:
        return intrinsics, ""
    if search.relative_std > PRIOR_RELATIVE_STD:
        open_to = f"{search.relative_std:.0%}"
        return intrinsics, f"kept as assumed: the turning leaves it open to {open_to}"
    found = replace(
        search.intrinsics.resized(intrinsics.width, intrinsics.height), source="estimated"
    )
    why = (
        f"found from the turning: the rotations fit to {search.residual_px:.2f} px, against "
        f"{search.prior_residual_px:.2f} px as assumed; good to {search.relative_std:.0%}"
    )
    return found, why
