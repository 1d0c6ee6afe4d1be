"""Turning Gaussians to the axes that a viewer expects, and back: the only place that does.

Our world is z-up. What other programs expect of the files that they open:

- "y-down": x right, y down, z forward, as OpenCV and COLMAP. INRIA's .ply and its SIBR viewer;
  SuperSplat and PlayCanvas (.ply, .splat, .sog: turned by 180 degrees about z when opened);
  antimatter15's .splat.
- "y-up": x right, y up, z back, as OpenGL and three.js. Niantic's .spz ("RUB").
- "z-up": ours; Nerfstudio, viser, Blender.
"""

from __future__ import annotations

from dataclasses import replace
from math import isqrt
from typing import Literal

import numpy as np
import roma
import torch
from jaxtyping import Float
from torch import Tensor

from recon.core.errors import InputError
from recon.core.geometry import (
    R_OPENGL_OPENCV,
    R_YUP_ZUP,
    Array,
    matrix_to_quat,
    wxyz_to_xyzw,
)
from splatting.gaussians import Gaussians
from splatting.harmonics import sh_basis

Axes = Literal["z-up", "y-up", "y-down"]

R_AXES_WORLD: dict[Axes, Array] = {
    "z-up": np.eye(3),
    "y-up": R_YUP_ZUP,
    "y-down": R_OPENGL_OPENCV @ R_YUP_ZUP,
}
"""Maps our z-up world to the named axes; proper rotations all, so nothing is mirrored."""


def to_axes(gaussians: Gaussians, axes: Axes) -> Gaussians:
    """World Gaussians as they stand in these axes."""
    return gaussians if axes == "z-up" else rotated(gaussians, R_AXES_WORLD[axes])


def from_axes(gaussians: Gaussians, axes: Axes) -> Gaussians:
    """Gaussians given in these axes as they stand in the z-up world: the inverse of `to_axes`."""
    return gaussians if axes == "z-up" else rotated(gaussians, R_AXES_WORLD[axes].T)


def rotated(gaussians: Gaussians, R: Array) -> Gaussians:
    """The Gaussians turned about the origin: centres, orientations and view-dependent colours.

    Args:
        R: (3, 3) proper rotation.
    Raises:
        InputError: R is not a proper rotation (a mirrored Gaussian has no quaternion).
    """
    if not np.allclose(R @ R.T, np.eye(3), atol=1e-6) or np.linalg.det(R) < 0:
        raise InputError(f"expected a proper rotation (3, 3), got {np.asarray(R).tolist()}")
    like = gaussians.means
    turn = torch.as_tensor(R).to(like)
    quat_xyzw = torch.as_tensor(wxyz_to_xyzw(matrix_to_quat(R))).to(like)
    xyzw = gaussians.quats[:, [1, 2, 3, 0]]
    return replace(
        gaussians,
        means=gaussians.means @ turn.T,
        quats=roma.quat_product(quat_xyzw.expand_as(xyzw), xyzw)[:, [3, 0, 1, 2]],
        sh=sh_rotation(R, gaussians.sh_degree).to(like) @ gaussians.sh,
    )


def sh_rotation(R: Array, degree: int) -> Float[Tensor, "K K"]:
    """The matrix (float64) that turns SH coefficients with the Gaussian.

    With Y the basis, the turned coefficients M c must show along R d what c showed along d:
    Y(R d) M = Y(d) for every direction d. Each degree turns within itself, so that the
    least-squares solution over more directions than coefficients is exact.

    Args:
        R: (3, 3) rotation. degree: 0 to 3, K = (degree + 1)².
    """
    directions = np.random.default_rng(0).normal(size=(64, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    before = sh_basis(torch.from_numpy(directions), degree)
    after = sh_basis(torch.from_numpy(directions @ np.asarray(R, float).T), degree)
    solution = torch.linalg.lstsq(after, before).solution
    of_degree = torch.tensor([isqrt(k) for k in range(len(solution))])
    # Rounding would leak 1e-16 of one degree into another.
    return torch.where(of_degree[:, None] == of_degree, solution, 0.0)
