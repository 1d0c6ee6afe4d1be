"""Bodies of random shape that walk, sit, raise their arms or turn, as a keypoint network sees them.

No pixels: keypoints are projections of the true body, landmarks its points, both with the errors
that BlazePose heavy makes on pose2sim (against markers that are themselves 2 to 4 cm off): slow,
alike along a limb, larger where the network is unsure, mostly in depth, and some of them constant.
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
from recon.core.people import PersonTrack, RoiMasks
from recon.core.rig import forward_kinematics
from recon.core.skeletons import BLAZEPOSE_KEYPOINTS, SMPLX_BODY_PARENTS
from tests.synthetic import look_at, walking_poses
from tests.synthetic_body import JOINT
from tests.walking_world import wander

Action = Literal["walking", "sitting", "overhead", "turning"]
ACTIONS: tuple[Action, ...] = get_args(Action)
_K = {name: i for i, name in enumerate(BLAZEPOSE_KEYPOINTS)}


@dataclass(frozen=True, kw_only=True)
class SensorNoise:
    """Errors of a keypoint network (standard deviations) and how often it fails.

    Args:
        keypoint_bias, keypoint: of the person's size in the picture, constant and wandering.
        seconds: over which errors wander.
        lean: radians, one wrong rotation of all landmarks. scale: their wrong size.
        bone_bias, bone: share of a bone's depth error that stays and that wanders.
        across: errors across the line of sight relative to those along it.
        swaps: left-right swaps a second, of the whole body or of the arms or legs.
        swap_seconds: how long one lasts. dropouts: share of frames lost in one stretch.
    """

    keypoint_bias: float = 0.009
    keypoint: float = 0.008
    seconds: float = 0.15
    lean: float = 0.06
    scale: float = 0.04
    bone_bias: float = 1.0
    bone: float = 1.0
    across: float = 0.4
    swaps: float = 0.0
    swap_seconds: float = 0.15
    dropouts: float = 0.0


CLEAN = SensorNoise(keypoint_bias=0, keypoint=0, lean=0, scale=0, bone_bias=0, bone=0)

# Bones along which the depths' errors add up, with their deviation in metres.
_BONES = tuple(
    (_K[f"{side}_{a}"], _K[f"{side}_{b}"], std)
    for side in ("left", "right")
    for a, b, std in (
        ("hip", "shoulder", 0.06), ("hip", "knee", 0.05), ("knee", "ankle", 0.05),
        ("ankle", "heel", 0.02), ("ankle", "foot_index", 0.04), ("shoulder", "elbow", 0.045),
        ("elbow", "wrist", 0.06), ("wrist", "index", 0.02), ("wrist", "pinky", 0.02),
        ("wrist", "thumb", 0.02),
    )
)  # fmt: skip


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
    spec = model.param_spec
    shape = spec.mean + spec.std * np.clip(rng.standard_normal(len(spec.mean)), -2, 2)
    shape = np.clip(shape, spec.low, spec.high)
    rest = model.rest_body(shape)
    world = _posed(rest, shape, action, times=times, rng=rng)
    intrinsics = Intrinsics.from_fov(1280, 720, fov_deg=rng.uniform(45, 70), source="user")
    T_camera_world = _camera(world.root, intrinsics, rng)
    rotations = world.rotations.copy()
    rotations[:, 0] = T_camera_world[:3, :3] @ rotations[:, 0]
    truth = replace(world, root=transform_points(T_camera_world, world.root), rotations=rotations)
    points = posed_keypoints(truth, rest)[0]
    return _seen(points, times, truth=truth, intrinsics=intrinsics, noise=noise, rng=rng)


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


# What the network sees -------------------------------------------------------------------------


def _seen(
    points: Array, times: Array, *, truth: BodyState, intrinsics: Intrinsics,
    noise: SensorNoise, rng: np.random.Generator,
) -> Performance:  # fmt: skip
    num = len(times)
    px = intrinsics.project(points)
    boxes = np.concatenate([px.min(axis=1), px.max(axis=1)], axis=1)
    size = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)[:, None, None]
    conf = _confidence(times, rng)
    unsure = 1 + 1.2 * (1 - conf)[..., None]
    drift = wander(rng, times, noise.seconds, 66).reshape(num, 33, 2)
    constant = noise.keypoint_bias * rng.standard_normal((33, 2))
    px = px + size * (constant + noise.keypoint * unsure * drift)
    landmarks = _landmarks(points, times, unsure=unsure, noise=noise, rng=rng)
    swapped = _swaps(times, noise, rng)
    for part, columns in enumerate((_ARMS, _LEGS)):
        rows = swapped[:, part]
        for array in (px, landmarks, conf):
            array[np.ix_(rows, columns)] = array[np.ix_(rows, _MIRRORED[columns])]
    kept = np.ones(num, bool)
    if noise.dropouts:
        lost = round(noise.dropouts * num)
        start = rng.integers(5, num - lost - 5)
        kept[start : start + lost] = False
    idx = np.flatnonzero(kept)
    track = PersonTrack(
        track_id=1, frame_idx=idx, boxes=boxes[idx], scores=np.ones(len(idx)),
        keypoints_px=px[idx], keypoint_conf=conf[idx], landmarks=landmarks[idx],
        masks=RoiMasks(
            bits=np.zeros((len(idx), 8), np.uint8), Ts_image_roi=np.zeros((len(idx), 2, 3)), size=8
        ),
    )  # fmt: skip
    return Performance(
        track=track, times=times, intrinsics=intrinsics, truth=truth, swapped=swapped
    )


_MIRRORED = np.array([
    _K[n.replace("left", "R").replace("right", "left").replace("R", "right")]
    for n in BLAZEPOSE_KEYPOINTS
])  # fmt: skip
_ARMS, _LEGS = np.arange(11, 23), np.arange(23, 33)


def _confidence(times: Array, rng: np.random.Generator) -> Array:
    """(T, 33), mostly near one; every limb is hidden now and then."""
    limbs = wander(rng, times, 0.6, 5)  # head and trunk, arms, legs
    limb = np.zeros(33, int)
    for i, name in enumerate(BLAZEPOSE_KEYPOINTS[13:], start=13):
        limb[i] = 1 + name.startswith("right") + 2 * (i >= 25)
    limb[[23, 24]] = 0
    hidden = 3.0 * (limb > 0) * np.maximum(limbs[:, limb] - 0.8, 0)
    return 1 / (1 + np.exp(-(3.5 - 2 * hidden)))


def _landmarks(
    points: Array, times: Array, *, unsure: Array, noise: SensorNoise, rng: np.random.Generator
) -> Array:
    """Root-centred metric landmarks at a mean adult's size, with the errors of `noise`."""
    error = np.zeros_like(points)
    along = np.array([noise.across, noise.across, 1.0])
    for start, end, std in _BONES:
        constant = noise.bone_bias * rng.standard_normal(3)
        moving = noise.bone * unsure[:, end] * wander(rng, times, noise.seconds, 3)
        error[:, end] = error[:, start] + std * along * (constant + moving)
    error[:, :11] = error[:, [11, 12]].mean(axis=1, keepdims=True)
    stature = np.linalg.norm(points[:, 11] - points[:, 27], axis=-1).max() / 0.8
    size = 1.7 / stature * (1 + noise.scale * rng.standard_normal())
    lean = rotvec_to_matrix(noise.lean * rng.standard_normal(3) * [1, 0.7, 0.4])
    seen = size * (points - points[:, 23:25].mean(axis=1, keepdims=True)) @ lean.T + error
    return seen - seen[:, 23:25].mean(axis=1, keepdims=True)


def _swaps(times: Array, noise: SensorNoise, rng: np.random.Generator) -> np.ndarray:
    """(T, 2) bool: stretches in which both arms, both legs, or all four are swapped."""
    swapped = np.zeros((len(times), 2), bool)
    step = float(times[1] - times[0])
    for _ in range(rng.poisson(noise.swaps * times[-1])):
        start = rng.integers(0, len(times))
        length = max(1, round(rng.exponential(noise.swap_seconds) / step))
        parts = ([0], [1], [0, 1], [0, 1])[rng.integers(4)]
        swapped[start : start + length, parts] = True
    return swapped
