"""A person's mesh on the bones that turn, as browsers skin it: four weights a vertex."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from recon.core.geometry import Array, invert_transform, make_transform, transform_points
from recon.core.people import NUM_JOINTS, BodyPoses
from recon.core.rig import Rig, largest_weights
from recon.core.skeletons import CANONICAL_PARENTS

NUM_INFLUENCES = 4
_LARGEST_ERROR = 1e-3
_STILL = 1e-4
"""Radians that a joint may turn and still count as stiff: 0.01 mm at a finger's length."""


@dataclass(frozen=True, kw_only=True)
class BoneMesh:
    """A mesh in its bind pose, and the bones that carry it.

    Args:
        vertices: (V, 3) metres. faces: (F, 3) int. weights: (V, G), four a row at most, summing
            to 1. joints: (G,) int, the canonical joint that each bone is.
        Ts_bind_bone: (G, 4, 4) the bones in the bind pose.
    """

    vertices: np.ndarray
    faces: np.ndarray
    weights: np.ndarray
    joints: np.ndarray
    Ts_bind_bone: Array

    @classmethod
    def of(cls, rig: Rig, poses: BodyPoses) -> BoneMesh:
        """The mesh of a rig that makes the motion `poses`.

        Joints that never turn (fingers that nobody looked at) are stiff parts of the nearest
        one above that does: their vertices are bent once, here, so that fewer bones move. That is
        exact but for vertices that such a joint shares with another bone; where it would be seen,
        every joint stays a bone.
        """
        bone_of = _bone_of_joint(poses.rotations)
        mesh, error = cls._on_bones(rig, poses, bone_of)
        if error > _LARGEST_ERROR:
            mesh, _ = cls._on_bones(rig, poses, np.arange(NUM_JOINTS))
        return mesh

    @classmethod
    def _on_bones(cls, rig: Rig, poses: BodyPoses, bone_of: np.ndarray) -> tuple[BoneMesh, float]:
        """The mesh where `bone_of` (52,) names the bone of each joint, and how far, in metres at
        most, vertices between bones may be off."""
        first = BodyPoses(root=poses.root[:1], rotations=poses.rotations[:1])
        rotations, positions = rig.joints(first)
        Ts_first = make_transform(rotations[0], positions[0])
        Ts_bind_joint = invert_transform(rig.Ts_joint_bind)
        # Where a joint would lie if its bone, stiff parts and all, were in the bind pose.
        stiff = invert_transform(Ts_first[bone_of]) @ Ts_first
        Ts_bent_bind = Ts_bind_joint[bone_of] @ stiff @ rig.Ts_joint_bind
        dense = rig.dense_weights().astype(float)
        bent = transform_points(Ts_bent_bind, np.asarray(rig.bind_vertices, float))
        vertices = np.einsum("vj,jva->va", dense, bent)
        joints, group = np.unique(bone_of, return_inverse=True)
        grouped = dense @ np.eye(len(joints))[group]
        shared = grouped.max(axis=1) < 1 - 1e-6
        off = np.einsum("vj,jv->v", dense, np.linalg.norm(bent - vertices, axis=-1))
        mesh = cls(
            vertices=vertices, faces=rig.faces, weights=_pruned(grouped), joints=joints,
            Ts_bind_bone=Ts_bind_joint[joints],
        )  # fmt: skip
        return mesh, float(off[shared].max(initial=0.0))

    def simplified(self, num_faces: int) -> BoneMesh:
        """The mesh with about `num_faces` triangles (quadric decimation); itself if it has fewer.

        Raises:
            MissingDependencyError: Open3D is not installed.
            ReconError: a system library that it needs is missing.
        """
        if len(self.faces) <= num_faces:
            return self
        from scipy.spatial import KDTree

        from viewer.system import load_open3d

        o3d = load_open3d()
        mesh = o3d.geometry.TriangleMesh(
            o3d.utility.Vector3dVector(self.vertices), o3d.utility.Vector3iVector(self.faces)
        )
        simple = mesh.simplify_quadric_decimation(num_faces)
        vertices = np.asarray(simple.vertices)
        nearest = KDTree(self.vertices).query(vertices)[1]
        return replace(
            self, vertices=vertices, faces=np.asarray(simple.triangles),
            weights=self.weights[nearest],
        )  # fmt: skip

    def posed(self, rotations: Array, positions: Array) -> np.ndarray:
        """Vertices (V, 3) with the canonical joints at rotations (52, 3, 3), positions (52, 3)."""
        Ts = make_transform(rotations[self.joints], positions[self.joints])
        moved = transform_points(Ts @ invert_transform(self.Ts_bind_bone), self.vertices)
        return np.einsum("vg,gva->va", self.weights, moved)


def _bone_of_joint(rotations: Array) -> np.ndarray:
    """For every joint (52,) the nearest one that turns: itself or one above it."""
    # The angle of R1^T R2 is at most |R1 - R2| (Frobenius) to first order.
    turns = np.linalg.norm(rotations - rotations[:1], axis=(2, 3)).max(axis=0) > _STILL
    bone_of = np.arange(NUM_JOINTS)
    for joint, parent in enumerate(CANONICAL_PARENTS):
        if parent >= 0 and not turns[joint]:
            bone_of[joint] = bone_of[parent]
    return bone_of


def _pruned(dense: Array) -> np.ndarray:
    """The four largest weights of each row, summing to 1; the others are 0."""
    weights, columns = largest_weights(dense, NUM_INFLUENCES)
    out = np.zeros_like(dense)
    np.add.at(out, (np.arange(len(out))[:, None], columns), weights)
    return out
