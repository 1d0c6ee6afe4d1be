"""What the back-ends that project first and blend then have in common."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from splatting.gaussians import Cameras, Gaussians
from splatting.rasterize import Drawing

Project = Callable[..., tuple[Tensor, Tensor]]
"""(gaussians, T_camera_world, K, size=(W, H), antialiased) -> splats (N, S), radii_px (N,)."""
Blend = Callable[[Tensor, Tensor, tuple[int, int]], Tensor]
"""(splats, radii_px, (W, H)) -> picture (H, W, 5)."""


def draw_each(
    gaussians: Gaussians, cameras: Cameras, *, antialiased: bool, project: Project, blend: Blend
) -> Drawing:
    """One camera after the other, with `screen` between the two steps so that it has a gradient."""
    size = (cameras.width, cameras.height)
    projected = [
        project(gaussians, T, K, size=size, antialiased=antialiased)
        for T, K in zip(cameras.Ts_camera_world, cameras.Ks, strict=True)
    ]
    screen = torch.stack([splats for splats, _ in projected])
    radii_px = torch.stack([radii for _, radii in projected])
    if screen.requires_grad:
        screen.retain_grad()
    pictures = [blend(s, r, size) for s, r in zip(screen, radii_px, strict=True)]
    return Drawing(picture=torch.stack(pictures), radii_px=radii_px, screen=screen)
