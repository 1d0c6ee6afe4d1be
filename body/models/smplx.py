"""SMPL-X, SMPL-H and SMPL (Max Planck Society) from the user's own licensed files.

Nothing of them is part of this project: the skinning function and the vertex numbers come from
the package `smplx`, an extra under its own restrictive licence.

All rotate their joints as our canonical motion does, so rotations pass through unchanged.
Their pelvis does not lie at the origin of the template but at J0 (`pelvis_offset`), about 35 cm
below it in SMPL-X, and `transl` moves that origin: for motion files, `transl = root - J0`.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_matrix

from body.models.base import ParamSpec, RestBody
from body.models.rigged import KEYPOINT_JOINTS, SOLE_JOINTS, RiggedBodyModel, sparse_weights
from body.models.smpl_files import find_model_file, read_model_file
from recon.core.errors import InputError, MissingDependencyError
from recon.core.geometry import Array, make_transform
from recon.core.people import FOOT_POINTS, NUM_JOINTS, BodyPoses
from recon.core.rig import Rig
from recon.core.skeletons import (
    BLAZEPOSE_KEYPOINTS,
    CANONICAL_JOINTS,
    LEFT_HAND_JOINTS,
)

NUM_BETAS = 10
_CHUNK = 16  # frames skinned at once: about 40 MB
_HEAD, _LEFT_WRIST, _RIGHT_WRIST = (
    CANONICAL_JOINTS.index(n) for n in ("head", "left_wrist", "right_wrist")
)

_HIP_SPREAD = 1.6
"""SMPL's hip joints are 12 cm apart, where people have (and networks see) them 19 cm apart."""

# Shares of the distance between the eyes: outwards, up, forward.
_EYE_INNER = np.array([-0.25, 0.0, 0.07])
_EYE_OUTER = np.array([0.28, 0.0, -0.08])
_MOUTH = np.array([0.38, -1.25, 0.0])

_LEFT_FINGERS = np.array([
    [0.109, -0.001, 0.027], [0.136, -0.007, 0.030], [0.158, -0.018, 0.033],
    [0.108, 0.004, -0.001], [0.142, -0.006, -0.006], [0.168, -0.018, -0.008],
    [0.092, -0.001, -0.040], [0.111, -0.009, -0.050], [0.124, -0.017, -0.055],
    [0.102, 0.004, -0.021], [0.131, -0.004, -0.031], [0.154, -0.014, -0.037],
    [0.040, -0.003, 0.025], [0.053, -0.024, 0.046], [0.080, -0.042, 0.066],
])  # fmt: skip
"""Finger joints of a mean adult (Anny's) from the wrist in metres, LEFT_HAND_JOINTS order."""

_HAND_LENGTH = 0.085
"""Metres from the wrist to SMPL's hand joint in a mean adult."""


class SmplFamily(RiggedBodyModel):
    """What the three share: a linear shape space, pose blend shapes, aligned joints."""

    num_vertices: ClassVar[int]
    file_names: ClassVar[tuple[str, ...]]
    website: ClassVar[str]
    vertex_table: ClassVar[str]
    owners: ClassVar[tuple[int, ...]]
    """The canonical joint that each joint of the model moves with."""

    def __init__(self, path: Path | None = None) -> None:
        """Reads the licensed file at `path`, in the folder `path`, or in its subfolder.

        Raises:
            InputError: no such file, or not one of this model.
            MissingDependencyError: the package `smplx` is not installed.
        """
        file = find_model_file(path, self.file_names, folder=self.name, website=self.website)
        try:
            from smplx.vertex_ids import vertex_ids
        except ImportError as error:
            raise MissingDependencyError("smplx", "smplx") from error
        data = read_model_file(file)
        self._check(data, file)
        self._vertex_ids: dict[str, int] = vertex_ids[self.vertex_table]
        self._template = data["v_template"].astype(float)
        self._shapedirs = data["shapedirs"][..., :NUM_BETAS].astype(float)
        self._joint_regressor = csr_matrix(data["J_regressor"].astype(float))
        self._weights = data["weights"].astype(np.float32)
        # The package wants (pose features, vertices * 3).
        posedirs = data["posedirs"].reshape(self.num_vertices * 3, -1).T
        self._posedirs = np.ascontiguousarray(posedirs, np.float32)
        self._parents = data["kintree_table"][0].astype(np.int64)
        self._parents[0] = -1
        self.faces = data["f"].astype(np.int32)
        self.param_spec = ParamSpec(
            names=tuple(f"beta{k}" for k in range(NUM_BETAS)),
            mean=np.zeros(NUM_BETAS),
            std=np.ones(NUM_BETAS),
            low=np.full(NUM_BETAS, -5.0),
            high=np.full(NUM_BETAS, 5.0),
        )

    def _check(self, data: dict[str, np.ndarray], file: Path) -> None:
        """Raises InputError unless the arrays are those of this model."""
        v, j = self.num_vertices, len(self.owners)
        wanted = {
            "v_template": (v, 3), "shapedirs": (v, 3, None), "weights": (v, j),
            "posedirs": (v, 3, 9 * (j - 1)), "J_regressor": (j, v), "kintree_table": (2, j),
            "f": (None, 3),
        }  # fmt: skip
        for key, shape in wanted.items():
            got = data[key].shape
            if len(got) != len(shape) or any(
                want not in (None, have) for want, have in zip(shape, got, strict=True)
            ):
                raise InputError(
                    f"expected {self.name} with {key} of shape {shape}, got {got} in {file}; "
                    f"give {self.file_names[0]} or another --body-model"
                )
        if data["shapedirs"].shape[2] < NUM_BETAS:
            raise InputError(
                f"expected at least {NUM_BETAS} shape directions, got "
                f"{data['shapedirs'].shape[2]} in {file}; give {self.file_names[0]}"
            )

    def _shaped(self, shape: Array) -> tuple[Array, Array]:
        """Template vertices (V, 3) and the model's own joints (J, 3) with betas (10,)."""
        vertices = self._template + self._shapedirs @ np.asarray(shape, dtype=float)
        return vertices, self._joint_regressor @ vertices

    def _canonical(self, joints: Array) -> Array:
        """Canonical joints (52, 3) from the model's own (J, 3), in the same frame."""
        return joints[[self.owners.index(j) for j in range(NUM_JOINTS)]]

    def pelvis_offset(self, shape: Array) -> Array:
        """J0 (3,): the pelvis in the model's own frame at rest, so that `transl = root - J0`."""
        return self._shaped(shape)[1][0]

    def rest_body(self, shape: Array) -> RestBody:
        """The skeleton and surface points of a body with betas (10,)."""
        vertices, own_joints = self._shaped(shape)
        joints = self._canonical(own_joints)
        at = dict(zip(CANONICAL_JOINTS, joints, strict=True))
        at |= {key: vertices[i] for key, i in self._vertex_ids.items()}
        return RestBody(
            joints=joints - joints[0],
            keypoints=_blazepose(at) - joints[0],
            keypoint_joints=KEYPOINT_JOINTS,
            soles=np.stack([_sole(name, at, vertices) for name in FOOT_POINTS]) - joints[0],
            sole_joints=SOLE_JOINTS,
            stature=float(np.ptp(vertices[:, 1])),
        )

    def skinning_spec(self, shape: Array) -> Rig:
        """The skinned mesh of a body with betas (10,), bound where the model's own template lies.

        A Rig skins linearly, so it leaves the pose blend shapes out; `vertices` has them.
        """
        vertices, own_joints = self._shaped(shape)
        body = self.rest_body(shape)
        weights, indices = self._merged_weights
        return Rig(
            model=self.name,
            licence=self.licence,
            rest_joints=body.joints,
            bind_vertices=vertices.astype(np.float32),
            Ts_joint_bind=make_transform(np.eye(3), -(body.joints + own_joints[0])),
            faces=self.faces,
            weights=weights,
            indices=indices,
            sole_joints=SOLE_JOINTS,
            sole_points=body.soles - body.joints[SOLE_JOINTS],
        )

    @cached_property
    def _merged_weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights (V, K) and canonical joints (V, K)."""
        merge = np.eye(NUM_JOINTS, dtype=np.float32)[list(self.owners)]
        return sparse_weights(self._weights @ merge)

    def vertices(self, shape: Array, poses: BodyPoses) -> np.ndarray:
        """Mesh vertices (N, V, 3) float32 with pose blend shapes, in the poses' own frame."""
        import torch
        from smplx.lbs import lbs

        skin: Any = lbs  # the package annotates with a tensor type of its own

        def tensor(array: np.ndarray) -> torch.Tensor:
            return torch.as_tensor(np.ascontiguousarray(array, np.float32))

        template, shapedirs, posedirs = map(
            tensor, (self._template, self._shapedirs, self._posedirs)
        )
        regressor, weights = tensor(self._joint_regressor.toarray()), tensor(self._weights)
        betas, parents = tensor(shape), torch.as_tensor(self._parents)
        # A joint that only follows its canonical owner (jaw, eyes, SMPL's hands) does not bend.
        follows = [self.owners.index(owner) != i for i, owner in enumerate(self.owners)]
        transl = np.asarray(poses.root - self.pelvis_offset(shape), np.float32)
        out = np.empty((len(poses.root), self.num_vertices, 3), np.float32)
        for start in range(0, len(out), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            rotations = poses.rotations[chunk][:, list(self.owners)].astype(np.float32)
            rotations[:, follows] = np.eye(3)
            with torch.no_grad():
                skinned, _ = skin(
                    betas.expand(len(rotations), -1), tensor(rotations), template, shapedirs,
                    posedirs, regressor, parents, weights, pose2rot=False,
                )  # fmt: skip
            out[chunk] = skinned.numpy() + transl[chunk, None]
        return out


class SmplxModel(SmplFamily):
    """SMPL-X (Pavlakos et al. 2019) with ten betas; the jaw and the eyes move with the head."""

    name = "smplx"
    licence = "SMPL-X Model License (non-commercial research)"
    num_vertices = 10475
    file_names = ("SMPLX_NEUTRAL.npz", "SMPLX_NEUTRAL.pkl")
    website = "smpl-x.is.tue.mpg.de"
    vertex_table = "smplx"
    owners = (*range(22), _HEAD, _HEAD, _HEAD, *range(22, NUM_JOINTS))


class SmplhModel(SmplFamily):
    """SMPL-H (Romero et al. 2017): SMPL with MANO's fifteen joints per hand, and ten betas.

    Only the extended release has a neutral body, in `neutral/model.npz`; a file of one sex is
    taken where it is given itself.
    """

    name = "smplh"
    licence = "SMPL+H Model License (non-commercial research)"
    num_vertices = 6890
    file_names = ("SMPLH_NEUTRAL.npz", "SMPLH_NEUTRAL.pkl", "neutral/model.npz")
    website = "mano.is.tue.mpg.de"
    vertex_table = "smplh"
    owners = tuple(range(NUM_JOINTS))


class SmplModel(SmplFamily):
    """SMPL (Loper et al. 2015) with ten betas; the hands move with the wrists.

    It has no finger joints: the canonical ones rest where a mean hand has them, scaled to the
    model's own hand, and move no vertex.
    """

    name = "smpl"
    licence = "SMPL Model License (non-commercial research)"
    num_vertices = 6890
    file_names = (
        "SMPL_NEUTRAL.npz",
        "SMPL_NEUTRAL.pkl",
        "basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl",
    )
    website = "smpl.is.tue.mpg.de"
    vertex_table = "smplh"
    owners = (*range(22), _LEFT_WRIST, _RIGHT_WRIST)

    def _canonical(self, joints: Array) -> Array:
        out = np.empty((NUM_JOINTS, 3))
        out[:22] = joints[:22]
        for wrist, hand, first, mirror in (
            (_LEFT_WRIST, 22, 22, [1.0, 1.0, 1.0]),
            (_RIGHT_WRIST, 23, 22 + len(LEFT_HAND_JOINTS), [-1.0, 1.0, 1.0]),
        ):
            scale = np.linalg.norm(joints[hand] - joints[wrist]) / _HAND_LENGTH
            fingers = joints[wrist] + scale * _LEFT_FINGERS * mirror
            out[first : first + len(fingers)] = fingers
        return out


def _blazepose(at: dict[str, Array]) -> Array:
    """The BlazePose keypoints (33, 3) from joints and named vertices of the rest pose."""
    between = at["leye"] - at["reye"]
    middle, gauge = 0.5 * (at["leye"] + at["reye"]), float(np.linalg.norm(between))
    points = {"nose": at["nose"]}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        letter, mirror = side[0], gauge * np.array([sign, 1.0, 1.0])
        joint = {k: at[f"{side}_{k}"] for k in ("shoulder", "elbow", "wrist", "knee", "ankle")}
        hips = 0.5 * (at["left_hip"] + at["right_hip"])
        toes = (at[f"{letter.upper()}BigToe"], at[f"{letter.upper()}SmallToe"])
        points |= {f"{side}_{k}": p for k, p in joint.items()} | {
            f"{side}_eye": at[f"{letter}eye"],
            f"{side}_eye_inner": at[f"{letter}eye"] + mirror * _EYE_INNER,
            f"{side}_eye_outer": at[f"{letter}eye"] + mirror * _EYE_OUTER,
            f"{side}_ear": at[f"{letter}ear"],
            f"mouth_{side}": middle + mirror * _MOUTH,
            f"{side}_hip": hips + _HIP_SPREAD * (at[f"{side}_hip"] - hips),
            f"{side}_pinky": at[f"{side}_pinky1"],
            f"{side}_index": at[f"{side}_index1"],
            f"{side}_thumb": at[f"{side}_thumb2"],
            f"{side}_heel": at[f"{letter.upper()}Heel"],
            f"{side}_foot_index": 0.75 * toes[0] + 0.25 * toes[1],
        }
    return np.stack([points[name] for name in BLAZEPOSE_KEYPOINTS])


def _sole(name: str, at: dict[str, Array], vertices: Array) -> Array:
    """The point of the sole below the heel, or below the ball of the foot, (3,)."""
    side, _, part = name.partition("_")
    letter = side[0].upper()
    above = (
        at[f"{letter}Heel"]
        if part == "heel"
        else 0.5 * (at[f"{side}_foot"] + at[f"{letter}BigToe"])
    )
    near = np.linalg.norm((vertices - above)[:, [0, 2]], axis=1) < 0.03
    return np.array([above[0], vertices[near, 1].min(initial=above[1]), above[2]])
