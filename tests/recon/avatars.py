"""Avatars for the tests of what moves and shows them: a body's mesh, a Gaussian at each vertex."""

from __future__ import annotations

import numpy as np
import torch

from recon.core.geometry import Array
from recon.core.rig import Rig
from recon.core.scene import Scene
from splatting.avatars.avatar import Avatar
from splatting.avatars.binding import rest_vertices
from splatting.avatars.files import save_avatar
from splatting.gaussians import Gaussians
from splatting.harmonics import rgb_to_sh

Color = tuple[float, float, float]
COLORS: tuple[Color, ...] = ((0.9, 0.1, 0.1), (0.1, 0.2, 0.9))


def avatar_of(
    rig: Rig, *, track_id: int = 1, color: tuple[float, float, float] = COLORS[0]
) -> Avatar:
    """An avatar of one colour as thick as the body."""
    means = rest_vertices(rig)
    count = len(means)
    constant = rgb_to_sh(torch.tensor(color)).expand(count, 1, 3).clone()
    return Avatar(
        gaussians=Gaussians(
            means=torch.tensor(means, dtype=torch.float32),
            quats=torch.tensor([1.0, 0, 0, 0]).expand(count, 4).clone(),
            scales=torch.tensor([0.02, 0.02, 0.01]).expand(count, 3).clone(),
            opacities=torch.full((count,), 0.9), sh=constant,
        ),
        normals=np.tile([0.0, 0.0, 1.0], (count, 1)), weights=rig.weights, indices=rig.indices,
        rest_joints=rig.rest_joints, texel=np.stack(np.divmod(np.arange(count), 64), axis=1),
        resolution=64, seen=np.ones(count, bool), model=rig.model, licence=rig.licence,
        track_id=track_id, source="a test",
    )  # fmt: skip


def add_avatars(scene: Scene) -> list[Avatar]:
    """An avatar of everybody in the scene, where `recon avatar` leaves them."""
    out = []
    for motion, rig, color in zip(scene.camera_motions, scene.rigs, COLORS, strict=False):
        out.append(avatar_of(rig, track_id=motion.track_id, color=color))
        save_avatar(out[-1], scene.path / "avatars" / f"person_{motion.track_id}.npz")
    return out


def wall(T_world_camera: Array, depth: float) -> Gaussians:
    """A green wall across a camera's view."""
    side = np.linspace(-1.5, 1.5, 40) * depth
    x, y = (axis.ravel() for axis in np.meshgrid(side, side))
    camera = np.stack([x, y, np.full(len(x), depth)], axis=1)
    means = camera @ T_world_camera[:3, :3].T + T_world_camera[:3, 3]
    count = len(means)
    return Gaussians(
        means=torch.tensor(means, dtype=torch.float32),
        quats=torch.tensor([1.0, 0, 0, 0]).expand(count, 4).clone(),
        scales=torch.full((count, 3), 0.06 * depth), opacities=torch.full((count,), 0.95),
        sh=rgb_to_sh(torch.tensor([0.1, 0.8, 0.1])).expand(count, 1, 3).clone(),
    )  # fmt: skip
