"""A clip with cuts in the world: every shot is placed by its own people, floor and vertical."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from recon.core.camera import CameraKind, CameraTrajectory
from recon.core.depth import KeyframeDepth
from recon.core.geometry import Array
from recon.core.people import PersonEvidence, WorldPlacement
from recon.core.stage import Decision, StageReport
from slam.depth_scale import DepthEvidence, MetricDepth
from slam.ground import place_world


def place_shots(
    camera: CameraTrajectory,
    people: list[PersonEvidence],
    times: Array,
    *,
    depth: DepthEvidence | None = None,
) -> tuple[WorldPlacement, StageReport]:
    """As `place_world`; of a clip with cuts every shot on its own.

    The similarity of the placement is that of the shot whose gauge is the slam frame. The other
    shots' cameras lie in worlds of their own, each with its floor at z = 0 and its origin below
    its own first person: nothing in the pictures tells where one lies in another.

    Args, Raises: as `place_world`.
    """
    starts = camera.shot_starts.tolist()
    if len(starts) == 1:
        return place_world(camera, people, times, depth=depth)
    depth = depth or DepthEvidence()
    shots = list(zip(starts, [*starts[1:], len(times)], strict=True))
    main = _main_shot(camera, shots)
    placed = [
        place_world(
            _camera_part(camera, first, end, main=k == main),
            [part for person in people if (part := _person_part(person, first, end))],
            times[first:end],
            depth=_depth_part(depth, first, end, main=k == main),
        )
        for k, (first, end) in enumerate(shots)
    ]
    cameras = np.concatenate([placement.Ts_world_camera for placement, _ in placed])
    placement = replace(placed[main][0], Ts_world_camera=cameras)
    return placement, _joined_report([report for _, report in placed], shots, main=main)


def _main_shot(camera: CameraTrajectory, shots: Sequence[tuple[int, int]]) -> int:
    """The shot in whose gauge the slam frame is: the one with tracked frames, or the longest."""
    tracked = [bool(camera.tracked[first:end].any()) for first, end in shots]
    return max(range(len(shots)), key=lambda k: (tracked[k], shots[k][1] - shots[k][0]))


def _camera_part(camera: CameraTrajectory, first: int, end: int, *, main: bool) -> CameraTrajectory:
    """One shot as a clip of its own; only the main one's points lie in its frame."""
    Ts = camera.Ts_slam_camera[first:end]
    count = len(camera.points_slam) if main else 0
    return replace(
        camera,
        kind=_kind_of(Ts, camera.kind),
        Ts_slam_camera=Ts,
        tracked=camera.tracked[first:end] if main else np.ones(end - first, bool),
        points_slam=camera.points_slam[:count],
        point_colors=camera.point_colors[:count],
        shot_starts=np.zeros(1, int),
    )


def _kind_of(Ts: Array, kind: CameraKind) -> CameraKind:
    """What the camera does in a shot of a clip whose camera does, at most, `kind`."""
    if np.ptp(Ts[:, :3, 3], axis=0).any():
        return "moving"
    if np.ptp(Ts[:, :3, :3], axis=0).any():
        return "rotating" if kind == "moving" else kind
    return "static"


def _person_part(person: PersonEvidence, first: int, end: int) -> PersonEvidence | None:
    rows = (person.frame_idx >= first) & (person.frame_idx < end)
    if not rows.any():
        return None
    return PersonEvidence(
        frame_idx=person.frame_idx[rows] - first,
        joints_camera=person.joints_camera[rows],
        soles_camera=person.soles_camera[rows],
        weights=person.weights[rows],
    )


def _depth_part(depth: DepthEvidence, first: int, end: int, *, main: bool) -> DepthEvidence:
    """What depth says of a shot; of others than the main one no dense depth is kept."""
    if not main:
        return DepthEvidence(stature_known=depth.stature_known)
    keyframes, network = depth.keyframes, depth.network
    if keyframes is not None:
        rows = (keyframes.frame_idx >= first) & (keyframes.frame_idx < end)
        keyframes = KeyframeDepth(
            frame_idx=keyframes.frame_idx[rows] - first,
            inverse_depth=keyframes.inverse_depth[rows], weights=keyframes.weights[rows],
        )  # fmt: skip
    if network is not None:
        rows = (network.frame_idx >= first) & (network.frame_idx < end)
        network = MetricDepth(
            frame_idx=network.frame_idx[rows] - first, depth=network.depth[rows],
            valid=network.valid[rows], source=network.source, stature_known=network.stature_known,
        )  # fmt: skip
    return DepthEvidence(keyframes=keyframes, network=network, stature_known=depth.stature_known)


def _joined_report(
    reports: Sequence[StageReport], shots: Sequence[tuple[int, int]], *, main: int
) -> StageReport:
    """The main shot's report, and what the others decided and warn of under their frames."""
    names = [f"frames {first}-{end - 1}" for first, end in shots]
    others = [k for k in range(len(shots)) if k != main]
    decisions = [
        Decision(name=f"{d.name}, {names[k]}", value=d.value, why=d.why)
        for k in (main, *others)
        for d in reports[k].decisions
    ]
    found = [f"{names[k]}: {w}" for k in (main, *others) for w in reports[k].warnings]
    return replace(reports[main], decisions=tuple(decisions), warnings=tuple(found))
