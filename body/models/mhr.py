"""MHR, Meta's Momentum Human Rig (Apache-2.0), from the file of its release.

Its skeleton and its surface have shapes of their own: 45 identity coefficients and 68 scale
parameters. Poses are canonical rotations of the bones that stand for our joints; the twist bones
follow their parents, and the pose-dependent corrections are left out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from body.models.anny import AnnyModel
from body.models.base import ParamSpec
from body.models.boned import SURFACE_JOINTS, BonedBodyModel, owners_of_bones
from body.models.canonical import rest_transforms
from body.models.mhr_files import (
    NUM_IDENTITY,
    NUM_SCALES,
    find_mhr_file,
    read_mhr_file,
)
from recon.core.errors import InputError
from recon.core.geometry import Array, invert_transform, transform_points
from recon.core.people import NUM_JOINTS
from recon.core.skeletons import CANONICAL_JOINTS

_BONES = {
    "pelvis": "root", "spine1": "c_spine1", "spine2": "c_spine2", "spine3": "c_spine3",
    "neck": "c_neck", "head": "c_head", "hip": "upleg", "knee": "lowleg", "ankle": "foot",
    "foot": "ball", "collar": "clavicle", "shoulder": "uparm", "elbow": "lowarm",
    "wrist": "wrist",
}  # fmt: skip

_SCALE_STD, _SCALE_LIMIT = 0.1, 0.5
"""Our own prior of a scale parameter: 7 % of a bone's length, at most 40 %."""

_NEAR = 8
"""Vertices that carry one surface point."""
_EXTREMES = 50
"""Highest and lowest vertices of the mean body, among which any body's are."""


def _bone_of(joint: str) -> str:
    """The MHR bone that stands for a canonical joint."""
    side, _, part = joint.rpartition("_")
    return f"{side[0]}_{_BONES.get(part, part)}" if side else _BONES[part]


class MhrModel(BonedBodyModel):
    """MHR at level of detail 1."""

    name = "mhr"
    licence = "Apache-2.0"

    def __init__(self, path: Path | None = None) -> None:
        """Reads `mhr_model.pt` at `path` or in the folder `path`.

        Raises:
            InputError: no such file, or not one of this model.
        """
        file = find_mhr_file(path)
        self._asset = read_mhr_file(file)
        missing = {_bone_of(j) for j in CANONICAL_JOINTS} - set(self._asset.bones)
        if missing:
            raise InputError(
                f"expected MHR's bones in {file}, got none named {', '.join(sorted(missing))}; "
                "give the file of MHR's release 1.0"
            )
        self.faces = self._asset.faces
        self.param_spec = _param_spec()
        bones = self._asset.bones
        self._joint_bones = np.array([bones.index(_bone_of(j)) for j in CANONICAL_JOINTS])
        joint_of = {int(b): j for j, b in enumerate(self._joint_bones)}
        self._bone_joints = owners_of_bones(self._asset.parents, joint_of)
        vertices, heads = self._asset.rest(self.param_spec.mean)
        _check_axes(dict(zip(CANONICAL_JOINTS, heads[self._joint_bones], strict=True)), file)
        self._landmark_vertices, self._regressor = self._surface_points(vertices, heads)
        self._few = self._asset.take(self._landmark_vertices)

    def _surface_points(self, vertices: Array, heads: Array) -> tuple[np.ndarray, csr_matrix]:
        """The vertices (L,) that tell the surface points and the stature; the points from them.

        MHR names no points: they lie about its joints as about those of Anny's mean body, scaled
        by the stature.
        """
        anny = AnnyModel()
        mean = anny.rest_body(anny.param_spec.mean)
        bind = rest_transforms(self._joint_heads(heads))[1]
        scale = float(np.ptp(vertices[:, 2])) / mean.stature
        points = np.concatenate([mean.keypoints, mean.soles]) - mean.joints[SURFACE_JOINTS]
        back = invert_transform(bind[SURFACE_JOINTS])
        targets = transform_points(back, scale * points[:, None])[:, 0]
        dense = np.stack([_weights_near(point, vertices) for point in targets])
        order = np.argsort(vertices[:, 2])
        few = np.union1d(np.flatnonzero(dense.any(axis=0)), order[:_EXTREMES])
        few = np.union1d(few, order[-_EXTREMES:])
        return few, csr_matrix(dense[:, few])

    def _rest(self, shape: Array) -> tuple[np.ndarray, Array]:
        return self._asset.rest(shape)

    def _landmarks(self, shape: Array) -> tuple[np.ndarray, Array]:
        return self._few.rest(shape)

    def _bone_weights(self) -> csr_matrix:
        return self._asset.weights


def _param_spec() -> ParamSpec:
    """Identity: zero mean, unit variance, within 3 (the package's README); scales: ours."""
    identity, scales = np.ones(NUM_IDENTITY), np.ones(NUM_SCALES)
    limit = np.concatenate([3 * identity, _SCALE_LIMIT * scales])
    names = [f"identity{k}" for k in range(NUM_IDENTITY)]
    return ParamSpec(
        names=(*names, *(f"scale{k}" for k in range(NUM_SCALES))),
        mean=np.zeros(NUM_IDENTITY + NUM_SCALES),
        std=np.concatenate([identity, _SCALE_STD * scales]),
        low=-limit,
        high=limit,
    )


def _weights_near(point: Array, vertices: Array) -> Array:
    """Weights (V,) on the nearest vertices, summing to one and averaging to the point."""
    near = np.argsort(np.linalg.norm(vertices - point, axis=1))[:_NEAR]
    out = np.zeros(len(vertices))
    system = np.vstack([vertices[near].T, np.ones(len(near))])
    out[near] = np.linalg.lstsq(system, np.append(point, 1.0), rcond=None)[0]
    return out


def _check_axes(at: dict[str, Array], file: Path) -> None:
    """Raises InputError unless the person stands upright, left to +x, facing -y."""
    upright = at["head"][2] > at["pelvis"][2] + 0.3 > at["left_ankle"][2] + 0.6
    faces_us = at["left_foot"][1] < at["left_ankle"][1] and at["left_hip"][0] > at["right_hip"][0]
    if not (upright and faces_us and len(at) == NUM_JOINTS):
        raise InputError(
            f"expected MHR in metres / 100, y up, facing +z, got another pose or size in {file}; "
            "give the file of MHR's release 1.0"
        )
