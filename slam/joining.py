"""One trajectory and one report from the shots of a clip."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recon.core.camera import CameraKind, CameraTrajectory
from recon.core.stage import Decision, StageReport

KINDS: tuple[CameraKind, ...] = ("static", "rotating", "zooming", "moving")
"""The classes, each with more freedom than the one before."""


@dataclass(frozen=True, kw_only=True)
class SolvedShot:
    """A shot's trajectory in its own gauge, and what is to be said about it.

    Args:
        decision: its class. decisions: further ones. lost: frames (of the shot) that share too
            few points with the one before.
    """

    trajectory: CameraTrajectory
    backend: str
    focal_why: str
    decision: Decision
    decisions: tuple[Decision, ...]
    warnings: tuple[str, ...]
    numbers: dict[str, Any]
    lost: np.ndarray


def join_shots(
    solved: Sequence[SolvedShot], shots: Sequence[tuple[int, int]], *, main: int
) -> tuple[CameraTrajectory, StageReport]:
    """The whole clip's trajectory and report.

    The main shot's gauge is the slam frame. Nothing in the pictures ties another shot to it, so
    the others start in its first camera's pose, in their own scale, and are flagged untracked.

    Args:
        solved: every shot. shots: first frame and one past the last of each. main: whose gauge
            counts.
    """
    chief = solved[main].trajectory
    trajectories = [shot.trajectory for shot in solved]
    tracked = [t.tracked & (k == main) for k, t in enumerate(trajectories)]
    trajectory = replace(
        chief,
        kind=max((t.kind for t in trajectories), key=KINDS.index),
        Ts_slam_camera=np.concatenate([t.Ts_slam_camera for t in trajectories]),
        tracked=np.concatenate(tracked),
        shot_starts=np.array([start for start, _ in shots]),
    )
    report = StageReport(
        backend=solved[main].backend,
        decisions=(solved[main].decision, *solved[main].decisions, *_shot_decisions(solved, shots)),
        warnings=(
            *dict.fromkeys(w for shot in solved for w in shot.warnings),
            *_lost_warning(solved, shots),
            *_cut_warning(shots, main),
        ),
        numbers={
            **solved[main].numbers,
            **_joined_windows(solved, shots),
            "shots": _shot_numbers(solved, shots),
            "lost_frames": frame_runs(_lost_frames(solved, shots)),
        },
    )
    return trajectory, report


def frame_runs(frames: Iterable[int]) -> list[list[int]]:
    """Increasing frame indices as runs [first, last]."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][1] + 1:
            runs[-1][1] = frame
        else:
            runs.append([frame, frame])
    return runs


def _joined_windows(
    solved: Sequence[SolvedShot], shots: Sequence[tuple[int, int]]
) -> dict[str, dict[str, list[float]]]:
    """The evidence of every shot one after the other, with the clip's own frame indices."""
    out: dict[str, dict[str, list[float]]] = {}
    for shot, (start, _) in zip(solved, shots, strict=True):
        for name in ("windows_short", "windows_long"):
            joined = out.setdefault(name, {})
            for key, values in shot.numbers.get(name, {}).items():
                offset = start if key in ("frame", "end") else 0
                joined.setdefault(key, []).extend(value + offset for value in values)
    return out


def _shot_numbers(
    solved: Sequence[SolvedShot], shots: Sequence[tuple[int, int]]
) -> list[dict[str, Any]]:
    return [
        {
            "start": start,
            "end": end,
            "kind": shot.trajectory.kind,
            "backend": shot.backend,
            "why": shot.decision.why,
            "class_checks": shot.numbers.get("class_checks", []),
        }
        for shot, (start, end) in zip(solved, shots, strict=True)
    ]


def _shot_decisions(
    solved: Sequence[SolvedShot], shots: Sequence[tuple[int, int]]
) -> tuple[Decision, ...]:
    if len(shots) == 1:
        return ()
    starts = ", ".join(str(start) for start, _ in shots[1:])
    classes = "; ".join(
        f"frames {start}-{end - 1} {shot.decision.value}"
        for shot, (start, end) in zip(solved, shots, strict=True)
    )
    why = f"at frame {starts} nearly all points are lost at once and the colours change; {classes}"
    return (Decision(name="shots", value=str(len(shots)), why=why),)


def _cut_warning(shots: Sequence[tuple[int, int]], main: int) -> tuple[str, ...]:
    if len(shots) == 1:
        return ()
    start, end = shots[main]
    return (
        f"the clip has {len(shots)} shots, each with a world of its own: nothing shows where one "
        f"lies in another, so places do not continue across a cut; the path and points are those "
        f"of the longest, frames {start}-{end - 1}",
    )


def _lost_frames(solved: Sequence[SolvedShot], shots: Sequence[tuple[int, int]]) -> list[int]:
    return [
        start + int(i) for shot, (start, _) in zip(solved, shots, strict=True) for i in shot.lost
    ]


def _lost_warning(
    solved: Sequence[SolvedShot], shots: Sequence[tuple[int, int]]
) -> tuple[str, ...]:
    lost = _lost_frames(solved, shots)
    if not lost:
        return ()
    return (
        f"in {len(lost)} frames, the first number {lost[0]}, almost no background point could be "
        "followed (blur, darkness, or people all over the picture): the camera may jump there",
    )
