"""Light that falls on a turning body: a smooth factor of the colour by the normal's direction."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from splatting.harmonics import SH_C0, sh_basis

LIGHT_TERMS = 9


def even_light() -> Float[Tensor, "9 3"]:
    """Light that leaves all colours as they are."""
    light = torch.zeros(LIGHT_TERMS, 3)
    light[0] = 1 / SH_C0
    return light


def shaded(
    sh: Float[Tensor, "N K 3"],
    light: Float[Tensor, "9 3"],
    turns: Float[Tensor, "N 4"],
    normals: Float[Tensor, "N 3"],
) -> Float[Tensor, "N K 3"]:
    """Colours of Gaussians multiplied by the light that comes from where their normals point.

    Nine numbers a channel tell all that a matt surface sees of distant light (Ramamoorthi and
    Hanrahan 2001); shadows they do not tell.

    Args:
        sh: colours under even light. light: SH coefficients to degree 2 of the factor, in the
            posed frame. turns: unit quaternions wxyz, rest to posed. normals: unit, rest pose.
    """
    w, v = turns[:, :1], turns[:, 1:]
    aside = 2 * torch.linalg.cross(v, normals)
    posed = normals + w * aside + torch.linalg.cross(v, aside)
    factor = (sh_basis(posed, 2) @ light).clamp(min=0)
    # RGB is 0.5 plus the constant term times SH_C0: the half is scaled as well.
    scaled = sh * factor[:, None]
    constant = scaled[:, :1] + 0.5 / SH_C0 * (factor[:, None] - 1)
    return torch.cat([constant, scaled[:, 1:]], dim=1)
