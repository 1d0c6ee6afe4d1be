"""Bodies of random shape that walk, sit, raise their arms or turn, as a keypoint network sees them.

No pixels: keypoints are projections of the true body, landmarks its points, both with the errors of
`recon.synth.sensor`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from body.kinematics import NUM_BODY, BodyState, posed_keypoints
from body.models.base import BodyModel, RestBody
from body.pose_prior import FITTED_JOINTS, POSE_STD
from recon.core.camera import Intrinsics
from recon.core.geometry import (
    R_YUP_ZUP,
    Array,
    invert_transform,
    rotvec_to_matrix,
    transform_points,
)
from recon.core.people import PersonTrack
from recon.core.rig import forward_kinematics
from recon.core.skeletons import SMPLX_BODY_PARENTS
from recon.synth.cameras import look_at
from recon.synth.cast import random_shape
from recon.synth.sensor import SensorNoise, see
from tests.synthetic import walking_poses
from tests.synthetic_body import JOINT

Action = Literal["walking", "sitting", "overhead", "turning"]
ACTIONS: tuple[Action, ...] = get_args(Action)


@dataclass(frozen=True, kw_only=True)
class Performance:
    """A true body in the camera frame (T frames at `times`) and the track that was seen of it.

    `swapped` (T, 2) bool: arms and legs whose sides the track has wrong.
    """

    track: PersonTrack
    times: Array
    intrinsics: Intrinsics
    truth: BodyState
    swapped: np.ndarray


def perform(
    model: BodyModel,
    action: Action,
    *,
    seed: int,
    seconds: float = 3.0,
    fps: float = 30.0,
    noise: SensorNoise | None = None,
) -> Performance:
    """One random adult doing `action` before a still camera, and what is seen of it."""
    noise = noise or SensorNoise()
    rng = np.random.default_rng([seed, ACTIONS.index(action)])
    times = np.arange(round(seconds * fps)) / fps
    shape = random_shape(model.param_spec, rng)
    rest = model.rest_body(shape)
    world = _posed(rest, shape, action, times=times, rng=rng)
    intrinsics = Intrinsics.from_fov(1280, 720, fov_deg=rng.uniform(45, 70), source="user")
    T_camera_world = _camera(world.root, intrinsics, rng)
    rotations = world.rotations.copy()
    rotations[:, 0] = T_camera_world[:3, :3] @ rotations[:, 0]
    truth = replace(world, root=transform_points(T_camera_world, world.root), rotations=rotations)
    points = posed_keypoints(truth, rest)[0]
    seen = see(points, times, intrinsics=intrinsics, noise=noise, rng=rng)
    return Performance(
        track=seen.track, times=times, intrinsics=intrinsics, truth=truth, swapped=seen.swapped
    )


# What the body does ----------------------------------------------------------------------------


def _posed(
    rest: RestBody, shape: Array, action: Action, *, times: Array, rng: np.random.Generator
) -> BodyState:
    """The action in a world with z up, the lowest sole on the floor."""
    rotations, path = _ACTIONS[action](times, rng)
    sway = _sway(times, rng)
    rotations[:, FITTED_JOINTS[1:]] = rotations[:, FITTED_JOINTS[1:]] @ rotvec_to_matrix(sway)
    turned, joints = forward_kinematics(
        rotations, np.zeros((len(times), 3)), rest.joints[:NUM_BODY], SMPLX_BODY_PARENTS
    )
    owner = rest.sole_joints
    soles = joints[:, owner] + np.einsum(
        "npij,pj->npi", turned[:, owner], rest.soles - rest.joints[owner]
    )
    root = np.zeros((len(times), 3))
    # Who does not travel keeps the feet where they are.
    root[:, :2] = -soles[..., :2].mean(axis=1) if path is None else path
    root[:, 2] = -soles[..., 2].min(axis=1)
    return BodyState(shape=shape, root=root, rotations=rotations)


def _sway(times: Array, rng: np.random.Generator) -> Array:
    """Small smooth rotation vectors (T, J, 3) that make every person's motion their own."""
    count = len(FITTED_JOINTS) - 1
    phase, rate = rng.uniform(0, 2 * np.pi, (2, count, 3)), rng.uniform(0.2, 0.9, (count, 3))
    swing = np.sin(2 * np.pi * rate * times[:, None, None] + phase[0])
    size = np.minimum(0.25 * POSE_STD[1:], 0.1)
    return size * (rng.standard_normal((count, 3)) * 0.5 + 0.5 * swing)


def _upright(times: Array, heading: Array | float) -> Array:
    """Rotations (T, 22, 3, 3) of a standing body with hanging arms, facing `heading` (radians)."""
    rotations = np.tile(np.eye(3), (len(times), NUM_BODY, 1, 1))
    yaw = np.zeros((len(times), 3))
    yaw[:, 2] = np.asarray(heading) + np.pi / 2
    rotations[:, 0] = rotvec_to_matrix(yaw) @ R_YUP_ZUP.T
    for side, sign in (("left", 1.0), ("right", -1.0)):
        rotations[:, JOINT[f"{side}_shoulder"]] = rotvec_to_matrix(np.array([0, 0, -1.2 * sign]))
        rotations[:, JOINT[f"{side}_elbow"]] = rotvec_to_matrix(np.array([0, -0.3 * sign, 0]))
    return rotations


def _bend(rotations: Array, joint: str, *, x: Array | float = 0, z: Array | float = 0) -> None:
    angles = np.zeros((len(rotations), 3))
    angles[:, 0], angles[:, 2] = x, z
    rotations[:, JOINT[joint]] = rotvec_to_matrix(angles)


def _walking(times: Array, rng: np.random.Generator) -> tuple[Array, Array | None]:
    poses = walking_poses(
        len(times), 30.0, times=times + rng.uniform(0, 1), heading=rng.uniform(0, 2 * np.pi),
        speed=rng.uniform(0.6, 1.3),
    )  # fmt: skip
    return poses.rotations[:, :NUM_BODY].copy(), poses.root[:, :2]


def _turning(times: Array, rng: np.random.Generator) -> tuple[Array, Array | None]:
    poses = walking_poses(len(times), 30.0, times=times, speed=0.3)
    rotations = poses.rotations[:, :NUM_BODY].copy()
    spin = rng.choice([-1, 1]) * rng.uniform(1.0, 2.0)
    rotations[:, 0] = _upright(times, rng.uniform(0, 2 * np.pi) + spin * times)[:, 0]
    return rotations, np.zeros((len(times), 2))


def _sitting(times: Array, rng: np.random.Generator) -> tuple[Array, Array | None]:
    """Sits down and gets up again, leaning forward on the way."""
    rotations = _upright(times, rng.uniform(0, 2 * np.pi))
    u = 0.5 - 0.5 * np.cos(2 * np.pi * times / rng.uniform(2.5, 4.0) + rng.uniform(0, 2))
    lean = 0.5 * np.sin(np.pi * u)
    for part in ("spine1", "spine2"):
        _bend(rotations, part, x=0.5 * lean)
    for side in ("left", "right"):
        _bend(rotations, f"{side}_hip", x=-1.5 * u)
        _bend(rotations, f"{side}_knee", x=0.05 + 1.5 * u)
    return rotations, None


def _overhead(times: Array, rng: np.random.Generator) -> tuple[Array, Array | None]:
    """Raises both arms, not quite together, and bends the knees a little."""
    rotations = _upright(times, rng.uniform(0, 2 * np.pi))
    pace = 2 * np.pi / rng.uniform(1.5, 3.0)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        up = 0.5 - 0.5 * np.cos(pace * times + rng.uniform(0, 1))
        _bend(rotations, f"{side}_collar", z=0.25 * sign * up)
        _bend(rotations, f"{side}_shoulder", z=sign * (-1.2 + 2.3 * up))
        _bend(rotations, f"{side}_hip", x=-0.15 - 0.1 * np.sin(pace * times))
        _bend(rotations, f"{side}_knee", x=0.3 + 0.2 * np.sin(pace * times))
    return rotations, None


_ACTIONS = {
    "walking": _walking,
    "sitting": _sitting,
    "overhead": _overhead,
    "turning": _turning,
}


def _camera(root: Array, intrinsics: Intrinsics, rng: np.random.Generator) -> Array:
    """T_camera_world (4, 4) of a level camera before the person, who fills most of its height."""
    middle = 0.5 * (root.min(axis=0) + root.max(axis=0)) * [1, 1, 0] + [0, 0, 0.9]
    extent = 2.0 + np.ptp(root[:, :2], axis=0).max()
    distance = extent * intrinsics.fy / intrinsics.height * rng.uniform(1.1, 1.8)
    angle = rng.uniform(0, 2 * np.pi)
    eye = middle + distance * np.array([np.cos(angle), np.sin(angle), 0.0])
    eye[2] = rng.uniform(0.7, 2.2)
    return invert_transform(look_at(eye, middle + rng.uniform(-0.25, 0.25, 3)))
