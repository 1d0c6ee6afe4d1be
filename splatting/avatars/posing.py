"""Gaussians carried along by a skeleton: linear blend skinning that gradients pass through."""

from __future__ import annotations

from dataclasses import replace

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from recon.core.skeletons import CANONICAL_PARENTS
from splatting.gaussians import Gaussians


def joint_transforms(
    rest_joints: Float[Tensor, "J 3"],
    rotations: Float[Tensor, "T J 3 3"],
    root: Float[Tensor, "T 3"],
) -> Float[Tensor, "T J 3 4"]:
    """Maps from the rest pose to the posed frame, of every joint.

    Args:
        rest_joints: metres. rotations: relative to the parent, as in BodyPoses. root: metres, the
            place of joint 0.
    """
    turned, places = [rotations[:, 0]], [root]
    for j, p in enumerate(CANONICAL_PARENTS[1 : rotations.shape[1]], start=1):
        turned.append(turned[p] @ rotations[:, j])
        places.append(places[p] + turned[p] @ (rest_joints[j] - rest_joints[p]))
    R, x = torch.stack(turned, dim=1), torch.stack(places, dim=1)
    shift = x - torch.einsum("tjab,jb->tja", R, rest_joints)
    return torch.cat([R, shift[..., None]], dim=-1)


def pose_gaussians(
    gaussians: Gaussians,
    skinning: Float[Tensor, "N J"],
    transforms: Float[Tensor, "J 3 4"],
    *,
    turns: Float[Tensor, "N 4"] | None = None,
) -> Gaussians:
    """The Gaussians of the rest pose in another pose, in its frame.

    Centres follow the blended transforms; rotations follow `blended_quats`; sizes and colours
    stay. Colours that depend on the view (SH degree 1 and more) are not turned.

    Args:
        skinning: weights, rows sum to 1. transforms: of one frame, from `joint_transforms`.
        turns: `blended_quats` of them, where they are known already.
    """
    blended = (skinning @ transforms.reshape(-1, 12)).reshape(-1, 3, 4)
    means = (blended[:, :, :3] * gaussians.means[:, None]).sum(dim=2) + blended[:, :, 3]
    if turns is None:
        turns = blended_quats(skinning, transforms[:, :, :3])
    return replace(gaussians, means=means, quats=quat_product(turns, gaussians.quats))


def blended_quats(
    skinning: Float[Tensor, "N J"], rotations: Float[Tensor, "J 3 3"]
) -> Float[Tensor, "N 4"]:
    """Unit quaternions wxyz: the weighted mean rotation of every point.

    The normalised sum of quaternions, each joint's on its parent's side: close to the rotation
    nearest to the blended matrix as long as neighbouring joints turn by less than a right angle,
    and, unlike that one, cheap and smooth (Kavan et al. 2007, section 3.1).
    """
    quats = roma.rotmat_to_unitquat(rotations)[:, [3, 0, 1, 2]]
    sides = [1.0]
    own = quats.detach().cpu().numpy()
    for j, p in enumerate(CANONICAL_PARENTS[1 : len(own)], start=1):
        sides.append(sides[p] if own[j] @ own[p] >= 0 else -sides[p])
    quats = quats * torch.tensor(sides, dtype=quats.dtype, device=quats.device)[:, None]
    return torch.nn.functional.normalize(skinning @ quats, dim=-1)


def quat_product(a: Float[Tensor, "N 4"], b: Float[Tensor, "N 4"]) -> Float[Tensor, "N 4"]:
    """Products of quaternions wxyz: the rotation b, then a."""
    (aw, av), (bw, bv) = ((q[:, :1], q[:, 1:]) for q in (a, b))
    vector = aw * bv + bw * av + torch.linalg.cross(av, bv)
    return torch.cat([aw * bw - (av * bv).sum(dim=1, keepdim=True), vector], dim=1)
