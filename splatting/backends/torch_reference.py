"""Plain, slow torch, in any precision: what the other back-ends are tested against."""

from __future__ import annotations

import roma
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from splatting.backends.base import draw_each
from splatting.gaussians import Cameras, Gaussians
from splatting.harmonics import sh_basis
from splatting.rasterize import (
    BLUR_PX2,
    FRUSTUM_MARGIN,
    MAX_ALPHA,
    MIN_ALPHA,
    MIN_TRANSMITTANCE,
    NEAR,
    Drawing,
)

TILE = 16
"""Pixels; squares of a picture are drawn one by one, each with the Gaussians that reach it."""


class TorchRasterizer:
    """Each pixel of a tile looks at every Gaussian that reaches the tile."""

    def __call__(self, gaussians: Gaussians, cameras: Cameras, *, antialiased: bool) -> Drawing:
        return draw_each(gaussians, cameras, antialiased=antialiased, project=project, blend=blend)


def project(
    gaussians: Gaussians, T_camera_world: Tensor, K: Tensor, *, size: tuple[int, int],
    antialiased: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Splats (N, 10): centre (2), inverse covariance (3), opacity, RGB, z; and radii (N,), px.

    EWA splatting (Zwicker et al. 2001): the perspective is linearised at each centre, held
    inside the picture plus a margin.
    """
    R, t = T_camera_world[:3, :3], T_camera_world[:3, 3]
    points = gaussians.means @ R.T + t
    z = torch.where(points[:, 2] > NEAR, points[:, 2], 1)
    ray = points[:, :2] / z[:, None]
    focal, centre = torch.stack((K[0, 0], K[1, 1])), torch.stack((K[0, 2], K[1, 2]))
    size_px = torch.tensor(size, dtype=points.dtype, device=points.device)
    margin = FRUSTUM_MARGIN * 0.5 * size_px / focal
    held = torch.minimum(torch.maximum(ray, -centre / focal - margin),
                         (size_px - centre) / focal + margin)  # fmt: skip
    zero = torch.zeros_like(z)
    J_u = torch.stack((focal[0] / z, zero, -focal[0] * held[:, 0] / z), -1)
    J_v = torch.stack((zero, focal[1] / z, -focal[1] * held[:, 1] / z), -1)
    quats = gaussians.quats / gaussians.quats.norm(dim=-1, keepdim=True)
    rotations = roma.unitquat_to_rotmat(quats[:, [1, 2, 3, 0]])
    half = torch.stack((J_u, J_v), 1) @ R @ (rotations * gaussians.scales[:, None])
    covariance = half @ half.mT
    a, b, c = covariance[:, 0, 0], covariance[:, 0, 1], covariance[:, 1, 1]
    wide_a, wide_c = a + BLUR_PX2, c + BLUR_PX2
    det = wide_a * wide_c - b * b
    opacities = gaussians.opacities
    if antialiased:
        opacities = opacities * torch.sqrt(torch.clamp((a * c - b * b) / det, min=1e-12))
    view = gaussians.means + R.T @ t
    view = view / torch.clamp(view.norm(dim=-1, keepdim=True), min=1e-12)
    basis = sh_basis(view, gaussians.sh_degree)
    rgb = torch.clamp((basis[..., None] * gaussians.sh).sum(1) + 0.5, min=0)
    means_px = ray * focal + centre
    inverse = torch.stack((wide_c / det, -b / det, wide_a / det), -1)
    splats = torch.cat((means_px, inverse, opacities[:, None], rgb, z[:, None]), -1)
    radii = _radii(wide_a, wide_c, opacities)
    reach = torch.stack((radii[0], radii[1]), -1)
    seen = (means_px + reach > 0) & (means_px - reach < size_px)
    drawn = (points[:, 2] > NEAR) & (det > 0) & (opacities >= MIN_ALPHA) & seen.all(-1)
    return splats, torch.where(drawn, torch.maximum(*radii), 0).detach()


def _radii(a: Tensor, c: Tensor, opacities: Tensor) -> tuple[Tensor, Tensor]:
    """Half width and height of the ellipse where alpha falls below its least value, px."""
    sigmas = torch.sqrt(2 * torch.log(torch.clamp(opacities / MIN_ALPHA, min=1)))
    return sigmas * torch.sqrt(a), sigmas * torch.sqrt(c)


def blend(splats: Tensor, radii_px: Tensor, size: tuple[int, int]) -> Tensor:
    """The picture (H, W, 5): RGB, alpha and z, front to back."""
    width, height = size
    drawn = torch.nonzero(radii_px > 0)[:, 0]
    order = drawn[torch.argsort(splats[drawn, 9], stable=True)]
    splats, radii_px = splats[order], radii_px[order]
    u, v = splats.detach()[:, :2].unbind(-1)
    strips = []
    for rows in torch.arange(height, device=splats.device).split(TILE):
        near = (v + radii_px > rows[0]) & (v - radii_px < rows[-1] + 1)
        strip = []
        for columns in torch.arange(width, device=splats.device).split(TILE):
            reach = near & (u + radii_px > columns[0]) & (u - radii_px < columns[-1] + 1)
            # Made again for the backward pass: every tile's Gaussians would not fit in memory.
            strip.append(checkpoint(_tile, splats[reach], rows, columns, use_reentrant=False))
        strips.append(torch.cat(strip, 1))
    return torch.cat(strips)


def _tile(splats: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    u, v, a, b, c, opacity, *_ = splats.unbind(-1)
    dx = (columns[:, None] + 0.5) - u
    dy = (rows[:, None, None] + 0.5) - v
    power = -0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy
    alpha = opacity * torch.exp(torch.clamp(power, max=0))
    alpha = torch.where(alpha >= MIN_ALPHA, torch.clamp(alpha, max=MAX_ALPHA), 0)
    behind = torch.cumprod(1 - alpha, dim=-1)
    before = torch.cat((torch.ones_like(behind[..., :1]), behind[..., :-1]), dim=-1)
    weights = torch.where(behind > MIN_TRANSMITTANCE, alpha * before, 0)
    colour = torch.cat((splats[:, 6:9], torch.ones_like(u)[:, None], splats[:, 9:10]), dim=-1)
    return weights @ colour
