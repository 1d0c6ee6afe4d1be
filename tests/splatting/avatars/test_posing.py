from __future__ import annotations

import numpy as np
import torch

from recon.core.geometry import quat_to_matrix, rotvec_to_matrix
from recon.core.people import NUM_JOINTS
from splatting.avatars.posing import blended_quats, joint_transforms, pose_gaussians
from splatting.gaussians import Gaussians
from tests.splatting.avatars.people import JOINT, small_rig, some_poses


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.tensor(array, dtype=torch.float64)


def transforms_of(num_frames: int) -> torch.Tensor:
    poses = some_poses(num_frames, seed=3)
    return joint_transforms(
        tensor(small_rig().rest_joints), tensor(poses.rotations), tensor(poses.root)
    )


def some_gaussians(count: int, seed: int = 0) -> Gaussians:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return Gaussians(
        means=0.5 * normal(count, 3), quats=normal(count, 4), scales=normal(count, 3).exp() / 50,
        opacities=torch.sigmoid(normal(count)), sh=normal(count, 1, 3),
    )  # fmt: skip


def covariances(gaussians: Gaussians) -> np.ndarray:
    half = quat_to_matrix(gaussians.quats.numpy()) * gaussians.scales.numpy()[:, None]
    return half @ half.swapaxes(1, 2)


def test_transforms_take_the_rest_joints_to_the_rigs_own_joints() -> None:
    rig, poses = small_rig(), some_poses(4, seed=3)
    transforms = transforms_of(4).numpy()
    moved = np.einsum("tjab,jb->tja", transforms[..., :3], rig.rest_joints) + transforms[..., 3]
    rotations, positions = rig.joints(poses)
    np.testing.assert_allclose(moved, positions, atol=1e-12)
    np.testing.assert_allclose(transforms[..., :3], rotations, atol=1e-12)


def test_gaussians_of_one_joint_move_rigidly_with_their_covariances() -> None:
    gaussians, transforms = some_gaussians(20), transforms_of(1)[0]
    skinning = torch.zeros(20, NUM_JOINTS, dtype=torch.float64)
    skinning[:, JOINT["left_knee"]] = 1
    posed = pose_gaussians(gaussians, skinning, transforms)
    R, t = transforms[JOINT["left_knee"]].split((3, 1), dim=1)
    np.testing.assert_allclose(posed.means, gaussians.means @ R.T + t[:, 0], atol=1e-12)
    turned = R.numpy() @ covariances(gaussians) @ R.numpy().T
    np.testing.assert_allclose(covariances(posed), turned, atol=1e-12)


def test_the_blend_of_two_joints_lies_halfway_between_their_rotations() -> None:
    about = np.array([0.2, -0.5, 0.7])
    rotations = torch.eye(3, dtype=torch.float64).repeat(NUM_JOINTS, 1, 1)
    rotations[4], rotations[1] = (tensor(rotvec_to_matrix(k * about)) for k in (1.0, 3.0))
    skinning = torch.zeros(1, NUM_JOINTS, dtype=torch.float64)
    skinning[0, [1, 4]] = 0.5
    halfway = quat_to_matrix(blended_quats(skinning, rotations).numpy())[0]
    np.testing.assert_allclose(halfway, rotvec_to_matrix(2.0 * about), atol=1e-9)


def test_gradients_reach_the_rotations_and_the_root() -> None:
    poses, rig, gaussians = some_poses(1), small_rig(), some_gaussians(6)
    skinning = torch.rand(6, NUM_JOINTS, generator=torch.Generator().manual_seed(1)).double()
    skinning = skinning / skinning.sum(dim=1, keepdim=True)
    rest = tensor(rig.rest_joints)

    def place(rotations: torch.Tensor, root: torch.Tensor) -> torch.Tensor:
        posed = pose_gaussians(gaussians, skinning, joint_transforms(rest, rotations, root)[0])
        return torch.cat([posed.means, posed.quats], dim=1)

    rotations, root = (tensor(a).requires_grad_() for a in (poses.rotations, poses.root))
    assert torch.autograd.gradcheck(place, (rotations, root), eps=1e-6, atol=1e-5)
