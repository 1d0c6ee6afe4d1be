"""Real spherical harmonics in the order and with the signs of the Gaussian splatting files."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

SH_C0 = 0.28209479177387814


def sh_basis(directions: Float[Tensor, "... 3"], degree: int) -> Float[Tensor, "... K"]:
    """The (degree + 1)² basis functions, in the order m = -l to l of each l.

    Args:
        directions: unit vectors from the camera to the Gaussian, world frame. degree: 0 to 3.

    Sloan, Efficient Spherical Harmonic Evaluation (2013), with the Condon-Shortley phase.
    """
    x, y, z = directions.unbind(-1)
    out = [torch.full_like(x, SH_C0)]
    if degree >= 1:
        c = 0.4886025119029199
        out += [-c * y, c * z, -c * x]
    if degree >= 2:
        c = 1.0925484305920792
        out += [c * x * y, -c * y * z, 0.9461746957575601 * z * z - 0.31539156525252]
        out += [-c * x * z, 0.5462742152960396 * (x * x - y * y)]
    if degree >= 3:
        out += [-0.5900435899266435 * y * (3 * x * x - y * y), 2.890611442640554 * x * y * z]
        out += [-0.4570457994644658 * y * (5 * z * z - 1)]
        out += [0.3731763325901154 * z * (5 * z * z - 3)]
        out += [-0.4570457994644658 * x * (5 * z * z - 1)]
        out += [
            1.445305721320277 * z * (x * x - y * y),
            -0.5900435899266435 * x * (x * x - 3 * y * y),
        ]
    return torch.stack(out, dim=-1)


def rgb_to_sh(rgb: Tensor) -> Tensor:
    """The constant coefficient that shows this colour (0 to 1) from everywhere."""
    return (rgb - 0.5) / SH_C0


def sh_to_rgb(constant: Tensor) -> Tensor:
    """The colour (about 0 to 1) of a constant coefficient; inverse of `rgb_to_sh`."""
    return constant * SH_C0 + 0.5
