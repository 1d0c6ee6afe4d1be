"""The synthetic world's person: a toy body of capsules and a procedural walk."""

from __future__ import annotations

from typing import Literal

import numpy as np

from recon.core.geometry import (
    R_YUP_ZUP,
    Array,
    invert_transform,
    make_transform,
    rotvec_to_matrix,
)
from recon.core.people import NUM_JOINTS, BodyPoses
from recon.core.rig import Rig, forward_kinematics
from recon.core.skeletons import CANONICAL_JOINTS, CANONICAL_PARENTS

JOINT = {name: j for j, name in enumerate(CANONICAL_JOINTS)}
STEP_SECONDS = 0.5

_LEFT_REST = {
    "left_hip": (0.065, -0.09, 0.0), "left_knee": (0.10, -0.47, 0.0),
    "left_ankle": (0.10, -0.86, -0.03), "left_foot": (0.11, -0.91, 0.09),
    "left_collar": (0.05, 0.39, -0.01), "left_shoulder": (0.17, 0.42, -0.02),
    "left_elbow": (0.43, 0.41, -0.03), "left_wrist": (0.68, 0.41, -0.03),
}  # fmt: skip
_SPINE_REST = {
    "pelvis": (0.0, 0.0, 0.0), "spine1": (0.0, 0.11, -0.02), "spine2": (0.0, 0.24, -0.02),
    "spine3": (0.0, 0.30, 0.0), "neck": (0.0, 0.46, -0.02), "head": (0.0, 0.55, 0.01),
}  # fmt: skip
_FINGER_REST = {  # first knuckle and the step to the next, relative to the wrist
    "index": ((0.09, 0.0, 0.025), (0.032, 0.0, 0.0)), "middle": ((0.095, 0.0, 0.0), (0.035, 0, 0)),
    "pinky": ((0.08, 0.0, -0.045), (0.024, 0.0, 0.0)), "ring": ((0.09, 0.0, -0.022), (0.03, 0, 0)),
    "thumb": ((0.03, -0.01, 0.03), (0.025, 0.0, 0.02)),
}  # fmt: skip
MIRROR = np.array([-1.0, 1.0, 1.0])


def rest_joints() -> Array:
    """Joints (52, 3) of a 1.7 m adult in T-pose: y up, facing +z, pelvis at the origin, metres."""
    at = {name: np.array(p) for name, p in (_SPINE_REST | _LEFT_REST).items()}
    for finger, (first, step) in _FINGER_REST.items():
        for k in range(3):
            point = at["left_wrist"] + first + k * np.array(step)
            at[f"left_{finger}{k + 1}"] = point
    left = [name for name in at if name.startswith("left_")]
    at |= {name.replace("left_", "right_"): at[name] * MIRROR for name in left}
    return np.stack([at[name] for name in CANONICAL_JOINTS])


# The rig ---------------------------------------------------------------------------------------


def _bones(joints: Array) -> list[tuple[int, Array, Array, float, int]]:
    """(joint, start, end, radius, number of sides) of every capsule, in the z-up bind pose.

    Ends of leaf bones continue the bone before them.
    """
    bones = []
    children = {p: [j for j, q in enumerate(CANONICAL_PARENTS) if q == p] for p in range(-1, 52)}
    for j, name in enumerate(CANONICAL_JOINTS):
        finger = j >= 22
        radius = 0.009 if finger else {"foot": 0.02, "ankle": 0.02, "neck": 0.045, "head": 0.085,
            "hip": 0.065, "knee": 0.05, "pelvis": 0.11, "shoulder": 0.045, "elbow": 0.035,
            "collar": 0.06, "wrist": 0.02}.get(name.split("_")[-1], 0.12)  # fmt: skip
        sides = 6 if finger else 10
        for child in children[j]:
            thin = 0.015 if child >= 22 and not finger else radius
            bones.append((j, joints[j], joints[child], thin, sides))
        if not children[j]:
            stretch = {"head": 1.5, "foot": 0.6}.get(name.split("_")[-1], 0.8)
            along = joints[j] - joints[CANONICAL_PARENTS[j]]
            level = [1.0, 1.0, 0.0 if name.endswith("foot") else 1.0]  # toes along the floor
            tip = joints[j] + stretch * along * level
            bones.append((j, joints[j], tip, radius, sides))
    for name in ("left_ankle", "right_ankle"):
        ankle = joints[JOINT[name]]
        heel = ankle + np.array([0.0, 0.04, -0.05])
        bones.append((JOINT[name], ankle, heel, 0.02, 6))
    return bones


def _capsule(a: Array, b: Array, radius: float, *, sides: int) -> tuple[Array, np.ndarray]:
    """Vertices (V, 3) and outward triangles (F, 3) of a capsule from a to b with round ends."""
    axis = (b - a) / np.linalg.norm(b - a)
    u = np.cross(axis, [0.0, 0.0, 1.0] if abs(axis[2]) < 0.9 else [1.0, 0.0, 0.0])
    u /= np.linalg.norm(u)
    v = np.cross(axis, u)
    phi = 2 * np.pi * np.arange(sides) / sides
    circle = np.cos(phi)[:, None] * u + np.sin(phi)[:, None] * v
    rings = [(a, -0.7, 0.7), (a, 0.0, 1.0), (0.5 * (a + b), 0.0, 1.0), (b, 0.0, 1.0), (b, 0.7, 0.7)]
    vertices = [a - radius * axis]
    for centre, along, out in rings:
        vertices.extend(centre + radius * (along * axis + out * circle))
    vertices.append(b + radius * axis)
    last, k = 1 + len(rings) * sides, np.arange(sides)
    n = (k + 1) % sides
    faces = [np.stack([0 * k, 1 + n, 1 + k], axis=1)]
    for r in range(len(rings) - 1):
        low, high = 1 + r * sides, 1 + (r + 1) * sides
        faces.append(np.stack([low + k, low + n, high + k], axis=1))
        faces.append(np.stack([low + n, high + n, high + k], axis=1))
    top = last - sides
    faces.append(np.stack([top + k, top + n, 0 * k + last], axis=1))
    return np.stack(vertices), np.concatenate(faces)


def _segment_distance(points: Array, a: Array, b: Array) -> Array:
    """Distances (P,) of points (P, 3) to the segment from a to b."""
    d = b - a
    t = np.clip((points - a) @ d / (d @ d), 0, 1)
    return np.linalg.norm(points - a - t[:, None] * d, axis=1)


def _blend(
    vertices: Array, owner: np.ndarray, bones: list[tuple[int, Array, Array, float, int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Weights and joints (V, 6) that fall off with the distance to bones near in the tree."""
    near = np.eye(NUM_JOINTS, dtype=bool)
    for j, p in enumerate(CANONICAL_PARENTS):
        if p >= 0:
            near[j, p] = near[p, j] = True
    near = (near.astype(int) @ near) > 0  # at most two joints apart
    distance = np.full((len(vertices), NUM_JOINTS), np.inf)
    for joint, a, b, _, _ in bones:
        distance[:, joint] = np.minimum(distance[:, joint], _segment_distance(vertices, a, b))
    weights = np.where(near[owner], (distance + 0.02) ** -4.0, 0.0)
    indices = np.argsort(-weights, axis=1)[:, :6]
    weights = np.take_along_axis(weights, indices, axis=1)
    indices = np.where(weights > 0, indices, 0)
    return weights / weights.sum(axis=1, keepdims=True), indices


def toy_rig() -> Rig:
    """A 1.7 m adult of capsules: about 2k vertices, up to six influences on each.

    The bind pose is not the rest pose: z-up, lifted and with lowered arms (as Anny's).
    """
    rest = rest_joints()
    turns = np.tile(np.eye(3), (1, NUM_JOINTS, 1, 1))
    turns[0, 0] = R_YUP_ZUP.T
    turns[0, JOINT["left_shoulder"]] = rotvec_to_matrix(np.array([0.0, 0.0, -0.7]))
    turns[0, JOINT["right_shoulder"]] = rotvec_to_matrix(np.array([0.0, 0.0, 0.7]))
    rotations, joints = forward_kinematics(turns, np.array([[0.0, 0.0, 0.93]]), rest)
    bones = _bones(joints[0])
    vertices, faces, owner, count = [], [], [], 0
    for joint, a, b, radius, sides in bones:
        v, f = _capsule(a, b, radius, sides=sides)
        vertices.append(v)
        faces.append(f + count)
        owner.append(np.full(len(v), joint))
        count += len(v)
    bind = np.concatenate(vertices)
    weights, indices = _blend(bind, np.concatenate(owner), bones)
    heel, toe = np.array([0.0, -0.07, -0.05]), np.array([0.01, -0.02, 0.10])
    return Rig(
        model="toy",
        licence="CC0-1.0",
        rest_joints=rest,
        bind_vertices=bind.astype(np.float32),
        Ts_joint_bind=invert_transform(make_transform(rotations[0], joints[0])),
        faces=np.concatenate(faces).astype(np.int32),
        weights=weights.astype(np.float32),
        indices=indices.astype(np.int32),
        sole_joints=np.array(
            [JOINT[f"{s}_{p}"] for s in ("left", "right") for p in ("ankle", "foot")]
        ),
        sole_points=np.stack([heel, toe, heel * MIRROR, toe * MIRROR]),
    )


# The walk --------------------------------------------------------------------------------------


def _about(axis: Literal["x", "y", "z"], angle: Array | float) -> Array:
    """Rotations (..., 3, 3) about one body axis."""
    return rotvec_to_matrix(
        np.asarray(angle, dtype=float)[..., None] * np.eye(3)["xyz".index(axis)]
    )


def _footsteps(times: Array, *, phase: float) -> tuple[Array, Array, np.ndarray]:
    """Forward position in steps, height share 0-1 and stance (T,) of a foot that starts at `phase`.

    A foot stands during one step and swings two steps ahead during the next.
    """
    cycle = times / STEP_SECONDS + phase
    index, u = np.divmod(cycle, 2.0)
    swing = np.clip(u - 1, 0, 1)
    forward = 2 * index + 2 * (swing**2 * (3 - 2 * swing)) - phase
    return forward + 0.5, np.sin(np.pi * swing) ** 2, u < 1


def _basis(direction: Array, hinge: Array) -> Array:
    """Orthonormal frames (..., 3, 3) whose first axis is `direction`, second nearest `hinge`."""
    d = direction / np.linalg.norm(direction, axis=-1, keepdims=True)
    h = hinge - np.sum(hinge * d, axis=-1, keepdims=True) * d
    h = h / np.linalg.norm(h, axis=-1, keepdims=True)
    return np.stack([d, h, np.cross(d, h)], axis=-1)


def _leg(rest: Array, side: str, hip: Array, ankle: Array) -> tuple[Array, Array]:
    """Global thigh and shin rotations (T, 3, 3), in body axes, that put the ankle on its target."""
    thigh = rest[JOINT[f"{side}_knee"]] - rest[JOINT[f"{side}_hip"]]
    shin = rest[JOINT[f"{side}_ankle"]] - rest[JOINT[f"{side}_knee"]]
    a, b = np.linalg.norm(thigh), np.linalg.norm(shin)
    reach = ankle - hip
    c = np.linalg.norm(reach, axis=-1, keepdims=True)
    assert (c < a + b).all(), "the pelvis is too high for these steps"
    along = (a**2 + c**2 - b**2) / (2 * c)
    hinge, forward = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])
    unit = reach / c
    out = forward - np.sum(forward * unit, axis=-1, keepdims=True) * unit
    out /= np.linalg.norm(out, axis=-1, keepdims=True)
    knee = hip + along * unit + np.sqrt(a**2 - along**2) * out

    def turn(direction: Array, rest_direction: Array) -> Array:
        return _basis(direction, hinge) @ _basis(rest_direction, hinge).T

    return turn(knee - hip, thigh), turn(ankle - knee, shin)


def walking_poses(
    num_frames: int,
    fps: float,
    *,
    start: tuple[float, float] = (0.0, 0.0),
    heading: float = 0.0,
    speed: float = 1.0,
    times: Array | None = None,
) -> BodyPoses:
    """A walk in the world of the toy body: feet alternate, the stance foot is still on z = 0.

    Args:
        num_frames, fps: frames at k / fps seconds, unless `times` (T,) gives them.
        start: x, y metres. heading: radians from +x towards +y. speed: m/s, below 2.
    """
    t = np.arange(num_frames) / fps if times is None else np.asarray(times, dtype=float)
    rest, step = rest_joints(), speed * STEP_SECONDS
    rotations = np.tile(np.eye(3), (len(t), NUM_JOINTS, 1, 1))
    turn = _about("z", heading + np.pi / 2) @ R_YUP_ZUP.T
    rotations[:, 0] = turn
    leg = 0.97 * 0.77  # nearly straight at the ends of a step
    pelvis_up = np.sqrt(leg**2 - (step / 2) ** 2) + 0.09 + 0.07
    phase = np.pi * t / STEP_SECONDS
    for side, sign, start_phase in (("left", 1.0, 0.0), ("right", -1.0, 1.0)):
        forward, height, _ = _footsteps(t, phase=start_phase)
        ankle_rest = rest[JOINT[f"{side}_ankle"]]
        ankle = np.stack(
            [np.full(len(t), ankle_rest[0]), 0.07 + 0.1 * height - pelvis_up,
             forward * step - speed * t], axis=-1)  # fmt: skip
        hip = np.broadcast_to(rest[JOINT[f"{side}_hip"]], ankle.shape)
        thigh, shin = _leg(rest, side, hip, ankle)
        rotations[:, JOINT[f"{side}_hip"]] = thigh
        rotations[:, JOINT[f"{side}_knee"]] = np.swapaxes(thigh, -1, -2) @ shin
        rotations[:, JOINT[f"{side}_ankle"]] = np.swapaxes(shin, -1, -2)  # the foot stays level
        swing = _about("x", 0.4 * sign * np.cos(phase))
        rotations[:, JOINT[f"{side}_shoulder"]] = swing @ _about("z", -1.2 * sign)
        rotations[:, JOINT[f"{side}_elbow"]] = _about("y", -sign * (0.4 + 0.2 * np.sin(phase)))
        for finger in (j for n, j in JOINT.items() if n[:-1].startswith(side) and j >= 22):
            rotations[:, finger] = _about("z", -sign * (0.25 + 0.1 * np.sin(phase)))
    for name, share in (("spine1", 0.5), ("spine3", 0.5), ("head", -1.0)):
        rotations[:, JOINT[name]] = _about("y", 0.12 * share * np.cos(phase))
    ahead = np.array([np.cos(heading), np.sin(heading), 0.0])
    root = np.array([*start, pelvis_up]) + (speed * t)[:, None] * ahead
    return BodyPoses(root=root, rotations=rotations)


def walking_contacts(times: Array) -> Array:
    """Contacts (T, 4) of FOOT_POINTS during `walking_poses`, 0 or 1."""
    left, right = (_footsteps(np.asarray(times), phase=p)[2] for p in (0.0, 1.0))
    return np.stack([left, left, right, right], axis=-1).astype(float)
