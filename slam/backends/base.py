"""The seam of the camera trackers: one problem in, one trajectory out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from recon.core.camera import CameraTrajectory, Intrinsics
from recon.core.geometry import Array
from recon.core.stage import Decision
from slam.evidence import MotionEvidence
from slam.tracks import BackgroundTracks


@dataclass(frozen=True, kw_only=True)
class CameraProblem:
    """All a tracker may use.

    Args:
        tracks: background points and keyframes, in small pictures.
        evidence: how they move. times: (T,) seconds.
        intrinsics: for the video's own size; its `source` says whether they may change.
        seed: of everything random.
    """

    tracks: BackgroundTracks
    evidence: MotionEvidence
    times: Array
    intrinsics: Intrinsics
    seed: int


@dataclass(frozen=True, kw_only=True)
class CameraSolution:
    """A trajectory, and what the tracker says about it; `focal_why` is empty if it kept it."""

    trajectory: CameraTrajectory
    focal_why: str = ""
    decisions: tuple[Decision, ...] = ()
    warnings: tuple[str, ...] = ()
    numbers: dict[str, Any] = field(default_factory=dict)


class CameraBackend(Protocol):
    """A tracker. Raises CameraError where its result is not to be trusted.

    One with an attribute `every_frame = True` gets every frame as a keyframe.
    """

    def solve(self, problem: CameraProblem) -> CameraSolution: ...
