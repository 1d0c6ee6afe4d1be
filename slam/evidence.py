"""What the background's motion says about the camera: static, rotating, zooming or moving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from threadpoolctl import threadpool_limits

from recon.core.camera import CameraKind, Intrinsics
from recon.core.errors import CameraError
from recon.core.geometry import Array
from recon.core.stage import Check, Decision
from slam.rotations import FocalSearch, Pair, fit_rotation, fit_zoom, search_focal
from slam.tracks import LONG_SIDE, BackgroundTracks
from slam.two_views import NOISE_RATIO, two_views

# A class is a matter of seconds, not of frames: 10 and 120 frames per second must agree.
SHORT_SECONDS, LONG_SECONDS, STEP_SECONDS = 1 / 6, 1.0, 1 / 6
MIN_SHARED, WELL_SHARED = 30, 80

# At 640 px width. Measured over one second without masks: tripod clips flow 0.04-0.12 and
# rotation residual 0.03-0.09, moving clips 2.6-19; the limits leave room for noise and shake.
# The study in benchmarks.camera prints the margins to both sides.
STATIC_FLOW_PX, STATIC_RESIDUAL_PX = 1.5, 0.3
STATIC_DRIFT_PX, NOISE_SHARE = 4.0, 0.75
ROTATING_RESIDUAL_PX, ZOOM_RESIDUAL_PX = 1.0, 0.5
MAX_NOISY_RESIDUAL_PX = 3.0
ZOOM_RATIO = 1.02
# Without depth in view a zoom and a dolly look alike, all the more under an unknown lens.
ZOOM_SHARE, CLEAR_ZOOM_RATIO = 0.95, 1.05
PLANAR_SHARE = 0.9
STILL_FLOW_PX, JOLT_SECONDS = 0.6, 0.7
FOCAL_WINDOWS = 16
UNDECIDED = (
    "a zoom, or a flat wall that fills the picture and comes nearer, which look the same; no path "
    "is invented"
)


@dataclass(frozen=True, kw_only=True)
class WindowEvidence:
    """The background's motion over windows of up to `seconds`; px in a 640 px wide picture.

    A window is shorter where too few points survive that long, and left out where too few are
    shared even by neighbours.

    Args:
        seconds: length. starts, ends: (W,) frame indices. shared: (W,) points in both.
        flow_px: (W,) median length of the points' motion. drift_px: (W, 2) median motion.
        residual_px: (W,) median residual of the best pure rotation.
        parallax_px: (W,) 80th percentile of that residual.
        zoom_residual_px: (W,) median residual of the best rotation with a change of focal length.
        zoom: (W,) that change, focal length at the end over that at the start.
        homography: (W,) points within 2 px of one homography, over those within 2 px of one
            fundamental matrix: near 1 for a plane, a rotation or a zoom.
        noise_px: (W,) median distance to the epipolar geometry: the tracker's noise, as no motion
            of the camera in a rigid scene adds to it.
        depth_ratio: (W,) median distance to one homography, over that noise.
    """

    seconds: float
    starts: np.ndarray
    ends: np.ndarray
    shared: np.ndarray
    flow_px: np.ndarray
    drift_px: np.ndarray
    residual_px: np.ndarray
    parallax_px: np.ndarray
    zoom_residual_px: np.ndarray
    zoom: np.ndarray
    homography: np.ndarray
    noise_px: np.ndarray
    depth_ratio: np.ndarray

    def limits_px(self, floor_px: float) -> np.ndarray:
        """(W,) residuals that noise alone explains, at least `floor_px` (lenses, shutters)."""
        return np.clip(NOISE_RATIO * self.noise_px, floor_px, MAX_NOISY_RESIDUAL_PX)


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


@threadpool_limits.wrap(limits=1)  # small products: threads would only wait for each other
def measure_motion(
    tracks: BackgroundTracks, intrinsics: Intrinsics, times: Array
) -> MotionEvidence:
    """Windows of a sixth of a second and of one, and the focal length that rotations want.

    The focal length is only sought where it is a guess.

    Args:
        tracks: of the background. intrinsics: for the tracks' pictures. times: (T,) seconds.
    """
    shared = [MIN_SHARED, *(len(tracks.common(i, i + 1)[0]) for i in range(tracks.num_frames - 1))]
    lost = np.array(shared) < MIN_SHARED
    windows = _windows(tracks, times, LONG_SECONDS)
    focal = None
    if intrinsics.source == "prior":
        focal = _turning_focal(tracks, [pair for _, _, pair in windows], intrinsics)
    used = intrinsics if focal is None else focal.intrinsics
    short = _windows(tracks, times, SHORT_SECONDS)
    return MotionEvidence(
        intrinsics=used,
        focal=focal,
        short=measure_windows(tracks, short, used, seconds=SHORT_SECONDS),
        long=measure_windows(tracks, windows, used, seconds=LONG_SECONDS),
        drift_px=_total_drift(tracks, times),
        lost=lost,
    )


Window = tuple[int, int, Pair]
"""First and last frame, and the pixels of the points they share."""


def measure_windows(
    tracks: BackgroundTracks, windows: Sequence[Window], intrinsics: Intrinsics, *, seconds: float
) -> WindowEvidence:
    """Motion over windows of `seconds`; those with too few points are left out."""
    unit = LONG_SIDE / max(tracks.width, tracks.height)
    rows = []
    for start, end, (a, b) in windows:
        if len(a) < MIN_SHARED:
            continue
        _, residuals = fit_rotation(a, b, intrinsics)
        residual = zoomed = float(np.median(residuals))
        zoom = 1.0
        if residual * unit > STATIC_RESIDUAL_PX:
            zoom, zoomed = fit_zoom(a, b, intrinsics)
        drift = np.median(b - a, axis=0) * unit
        views = two_views(a, b)
        rows.append(
            (
                start, end, len(a), np.median(np.linalg.norm(b - a, axis=1)) * unit, *drift,
                residual * unit, np.quantile(residuals, 0.8) * unit,
                min(zoomed, residual) * unit, zoom, views.homography, views.noise_px * unit,
                views.depth_ratio,
            )
        )  # fmt: skip
    table = np.array(rows, dtype=float).reshape(len(rows), 13)
    return WindowEvidence(
        seconds=seconds, starts=table[:, 0].astype(int), ends=table[:, 1].astype(int),
        shared=table[:, 2].astype(int), flow_px=table[:, 3], drift_px=table[:, 4:6],
        residual_px=table[:, 6], parallax_px=table[:, 7], zoom_residual_px=table[:, 8],
        zoom=table[:, 9], homography=table[:, 10], noise_px=table[:, 11],
        depth_ratio=table[:, 12],
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
        f"over up to {long.seconds:.0f} s the background moves by at most {flow:.2f} px, and by "
        f"at most {residual:.2f} px against the best pure rotation (of a 640 px wide picture; "
        f"{int(np.median(long.shared))} points)"
    )
    kind, why = _class_of(evidence, flow=flow, residual=residual)
    return kind, Decision(name="camera", value=kind, why=f"{numbers}: {why}")


def _class_of(evidence: MotionEvidence, *, flow: float, residual: float) -> tuple[CameraKind, str]:
    """The class and the reason, from a clip with windows."""
    long = evidence.long
    # Where the best rotation takes nothing off a small motion, that is noise and not a turn.
    noise = residual < STATIC_RESIDUAL_PX or NOISE_SHARE * flow < residual < ROTATING_RESIDUAL_PX
    still = flow < STATIC_FLOW_PX and noise
    if still and evidence.drift_px < STATIC_DRIFT_PX:
        return "static", (
            f"the level of noise (below {STATIC_FLOW_PX} and {STATIC_RESIDUAL_PX} px, or nothing "
            "that a turn explains); and by "
            f"{evidence.drift_px:.1f} px in the whole clip"
        )
    turn_limits = long.limits_px(ROTATING_RESIDUAL_PX)
    if (long.residual_px < turn_limits).all():
        return "rotating", (
            f"a rotation explains all of it to within {turn_limits.max():.1f} px, {_noise(long)}"
        )
    jolt = _jolt(evidence)
    if jolt is not None:
        return "rotating", (
            f"but only by a jolt near frame {jolt}; before and after it the camera stands still, "
            "so its place is kept"
        )
    zoomed, ratio = float(long.zoom_residual_px.max()), _total_zoom(long)
    depthless = float(np.median(long.depth_ratio)) < NOISE_RATIO
    fits = (long.zoom_residual_px < long.limits_px(ZOOM_RESIDUAL_PX)).all()
    if depthless and fits and ratio > ZOOM_RATIO:
        return "zooming", (
            f"a rotation with a change of focal length by {ratio:.2f} in a second explains all of "
            f"it to within {zoomed:.2f} px, {_noise(long)}: {UNDECIDED}"
        )
    plane = float(np.median(long.homography))
    if depthless and plane > ZOOM_SHARE and ratio > CLEAR_ZOOM_RATIO:
        return "zooming", (
            f"but a homography explains {plane:.0%} of what an epipolar geometry does, and the "
            f"picture grows or shrinks by {ratio:.2f} in a second: {UNDECIDED}"
        )
    reason = f"more than {turn_limits.max():.1f} px, {_noise(long)}, so the camera's place changes"
    if _looks_planar(evidence):
        reason += (
            "; the background looks like one plane (a homography explains "
            f"{np.median(long.homography):.0%} of what an epipolar geometry does)"
        )
    return "moving", reason


def _noise(windows: WindowEvidence) -> str:
    return f"where the points' own noise is {np.median(windows.noise_px):.2f} px"


def _jolt(evidence: MotionEvidence) -> int | None:
    """The frame of a short jolt, outside of which the camera stands still; None otherwise."""
    short, long = evidence.short, evidence.long
    shaken = short.flow_px > STILL_FLOW_PX
    # Windows start one step apart; each sees motion for its own length as well.
    seconds = shaken.sum() * STEP_SECONDS
    if not shaken.any() or seconds > JOLT_SECONDS or shaken.mean() > 0.25:
        return None
    first, last = short.starts[shaken].min(), short.ends[shaken].max()
    calm = (long.ends < first) | (long.starts > last)
    if not calm.any() or (long.flow_px[calm] > STATIC_FLOW_PX).any():
        return None
    return int(first) if (long.residual_px[calm] < STATIC_RESIDUAL_PX).all() else None


def _total_zoom(windows: WindowEvidence) -> float:
    """Largest change of focal length within one window, as a ratio above 1."""
    return float(np.exp(np.abs(np.log(windows.zoom)).max()))


def _looks_planar(evidence: MotionEvidence) -> bool:
    moving = evidence.long.residual_px > ROTATING_RESIDUAL_PX
    return bool(np.median(evidence.long.homography[moving]) > PLANAR_SHARE)


def _windows(tracks: BackgroundTracks, times: Array, seconds: float) -> list[Window]:
    """Windows of `seconds` every STEP_SECONDS, each with the frames' shared points."""
    if tracks.num_frames < 2:
        return []
    last = max(float(times[-1]) - seconds, float(times[0]))
    # The first frame from each step on, asked frame by frame: a gap may span endless steps.
    passed = np.floor((times[:-1] - times[0] + 1e-6) / STEP_SECONDS) + 1
    begin = times[0] + passed * STEP_SECONDS
    starts = 1 + np.flatnonzero((begin - 1e-6 <= times[1:]) & (begin < last + 1e-6))
    starts = np.concatenate([[0], starts[starts < tracks.num_frames - 1]])
    out = []
    for start in starts.tolist():
        end = max(int(np.searchsorted(times, times[start] + seconds + 1e-6)) - 1, start + 1)
        out.append((start, *_widest(tracks, start, end)))
    return out


def _widest(tracks: BackgroundTracks, start: int, end: int) -> tuple[int, Pair]:
    """The last frame up to `end` that still shares enough points with `start`, and those.

    Enough for two views to tell noise from depth, unless there were never that many.
    """
    enough = max(MIN_SHARED, min(WELL_SHARED, 0.4 * len(tracks.ids[start])))
    while True:
        pair = tracks.common(start, end)
        if len(pair[0]) >= enough or end <= start + 1:
            return end, pair
        end = start + max(1, (end - start) * 2 // 3)


def _total_drift(tracks: BackgroundTracks, times: Array) -> float:
    """Largest distance of the summed median motion from zero, px at 640; sees a slow creep."""
    unit = LONG_SIDE / max(tracks.width, tracks.height)
    position, largest, start = np.zeros(2), 0.0, 0
    while start < tracks.num_frames - 1:
        end = int(np.searchsorted(times, times[start] + LONG_SECONDS + 1e-6)) - 1
        end, (a, b) = _widest(tracks, start, max(end, start + 1))
        if len(a):
            position = position + np.median(b - a, axis=0) * unit
        largest, start = max(largest, float(np.linalg.norm(position))), end
    return largest


def _turning_focal(
    tracks: BackgroundTracks, pairs: list[Pair], intrinsics: Intrinsics
) -> FocalSearch | None:
    """The focal length that rotations want, from the windows with most motion, or None.

    None where the background hardly moves, or where no focal length makes rotations fit: the
    camera's place changes then, and the fit would read its translation into the lens.
    """
    pairs = [pair for pair in pairs if len(pair[0]) >= MIN_SHARED]
    flows = [float(np.median(np.linalg.norm(b - a, axis=1))) for a, b in pairs]
    order = np.argsort(flows)[::-1][:FOCAL_WINDOWS]
    if len(order) == 0 or flows[order[0]] < 0.02 * tracks.width:
        return None
    search = search_focal([pairs[i] for i in order], intrinsics)
    unit = LONG_SIDE / max(tracks.width, tracks.height)
    noise = float(np.median([two_views(*pairs[i]).noise_px for i in order]))
    limit = max(ROTATING_RESIDUAL_PX, NOISE_RATIO * noise * unit)
    return search if search.residual_px * unit < limit else None


def class_checks(evidence: MotionEvidence) -> list[Check]:
    """The numbers that decide the class, each beside the threshold that `classify` holds it to."""
    long = evidence.long
    if len(long.starts) == 0:
        return []
    flow, residual = float(long.flow_px.max()), float(long.residual_px.max())
    flow_words, turn_words = "flow in 1 s, largest", "residual of a rotation, largest"
    rows: list[tuple[str, str, float, float, Literal["below", "above"], str, str]] = [
        ("flow_px", flow_words, flow, STATIC_FLOW_PX, "below", "static", "px"),
        ("residual_px", turn_words, residual, STATIC_RESIDUAL_PX, "below", "static", "px"),
        ("drift_px", "drift over the whole shot", evidence.drift_px, STATIC_DRIFT_PX, "below",
         "static", "px"),
        ("residual_px", turn_words, *_worst(long.residual_px, long.limits_px(ROTATING_RESIDUAL_PX)),
         "below", "rotating", "px"),
        ("zoom_residual_px", "residual of a rotation with zoom, largest",
         *_worst(long.zoom_residual_px, long.limits_px(ZOOM_RESIDUAL_PX)), "below", "zooming",
         "px"),
        ("depth_ratio", "distance to a homography over the noise, median",
         float(np.median(long.depth_ratio)), NOISE_RATIO, "below", "zooming or planar", ""),
        ("zoom", "change of focal length in 1 s, largest", _total_zoom(long), ZOOM_RATIO, "above",
         "zooming", ""),
        ("homography", "matches that a homography explains, median",
         float(np.median(long.homography)), ZOOM_SHARE, "above", "zooming or planar", "%"),
    ]  # fmt: skip
    return [
        Check(key=key, what=what, value=value, limit=limit, passes=passes, says=says, unit=unit)
        for key, what, value, limit, passes, says, unit in rows
    ]


def _worst(values: np.ndarray, limits: np.ndarray) -> tuple[float, float]:
    """The value that is largest against its limit, and that limit."""
    worst = int(np.argmax(values / limits))
    return float(values[worst]), float(limits[worst])


def evidence_numbers(evidence: MotionEvidence) -> dict[str, Any]:
    """The evidence as JSON-native values, lists of at most 200 windows, for the report."""
    out: dict[str, Any] = {
        "drift_px": round(evidence.drift_px, 3),
        "class_checks": [asdict(check) for check in class_checks(evidence)],
    }
    for name, windows in (("windows_short", evidence.short), ("windows_long", evidence.long)):
        rows = np.arange(len(windows.starts))[:: max(1, -(-len(windows.starts) // 200))]
        out[name] = {
            "frame": windows.starts[rows].tolist(),
            "end": windows.ends[rows].tolist(),
            **{key: [round(float(v), 3) for v in getattr(windows, key)[rows]] for key in _SHOWN},
        }
    return out


_SHOWN = (
    "flow_px",
    "residual_px",
    "parallax_px",
    "zoom_residual_px",
    "zoom",
    "homography",
    "noise_px",
    "depth_ratio",
)
