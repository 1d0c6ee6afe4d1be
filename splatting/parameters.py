"""Gaussians while they are trained: raw parameters with their moments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

from splatting.gaussians import Gaussians
from splatting.harmonics import rgb_to_sh
from splatting.optimizer import Table

NAMES = ("means", "quats", "log_scales", "logits", "sh")


@dataclass(frozen=True, kw_only=True)
class LearningRates:
    """Of Adam, as in 3DGS (Kerbl et al. 2023); `means` is per metre of the scene's extent."""

    means: float = 1.6e-4
    means_at_end: float = 1.6e-6
    quats: float = 1e-3
    log_scales: float = 5e-3
    logits: float = 5e-2
    sh: float = 2.5e-3
    sh_rest: float = 2.5e-3 / 20


class Parameters:
    """Tables of raw parameters: log of the scales, logit of the opacities.

    Args:
        gaussians: to start from. rates: of learning. extent: of the scene, metres.
    """

    def __init__(self, gaussians: Gaussians, rates: LearningRates, extent: float) -> None:
        self.rates, self.extent, self.steps = rates, extent, 0
        device = gaussians.means.device
        terms = gaussians.sh.shape[1]
        sh_rates = torch.full((terms, 3), rates.sh_rest)
        sh_rates[0] = rates.sh

        def table(values: Tensor, rate: float) -> Table:
            width = values[:1].numel()
            return Table(values=values.float(), rates=torch.full((width,), rate, device=device))

        self.means = table(gaussians.means, rates.means * extent)
        self.quats = table(gaussians.quats, rates.quats)
        self.log_scales = table(torch.log(gaussians.scales), rates.log_scales)
        self.logits = table(torch.logit(gaussians.opacities, eps=1e-4), rates.logits)
        self.sh = Table(values=gaussians.sh.float(), rates=sh_rates.flatten().to(device))

    def __len__(self) -> int:
        return len(self.means.values)

    @property
    def tables(self) -> dict[str, Table]:
        return {name: getattr(self, name) for name in NAMES}

    def gaussians(self, degree: int) -> Gaussians:
        """The activated Gaussians with colours up to this degree; gradients reach the tables."""
        return Gaussians(
            means=self.means.values,
            quats=self.quats.values,
            scales=torch.exp(self.log_scales.values),
            opacities=torch.sigmoid(self.logits.values),
            sh=self.sh.values[:, : (degree + 1) ** 2],
        )

    def step(self, progress: float) -> None:
        """One step of all; `progress` from 0 to 1 lowers the rate of the means."""
        self.steps += 1
        self.means.rates.fill_(self.means_rate(progress))
        for table in self.tables.values():
            table.step(self.steps)

    def means_rate(self, progress: float) -> float:
        """The means' learning rate, which falls exponentially."""
        start, end = np.log(self.rates.means), np.log(self.rates.means_at_end)
        return float(np.exp(start + (end - start) * min(progress, 1.0))) * self.extent

    def take(self, rows: Tensor) -> None:
        """Keeps these rows; one taken twice is copied."""
        for table in self.tables.values():
            table.take(rows)


def initial_gaussians(
    points: np.ndarray,
    colours: np.ndarray,
    *,
    degree: int = 3,
    opacity: float = 0.1,
    size: float = 1.0,
) -> Gaussians:
    """A Gaussian at each point, as wide as the distance to its three nearest neighbours.

    Args:
        points: (N, 3) metres, world. colours: (N, 3) RGB in 0 to 1. size: factor of the width.
    """  # fmt: skip
    neighbours = min(4, len(points))
    distances, _ = KDTree(points).query(points, k=neighbours)
    distances = np.asarray(distances).reshape(len(points), -1)[:, 1:]
    spread = np.sqrt((distances**2).mean(1)) if neighbours > 1 else np.full(len(points), 0.01)
    # Lone far points would cover the picture.
    spread = size * np.clip(spread, 1e-7, 5 * np.median(spread) + 1e-7)
    sh = torch.zeros(len(points), (degree + 1) ** 2, 3)
    sh[:, 0] = rgb_to_sh(torch.from_numpy(colours.astype(np.float32)))
    quats = torch.zeros(len(points), 4)
    quats[:, 0] = 1
    return Gaussians(
        means=torch.from_numpy(points.astype(np.float32)),
        quats=quats,
        scales=torch.from_numpy(np.repeat(spread[:, None], 3, 1).astype(np.float32)),
        opacities=torch.full((len(points),), opacity),
        sh=sh,
    )
