"""A small person made of ellipsoids for the tests of avatars."""

from __future__ import annotations

from functools import cache

import numpy as np
import trimesh
from scipy.spatial import ConvexHull

from body.models.anny import AnnyModel
from recon.core.geometry import make_transform, rotvec_to_matrix
from recon.core.people import NUM_JOINTS, BodyPoses
from recon.core.rig import Rig
from recon.core.skeletons import CANONICAL_JOINTS, CANONICAL_PARENTS
from splatting.avatars.binding import SurfaceBinding, bind_surface

JOINT = {name: i for i, name in enumerate(CANONICAL_JOINTS)}
_BONES = {  # the joint that carries it, where it ends, and its thickness in metres
    "pelvis": ("spine2", 0.13), "spine2": ("neck", 0.13), "neck": ("head", 0.05),
    "head": (None, 0.10), "left_hip": ("left_knee", 0.07), "right_hip": ("right_knee", 0.07),
    "left_knee": ("left_ankle", 0.05), "right_knee": ("right_ankle", 0.05),
    "left_ankle": ("left_foot", 0.05), "right_ankle": ("right_foot", 0.05),
    "left_shoulder": ("left_elbow", 0.045), "right_shoulder": ("right_elbow", 0.045),
    "left_elbow": ("left_wrist", 0.04), "right_elbow": ("right_wrist", 0.04),
    "left_wrist": ("left_middle3", 0.03), "right_wrist": ("right_middle3", 0.03),
}  # fmt: skip


@cache
def small_rig() -> Rig:
    """Sixteen ellipsoids on Anny's skeleton, bound in the T-pose as SMPL is, with blended ends."""
    model = AnnyModel()
    full = model.skinning_spec(model.param_spec.mean)
    joints, vertices, faces, dense = full.rest_joints, [], [], []
    ball = trimesh.creation.icosphere(subdivisions=2)
    for k, (name, (end, thick)) in enumerate(_BONES.items()):
        j = JOINT[name]
        start = joints[j]
        stop = start + np.array([0, 0.16, 0]) if end is None else joints[JOINT[end]]
        along = (stop - start) / np.linalg.norm(stop - start)
        half = 0.5 * np.linalg.norm(stop - start) + 0.3 * thick
        unit = np.asarray(ball.vertices)
        length = unit @ along
        points = thick * (unit - length[:, None] * along) + half * length[:, None] * along
        weights = np.zeros((len(points), NUM_JOINTS))
        blend = np.clip(-length - 0.5, 0, 0.5)
        weights[:, j], weights[:, max(CANONICAL_PARENTS[j], 0)] = 1 - blend, blend
        weights[:, j] += 1 - weights.sum(axis=1)
        vertices.append(points + 0.5 * (start + stop))
        faces.append(np.asarray(ball.faces) + k * len(points))
        dense.append(weights)
    weights = np.concatenate(dense)
    indices = np.argsort(-weights, axis=1)[:, :4]
    return Rig(
        model="ellipsoids", licence="none", rest_joints=joints,
        bind_vertices=np.concatenate(vertices).astype(np.float32),
        Ts_joint_bind=make_transform(np.tile(np.eye(3), (NUM_JOINTS, 1, 1)), -joints),
        faces=np.concatenate(faces), weights=np.take_along_axis(weights, indices, axis=1),
        indices=indices, sole_joints=full.sole_joints, sole_points=full.sole_points,
    )  # fmt: skip


@cache
def small_binding(resolution: int = 64) -> SurfaceBinding:
    return bind_surface(small_rig(), resolution)


def hull_faces(vertices: np.ndarray) -> np.ndarray:
    """A closed mesh (F, 3) on scattered vertices."""
    hull = trimesh.Trimesh(vertices, ConvexHull(vertices).simplices, process=False)
    trimesh.repair.fix_normals(hull)
    return np.asarray(hull.faces, np.int64)


def some_poses(num_frames: int, *, seed: int = 0, spread: float = 0.3) -> BodyPoses:
    """Random poses that stand somewhere and face anywhere in a z-up world."""
    rng = np.random.default_rng(seed)
    rotvecs = spread * rng.standard_normal((num_frames, NUM_JOINTS, 3))
    rotations = rotvec_to_matrix(rotvecs)
    upright = rotvec_to_matrix(np.array([np.pi / 2, 0, 0]))
    turn = rotvec_to_matrix(
        np.stack([np.zeros(num_frames)] * 2 + [rng.uniform(0, 6, num_frames)], 1)
    )
    rotations[:, 0] = turn @ upright @ rotations[:, 0]
    root = np.array([0.0, 0.0, 1.0]) + 0.2 * rng.standard_normal((num_frames, 3))
    return BodyPoses(root=root, rotations=rotations)
