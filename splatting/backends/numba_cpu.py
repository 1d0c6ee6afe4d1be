"""The CPU back-end: Numba kernels behind two steps that autograd knows, projection and blending."""

# pyright: reportCallIssue=false
# (compiled functions and LLVM flags have signatures that the stubs do not know)

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from recon.core.errors import InputError
from splatting.backends.base import draw_each
from splatting.cpu.binning import bin_splats, gather_gradients
from splatting.cpu.blending import blend_tiles, unblend_tiles
from splatting.cpu.projection import project, unproject
from splatting.gaussians import Cameras, Gaussians
from splatting.rasterize import Drawing


class NumbaRasterizer:
    """Float32 on the CPU; as many threads as `numba.set_num_threads` allows."""

    def __call__(self, gaussians: Gaussians, cameras: Cameras, *, antialiased: bool) -> Drawing:
        """Raises InputError for tensors that are not on the CPU."""
        if gaussians.means.device.type != "cpu":
            raise InputError(
                f"expected tensors on the CPU for the numba rasterizer, got them on "
                f"{gaussians.means.device}; use backend='gsplat' or .to('cpu')"
            )
        return draw_each(
            gaussians, cameras, antialiased=antialiased, project=_project, blend=_blend
        )


def _project(
    gaussians: Gaussians, T_camera_world: Tensor, K: Tensor, *, size: tuple[int, int],
    antialiased: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    return _Project.apply(
        gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.sh,
        T_camera_world, K, size, antialiased,
    )  # fmt: skip


def _blend(splats: Tensor, radii_px: Tensor, size: tuple[int, int]) -> Tensor:
    return _Blend.apply(splats, radii_px, size)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().to(torch.float32).contiguous().numpy()


class _Project(torch.autograd.Function):
    """Gaussians to splats (N, 12) and radii (N,)."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, Tensor]:
        *tensors, size, antialiased = inputs
        arrays = [_array(tensor) for tensor in tensors]
        splats, radii = project(*arrays, *size, antialiased)
        ctx.arrays, ctx.rest = arrays, (*size, antialiased, splats, radii)
        ctx.dtypes = [tensor.dtype for tensor in tensors]
        out = torch.from_numpy(splats), torch.from_numpy(radii)
        ctx.mark_non_differentiable(out[1])
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        *by, by_pose = unproject(*ctx.arrays, *ctx.rest, _array(gradients[0]))
        by.append(np.concatenate((by_pose, np.zeros((1, 4)))))
        tensors = [torch.from_numpy(g).to(t) for g, t in zip(by, ctx.dtypes, strict=False)]
        return (*tensors, None, None, None)


class _Blend(torch.autograd.Function):
    """Splats to a picture (H, W, 5)."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        splats, radii, (width, height) = inputs
        splats = _array(splats)
        bins = bin_splats(splats, _array(radii), width=width, height=height)
        picture = np.empty((height, width, 5), np.float32)
        blend_tiles(splats, bins.starts, bins.members, bins.tiles, picture)
        ctx.splats, ctx.bins, ctx.picture = splats, bins, picture
        return torch.from_numpy(picture)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        bins = ctx.bins
        by_member = unblend_tiles(
            ctx.splats, bins.starts, bins.members, bins.tiles, ctx.picture, _array(gradients[0])
        )
        by = gather_gradients(
            by_member, bins.by_depth, bins.pair_starts, bins.pair_counts, bins.places,
            len(ctx.splats),
        )  # fmt: skip
        return torch.from_numpy(by), None, None
