"""One Gaussian per texel of a body's surface, while it is trained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import roma
import torch
from scipy.spatial import KDTree
from torch import Tensor

from recon.core.geometry import rotation_between
from splatting.avatars.binding import SurfaceBinding
from splatting.gaussians import Gaussians
from splatting.harmonics import rgb_to_sh
from splatting.optimizer import Table

FIRST_OPACITY = 0.9
FIRST_WIDTH, FIRST_THICKNESS = 0.75, 0.35
"""Standard deviations along and across the surface, in distances between texels."""
LEAST_WIDTH, MOST_WIDTH = 0.15, 3.0
"""How far widths may go from the first ones, as factors."""
NEIGHBOURS = 6
ALIKE = 0.5
"""Neighbours share at least so much of their skinning: fingers side by side are no neighbours."""


@dataclass(frozen=True, kw_only=True)
class SurfaceRates:
    """Learning rates: `offsets` in metres per step, the others as of Parameters."""

    offsets: float = 3e-4
    quats: float = 1e-3
    log_scales: float = 5e-3
    logits: float = 2e-2
    colours: float = 1e-2


class Surface:
    """Raw parameters of the texels' Gaussians, with their moments.

    Args:
        binding: the texels. colours: (N, 3) RGB to start from. bounds: metres, how far Gaussians
            may leave their home along the normal and along the surface.
    """

    def __init__(
        self, binding: SurfaceBinding, colours: Tensor, *, bounds: tuple[float, float],
        rates: SurfaceRates, device: str = "cpu",
    ) -> None:  # fmt: skip
        self.rates = rates

        def tensor(array: np.ndarray) -> Tensor:
            return torch.tensor(array, dtype=torch.float32, device=device)

        self.homes, self.skinning = tensor(binding.rest_points), binding.skinning.to(device)
        self.normals = tensor(binding.rest_normals)
        frames = rotation_between(np.array([0.0, 0.0, 1.0]), binding.rest_normals)
        self.frames = tensor(frames)
        self.bounds = tensor(np.array([bounds[1], bounds[1], bounds[0]]))
        self.spacing = tensor(np.sqrt(binding.texel_area))
        wide = self.spacing[:, None] * tensor(np.array([FIRST_WIDTH] * 2 + [FIRST_THICKNESS]))
        self.first_log_scales = torch.log(wide.clamp(min=1e-4))
        self.pairs, self.closeness = (t.to(device) for t in neighbours(binding))
        count = len(binding)

        def table(values: Tensor, rate: float) -> Table:
            width = values[:1].numel()
            return Table(values=values, rates=torch.full((width,), rate, device=device))

        self.offsets = table(torch.zeros(count, 3, device=device), rates.offsets)
        quats = roma.rotmat_to_unitquat(self.frames)[:, [3, 0, 1, 2]]
        self.quats = table(quats, rates.quats)
        self.log_scales = table(self.first_log_scales, rates.log_scales)
        first = torch.logit(torch.full((count,), FIRST_OPACITY, device=device))
        self.logits = table(first, rates.logits)
        self.sh = table(rgb_to_sh(colours.to(device))[:, None], rates.colours)
        self.steps = 0

    def __len__(self) -> int:
        return len(self.homes)

    @property
    def shifts(self) -> Tensor:
        """How far Gaussians are from home (N, 3), metres: twice along the surface, and outwards."""
        return self.bounds * torch.tanh(self.offsets.values / self.bounds)

    def gaussians(self) -> Gaussians:
        """In the rest pose; gradients reach the tables."""
        return Gaussians(
            means=self.homes + (self.frames * self.shifts[:, None]).sum(dim=2),
            quats=self.quats.values,
            scales=torch.exp(self.log_scales.values),
            opacities=torch.sigmoid(self.logits.values),
            sh=self.sh.values,
        )

    def step(self, progress: float) -> None:
        """One step of all; the places' rate falls to a tenth as `progress` goes from 0 to 1."""
        self.steps += 1
        self.offsets.rates.fill_(self.rates.offsets * 0.1**progress)
        self.sh.rates.fill_(self.rates.colours * 0.1**progress)
        for table in (self.offsets, self.quats, self.log_scales, self.logits, self.sh):
            table.step(self.steps)
        with torch.no_grad():
            low = self.first_log_scales + np.log(LEAST_WIDTH)
            high = self.first_log_scales + np.log(MOST_WIDTH)
            self.log_scales.values.clamp_(low, high)


def neighbours(binding: SurfaceBinding) -> tuple[Tensor, Tensor]:
    """Pairs (E, 2) of texels side by side on the surface, and their distances (E,), metres."""
    points, normals = binding.rest_points, binding.rest_normals
    distances, found = KDTree(points).query(points, k=NEIGHBOURS + 1)
    first = np.repeat(np.arange(len(points)), NEIGHBOURS)
    second = np.asarray(found)[:, 1:].ravel()
    skinning = binding.skinning.numpy()
    shared = np.minimum(skinning[first], skinning[second]).sum(axis=1)
    facing = np.sum(normals[first] * normals[second], axis=1)
    keep = (first < second) & (shared > ALIKE) & (facing > 0)
    pairs = np.stack([first[keep], second[keep]], axis=1)
    lengths = np.asarray(distances)[:, 1:].ravel()[keep]
    return torch.from_numpy(pairs), torch.from_numpy(lengths.astype(np.float32))


def unevenness(surface: Surface, gaussians: Gaussians, pairs: Tensor) -> Tensor:
    """How much neighbours (E, 2) differ in where they went and how large they became, mean."""
    a, b = pairs.T
    moved = gaussians.means - surface.homes
    scale = surface.spacing[a][:, None]
    apart = ((moved[a] - moved[b]) / scale).square().sum(dim=1)
    sizes = (surface.log_scales.values[a] - surface.log_scales.values[b]).square().sum(dim=1)
    return apart.mean() + 0.1 * sizes.mean()


def stretch(rest: Tensor, posed: Tensor, pairs: Tensor, lengths: Tensor) -> Tensor:
    """How much posing changes the distances between neighbours, a share of their distance, mean.

    As-isometric regularisation of 3DGS-Avatar (Qian et al. 2024, section 4.4) after Prokudin et
    al. 2023: what lies side by side stays so in every pose.

    Args:
        rest, posed: (N, 3) metres. pairs: (E, 2). lengths: (E,) metres, of the body's surface.
    """
    a, b = pairs.T
    before = (rest[a] - rest[b]).square().sum(dim=1).clamp(min=1e-12).sqrt()
    after = (posed[a] - posed[b]).square().sum(dim=1).clamp(min=1e-12).sqrt()
    return ((after - before).abs() / lengths.clamp(min=1e-4)).mean()
