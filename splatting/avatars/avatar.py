"""A person as Gaussians that any motion of our skeleton moves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from recon.core.checks import check_array
from recon.core.errors import InputError
from recon.core.geometry import Array
from recon.core.people import NUM_JOINTS, BodyPoses
from splatting.avatars.binding import skinning_matrix
from splatting.avatars.posing import blended_quats, joint_transforms, pose_gaussians
from splatting.avatars.shading import shaded
from splatting.gaussians import Gaussians


class Neural(Protocol):
    """Appearance that depends on the pose; see `splatting.avatars.network`."""

    def rest_gaussians(self, avatar: Avatar, poses: BodyPoses, frame: int) -> Gaussians:
        """The avatar's Gaussians in the rest pose as they look in this pose."""
        ...

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything a file must hold, by name; no objects."""
        ...


@dataclass(frozen=True, kw_only=True)
class Avatar:
    """One person's Gaussians in the rest pose, and how a skeleton carries them.

    The rest pose is the T-pose of SMPL-X: metres, y up, facing +z, the pelvis joint at the origin.

    Args:
        gaussians: in the rest pose, float32 on the CPU; colours as under even light.
        normals: (N, 3) unit, of the body's surface, in the rest pose.
        weights: (N, K) of skinning, sum 1. indices: (N, K) int into the canonical joints.
        rest_joints: (52, 3) metres.
        texel: (N, 2) int, row and column of each Gaussian's home in the body's texture.
        resolution: texels along each side of that texture.
        seen: (N,) bool; False where no picture showed the place and its looks are a guess.
        light: (9, 3) factors of the colour by the direction of the normal, in the world of the
            video (see `splatting.avatars.shading`), or None: even light.
        model: of the body. licence: of the body model's data. track_id: of the person in its
            video. source: what it was made from, in words.
        neural: appearance that depends on the pose, or None.
    """

    gaussians: Gaussians
    normals: np.ndarray
    weights: np.ndarray
    indices: np.ndarray
    rest_joints: Array
    texel: np.ndarray
    resolution: int
    seen: np.ndarray
    model: str
    licence: str
    track_id: int
    source: str
    light: np.ndarray | None = None
    neural: Neural | None = None

    def __post_init__(self) -> None:
        count = len(self.gaussians)
        check_array("normals", self.normals, (count, 3))
        check_array("indices", self.indices, (count, None), np.integer)
        check_array("weights", self.weights, self.indices.shape)
        check_array("rest_joints", self.rest_joints, (NUM_JOINTS, 3))
        check_array("texel", self.texel, (count, 2), np.integer)
        check_array("seen", self.seen, (count,), np.bool_)
        if self.light is not None:
            check_array("light", self.light, (9, 3))
        if count and not 0 <= self.indices.min() <= self.indices.max() < NUM_JOINTS:
            raise InputError(
                f"indices: expected joints 0 to {NUM_JOINTS - 1}, got {self.indices.min()} to "
                f"{self.indices.max()}"
            )

    def __len__(self) -> int:
        return len(self.gaussians)

    @cached_property
    def skinning(self) -> Tensor:
        """The weights as a (N, 52) float32 matrix."""
        return skinning_matrix(self.weights, self.indices)

    @torch.no_grad()
    def posed(self, poses: BodyPoses, frame: int, *, lit: bool = True) -> Gaussians:
        """The Gaussians in one frame of a motion, in the motion's own frame of reference.

        Bones keep the avatar's lengths, whoever moved.

        Args:
            lit: under the light of the video, which needs z-up poses; False: under even light.
        """
        if not 0 <= frame < len(poses.root):
            raise InputError(f"frame: expected 0 to {len(poses.root) - 1}, got {frame}")
        rest = self.gaussians
        if self.neural is not None:
            rest = self.neural.rest_gaussians(self, poses, frame)
        transforms = joint_transforms(
            torch.tensor(self.rest_joints, dtype=torch.float32),
            torch.tensor(poses.rotations[frame : frame + 1], dtype=torch.float32),
            torch.tensor(poses.root[frame : frame + 1], dtype=torch.float32),
        )[0]
        turns = blended_quats(self.skinning, transforms[:, :, :3])
        posed = pose_gaussians(rest, self.skinning, transforms, turns=turns)
        if not lit or self.light is None:
            return posed
        light, normals = (torch.tensor(a, dtype=torch.float32) for a in (self.light, self.normals))
        return replace(posed, sh=shaded(posed.sh, light, turns, normals))
