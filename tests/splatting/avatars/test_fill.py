from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import torch

from splatting.avatars.fill import fill_unseen
from splatting.avatars.surface import neighbours
from splatting.gaussians import Gaussians
from splatting.harmonics import rgb_to_sh
from tests.splatting.avatars.people import JOINT, small_binding
from tests.splatting.avatars.test_training import painted


def filled(seen: np.ndarray, gaussians: Gaussians) -> Gaussians:
    binding = small_binding()
    return fill_unseen(gaussians, binding, seen, neighbours(binding)[0].numpy())


def still(gaussians: Gaussians) -> Gaussians:
    """Without gradients."""
    parts = {f.name: getattr(gaussians, f.name).detach() for f in fields(gaussians)}
    return Gaussians(**parts)


def joint_weight(name: str) -> np.ndarray:
    return small_binding().skinning[:, JOINT[name]].numpy()


def test_an_unseen_arm_takes_the_other_arms_looks_and_shape() -> None:
    binding, truth = small_binding(), still(painted())
    seen = joint_weight("left_elbow") < 0.5
    lifted = truth.means + 0.01 * torch.from_numpy(binding.rest_normals)
    out = filled(seen, replace(truth, means=lifted))
    rows = np.flatnonzero(~seen)
    mirrored = binding.rest_points[rows] * [-1, 1, 1]
    away = np.linalg.norm(mirrored[:, None] - binding.rest_points[None, seen], axis=-1)
    twin = np.flatnonzero(seen)[away.argmin(axis=1)]
    assert (out.sh[rows] - truth.sh[twin]).abs().median() < 1e-5
    off = (out.means[rows] - torch.from_numpy(binding.rest_points[rows])).norm(dim=1)
    assert 0.008 < off.median() < 0.012
    kept = torch.from_numpy(seen)
    assert torch.equal(out.sh[kept], truth.sh[kept])
    assert torch.equal(out.means[kept], lifted[kept])


def test_what_neither_side_shows_is_closed_smoothly() -> None:
    """Brightness rises with height; a belt that nobody saw lies between what is above and below."""
    binding = small_binding()
    height = torch.from_numpy(binding.rest_points[:, 1])
    grey = rgb_to_sh((0.5 + 0.3 * height)[:, None, None].expand(-1, 1, 3))
    trunk = joint_weight("spine2") + joint_weight("pelvis") > 0.5
    belt = trunk & (np.abs(binding.rest_points[:, 1] - 0.1) < 0.04)
    assert belt.sum() > 10
    out = filled(~belt, replace(still(painted()), sh=grey.contiguous()))
    hidden = torch.from_numpy(belt)
    assert (out.sh[hidden] - grey[hidden]).abs().max() < 0.08


def test_parts_of_which_nothing_is_seen_look_like_what_is_nearest() -> None:
    hands = joint_weight("left_wrist") + joint_weight("right_wrist") > 0
    skin, cloth = rgb_to_sh(torch.tensor([0.9, 0.7, 0.6])), rgb_to_sh(torch.tensor([0.0, 0, 1]))
    arms = joint_weight("left_elbow") + joint_weight("right_elbow") > 0.3
    colours = torch.where(torch.from_numpy(arms | hands)[:, None], skin, cloth)[:, None]
    out = filled(~hands, replace(still(painted()), sh=colours.contiguous()))
    assert (out.sh[torch.from_numpy(hands), 0] - skin).abs().median() < 0.05
