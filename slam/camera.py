"""The camera stage: what the camera does, where it is, and through which lens it looks."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import cv2

from recon.core.camera import CameraKind, CameraTrajectory
from recon.core.errors import CameraError, InputError
from recon.core.scene import Scene
from recon.core.stage import Decision, Progress, StageReport, no_progress
from recon.core.video import Frame, FrameSource, VideoInfo
from slam.backends.base import CameraBackend, CameraProblem
from slam.evidence import MotionEvidence, classify, evidence_numbers, measure_motion
from slam.intrinsics import choose_intrinsics, focal_decision
from slam.masks import people_masks
from slam.tracks import MaskFunction, track_background

BACKENDS: dict[str, str] = {
    "static": "slam.backends.static:StaticCamera",
    "rotation": "slam.backends.rotation:RotatingCamera",
    "colmap": "slam.backends.colmap:ColmapCamera",
}
DEFAULT_BACKENDS: dict[CameraKind, str] = {
    "static": "static",
    "rotating": "rotation",
    "moving": "colmap",
}


@dataclass(frozen=True, kw_only=True)
class CameraConfig:
    """What the user may decide about the camera.

    Args:
        kind: what the camera does; "auto" finds out. backend: a name in BACKENDS, or "auto".
        focal_px: focal length in the video's pixels. fov_deg: field of view across the longer
            side instead. seed: of everything random.
    """

    kind: Literal["auto", "static", "rotating", "moving"] = "auto"
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
    intrinsics, focal = choose_intrinsics(video, focal_px=config.focal_px, fov_deg=config.fov_deg)
    cv2.setRNGSeed(config.seed)
    tracks = track_background(
        frames, masks, intrinsics, num_frames=len(video.times), progress=progress
    )
    evidence = measure_motion(tracks, intrinsics.resized(tracks.width, tracks.height))
    kind, decision, warnings = _decide(evidence, config)
    backend = DEFAULT_BACKENDS[kind] if config.backend == "auto" else config.backend
    solution = load_backend(backend).solve(
        CameraProblem(
            tracks=tracks,
            evidence=evidence,
            times=video.times,
            intrinsics=intrinsics,
            seed=config.seed,
        )
    )
    if solution.focal_why:
        focal = focal_decision(solution.trajectory.intrinsics, solution.focal_why)
    report = StageReport(
        backend=backend,
        decisions=(decision, focal, *solution.decisions),
        warnings=(*warnings, *_lost_warning(evidence), *solution.warnings),
        numbers={**solution.numbers, **evidence_numbers(evidence)},
    )
    return solution.trajectory, report


def run(
    scene: Scene,
    config: CameraConfig,
    *,
    frames: FrameSource,
    progress: Progress = no_progress,
) -> StageReport:
    """Reads people, estimates the camera, writes camera.npz and says how it went.

    Args:
        scene: with the stages "video" and "people". frames: the same clip.

    Raises:
        CameraError: the path cannot be trusted; the message names the flag that goes on.
    """
    video = scene.video
    masks = people_masks(scene.tracks, video)
    trajectory, report = estimate_camera(frames, video, masks, config, progress)
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
    more = ("static", "rotating", "moving")
    if more.index(seen) <= more.index(config.kind):
        return config.kind, told, ()
    warning = f"--camera {config.kind} was given, but it looks {seen}: {decision.why}"
    return config.kind, told, (warning,)


def _lost_warning(evidence: MotionEvidence) -> tuple[str, ...]:
    lost = evidence.lost.nonzero()[0]
    if len(lost) == 0:
        return ()
    return (
        f"in {len(lost)} frames, the first number {lost[0]}, almost no background point could be "
        "followed (a cut, blur, or people all over the picture): the camera may jump there",
    )
