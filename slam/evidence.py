"""What the background's motion says about the camera: static, rotating or moving."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from recon.core.camera import CameraKind, Intrinsics
from recon.core.errors import CameraError
from recon.core.stage import Decision
from slam.rotations import FocalSearch, Pair, fit_rotation, search_focal
from slam.tracks import LONG_SIDE, BackgroundTracks

SHORT_SPAN, LONG_SPAN, STEP = 5, 30, 5
MIN_SHARED = 30
HOMOGRAPHY_PX = 2.0

# At 640 px width. Measured over 30 frames without masks: tripod clips flow 0.04-0.12 and
# rotation residual 0.03-0.09, moving clips 2.6-19; the limits leave room for noise and shake.
STATIC_FLOW_PX, STATIC_RESIDUAL_PX = 1.5, 0.3
STATIC_DRIFT_PX = 4.0
ROTATING_RESIDUAL_PX = 1.0
FOCAL_WINDOWS = 16


@dataclass(frozen=True, kw_only=True)
class WindowEvidence:
    """The background's motion over windows of up to `span` frames; px in a 640 px wide picture.

    A window is shorter than `span` where too few points survive that long, and left out where
    too few are shared even by neighbours.

    Args:
        span: frames. starts, ends: (W,) frame indices. shared: (W,) points in both.
        flow_px: (W,) median length of the points' motion. drift_px: (W, 2) median motion.
        residual_px: (W,) median residual of the best pure rotation.
        parallax_px: (W,) 80th percentile of that residual.
        homography: (W,) share of the points within 2 px of one homography.
    """

    span: int
    starts: np.ndarray
    ends: np.ndarray
    shared: np.ndarray
    flow_px: np.ndarray
    drift_px: np.ndarray
    residual_px: np.ndarray
    parallax_px: np.ndarray
    homography: np.ndarray


@dataclass(frozen=True, kw_only=True)
class MotionEvidence:
    """All that decides the camera's class.

    Args:
        intrinsics: under which the rotations were fitted, for the tracks' pictures.
        focal: the search for the focal length; None where it was known or nothing turned.
        drift_px: largest distance of the background's median from where it began, at 640 px.
        lost: (T,) bool, frames that share too few points with their predecessor.
    """

    intrinsics: Intrinsics
    focal: FocalSearch | None
    short: WindowEvidence
    long: WindowEvidence
    drift_px: float
    lost: np.ndarray


def measure_motion(tracks: BackgroundTracks, intrinsics: Intrinsics) -> MotionEvidence:
    """Windows of 5 and 30 frames, and the focal length that rotations want where it is a guess.

    Args:
        tracks: of the background. intrinsics: for the tracks' pictures.
    """
    shared = [MIN_SHARED, *(len(tracks.common(i, i + 1)[0]) for i in range(tracks.num_frames - 1))]
    lost = np.array(shared) < MIN_SHARED
    focal = _turning_focal(tracks, intrinsics) if intrinsics.source == "prior" else None
    used = intrinsics if focal is None else focal.intrinsics
    return MotionEvidence(
        intrinsics=used,
        focal=focal,
        short=measure_windows(tracks, used, span=SHORT_SPAN),
        long=measure_windows(tracks, used, span=LONG_SPAN),
        drift_px=_total_drift(tracks),
        lost=lost,
    )


def measure_windows(
    tracks: BackgroundTracks, intrinsics: Intrinsics, *, span: int
) -> WindowEvidence:
    """Motion over windows of `span` frames that start every few frames."""
    unit = LONG_SIDE / max(tracks.width, tracks.height)
    rows = []
    for start in _starts(tracks, span):
        end, (a, b) = _widest(tracks, start, span)
        if len(a) < MIN_SHARED:
            continue
        _, residuals = fit_rotation(a, b, intrinsics)
        drift = np.median(b - a, axis=0) * unit
        rows.append(
            (
                start, end, len(a), np.median(np.linalg.norm(b - a, axis=1)) * unit, *drift,
                np.median(residuals) * unit, np.quantile(residuals, 0.8) * unit,
                _homography_share(a, b),
            )
        )  # fmt: skip
    table = np.array(rows, dtype=float).reshape(len(rows), 9)
    return WindowEvidence(
        span=span, starts=table[:, 0].astype(int), ends=table[:, 1].astype(int),
        shared=table[:, 2].astype(int), flow_px=table[:, 3], drift_px=table[:, 4:6],
        residual_px=table[:, 6], parallax_px=table[:, 7], homography=table[:, 8],
    )  # fmt: skip


def classify(evidence: MotionEvidence) -> tuple[CameraKind, Decision]:
    """What the camera does, with the numbers that say so.

    Raises:
        CameraError: too few background points in the clip to tell anything.
    """
    long, lost = evidence.long, evidence.lost
    if len(lost) > 1 and lost[1:].mean() > 0.5:
        raise CameraError(
            f"expected at least {MIN_SHARED} background points from frame to frame, got fewer in "
            f"{lost[1:].mean():.0%} of the frames: the picture is too plain, dark or crowded to "
            "see what the camera does; if it stood still, run again with --camera static"
        )
    if len(long.starts) == 0:
        return "static", Decision(name="camera", value="static", why="the clip has one frame only")
    flow, residual = float(long.flow_px.max()), float(long.residual_px.max())
    numbers = (
        f"over up to {long.span} frames the background moves by at most {flow:.2f} px, and by at "
        f"most {residual:.2f} px against the best pure rotation (of a 640 px wide picture; "
        f"{int(np.median(long.shared))} points)"
    )
    if (
        flow < STATIC_FLOW_PX
        and residual < STATIC_RESIDUAL_PX
        and evidence.drift_px < STATIC_DRIFT_PX
    ):
        kind: CameraKind = "static"
        why = (
            f"{numbers}: below {STATIC_FLOW_PX} and {STATIC_RESIDUAL_PX} px, the level of noise; "
            f"and by {evidence.drift_px:.1f} px in the whole clip"
        )
    elif residual < ROTATING_RESIDUAL_PX:
        kind = "rotating"
        why = f"{numbers}: a rotation explains all of it to within {ROTATING_RESIDUAL_PX} px"
    else:
        kind = "moving"
        why = f"{numbers}: more than {ROTATING_RESIDUAL_PX} px, so the camera's place changes"
    return kind, Decision(name="camera", value=kind, why=why)


def _starts(tracks: BackgroundTracks, span: int) -> range:
    last = max(tracks.num_frames - 1 - span, 0)
    return range(0, last + 1 if tracks.num_frames > 1 else 0, STEP)


def _widest(tracks: BackgroundTracks, start: int, span: int) -> tuple[int, Pair]:
    """The last frame, at most `span` after `start`, that still shares enough points with it."""
    end = min(start + span, tracks.num_frames - 1)
    while True:
        pair = tracks.common(start, end)
        if len(pair[0]) >= MIN_SHARED or end <= start + 1:
            return end, pair
        end = start + max(1, (end - start) * 2 // 3)


def _homography_share(a: np.ndarray, b: np.ndarray) -> float:
    _, inliers = cv2.findHomography(a, b, cv2.RANSAC, HOMOGRAPHY_PX, None, 100, 0.99)
    return 0.0 if inliers is None else float(inliers.mean())


def _total_drift(tracks: BackgroundTracks) -> float:
    """Largest distance of the summed median motion from zero, px at 640; sees a slow creep."""
    unit = LONG_SIDE / max(tracks.width, tracks.height)
    position, largest, start = np.zeros(2), 0.0, 0
    while start < tracks.num_frames - 1:
        end, (a, b) = _widest(tracks, start, LONG_SPAN)
        if len(a):
            position = position + np.median(b - a, axis=0) * unit
        largest, start = max(largest, float(np.linalg.norm(position))), end
    return largest


def _turning_focal(tracks: BackgroundTracks, intrinsics: Intrinsics) -> FocalSearch | None:
    """The focal length that rotations want, from the windows with most motion, or None.

    None where the background hardly moves, or where no focal length makes rotations fit: the
    camera's place changes then, and the fit would read its translation into the lens.
    """
    pairs = [_widest(tracks, start, LONG_SPAN)[1] for start in _starts(tracks, LONG_SPAN)]
    pairs = [pair for pair in pairs if len(pair[0]) >= MIN_SHARED]
    flows = [float(np.median(np.linalg.norm(b - a, axis=1))) for a, b in pairs]
    order = np.argsort(flows)[::-1][:FOCAL_WINDOWS]
    if len(order) == 0 or flows[order[0]] < 0.02 * tracks.width:
        return None
    search = search_focal([pairs[i] for i in order], intrinsics)
    unit = LONG_SIDE / max(tracks.width, tracks.height)
    return search if search.residual_px * unit < ROTATING_RESIDUAL_PX else None


def evidence_numbers(evidence: MotionEvidence) -> dict[str, object]:
    """The evidence as JSON-native lists of at most 200 points, for the report."""
    out: dict[str, object] = {"drift_px": round(evidence.drift_px, 3)}
    for windows in (evidence.short, evidence.long):
        rows = np.arange(len(windows.starts))[:: max(1, -(-len(windows.starts) // 200))]
        out[f"windows_{windows.span}"] = {
            "frame": windows.starts[rows].tolist(),
            **{
                name: [round(float(v), 3) for v in getattr(windows, name)[rows]]
                for name in ("flow_px", "residual_px", "parallax_px", "homography")
            },
        }
    return out
