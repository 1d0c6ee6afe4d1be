"""Where the slam frame lies in the world: metric scale, gravity and the floor, from people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recon.core.camera import CameraTrajectory
from recon.core.contacts import interval_labels
from recon.core.errors import InputError
from recon.core.geometry import Array, hat, make_transform
from recon.core.people import PersonEvidence, WorldPlacement
from recon.core.stage import Decision
from slam.gravity import Vertical, body_directions, solve_vertical
from slam.metric_scale import (
    ScaleEstimate,
    SlamFeet,
    depth_ratio_scale,
    fuse_scales,
    slam_feet,
    stance_scale,
)

ASSUMED_CAMERA_HEIGHT = 1.5
"""Metres above the floor, used only when nobody is in the video."""

ASSUMED_SCENE_DEPTH = 5.0
"""Metres from the first camera to the median scene point where nothing measures the scale."""

_UNCERTAIN_SCALE = 0.15


@dataclass(frozen=True, kw_only=True)
class _Stances:
    """Mean positions (L, 3) in metric slam axes, rays (L, 3), frames (L,) of stance intervals."""

    positions: Array
    rays: Array
    counts: np.ndarray


def place_world(
    camera: CameraTrajectory, people: list[PersonEvidence], times: Array
) -> tuple[WorldPlacement, list[Decision], list[str]]:
    """The slam frame's similarity into the metric world, with its decisions and warnings.

    The world has z up against gravity and z = 0 on the lowest ground that people stand on. Its
    origin is below the pelvis of the first person's first frame (below the first camera when
    nobody is seen), x points to the right of the first camera, y ahead of it. The answer does
    not depend on the slam frame's own origin, axes and scale.

    Args:
        camera: in slam coordinates, every frame. people: most important first, may be empty.
        times: (T,) seconds of every frame.

    Raises:
        InputError: frames of a person lie outside the video.
    """
    num_frames = len(camera.Ts_slam_camera)
    if len(times) != num_frames:
        raise InputError(
            f"expected {num_frames} frame times, one per camera pose, got {len(times)}"
        )
    for person in people:
        if len(person.frame_idx) == 0 or person.frame_idx[-1] >= num_frames:
            raise InputError(
                f"expected frame indices below {num_frames}, got {person.frame_idx[-1:]}; "
                "run the stages 'camera' and 'body' again on the same video"
            )
    people = [p for p in people if np.any(p.weights > 0)]
    feet = [slam_feet(camera, p, times) for p in people]
    R_slam_camera = camera.Ts_slam_camera[:, :3, :3]
    bodies = [body_directions(R_slam_camera, p, times) for p in people]

    vertical = solve_vertical(R_slam_camera, bodies)
    estimates = _scale_estimates(camera, people, feet, vertical.up)
    scale = _chosen_scale(camera, estimates)
    stances = _stances(feet, scale.scale, vertical.up)
    if len(stances.counts):
        vertical = solve_vertical(
            R_slam_camera, bodies, stances=stances.positions, rays=stances.rays
        )
        estimates = _scale_estimates(camera, people, feet, vertical.up)
        scale = _chosen_scale(camera, estimates)
        stances = _stances(feet, scale.scale, vertical.up)

    centres = scale.scale * camera.Ts_slam_camera[:, :3, 3]
    floor, floor_why, warning = _floor_height(feet, stances, scale.scale, vertical.up, centres)
    placement = _placement(camera, people, scale, vertical, floor)
    decisions = [
        _gravity_decision(vertical),
        *_scale_decisions(scale, estimates),
        Decision(name="floor", value="z = 0", why=floor_why),
    ]
    return placement, decisions, [*_scale_warnings(camera, scale), *warning]


def _scale_estimates(
    camera: CameraTrajectory, people: list[PersonEvidence], feet: list[SlamFeet], up: Array
) -> list[ScaleEstimate]:
    if camera.kind != "moving" or not feet:
        return []
    found = [stance_scale(feet, up), depth_ratio_scale(camera, people)]
    return [e for e in found if e is not None]


def _chosen_scale(camera: CameraTrajectory, estimates: list[ScaleEstimate]) -> ScaleEstimate:
    if camera.kind != "moving":
        source = f"the camera is {camera.kind}: no translation to scale, metres come from bodies"
        return ScaleEstimate(source=source, scale=1.0, log_std=float("inf"))
    fused = fuse_scales(estimates)
    if fused is not None:
        return fused
    depth = _scene_depth(camera)
    return ScaleEstimate(
        source=f"assumed: the median scene point is taken to be {ASSUMED_SCENE_DEPTH} m away"
        if depth
        else "assumed: one slam unit is taken for a metre",
        scale=ASSUMED_SCENE_DEPTH / depth if depth else 1.0,
        log_std=float("inf"),
    )


def _scene_depth(camera: CameraTrajectory) -> float | None:
    """Median depth in slam units of the points before the first camera."""
    first = camera.Ts_slam_camera[0]
    depth = (camera.points_slam - first[:3, 3]) @ first[:3, 2]
    return float(np.median(depth[depth > 0])) if np.any(depth > 0) else None


def _stances(feet: list[SlamFeet], scale: float, up: Array) -> _Stances:
    """Every stance of every sole point of every person, at this scale."""
    positions, rays, counts = [np.zeros((0, 3))], [np.zeros((0, 3))], [np.zeros(0, int)]
    for f in feet:
        labels = interval_labels(f.contacts(scale, up))
        n, k = np.nonzero(labels >= 0)
        if len(n) == 0:
            continue
        label = labels[n, k]
        count = np.bincount(label)
        positions.append(_label_means(f.positions(scale)[n, k], label, count))
        rays.append(_label_means(f.rays[n], label, count))
        counts.append(count)
    return _Stances(
        positions=np.concatenate(positions),
        rays=np.concatenate(rays),
        counts=np.concatenate(counts),
    )


def _label_means(values: Array, label: np.ndarray, count: np.ndarray) -> Array:
    """Means (L, 3) of the values (M, 3) of every label."""
    sums = [np.bincount(label, column) for column in values.T]
    return np.stack(sums, axis=1) / count[:, None]


def _floor_height(
    feet: list[SlamFeet], stances: _Stances, scale: float, up: Array, centres: Array
) -> tuple[float, str, list[str]]:
    """Height of the floor along `up` in metric slam axes, why, and warnings."""
    if len(stances.counts):
        heights = stances.positions @ up
        low = heights <= np.quantile(heights, 0.05) + 0.10
        spread = float(np.std(heights[low]))
        why = (
            f"median height of the {int(low.sum())} lowest of {len(heights)} stances "
            f"(spread {100 * spread:.1f} cm)"
        )
        return float(np.median(heights[low])), why, []
    if feet:
        lowest = np.concatenate([(f.positions(scale) @ up).min(axis=1) for f in feet])
        return (
            float(np.quantile(lowest, 0.1)),
            "no foot was seen standing: the lowest tenth of all sole positions",
            ["No foot was seen standing still, so the floor's height is a rough guess."],
        )
    return (
        float(centres[0] @ up) - ASSUMED_CAMERA_HEIGHT,
        f"nobody was seen: the first camera is taken to be {ASSUMED_CAMERA_HEIGHT} m above it",
        [
            "Nobody was seen: gravity is the camera's own vertical, the floor and the scale "
            "are assumed."
        ],
    )


def _placement(
    camera: CameraTrajectory,
    people: list[PersonEvidence],
    scale: ScaleEstimate,
    vertical: Vertical,
    floor: float,
) -> WorldPlacement:
    """The similarity, and every camera through it."""
    Ts = camera.Ts_slam_camera
    R_world_slam = _heading(Ts[0, :3, :3], vertical.up)
    if people:
        row = int(np.argmax(people[0].weights > 0))
        T = Ts[people[0].frame_idx[row]]
        origin = T[:3, :3] @ people[0].joints_camera[row, 0] + scale.scale * T[:3, 3]
    else:
        origin = scale.scale * Ts[0, :3, 3]
    origin = R_world_slam @ origin
    origin[2] = floor
    centres = scale.scale * Ts[:, :3, 3] @ R_world_slam.T - origin
    return WorldPlacement(
        scale=scale.scale,
        scale_log_std=scale.log_std,
        scale_source=scale.source,
        R_world_slam=R_world_slam,
        t_world_slam=-origin,
        Ts_world_camera=make_transform(R_world_slam @ Ts[:, :3, :3], centres),
        gravity_std=vertical.std,
    )


def _heading(R_slam_camera: Array, up: Array) -> Array:
    """World axes as rows (3, 3): z is `up`, x the camera's right (or, upended, its ahead)."""
    right, ahead = R_slam_camera[:, 0], R_slam_camera[:, 2]
    x = right - (right @ up) * up
    if np.linalg.norm(x) < 0.3:
        x = hat(ahead) @ up
    x = x / np.linalg.norm(x)
    return np.stack([x, hat(up) @ x, up])


# Words -----------------------------------------------------------------------------------------


def _gravity_decision(vertical: Vertical) -> Decision:
    parts = [f"{name} {np.degrees(angle):.1f}°" for name, angle in vertical.disagreement.items()]
    return Decision(
        name="gravity",
        value=f"± {np.degrees(vertical.std):.1f}°",
        why="distance of each evidence from the result: " + ", ".join(parts),
    )


def _scale_decisions(scale: ScaleEstimate, estimates: list[ScaleEstimate]) -> list[Decision]:
    spread = "" if np.isinf(scale.log_std) else f" ± {100 * scale.log_std:.1f} %"
    parts = [
        f"{e.source}: {e.scale:.4g} ± {100 * e.log_std:.1f} %"
        + ("" if e.source in scale.source else " (left out: it contradicts the more certain one)")
        for e in estimates
    ]
    why = "; ".join(parts) or scale.source
    return [Decision(name="scale", value=f"{scale.scale:.4g} m per slam unit{spread}", why=why)]


def _scale_warnings(camera: CameraTrajectory, scale: ScaleEstimate) -> list[str]:
    if camera.kind != "moving" or scale.log_std <= _UNCERTAIN_SCALE:
        return []
    if np.isinf(scale.log_std):
        return [
            "The metric scale of the camera's path is assumed, not measured: "
            "world distances may be far off."
        ]
    return [
        f"The metric scale of the camera's path is only known to {100 * scale.log_std:.0f} % "
        f"(from {scale.source})."
    ]
