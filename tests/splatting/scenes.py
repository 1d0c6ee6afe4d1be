"""Random Gaussians and cameras for the tests."""

from __future__ import annotations

import numpy as np
import torch

from splatting.gaussians import Cameras, Gaussians


def cloud(count: int, seed: int = 0, *, degree: int = 3) -> Gaussians:
    """Gaussians (float64) in front of a camera at the origin."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return Gaussians(
        means=normal(count, 3) * torch.tensor([1.5, 1.0, 1.0]) + torch.tensor([0.0, 0.0, 4.0]),
        quats=normal(count, 4),
        scales=torch.exp(normal(count, 3) * 0.5 - 2.5),
        opacities=torch.sigmoid(normal(count)),
        sh=normal(count, (degree + 1) ** 2, 3) * 0.3,
    )


def cameras(count: int = 1, *, width: int = 83, height: int = 60) -> Cameras:
    """Cameras (float64) a little apart, turned by a third of a radian each."""
    poses = np.tile(np.eye(4), (count, 1, 1))
    for k, pose in enumerate(poses):
        angle = 0.3 * (k + 1)
        pose[:3, :3] = [
            [np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]
        ]  # fmt: skip
        pose[:3, 3] = [-1.0 - k, 0.2 * k, 0.5]
    K = np.array([[80, 0, width / 2 - 1], [0, 90, height / 2 + 2], [0, 0, 1.0]])
    return Cameras.of(poses, K, width=width, height=height).to(torch.float64)
