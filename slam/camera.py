"""The camera stage: what the camera does, where it is, and through which lens it looks."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from recon.core.camera import CameraKind, CameraTrajectory, Intrinsics
from recon.core.errors import CameraError, InputError
from recon.core.geometry import Array
from recon.core.scene import Scene
from recon.core.stage import Decision, Progress, StageReport, no_progress
from recon.core.video import Frame, FrameSource, VideoInfo
from slam.backends.base import CameraBackend, CameraProblem, CameraSolution
from slam.dense_depth import dense_depth, with_dense_points
from slam.evidence import MotionEvidence, classify, evidence_numbers, measure_motion
from slam.intrinsics import choose_intrinsics, focal_decision
from slam.joining import KINDS, SolvedShot, frame_runs, join_shots
from slam.masks import people_masks
from slam.shots import blurred_frames, find_shots, followed_points
from slam.standing_people import with_ground
from slam.tracks import BackgroundTracks, MaskFunction, track_background

BACKENDS: dict[str, str] = {
    "static": "slam.backends.static:StaticCamera",
    "rotation": "slam.backends.rotation:RotatingCamera",
    "zoom": "slam.backends.rotation:ZoomingCamera",
    "tracks": "slam.backends.tracks:TracksCamera",
    "colmap": "slam.backends.colmap:ColmapCamera",
    "colmap_incremental": "slam.backends.colmap:IncrementalColmapCamera",
    "dense_ba": "slam.backends.dense_ba:DenseBundleCamera",
    "droid": "slam.backends.droid:DroidCamera",
    "orbslam3": "slam.backends.orbslam3:OrbSlam3Camera",
}
DEFAULT_BACKENDS: dict[CameraKind, tuple[str, ...]] = {
    "static": ("static",),
    "rotating": ("rotation",),
    "zooming": ("zoom",),
    "moving": ("tracks", "dense_ba", "rotation"),
}
"""For each class the back-end, and those that take over in turn where its result fails."""


@dataclass(frozen=True, kw_only=True)
class CameraConfig:
    """What the user may decide about the camera.

    Args:
        kind: what the camera does; "auto" finds out. backend: a name in BACKENDS, or "auto".
        focal_px: focal length in the video's pixels. fov_deg: field of view across the longer
            side instead. seed: of everything random.
    """

    kind: Literal["auto", "static", "rotating", "zooming", "moving"] = "auto"
    backend: str = "auto"
    focal_px: float | None = None
    fov_deg: float | None = None
    seed: int = 0


def load_backend(name: str) -> CameraBackend:
    """The tracker of this name.

    Raises:
        InputError: no such name.
    """
    if name not in BACKENDS:
        raise InputError(f"expected a camera back-end among {', '.join(BACKENDS)}, got '{name}'")
    module, attribute = BACKENDS[name].split(":")
    return getattr(importlib.import_module(module), attribute)()


def estimate_camera(
    frames: Iterable[Frame],
    video: VideoInfo,
    masks: MaskFunction,
    config: CameraConfig,
    progress: Progress = no_progress,
) -> tuple[CameraTrajectory, StageReport]:
    """The trajectory of a clip's camera in the slam frame, and how it was decided.

    Args:
        frames: all frames in order. video: their size and times. masks: people, per frame.

    Raises:
        InputError: contradictory options. CameraError: the path cannot be trusted.
    """
    return _estimate(frames, video, masks, config, progress)[:2]


def _estimate(
    frames: Iterable[Frame],
    video: VideoInfo,
    masks: MaskFunction,
    config: CameraConfig,
    progress: Progress,
) -> tuple[CameraTrajectory, StageReport, BackgroundTracks]:
    """As `estimate_camera`, and the background's tracks with the keyframes' pictures."""
    intrinsics, focal = choose_intrinsics(video, focal_px=config.focal_px, fov_deg=config.fov_deg)
    cv2.setRNGSeed(config.seed)
    every_frame = config.backend != "auto" and getattr(
        load_backend(config.backend), "every_frame", False
    )
    tracks = track_background(
        frames, masks, intrinsics, num_frames=len(video.times), every_frame=every_frame,
        progress=progress,
    )  # fmt: skip
    shots = find_shots(tracks.looks, video.times)
    main = max(range(len(shots)), key=lambda k: shots[k][1] - shots[k][0])
    solved: dict[int, SolvedShot] = {}
    # The longest shot first: the others look through the lens that it finds.
    for k in sorted(range(len(shots)), key=lambda k: k != main):
        start, end = shots[k]
        part, times = tracks.part(start, end), video.times[start:end]
        if k == main:
            solved[k] = solve_shot(part, times, intrinsics, config)
            intrinsics = solved[k].trajectory.intrinsics
        else:
            solved[k] = _solve_other_shot(part, times, intrinsics, config)
    trajectory, report = join_shots([solved[k] for k in range(len(shots))], shots, main=main)
    focal_why = solved[main].focal_why
    if focal_why:
        focal = focal_decision(trajectory.intrinsics, focal_why)
    blurred = blurred_frames(tracks.looks).nonzero()[0].tolist()
    report = replace(
        report,
        decisions=(report.decisions[0], focal, *report.decisions[1:]),
        numbers={
            **report.numbers,
            "blurred_frames": frame_runs(blurred),
            "followed": followed_points(tracks.looks),
        },
    )
    return trajectory, report, tracks


def solve_shot(
    tracks: BackgroundTracks, times: Array, intrinsics: Intrinsics, config: CameraConfig
) -> SolvedShot:
    """One shot's class and trajectory.

    Args:
        tracks: of this shot. times: (T,) of it. intrinsics: for the video's own size.

    Raises:
        CameraError: no back-end's result can be trusted.
    """
    evidence = measure_motion(tracks, intrinsics.resized(tracks.width, tracks.height), times)
    kind, decision, warnings = _decide(evidence, config)
    problem = CameraProblem(
        tracks=tracks, evidence=evidence, times=times, intrinsics=intrinsics, seed=config.seed
    )
    names = DEFAULT_BACKENDS[kind] if config.backend == "auto" else (config.backend,)
    backend, solution, failures = _first_solution(names, problem)
    trajectory, more = solution.trajectory, solution.decisions
    if failures:
        how = "only its turning is used" if backend == "rotation" else f"{backend} took over"
        more = (Decision(name="camera path", value=how, why="; ".join(failures)), *more)
    if kind == "moving" and backend == "rotation":
        trajectory = replace(trajectory, kind="moving", tracked=np.zeros(len(times), bool))
        warnings = (*warnings, f"the camera moves, but its path is not known: only its turning is "
                    f"used, as if it stood in one place ({'; '.join(failures)})")  # fmt: skip
    return SolvedShot(
        trajectory=trajectory,
        backend=backend,
        focal_why=solution.focal_why,
        decision=decision,
        decisions=more,
        warnings=(*warnings, *solution.warnings),
        numbers={**solution.numbers, **evidence_numbers(evidence)},
        lost=evidence.lost.nonzero()[0],
    )


def _first_solution(
    names: Sequence[str], problem: CameraProblem
) -> tuple[str, CameraSolution, list[str]]:
    """The first back-end whose result can be trusted, that, and what the others said."""
    failures: list[CameraError] = []
    for name in names:
        try:
            return name, load_backend(name).solve(problem), [str(f) for f in failures]
        except CameraError as error:
            failures.append(error)
    raise failures[0]


def _solve_other_shot(
    tracks: BackgroundTracks, times: Array, intrinsics: Intrinsics, config: CameraConfig
) -> SolvedShot:
    """As `solve_shot`; a shot where that fails is taken to stand still, and says so."""
    try:
        return solve_shot(tracks, times, intrinsics, config)
    except CameraError as error:
        problem = CameraProblem(
            tracks=tracks, evidence=measure_motion(tracks, intrinsics, times), times=times,
            intrinsics=intrinsics, seed=config.seed,
        )  # fmt: skip
        solution = load_backend("static").solve(problem)
        return SolvedShot(
            trajectory=solution.trajectory,
            backend="static",
            focal_why="",
            decision=Decision(name="camera", value="unknown", why=str(error)),
            decisions=(),
            warnings=(f"the camera of a shot could not be followed: {error}",),
            numbers={},
            lost=np.zeros(0, int),
        )


def run(
    scene: Scene,
    config: CameraConfig,
    *,
    frames: FrameSource,
    progress: Progress = no_progress,
) -> StageReport:
    """Reads people, estimates the camera, writes camera.npz and says how it went.

    A moving camera's keyframes also get dense depth (depth.npz), and the trajectory the points
    on which they agree.

    Args:
        scene: with the stages "video" and "people". frames: the same clip.

    Raises:
        CameraError: the path cannot be trusted; the message names the flag that goes on.
    """
    video = scene.video
    masks = people_masks(scene.tracks, video)
    trajectory, report, tracks = _estimate(frames, video, masks, config, progress)
    trajectory, report, ground = with_ground(scene.tracks, trajectory, report, video.times)
    if ground is not None:
        scene.save("ground.npz", [ground])
    dense = dense_depth(tracks, trajectory, seed=config.seed)
    if len(dense.depth.frame_idx):
        trajectory = with_dense_points(trajectory, dense)
        report = replace(report, numbers={**report.numbers, **dense.numbers})
        scene.save("depth.npz", [dense.depth])
    scene.save("camera.npz", [trajectory])
    return report


def _decide(
    evidence: MotionEvidence, config: CameraConfig
) -> tuple[CameraKind, Decision, tuple[str, ...]]:
    """The camera's class, why, and a warning where the user's word contradicts the evidence."""
    if config.kind == "auto":
        kind, decision = classify(evidence)
        return kind, decision, ()
    told = Decision(name="camera", value=config.kind, why=f"given as --camera {config.kind}")
    try:
        seen, decision = classify(evidence)
    except CameraError:
        return config.kind, told, ()
    if KINDS.index(seen) <= KINDS.index(config.kind):
        return config.kind, told, ()
    warning = f"--camera {config.kind} was given, but it looks {seen}: {decision.why}"
    return config.kind, told, (warning,)
