"""Where the slam frame lies in the world: metric scale, gravity and the floor, from people."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from recon.core.camera import CameraTrajectory
from recon.core.contacts import interval_labels
from recon.core.errors import InputError
from recon.core.geometry import Array, hat, make_transform
from recon.core.people import PersonEvidence, WorldPlacement
from recon.core.stage import Decision, StageReport
from slam.depth_scale import DepthEvidence, contact_depth_scale, network_scale
from slam.floor_plane import FloorPlane, find_floor, scene_cloud
from slam.gravity import Vertical, body_directions, solve_vertical
from slam.metric_scale import ScaleEstimate, SlamFeet, slam_feet, stance_scale
from slam.scale_fusion import BODY_SIZE_LOG_STD, FusedScale, fuse_scales

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
    camera: CameraTrajectory,
    people: list[PersonEvidence],
    times: Array,
    *,
    depth: DepthEvidence | None = None,
) -> tuple[WorldPlacement, StageReport]:
    """The slam frame's similarity into the metric world, with its decisions and warnings.

    The world has z up against gravity and z = 0 on the lowest ground that people stand on. Its
    origin is below the pelvis of the first person's first frame (below the first camera when
    nobody is seen), x points to the right of the first camera, y ahead of it. The answer does
    not depend on the slam frame's own origin, axes and scale.

    Args:
        camera: in slam coordinates, every frame. people: most important first, may be empty.
        times: (T,) seconds of every frame. depth: of the same video.

    Raises:
        InputError: frames of a person lie outside the video.
    """
    _check(camera, people, times)
    depth = depth or DepthEvidence()
    people = [p for p in people if np.any(p.weights > 0)]
    feet = [slam_feet(camera, p, times) for p in people]
    R_slam_camera = camera.Ts_slam_camera[:, :3, :3]
    bodies = [body_directions(R_slam_camera, p, times) for p in people]
    scaling = _Scaling.of(camera, people, feet, depth)

    vertical = solve_vertical(R_slam_camera, bodies, ground=depth.ground)
    scale, fused, floor = scaling.at(vertical.up)
    stances = _stances(feet, scale.scale, vertical.up)
    # Where people are seen all over the ground, their size tells its plane better than fitted feet.
    if depth.ground is None and (len(stances.counts) or floor is not None):
        vertical = solve_vertical(
            R_slam_camera, bodies, stances=stances.positions, rays=stances.rays, floor=floor
        )
        scale, fused, floor = scaling.at(vertical.up)
        stances = _stances(feet, scale.scale, vertical.up)

    centres = scale.scale * camera.Ts_slam_camera[:, :3, 3]
    level, floor_why, warning = _floor_height(
        feet, stances, scale.scale, vertical.up, centres, one_plane=depth.ground is not None
    )
    placement = _placement(camera, people, scale, vertical, level)
    body_std = 0.0 if depth.stature_known else BODY_SIZE_LOG_STD
    report = StageReport(
        backend="contacts",
        decisions=(
            _gravity_decision(vertical),
            _scale_decision(scale, fused, body_std),
            Decision(name="floor", value="z = 0", why=floor_why),
        ),
        warnings=(
            *_scale_warnings(camera, scale),
            *(fused.warnings() if fused else ()),
            *warning,
        ),
        numbers={
            "scales": fused.numbers() if fused else [],
            "body_size_log_std": round(body_std, 4),
            "gravity_disagreement_deg": {
                name: round(float(np.degrees(angle)), 2)
                for name, angle in vertical.disagreement.items()
            },
        },
    )
    return placement, report


def _check(camera: CameraTrajectory, people: list[PersonEvidence], times: Array) -> None:
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


@dataclass(frozen=True, kw_only=True)
class _Scaling:
    """All that tells the scale, but for the vertical; nothing where the camera does not move."""

    camera: CameraTrajectory
    feet: list[SlamFeet]
    cloud: Array
    network: ScaleEstimate | None

    @classmethod
    def of(
        cls,
        camera: CameraTrajectory,
        people: list[PersonEvidence],
        feet: list[SlamFeet],
        depth: DepthEvidence,
    ) -> _Scaling:
        moving = camera.kind == "moving"
        network = None
        if moving and depth.network is not None:
            network = network_scale(depth.network, camera, people, depth.keyframes)
        # Poses that nothing ties to the slam frame's unit cannot tell its scale.
        tied = [
            replace(f, weights=f.weights * camera.tracked[p.frame_idx])
            for f, p in zip(feet, people, strict=True)
        ]
        return cls(
            camera=camera,
            feet=tied if moving else [],
            cloud=scene_cloud(camera, depth.keyframes) if moving else np.zeros((0, 3)),
            network=network,
        )

    def at(self, up: Array) -> tuple[ScaleEstimate, FusedScale | None, FloorPlane | None]:
        """The scale, the estimates behind it, and the floor, if `up` is the vertical."""
        floor = find_floor(self.cloud, up=up, centres=self.camera.Ts_slam_camera[:, :3, 3])
        found = [self.network]
        if self.feet:
            found.append(stance_scale(self.feet, up))
            found.append(contact_depth_scale(self.feet, floor) if floor is not None else None)
        fused = fuse_scales([e for e in found if e is not None])
        return (fused.estimate if fused else _unmeasured(self.camera)), fused, floor


def _unmeasured(camera: CameraTrajectory) -> ScaleEstimate:
    if camera.kind != "moving":
        source = f"the camera is {camera.kind}: no translation to scale, metres come from bodies"
        return ScaleEstimate(source=source, scale=1.0, log_std=float("inf"))
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
    feet: list[SlamFeet],
    stances: _Stances,
    scale: float,
    up: Array,
    centres: Array,
    *,
    one_plane: bool,
) -> tuple[float, str, list[str]]:
    """Height of the floor along `up` in metric slam axes, why, and warnings."""
    if len(stances.counts):
        heights = stances.positions @ up
        if one_plane:
            why = f"median height of {len(heights)} stances of people seen to stand on one plane"
            return float(np.median(heights)), why, []
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


def _scale_decision(scale: ScaleEstimate, fused: FusedScale | None, body_std: float) -> Decision:
    value = f"{scale.scale:.4g} m per slam unit"
    if fused is None:
        return Decision(name="scale", value=value, why=scale.source)
    parts = [
        f"{e.source}: {e.scale:.4g} ± {100 * e.log_std:.1f} %"
        + ("" if used else " (left out: it contradicts the more certain one)")
        for e, used in zip(fused.all, fused.used, strict=True)
    ]
    if body_std:
        parts.append(
            f"beside this, all lengths of bodies of unknown stature may be {100 * body_std:.1f} % "
            "off, and the scale with them; --height removes that"
        )
    return Decision(
        name="scale", value=f"{value} ± {100 * scale.log_std:.1f} %", why="; ".join(parts)
    )


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
