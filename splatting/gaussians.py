"""Gaussians as they are drawn, and the cameras that see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isqrt

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from recon.core.errors import InputError

MAX_SH_DEGREE = 3


@dataclass(frozen=True, kw_only=True)
class Gaussians:
    """Three-dimensional Gaussians in the world frame, with activated (not raw) parameters.

    Args:
        means: (N, 3) centres, metres. quats: (N, 4) wxyz rotations, of any length but zero.
        scales: (N, 3) standard deviations along the rotated axes, metres.
        opacities: (N,) in 0 to 1.
        sh: (N, K, 3) coefficients of colour, K = 1, 4, 9 or 16 for degrees 0 to 3; RGB in 0 to 1
            is 0.5 plus their sum over the basis, as in the 3D Gaussian Splatting paper.
    """

    means: Float[Tensor, "N 3"]
    quats: Float[Tensor, "N 4"]
    scales: Float[Tensor, "N 3"]
    opacities: Float[Tensor, " N"]
    sh: Float[Tensor, "N K 3"]

    def __post_init__(self) -> None:
        count = len(self.means)
        expected = {"means": (3,), "quats": (4,), "scales": (3,), "opacities": ()}
        for name, tail in expected.items():
            shape = tuple(getattr(self, name).shape)
            if shape != (count, *tail):
                raise InputError(f"expected {name} of shape {(count, *tail)}, got {shape}")
        shape = tuple(self.sh.shape)
        if len(shape) != 3 or shape[0] != count or shape[2] != 3 or not _is_sh_count(shape[1]):
            raise InputError(f"expected sh of shape ({count}, 1, 4, 9 or 16, 3), got {shape}")

    @property
    def sh_degree(self) -> int:
        return isqrt(self.sh.shape[1]) - 1

    def __len__(self) -> int:
        return len(self.means)

    def to(self, where: torch.device | str | torch.dtype) -> Gaussians:
        """The same on another device, or in another precision."""
        names = ("means", "quats", "scales", "opacities", "sh")
        return replace(self, **{name: getattr(self, name).to(where) for name in names})


def joined(parts: Sequence[Gaussians]) -> Gaussians:
    """All the Gaussians as one set, with colours of the highest degree among them.

    Drawn together they hide each other by depth, as no layering of pictures could.

    Raises:
        InputError: no parts.
    """
    if not parts:
        raise InputError("expected one set of Gaussians or more to join, got none")
    most = max(part.sh.shape[1] for part in parts)
    sh = [torch.nn.functional.pad(p.sh, (0, 0, 0, most - p.sh.shape[1])) for p in parts]
    names = ("means", "quats", "scales", "opacities")
    return Gaussians(
        sh=torch.cat(sh), **{name: torch.cat([getattr(p, name) for p in parts]) for name in names}
    )


def _is_sh_count(count: int) -> bool:
    return count in {(degree + 1) ** 2 for degree in range(MAX_SH_DEGREE + 1)}


@dataclass(frozen=True, kw_only=True)
class Cameras:
    """Pinhole cameras that make pictures of one size.

    Args:
        Ts_camera_world: (C, 4, 4) rigid, OpenCV camera frame. Ks: (C, 3, 3) intrinsics, px; the
            centre of the top-left pixel is (0.5, 0.5). width, height: px.
    """

    Ts_camera_world: Float[Tensor, "C 4 4"]
    Ks: Float[Tensor, "C 3 3"]
    width: int
    height: int

    def __post_init__(self) -> None:
        count = len(self.Ts_camera_world)
        for name, tail in {"Ts_camera_world": (4, 4), "Ks": (3, 3)}.items():
            shape = tuple(getattr(self, name).shape)
            if shape != (count, *tail):
                raise InputError(f"expected {name} of shape {(count, *tail)}, got {shape}")
        if self.width < 1 or self.height < 1:
            raise InputError(f"expected a picture of 1 px or more, got {self.width}x{self.height}")

    @classmethod
    def of(cls, Ts_world_camera: np.ndarray, K: np.ndarray, *, width: int, height: int) -> Cameras:
        """From camera poses (C, 4, 4) in the world, and one K (3, 3) or one per camera."""
        Ts = np.linalg.inv(np.asarray(Ts_world_camera, float).reshape(-1, 4, 4))
        Ks = np.broadcast_to(np.asarray(K, float), (len(Ts), 3, 3))
        return cls(
            Ts_camera_world=torch.tensor(Ts, dtype=torch.float32),
            Ks=torch.tensor(Ks.copy(), dtype=torch.float32),
            width=width,
            height=height,
        )

    def __len__(self) -> int:
        return len(self.Ts_camera_world)

    def to(self, where: torch.device | str | torch.dtype) -> Cameras:
        """The same on another device, or in another precision."""
        return replace(self, Ts_camera_world=self.Ts_camera_world.to(where), Ks=self.Ks.to(where))
