"""The seam for parametric body models: a shape goes in, a posable body comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from recon.core.checks import check_array
from recon.core.geometry import Array
from recon.core.people import BodyPoses
from recon.core.rig import Rig

KeypointSet = Literal["blazepose", "soles"]


@dataclass(frozen=True, kw_only=True)
class ParamSpec:
    """The shape parameters of a body model, with a Gaussian prior and limits, each (S,)."""

    names: tuple[str, ...]
    mean: Array
    std: Array
    low: Array
    high: Array

    def __post_init__(self) -> None:
        for name in ("mean", "std", "low", "high"):
            check_array(name, getattr(self, name), (len(self.names),))


@dataclass(frozen=True, kw_only=True)
class RestBody:
    """A shaped body's skeleton and surface points in the SMPL-X rest pose, pelvis at the origin.

    Args:
        joints: (52, 3) metres.
        keypoints: (33, 3) metres, BlazePose order. keypoint_joints: (33,) int, the joint that
            each is rigidly attached to.
        soles: (4, 3) metres, FOOT_POINTS. sole_joints: (4,) int.
    """

    joints: Array
    keypoints: Array
    keypoint_joints: np.ndarray
    soles: Array
    sole_joints: np.ndarray
    stature: float


class BodyModel(Protocol):
    """A body model, seen through canonical (SMPL-X) joints.

    `name` is its key in the table, `licence` that of its data, `param_spec` its shape;
    `joint_names`, `parents` are the canonical joints, `faces` (F, 3) the mesh's triangles.
    """

    name: str
    licence: str
    param_spec: ParamSpec
    joint_names: tuple[str, ...]
    parents: tuple[int, ...]
    faces: np.ndarray

    def rest_body(self, shape: Array) -> RestBody:
        """The skeleton and surface points of a body with shape values (S,)."""
        ...

    def skinning_spec(self, shape: Array) -> Rig:
        """The skinned mesh of a body with shape values (S,)."""
        ...

    def skeleton(self, shape: Array, poses: BodyPoses) -> Array:
        """Joint positions (N, 52, 3) in the poses' own frame."""
        ...

    def vertices(self, shape: Array, poses: BodyPoses) -> np.ndarray:
        """Mesh vertices (N, V, 3) in the poses' own frame."""
        ...

    def keypoints(self, shape: Array, poses: BodyPoses, keypoint_set: KeypointSet) -> Array:
        """Surface points (N, K, 3) of a named set in the poses' own frame."""
        ...
