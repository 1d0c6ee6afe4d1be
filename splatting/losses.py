"""How far a rendered picture is from a photograph."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from splatting.cpu.ssim import WINDOW, ssim_gradient, ssim_maps

C1, C2 = 0.01**2, 0.03**2
CHANNELS = 3


def ssim(
    rendered: Float[Tensor, "H W 3"],
    photo: Float[Tensor, "H W 3"],
    weights: Float[Tensor, "H W"] | None = None,
) -> Float[Tensor, ""]:
    """Mean structural similarity, 1 for equal pictures; differentiable in the first.

    Window of 11 px with a deviation of 1.5, zero outside the picture, as 3DGS trains with (Wang
    et al. 2004; Kerbl et al. 2023).

    Args:
        rendered, photo: RGB in 0 to 1. weights: of each pixel's similarity; default all alike.
    """
    if weights is None:
        weights = torch.ones_like(photo[..., 0])
    shares = weights / (CHANNELS * weights.sum())
    if rendered.device.type == "cpu" and rendered.dtype == torch.float32:
        return _Ssim.apply(rendered, photo, shares)
    return (ssim_map(rendered, photo) * shares[..., None]).sum()


def ssim_map(x: Float[Tensor, "H W 3"], y: Float[Tensor, "H W 3"]) -> Float[Tensor, "H W 3"]:
    """Similarity of every pixel and channel, in plain torch: any device and precision."""
    window = torch.tensor(WINDOW, dtype=x.dtype, device=x.device)
    kernel = torch.outer(window, window).expand(5 * CHANNELS, 1, -1, -1)
    moments = torch.cat((x, y, x * x, y * y, x * y), dim=-1).movedim(-1, 0)[None]
    means = torch.nn.functional.conv2d(
        moments, kernel, padding=len(WINDOW) // 2, groups=5 * CHANNELS
    )
    mx, my, xx, yy, xy = means[0].movedim(0, -1).split(CHANNELS, dim=-1)
    top = (2 * mx * my + C1) * (2 * (xy - mx * my) + C2)
    return top / ((mx**2 + my**2 + C1) * (xx - mx**2 + yy - my**2 + C2))


class _Ssim(torch.autograd.Function):
    """The fused kernels; the gradient is ready to be filtered when the value is."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        height = len(inputs[0])
        x, y = (t.detach().contiguous().numpy().reshape(height, -1) for t in inputs[:2])
        shares = inputs[2].repeat_interleave(CHANNELS, dim=1).numpy()
        sums, maps = ssim_maps(x, y, shares)
        ctx.parts = x, y, maps
        return torch.tensor(sums.sum(), dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, y, maps = ctx.parts
        by_x = torch.from_numpy(ssim_gradient(x, y, maps)).reshape(len(x), -1, CHANNELS)
        return by_x * gradients[0], None, None


def photo_loss(
    rendered: Float[Tensor, "H W 3"],
    photo: Float[Tensor, "H W 3"],
    keep: Float[Tensor, "H W"] | None,
    *,
    similarity: float,
) -> Float[Tensor, ""]:
    """Mean difference and dissimilarity, weighted (Kerbl et al. 2023, equation 7).

    Ignored pixels are painted over with the photograph, so that neither they nor the windows that
    reach into them pull at anything.

    Args:
        rendered, photo: RGB in 0 to 1. keep: bool, which pixels count; None for all.
        similarity: weight of the second term.
    """
    if keep is None:
        difference, weights = (rendered - photo).abs().mean(), None
    else:
        rendered = torch.where(keep[..., None], rendered, photo)
        counted = keep.to(rendered.dtype)
        difference = (rendered - photo).abs().sum() / (3 * counted.sum()).clamp(min=1)
        weights = counted + 1e-9
    return (1 - similarity) * difference + similarity * (1 - ssim(rendered, photo, weights))


def psnr(rendered: Tensor, photo: Tensor) -> float:
    """Peak signal-to-noise ratio of pictures in 0 to 1, dB, after clamping the rendered one."""
    error = torch.mean((rendered.clamp(0, 1) - photo) ** 2)
    return float(-10 * torch.log10(error))
