"""Metres per slam unit from depths: of the floor under standing feet, and of metric networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recon.core.camera import CameraTrajectory
from recon.core.checks import check_array
from recon.core.depth import KeyframeDepth
from recon.core.geometry import Array, invert_transform, transform_points
from recon.core.ground import GroundView
from recon.core.people import PersonEvidence
from slam.floor_plane import FloorPlane
from slam.metric_scale import ScaleEstimate, SlamFeet

_MIN_DEPRESSION = np.radians(4.0)  # a flatter look at the floor says nothing about its depth
_SUPPORT_RADIUS = 0.6  # of the camera's height over the floor
_MIN_SUPPORT = 5  # floor points around a foot
_MAX_LOCAL = 0.1  # of the camera's height: the floor around a foot lies on the whole floor
_CLUSTER_SECONDS = 0.5
_MIN_CLUSTERS = 3
_MAX_SPREAD = 0.15  # of log scale between steps: beyond, the floor is not what it seems
_FOOT_STD = 0.05  # log: depth of a fitted foot, sole against shoe, both constant over a clip

_TRUSTED = 0.5
_FAR = 3.0  # times the median depth of a keyframe: networks and parallax both fail there
_MIN_CELLS = 50
_NETWORK_STD = 0.10  # log: networks err by this much over whole scenes, ZoeDepth's NYU-KITTI tables
_CALIBRATED_STD = 0.06  # what is left where a body of known stature is in the picture
_KERNEL = 0.15  # log depth, Geman-McClure


def contact_depth_scale(feet: Sequence[SlamFeet], floor: FloorPlane) -> ScaleEstimate | None:
    """The scale at which standing feet are as far away as the floor seen around them.

    The ray through a foot's pixel meets the floor at z_dense, the foot is at z_foot: their ratio
    is the scale. On a plane it equals the foot's drop below the camera over the camera's height.
    Only feet with points of the same plane around them count, so that walls behind do not.

    Args:
        feet: one per person. floor: of the same slam frame.

    Returns:
        None with fewer than three half-seconds of such feet, or where they contradict each other.
    """
    ratios = _ratios(feet, floor, None)
    for _ in range(2):  # the lowest sole first, then those in contact at that scale
        if len(ratios) < _MIN_CLUSTERS:
            return None
        ratios = _ratios(feet, floor, float(np.median(ratios)))
    if len(ratios) < _MIN_CLUSTERS:
        return None
    logs = np.log(ratios)
    spread = 1.4826 * float(np.median(np.abs(logs - np.median(logs))))
    if spread > _MAX_SPREAD:
        return None
    # The median of n values, of which neighbours agree: n / 2 count.
    log_std = np.hypot(_FOOT_STD, 1.25 * max(spread, 0.02) / np.sqrt(len(logs) / 2))
    return ScaleEstimate(
        source="depth of the floor at the feet",
        scale=float(np.median(ratios)),
        log_std=float(log_std),
    )


def _ratios(feet: Sequence[SlamFeet], floor: FloorPlane, scale: float | None) -> Array:
    """Median ratio of every half second of every person, slam floor under metric feet."""
    out = []
    for f in feet:
        height = floor.heights(f.centres)
        drop = -(f.offsets @ floor.normal)
        if scale is None:
            on = drop >= drop.max(axis=1, keepdims=True)
            on &= (f.weights > 0)[:, None]
        else:
            on = f.contacts(scale, floor.normal) > 0.5
        steep = drop > np.sin(_MIN_DEPRESSION) * np.linalg.norm(f.offsets, axis=-1)
        n, k = np.nonzero(on & steep & (height > 0)[:, None])
        if len(n) == 0:
            continue
        meets = f.centres[n] + f.offsets[n, k] * (height[n] / drop[n, k])[:, None]
        local, _ = floor.local_heights(
            meets, radius=_SUPPORT_RADIUS * height[n], least=_MIN_SUPPORT
        )
        good = np.isfinite(local) & (np.abs(local) < _MAX_LOCAL * height[n])
        ratio = drop[n, k][good] / (height[n] - local)[good]
        cluster = ((f.times[n] - f.times[0]) / _CLUSTER_SECONDS).astype(int)[good]
        out += [float(np.median(ratio[cluster == c])) for c in np.unique(cluster)]
    return np.array(out)


@dataclass(frozen=True, kw_only=True)
class MetricDepth:
    """What a metric depth network says about some frames.

    Args:
        frame_idx: (K,) int. depth: (K, h, w) metres along z, whole pictures.
        valid: (K, h, w) bool, False on people and sky. source: the network's name.
        stature_known: bodies have the user's stature, so they may correct the network's bias.
    """

    frame_idx: np.ndarray
    depth: Array
    valid: np.ndarray
    source: str
    stature_known: bool = False

    def __post_init__(self) -> None:
        check_array("frame_idx", self.frame_idx, (None,), np.integer)
        check_array("depth", self.depth, (len(self.frame_idx), None, None))
        check_array("valid", self.valid, self.depth.shape, np.bool_)


@dataclass(frozen=True, kw_only=True)
class DepthEvidence:
    """What depth says beside people; all of it optional.

    Args:
        keyframes: dense slam depth. network: metric depth of a network.
        stature_known: the user gave the person's stature, so bodies have their true size.
        ground: the plane that people stand on, of a camera that stays in one place.
    """

    keyframes: KeyframeDepth | None = None
    network: MetricDepth | None = None
    stature_known: bool = False
    ground: GroundView | None = None


def network_scale(
    metric: MetricDepth,
    camera: CameraTrajectory,
    people: Sequence[PersonEvidence],
    depth: KeyframeDepth | None,
) -> ScaleEstimate | None:
    """Metric over slam depth: robust in every frame, then the median over frames.

    Slam depths come from `depth` where it holds the frame, else from the sparse points in view.
    A known stature corrects the network by the ratio of body to network depth at the bodies.

    Returns:
        None where no frame has enough depths in common.
    """
    logs = []
    for row in np.flatnonzero(camera.tracked[metric.frame_idx]).tolist():
        slam_z, metric_z = _common_depths(metric, row, camera, depth)
        if len(slam_z) < _MIN_CELLS:
            continue
        near = slam_z < _FAR * np.median(slam_z)
        logs.append(_robust_mean(np.log(metric_z[near] / slam_z[near])))
    if not logs:
        return None
    found = np.array(logs)
    centre, spread = (
        float(np.median(found)),
        1.4826 * float(np.median(np.abs(found - np.median(found)))),
    )
    floor, source = _NETWORK_STD, f"depth network {metric.source}"
    bias = _body_bias(metric, camera, people) if metric.stature_known else None
    if bias is not None:
        centre, floor = centre + bias, _CALIBRATED_STD
        source += f" (corrected by {100 * np.expm1(bias):+.0f} % for the known stature)"
    log_std = np.hypot(floor, 1.25 * spread / np.sqrt(len(found)))
    return ScaleEstimate(source=source, scale=float(np.exp(centre)), log_std=float(log_std))


def _common_depths(
    metric: MetricDepth, row: int, camera: CameraTrajectory, depth: KeyframeDepth | None
) -> tuple[Array, Array]:
    """Slam and metric depths (M,) of the same places of one frame."""
    frame = metric.frame_idx[row]
    width, height = camera.intrinsics.width, camera.intrinsics.height
    if depth is not None and frame in depth.frame_idx:
        k = int(np.searchsorted(depth.frame_idx, frame))
        good = (depth.weights[k] > _TRUSTED) & (depth.inverse_depth[k] > 0)
        y, x = np.nonzero(good)
        slam_z = 1 / depth.inverse_depth[k][good].astype(float)
        h, w = good.shape
        px = np.stack([(x + 0.5) / w * width, (y + 0.5) / h * height], axis=1)
    else:
        T_camera_slam = invert_transform(camera.Ts_slam_camera[frame])
        points = transform_points(T_camera_slam, camera.points_slam)
        points = points[points[:, 2] > 1e-9]
        px, slam_z = camera.intrinsics.project(points), points[:, 2]
    z, valid = _sampled(metric, row, px, width=width, height=height)
    good = valid & (z > 0)
    return slam_z[good], z[good]


def _sampled(
    metric: MetricDepth, row: int, px: Array, *, width: int, height: int
) -> tuple[Array, np.ndarray]:
    """Metric depths (M,) at pixels (M, 2) of the video, and whether they are seen and valid."""
    h, w = metric.depth.shape[1:]
    x = np.floor(px[:, 0] * w / width).astype(int)
    y = np.floor(px[:, 1] * h / height).astype(int)
    inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
    x, y = np.clip(x, 0, w - 1), np.clip(y, 0, h - 1)
    return metric.depth[row, y, x], inside & metric.valid[row, y, x]


def _body_bias(
    metric: MetricDepth, camera: CameraTrajectory, people: Sequence[PersonEvidence]
) -> float | None:
    """Median log ratio of bodies' depth to the network's at the pelvis and spine."""
    logs = []
    for person in people:
        for row, frame in enumerate(metric.frame_idx):
            n = int(frame) - int(person.frame_idx[0])
            if not 0 <= n < len(person.frame_idx) or person.weights[n] <= 0:
                continue
            torso = person.joints_camera[n, [0, 3, 6, 9]]
            if np.any(torso[:, 2] < 0.2):
                continue
            px = camera.intrinsics.project(torso)
            h, w = metric.depth.shape[1:]
            x = np.floor(px[:, 0] * w / camera.intrinsics.width).astype(int)
            y = np.floor(px[:, 1] * h / camera.intrinsics.height).astype(int)
            inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
            if inside.any():
                z = metric.depth[row, y[inside], x[inside]]
                # A chest's skin is nearer than its spine.
                logs.append(np.median(np.log((torso[inside, 2] - 0.1) / np.maximum(z, 1e-6))))
    return float(np.median(logs)) if logs else None


def _robust_mean(values: Array) -> float:
    """Geman-McClure mean of log ratios, started at the median."""
    mean = float(np.median(values))
    for _ in range(20):
        weight = 1 / (1 + ((values - mean) / _KERNEL) ** 2) ** 2
        mean = float(weight @ values / weight.sum())
    return mean
