"""The vertical: people stand along it, the ground they tread is level, cameras are held level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recon.core.contacts import frame_steps
from recon.core.geometry import Array, hat
from recon.core.ground import GroundView
from recon.core.people import PersonEvidence
from recon.core.skeletons import CANONICAL_JOINTS
from slam.floor_plane import FloorPlane
from slam.metric_scale import LATERAL_STD

# Standard deviations in radians, of errors that do not average out over a clip.
_BODY_STD = np.radians(3.5)  # a body's axis against the vertical, sideways
_LEAN_STD = np.radians(8.0)  # more, forwards and backwards: runners lean
_DEPTH_STD = np.radians(6.0)  # more, towards the camera: monocular fits tip over
_ROLL_STD = np.radians(4.0)
_PITCH_STD = np.radians(20.0)
_SLOPE_STD = np.radians(2.5)  # floors and roads against level
_MAX_STARTS = 5
_KERNEL = np.radians(20.0)  # beyond this a direction stops counting (Geman-McClure)

_DEPTH_NOISE = 0.05  # metres along the ray that a whole stance is off
_HEIGHT_STD = 0.02  # metres, soles and ground
_HEIGHT_KERNEL = 0.05

_PELVIS, _NECK, _HEAD, _LEFT_HIP, _RIGHT_HIP, _LEFT_ANKLE, _RIGHT_ANKLE = (
    CANONICAL_JOINTS.index(name)
    for name in ("pelvis", "neck", "head", "left_hip", "right_hip", "left_ankle", "right_ankle")
)


@dataclass(frozen=True, kw_only=True)
class Vertical:
    """The up direction in slam axes, its standard deviation, and how far each evidence is off."""

    up: Array
    std: float
    disagreement: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class BodyDirections:
    """Where one person's body points: `up` (N, 3) unit, slam axes.

    Args:
        ahead: (N, 3) unit, in which a body leans. rays: (N, 3) unit, in which fits tip over.
        weights: (N,) seconds of upright posture.
    """

    up: Array
    ahead: Array
    rays: Array
    weights: Array


def body_directions(R_slam_camera: Array, person: PersonEvidence, times: Array) -> BodyDirections:
    """Body axes in every frame, weighted by how upright the posture looks by itself.

    A straight body has its torso in line with its legs and its head far from its ankles; bent,
    sitting and lying-curled postures lose weight without any knowledge of the vertical.
    """
    R = R_slam_camera[person.frame_idx]
    joints = np.einsum("nij,nkj->nki", R, person.joints_camera)
    torso = joints[:, _NECK] - joints[:, _PELVIS]
    ankles = 0.5 * (joints[:, _LEFT_ANKLE] + joints[:, _RIGHT_ANKLE])
    whole = joints[:, _HEAD] - ankles
    length = np.linalg.norm(whole, axis=1)
    torso, whole = _unit(torso), _unit(whole)
    up = _unit(torso + whole)
    bend = np.arccos(np.clip(np.sum(torso * whole, axis=1), -1, 1))
    straight = np.exp(-((bend / _KERNEL) ** 2))
    tall = np.clip((length / np.quantile(length, 0.95) - 0.75) / 0.15, 0, 1)
    hips = joints[:, _LEFT_HIP] - joints[:, _RIGHT_HIP]
    steps = frame_steps(np.asarray(times, dtype=float)[person.frame_idx])
    return BodyDirections(
        up=up,
        ahead=_unit(np.einsum("nij,nj->ni", hat(hips), up)),
        rays=_unit(joints[:, _PELVIS]),
        weights=person.weights * straight * tall * steps,
    )


def solve_vertical(
    R_slam_camera: Array,
    bodies: list[BodyDirections],
    *,
    stances: Array | None = None,
    rays: Array | None = None,
    floor: FloorPlane | None = None,
    ground: GroundView | None = None,
) -> Vertical:
    """The most probable vertical given bodies, the camera's own level and the stances' plane.

    Gauss-Newton on the unit sphere with Geman-McClure weights, from the camera's up and from
    each body's median direction; the cheapest answer is kept.

    Args:
        R_slam_camera: (T, 3, 3). bodies: one per person, may be empty.
        stances: (L, 3) metres, where feet stood, slam axes. rays: (L, 3) unit viewing rays.
        floor: the plane of the scene's own points. ground: the plane that people stand on.
    """
    bodies = [b for b in bodies if b.weights.sum() > 1e-6]
    starts = [_unit(-R_slam_camera[:, :, 1].sum(axis=0))]
    body_ups = [_median_direction(b.up, b.weights) for b in bodies[:_MAX_STARTS]]
    starts += body_ups
    planes = [(floor.normal, floor.normal_std)] if floor is not None else []
    if ground is not None:
        starts.append(ground.up_slam)
        planes.append((ground.up_slam, ground.up_std))
    answers = [_descend(s, R_slam_camera, bodies, (stances, rays), planes) for s in starts]
    cost, up, hessian = min(answers, key=lambda a: a[0])
    disagreement = {"the camera's own level": _roll(up, R_slam_camera)}
    if bodies:
        angles = [_angle(up, body_up) for body_up in body_ups]
        disagreement = {"bodies": float(np.median(angles))} | disagreement
    if (plane := _stance_plane(up, stances, rays)) is not None:
        disagreement["the ground they tread"] = float(np.linalg.norm(plane[0]))
    if floor is not None:
        disagreement["the floor's scene points"] = _angle(up, floor.normal)
    if ground is not None:
        disagreement["people standing on one plane"] = _angle(up, ground.up_slam)
    evidence = 2 * (len(bodies) + 1 + (plane is not None) + len(planes))
    std = np.sqrt(np.trace(np.linalg.inv(hessian)) / 2 * max(1.0, cost / evidence))
    return Vertical(up=up, std=float(std), disagreement=disagreement)


def _descend(
    up: Array,
    R_slam_camera: Array,
    bodies: list[BodyDirections],
    stances: tuple[Array | None, Array | None],
    planes: list[tuple[Array, float]],
) -> tuple[float, Array, Array]:
    """Cost, up and Hessian (2, 2) at the minimum nearest to `up`."""
    cost, hessian = 0.0, np.eye(2)
    # Fits tip over all alike: a crowd knows the vertical no better than two people do.
    share = 2 / (len(bodies) + 1)
    for _ in range(30):
        basis = _tangent(up)
        terms = [_level_term(up, basis, R_slam_camera)]
        terms += [_scaled(_body_term(up, basis, body), share) for body in bodies]
        if (plane := _stance_plane(up, *stances)) is not None:
            terms.append(_plane_term(*plane))
        terms += [_plane_term(n @ basis, std**2 * np.eye(2)) for n, std in planes]
        cost = sum(float(term[0]) for term in terms)
        pull = np.sum([term[1] for term in terms], axis=0)
        hessian = np.sum([term[2] for term in terms], axis=0)
        step = np.linalg.solve(hessian, pull)
        up = _unit(up + basis @ step)
        if np.linalg.norm(step) < 1e-10:
            break
    return float(cost), up, hessian


def _scaled(term: tuple[float, Array, Array], share: float) -> tuple[float, Array, Array]:
    cost, pull, hessian = term
    return share * cost, share * pull, share * hessian


def _plane_term(tilt: Array, covariance: Array) -> tuple[float, Array, Array]:
    """Cost, pull (2,) and Hessian (2, 2) of: a plane tilted by `tilt` (2,) radians is level."""
    information = np.linalg.inv(covariance + _SLOPE_STD**2 * np.eye(2))
    fade = float(1 / (1 + (np.linalg.norm(tilt) / _KERNEL) ** 2))
    cost = fade * float(tilt @ information @ tilt)
    return cost, fade**2 * information @ tilt, fade**2 * information


def _level_term(up: Array, basis: Array, R: Array) -> tuple[float, Array, Array]:
    """Cost, pull (2,) and Hessian (2, 2) of: the camera's x axis is level, its z axis nearly so."""
    cost, pull, hessian = 0.0, np.zeros(2), np.zeros((2, 2))
    for column, std in ((0, _ROLL_STD), (2, _PITCH_STD)):
        axis = R[:, :, column]
        r, jacobian = axis @ up, axis @ basis
        fade = 1 / (1 + (r / (_KERNEL + std)) ** 2)
        weight = fade**2 / std**2 / len(R)
        cost += float((weight / fade) @ r**2)
        pull -= jacobian.T @ (weight * r)
        hessian += jacobian.T @ (weight[:, None] * jacobian)
    return cost, pull, hessian


def _body_term(up: Array, basis: Array, body: BodyDirections) -> tuple[float, Array, Array]:
    """The same of: a body points up. All frames of one person count as one observation."""
    r = body.up @ basis
    ahead, rays = body.ahead @ basis, body.rays @ basis
    covariance = (
        _BODY_STD**2 * np.eye(2)
        + _LEAN_STD**2 * ahead[:, :, None] * ahead[:, None, :]
        + _DEPTH_STD**2 * rays[:, :, None] * rays[:, None, :]
    )
    information = np.linalg.inv(covariance)
    angle = np.arccos(np.clip(body.up @ up, -1, 1))
    share = body.weights / max(1.0, body.weights.sum())  # a glimpse counts for less than a second
    fade = 1 / (1 + (angle / _KERNEL) ** 2)
    weight = (share * fade**2)[:, None, None] * information
    return (
        # Geman-McClure's own cost, with the whole angle: the tangent shrinks beyond 90 degrees.
        float(
            np.sum(
                share
                * fade
                * np.maximum(angle, 1e-12) ** 2
                / np.maximum(np.sum(r**2, axis=1), 1e-24)
                * np.einsum("ni,nij,nj->n", r, information, r)
            )
        ),
        np.einsum("nij,nj->i", weight, r),
        weight.sum(axis=0),
    )


def _stance_plane(
    up: Array, stances: Array | None, rays: Array | None
) -> tuple[Array, Array] | None:
    """Tilt (2,) from `up` to the stances' plane in the basis of `up`, and its covariance.

    Robust line fit of height over position, so that a step or a chair does not tilt the plane.
    """
    if stances is None or rays is None or len(stances) < 4:
        return None
    basis = _tangent(up)
    centred = stances - np.median(stances, axis=0)
    design = np.concatenate([centred @ basis, np.ones((len(centred), 1))], axis=1)
    height = centred @ up
    # Soles of one step share their error: four points a step are not four observations.
    variance = 4 * (LATERAL_STD**2 + _HEIGHT_STD**2 + (_DEPTH_NOISE * (rays @ up)) ** 2)
    prior = np.diag([1.0, 1.0, 1e-6])  # a tilt of one radian, so that two points cannot diverge
    solution, covariance = np.zeros(3), np.eye(3)
    weight = 1 / variance
    for _ in range(20):
        covariance = np.linalg.inv(design.T @ (weight[:, None] * design) + prior)
        solution = covariance @ (design.T @ (weight * height))
        residual = height - design @ solution
        weight = 1 / variance / (1 + (residual / _HEIGHT_KERNEL) ** 2) ** 2
    return np.asarray(-solution[:2], float), np.asarray(covariance[:2, :2], float)


def _median_direction(directions: Array, weights: Array) -> Array:
    """The direction (3,) with the least weighted sum of distances (Weiszfeld)."""
    mean = _unit(weights @ directions)
    for _ in range(30):
        w = weights / np.maximum(np.linalg.norm(directions - mean, axis=1), 1e-3)
        mean = _unit(w @ directions)
    return mean


def _tangent(up: Array) -> Array:
    """An orthonormal basis (3, 2) of the plane across `up`."""
    other = np.eye(3)[int(np.argmin(np.abs(up)))]
    first = _unit(hat(up) @ other)
    return np.stack([first, hat(up) @ first], axis=1)


def _roll(up: Array, R: Array) -> float:
    return float(np.median(np.abs(np.arcsin(np.clip(R[:, :, 0] @ up, -1, 1)))))


def _angle(a: Array, b: Array) -> float:
    return float(np.arccos(np.clip(a @ b, -1, 1)))


def _unit(v: Array) -> Array:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12)
