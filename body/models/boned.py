"""Body models whose own skeleton is bound in another pose and has more bones than ours."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix

from body.models.base import RestBody
from body.models.canonical import rest_transforms
from body.models.rigged import KEYPOINT_JOINTS, SOLE_JOINTS, RiggedBodyModel, sparse_weights
from recon.core.geometry import Array
from recon.core.people import NUM_JOINTS
from recon.core.rig import Rig

SURFACE_JOINTS = np.concatenate([KEYPOINT_JOINTS, SOLE_JOINTS])
"""The joint that each of the 33 keypoints and 4 sole points is attached to."""


class BonedBodyModel(RiggedBodyModel):
    """Canonical joints stand for some of the model's bones; the others follow their parents.

    Subclasses set `_joint_bones` (52,), the bone of each canonical joint, `_bone_joints` (B,),
    the canonical joint that each bone moves with, and `_regressor` (37, L), the surface points
    from the vertices of `_landmarks`, which `_landmark_vertices` chooses among all.
    """

    _joint_bones: np.ndarray
    _bone_joints: np.ndarray
    _regressor: csr_matrix
    _landmark_vertices: np.ndarray | slice = slice(None)

    @abstractmethod
    def _rest(self, shape: Array) -> tuple[np.ndarray, Array]:
        """Vertices (V, 3) and bone heads (B, 3) in the bind pose: metres, z up, facing -y."""

    @abstractmethod
    def _bone_weights(self) -> csr_matrix:
        """Skinning weights (V, B)."""

    def _landmarks(self, shape: Array) -> tuple[np.ndarray, Array]:
        """Like `_rest`, of those vertices that tell the surface points and the stature."""
        return self._rest(shape)

    def _joint_heads(self, heads: Array) -> Array:
        """Canonical joints (52, 3) in the bind pose, from bone heads (B, 3)."""
        return heads[self._joint_bones]

    def rest_body(self, shape: Array) -> RestBody:
        """The skeleton and surface points of a body with shape values (S,)."""
        vertices, heads = self._landmarks(shape)
        joints, bind = rest_transforms(self._joint_heads(heads))
        placed = joints[SURFACE_JOINTS] + _in_joints(bind, self._regressor @ vertices)
        return RestBody(
            joints=joints,
            keypoints=placed[: len(KEYPOINT_JOINTS)],
            keypoint_joints=KEYPOINT_JOINTS,
            soles=placed[len(KEYPOINT_JOINTS) :],
            sole_joints=SOLE_JOINTS,
            stature=float(np.ptp(vertices[:, 2])),
        )

    def skinning_spec(self, shape: Array) -> Rig:
        """The skinned mesh of a body with shape values (S,); bind pose: the model's own."""
        vertices, heads = self._rest(shape)
        joints, bind = rest_transforms(self._joint_heads(heads))
        points = _in_joints(bind, self._regressor @ vertices[self._landmark_vertices])
        weights, indices = self._merged_weights
        return Rig(
            model=self.name,
            licence=self.licence,
            rest_joints=joints,
            bind_vertices=np.asarray(vertices, np.float32),
            Ts_joint_bind=bind,
            faces=self.faces,
            weights=weights,
            indices=indices,
            sole_joints=SOLE_JOINTS,
            sole_points=points[len(KEYPOINT_JOINTS) :],
        )

    @cached_property
    def _merged_weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights (V, K) and joints (V, K): bones that move together are added up."""
        merge = np.eye(NUM_JOINTS, dtype=np.float32)[self._bone_joints]
        return sparse_weights(np.asarray(self._bone_weights() @ merge, dtype=np.float32))


def _in_joints(bind: Array, points: Array) -> Array:
    """Surface points (37, 3) in the frames of their joints, from the bind pose."""
    transforms = bind[SURFACE_JOINTS]
    return np.einsum("kab,kb->ka", transforms[:, :3, :3], points) + transforms[:, :3, 3]


def owners_of_bones(
    parents: Sequence[int], joint_of: dict[int, int], *, forced: dict[int, int] | None = None
) -> np.ndarray:
    """The canonical joint (B,) that each bone moves with: its own, or its parent's.

    Args:
        parents: of each bone, -1 for none; parents come first. joint_of: bone to its canonical
            joint. forced: bone to another joint than its parent's.
    """
    owners: list[int] = []
    for bone, parent in enumerate(parents):
        follows = owners[parent] if parent >= 0 else 0
        owners.append(joint_of.get(bone, (forced or {}).get(bone, follows)))
    return np.array(owners)
