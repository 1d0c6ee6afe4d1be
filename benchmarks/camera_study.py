"""The camera stage on rendered clips of every class: what it is told, and by what margin."""

from __future__ import annotations

import traceback
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.camera_clips import SCENE_DEPTH, Clip, study_clips
from benchmarks.common import Row, row
from recon.core.camera import CameraTrajectory
from recon.core.errors import ReconError
from recon.core.geometry import Array, invert_transform, matrix_to_rotvec, umeyama
from recon.core.stage import StageReport
from slam.camera import CameraConfig, estimate_camera
from slam.evidence import UNDECIDED

BAD_PATH = 0.05
"""Path error over scene depth from which an unflagged path counts as an uncaught failure."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a clip.

    Args:
        right: every shot's class and the cuts; of a depthless clip also "cannot be told", if
            said. failure: uncaught, in words; empty if none.
        rotation_deg: (T,) errors relative to each shot's first frame.
        motion: farthest camera from the first over scene depth, of a clip that stays in place.
        path_error: root mean square over scene depth of a single moving shot, else None.
        windows: the evidence over one second.
        focal: relative error and stated standard deviation of an estimated one, else None.
    """

    clip: Clip
    right: bool
    told: str
    failure: str
    rotation_deg: Array
    motion: float
    path_error: float | None
    windows: dict[str, Any]
    focal: tuple[float, float] | None = None


def study(seeds: Iterable[int]) -> Iterator[Row]:
    """Rows over all clips of these seeds; every miss gets a row of its own."""
    outcomes = [judge(clip) for seed in seeds for clip in study_clips(seed)]
    yield row("study: clips", len(outcomes), "")
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        groups["cut" if outcome.clip.cuts else outcome.clip.kinds[0]].append(outcome)
    for kind, members in groups.items():
        share = 100 * sum(o.right for o in members) / len(members)
        yield row(f"study: {kind} told right ({len(members)})", share, "%", at_least=100)
    for outcome in outcomes:
        if not outcome.right:
            yield row(f"study: {outcome.clip.name} told {outcome.told}", 0, "", at_least=1)
    failures = [o for o in outcomes if o.failure]
    yield row("study: uncaught failures", len(failures), "", at_most=0)
    for outcome in failures:
        yield row(f"study: {outcome.clip.name}: {outcome.failure}", 0, "", at_least=1)
    for known in (True, False):
        errors = [o.rotation_deg for o in outcomes if o.clip.focal_known == known]
        name = f"study: rotation error, focal {'known' if known else 'unknown'}"
        if errors:
            yield row(f"{name}, median", np.median(np.concatenate(errors)), "deg", at_most=0.3)
            worst = max(float(np.median(e)) for e in errors)
            yield row(f"{name}, worst clip's median", worst, "deg")
    in_place = [o.motion for o in outcomes if "moving" not in o.clip.kinds]
    yield row("study: motion of a camera in place, most", 100 * max(in_place), "% depth", at_most=1)
    paths = [o.path_error for o in outcomes if o.path_error is not None]
    yield row("study: path error, median", 100 * np.median(paths), "% depth")
    yield row("study: path error, most", 100 * max(paths), "% depth")
    yield from _focals(outcomes)
    yield from _margins(groups)


def judge(clip: Clip) -> Outcome:
    """Runs the stage on a clip and holds it against the truth."""
    focal = float(clip.focals[0]) if clip.focal_known else None
    try:
        trajectory, report = estimate_camera(
            clip, clip.info, clip.masks, CameraConfig(focal_px=focal)
        )
    except Exception as error:  # the study counts whatever happens
        known = isinstance(error, ReconError)
        failure = "" if known else traceback.format_exception_only(error)[-1].strip()
        return Outcome(
            clip=clip, right=False, told=f"nothing: {error}"[:80], failure=failure,
            rotation_deg=np.zeros(0), motion=0.0, path_error=None, windows={},
        )  # fmt: skip
    told = tuple(shot["kind"] for shot in report.numbers["shots"])
    right = told == clip.kinds and trajectory.shot_starts.tolist() == [0, *clip.cuts]
    if clip.depthless and told == ("zooming",) and UNDECIDED in report.decisions[0].why:
        right = True
    motion, path_error = _motion(clip, trajectory)
    failure = ""
    if not trajectory.tracked.any() or trajectory.kind == "zooming":
        path_error = None  # flagged: only the turning is known, and the user is told
    elif path_error is not None and path_error > BAD_PATH:
        failure = f"path off by {path_error:.0%} of the scene's depth, unflagged"
    elif "moving" not in clip.kinds and motion > 0.01:
        failure = f"a path of {motion:.0%} of the scene's depth is invented"
    return Outcome(
        clip=clip, right=right, told=", ".join(told), failure=failure,
        rotation_deg=_rotation_errors(clip, trajectory), motion=motion, path_error=path_error,
        windows=_windows(report), focal=_focal(clip, trajectory, report),
    )  # fmt: skip


def _focal(
    clip: Clip, trajectory: CameraTrajectory, report: StageReport
) -> tuple[float, float] | None:
    spread = report.numbers.get("focal_relative_std")
    if trajectory.intrinsics.source != "estimated" or spread is None:
        return None
    return trajectory.intrinsics.fx / float(clip.focals[0]) - 1, float(spread)


def _focals(outcomes: list[Outcome]) -> Iterator[Row]:
    """How far estimated focal lengths are off, and whether they say so."""
    for kind in ("rotating", "moving"):
        open_ones = [o for o in outcomes if not o.clip.focal_known and o.clip.kinds == (kind,)]
        found = np.array([o.focal for o in open_ones if o.focal is not None]).reshape(-1, 2)
        name = f"study: focal length, {kind} and not given"
        yield row(f"{name}: estimated", len(found), f"of {len(open_ones)}")
        if len(found):
            off = 100 * np.abs(found[:, 0])
            yield row(f"{name}: off, median", np.median(off), "%", at_most=5)
            yield row(f"{name}: off, most", off.max(), "%")
            yield row(f"{name}: stated deviation, median", 100 * np.median(found[:, 1]), "%")
            inside = np.abs(found[:, 0]) <= 2 * found[:, 1]
            yield row(f"{name}: inside 2 sigma", 100 * inside.mean(), "%", at_least=90)


def _windows(report: StageReport) -> dict[str, Any]:
    return report.numbers.get("windows_long", {})


def _motion(clip: Clip, trajectory: CameraTrajectory) -> tuple[float, float | None]:
    """Reach of the found path in scene depths, and the path's error where there is one path."""
    found = trajectory.Ts_slam_camera[:, :3, 3]
    # The slam unit is the median depth of the scene's points.
    reach = float(np.linalg.norm(found - found[0], axis=1).max())
    if clip.kinds != ("moving",):
        return reach, None
    truth = clip.poses[:, :3, 3]
    if not found.any():
        return reach, float(np.linalg.norm(truth - truth.mean(axis=0), axis=1).max() / SCENE_DEPTH)
    scale, rotation, offset = umeyama(found, truth)
    errors = np.linalg.norm(scale * found @ rotation.T + offset - truth, axis=1)
    return reach, float(np.sqrt(np.mean(errors**2)) / SCENE_DEPTH)


def _rotation_errors(clip: Clip, trajectory: CameraTrajectory) -> Array:
    bounds = [0, *clip.cuts, len(clip.times)]
    errors = []
    for start, end in pairwise(bounds):
        found, truth = (
            (invert_transform(Ts[start]) @ Ts[start:end])[:, :3, :3]
            for Ts in (trajectory.Ts_slam_camera, clip.poses)
        )
        turns = matrix_to_rotvec(np.swapaxes(found, 1, 2) @ truth)
        errors.append(np.degrees(np.linalg.norm(turns, axis=1)))
    return np.concatenate(errors)


def _margins(groups: dict[str, list[Outcome]]) -> Iterator[Row]:
    """The range of the evidence in each class, by which the thresholds are to be judged."""
    for kind, members in groups.items():
        if kind == "cut":
            continue
        for name, unit in (("flow_px", "px/640"), ("residual_px", "px/640"),
                           ("zoom_residual_px", "px/640"), ("zoom", "x"),
                           ("depth_ratio", "x")):  # fmt: skip
            peaks = [max(o.windows[name]) for o in members if o.windows.get(name)]
            if peaks:
                yield row(f"study: {kind}, {name}, least of the clips' largest", min(peaks), unit)
                yield row(f"study: {kind}, {name}, most", max(peaks), unit)
