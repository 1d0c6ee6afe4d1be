"""Where Gaussians are added, moved and removed during training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import roma
import torch
from torch import Tensor

from splatting.parameters import Parameters
from splatting.rasterize import Rendering

START, STOP, EVERY = 0.02, 0.8, 100
"""Shares of the training between which the number changes, and steps between two changes."""
GROWN, FEWEST = 0.6, 50
"""Share of the training after which MCMC has reached its number, in this many changes or more."""


class Strategy(Protocol):
    """Changes the Gaussians after each step."""

    def after_step(
        self, parameters: Parameters, rendering: Rendering, *, step: int, progress: float
    ) -> None: ...

    def state(self) -> dict[str, Tensor]:
        """What the next call depends on, for a checkpoint."""
        ...

    def restore(self, state: dict[str, Tensor]) -> None:
        """Goes on from such a state."""
        ...


@dataclass
class Mcmc:
    """3D Gaussian Splatting as Markov chain Monte Carlo (Kheradmand et al. 2024).

    Dead Gaussians move onto living ones, more are added until there are `most`, and all but the
    solid ones are shaken, so that they explore. The paper adds 5 % every 100 steps; a short
    training would never get anywhere so, so here the number grows at whatever constant rate
    reaches `most` in time.

    Args:
        most: number of Gaussians at the end. seed: of the noise.
    """

    most: int = 200_000
    least_opacity: float = 0.005
    noise: float = 5e5
    seed: int = 0
    first: int | None = None
    last: float = 0.0
    generator: torch.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.seed)

    @torch.no_grad()
    def after_step(
        self, parameters: Parameters, rendering: Rendering, *, step: int, progress: float
    ) -> None:
        if self.first is None:
            self.first = len(parameters)
        # Where steps are slow there are few of them; then a share of the training is an interval.
        due = step % EVERY == 0 or progress - self.last > 1 / FEWEST
        if START < progress < STOP and due:
            self.last = progress
            self._relocate(parameters)
            grown = min(1.0, (progress - START) / (GROWN - START))
            self._grow(parameters, int(self.first * (self.most / self.first) ** grown))
        self._shake(parameters, rate=parameters.means_rate(progress))

    def state(self) -> dict[str, Tensor]:
        counters = torch.tensor([self.first or 0, self.last], dtype=torch.float64)
        return {"generator": self.generator.get_state(), "counters": counters}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.generator.set_state(state["generator"].cpu())
        first, self.last = state["counters"].tolist()
        self.first = int(first) or None

    def _relocate(self, parameters: Parameters) -> None:
        opacities = torch.sigmoid(parameters.logits.values)
        dead = torch.nonzero(opacities <= self.least_opacity)[:, 0]
        alive = torch.nonzero(opacities > self.least_opacity)[:, 0]
        if len(dead) == 0 or len(alive) == 0:
            return
        sources = alive[self._sample(opacities[alive], len(dead))]
        self._share(parameters, sources, opacities)
        for table in parameters.tables.values():
            table.write(dead, table.values[sources])

    def _grow(self, parameters: Parameters, wanted: int) -> None:
        count = len(parameters)
        more = min(self.most, wanted) - count
        if more <= 0:
            return
        opacities = torch.sigmoid(parameters.logits.values)
        sources = self._sample(opacities, more)
        self._share(parameters, sources, opacities)
        parameters.take(torch.cat((torch.arange(count, device=sources.device), sources)))

    def _sample(self, weights: Tensor, count: int) -> Tensor:
        # torch.multinomial takes 2^24 weights at most; this takes any number.
        edges = torch.cumsum(weights.double(), 0)
        draws = torch.rand(count, generator=self.generator, dtype=torch.float64)
        where = torch.searchsorted(edges, draws.to(edges.device) * edges[-1])
        return torch.clamp(where, max=len(weights) - 1)

    def _share(self, parameters: Parameters, sources: Tensor, opacities: Tensor) -> None:
        """Makes the sources so much fainter and smaller that they and their copies look as before.

        Equation 9 of the paper.
        """
        unique, copies = torch.unique(sources, return_counts=True)
        copies = torch.clamp(copies + 1, max=51)
        old = opacities[unique].double()
        new = 1 - (1 - old) ** (1 / copies)
        total = torch.zeros_like(old)
        for i in range(1, int(copies.max()) + 1):
            k = torch.arange(i, dtype=torch.float64, device=old.device)
            binomial = torch.exp(
                torch.lgamma(torch.tensor(float(i))) - torch.lgamma(k + 1) - torch.lgamma(i - k)
            )
            terms = binomial * (-1.0) ** k / torch.sqrt(k + 1) * new[:, None] ** (k + 1)
            total += torch.where(copies >= i, terms.sum(1), 0)
        shrink = torch.log(old / total).float()
        new = torch.clamp(new, self.least_opacity, 1 - 1e-6).float()
        parameters.logits.write(unique, torch.logit(new))
        scales = parameters.log_scales.values[unique] + shrink[:, None]
        parameters.log_scales.write(unique, scales)

    def _shake(self, parameters: Parameters, *, rate: float) -> None:
        opacities = torch.sigmoid(parameters.logits.values)
        # Only the faint ones are shaken: 0.5 at an opacity of 0.005, nothing above 0.1.
        faint = torch.sigmoid(-100 * (opacities - 0.005))
        draws = torch.randn(len(opacities), 3, generator=self.generator).to(opacities.device)
        quats = torch.nn.functional.normalize(parameters.quats.values, dim=-1)
        axes = roma.unitquat_to_rotmat(quats[:, [1, 2, 3, 0]])
        variances = torch.exp(2 * parameters.log_scales.values)
        along = (axes.mT @ (draws * faint[:, None])[..., None])[..., 0] * variances
        parameters.means.values += self.noise * rate * (axes @ along[..., None])[..., 0]


@dataclass
class Classic:
    """Clone, split and prune by the gradient on screen, as 3DGS does (Kerbl et al. 2023).

    Args:
        most: no more Gaussians than this. limit: mean length of the gradient by the centre, in
            half pictures, above which a Gaussian is doubled. small: share of the scene's extent
            below which that is a copy, and above which it is split into two of 1/1.6 the size.
    """

    most: int = 200_000
    limit: float = 2e-4
    small: float = 0.01
    large: float = 0.1
    least_opacity: float = 0.005
    reset_every: int = 3000
    seed: int = 0
    sums: Tensor | None = None
    counts: Tensor | None = None
    generator: torch.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.seed)

    @torch.no_grad()
    def after_step(
        self, parameters: Parameters, rendering: Rendering, *, step: int, progress: float
    ) -> None:
        if progress > STOP:
            return
        self._watch(parameters, rendering)
        if progress > START and step % EVERY == 0:
            self._refine(parameters, after_reset=step > self.reset_every)
        if step % self.reset_every == 0:
            reset_opacities(parameters, self.least_opacity)

    def state(self) -> dict[str, Tensor]:
        out = {"generator": self.generator.get_state()}
        if self.sums is not None and self.counts is not None:
            out |= {"sums": self.sums, "counts": self.counts}
        return out

    def restore(self, state: dict[str, Tensor]) -> None:
        self.generator.set_state(state["generator"].cpu())
        self.sums, self.counts = state.get("sums"), state.get("counts")

    def _watch(self, parameters: Parameters, rendering: Rendering) -> None:
        _, height, width, _ = rendering.colour.shape
        half = torch.tensor([width / 2, height / 2], device=rendering.screen.device)
        seen = rendering.radii_px > 0
        lengths = torch.where(seen, (rendering.screen_gradient * half).norm(dim=-1), 0)
        if self.sums is None or self.counts is None or len(self.sums) != len(parameters):
            self.sums, self.counts = torch.zeros_like(lengths[0]), torch.zeros_like(lengths[0])
        self.sums += lengths.sum(0) * len(lengths)  # the loss is a mean over the cameras
        self.counts += seen.sum(0)

    def _refine(self, parameters: Parameters, *, after_reset: bool) -> None:
        assert self.sums is not None and self.counts is not None
        scales = torch.exp(parameters.log_scales.values).amax(-1)
        eager = self.sums / torch.clamp(self.counts, min=1) > self.limit
        room = max(0, self.most - len(parameters))
        eager &= torch.cumsum(eager, 0) <= room
        split = eager & (scales > self.small * parameters.extent)
        doubled = torch.nonzero(eager)[:, 0]
        splits = torch.nonzero(split)[:, 0]
        count = len(parameters)
        parameters.take(torch.cat((torch.arange(count, device=doubled.device), doubled)))
        halves = torch.cat((splits, count + torch.nonzero(split[doubled])[:, 0]))
        self._split(parameters, halves)
        poor = torch.sigmoid(parameters.logits.values) < self.least_opacity
        if after_reset:
            sizes = torch.exp(parameters.log_scales.values).amax(-1)
            poor |= sizes > self.large * parameters.extent
        parameters.take(torch.nonzero(~poor)[:, 0])
        self.sums = self.counts = None

    def _split(self, parameters: Parameters, rows: Tensor) -> None:
        """Both halves drawn from the Gaussian that they replace, 1/1.6 as large."""
        scales = torch.exp(parameters.log_scales.values[rows])
        quats = torch.nn.functional.normalize(parameters.quats.values[rows], dim=-1)
        axes = roma.unitquat_to_rotmat(quats[:, [1, 2, 3, 0]])
        draws = torch.randn(len(rows), 3, generator=self.generator).to(scales.device)
        offsets = (axes @ (scales * draws)[..., None])[..., 0]
        parameters.means.write(rows, parameters.means.values[rows] + offsets)
        parameters.log_scales.write(rows, torch.log(scales / 1.6))


@torch.no_grad()
def reset_opacities(parameters: Parameters, least_opacity: float) -> None:
    """Makes all Gaussians nearly as faint as those that are removed: who is needed comes back."""
    ceiling = torch.logit(torch.tensor(2 * least_opacity))
    everyone = torch.arange(len(parameters), device=parameters.means.values.device)
    parameters.logits.write(everyone, torch.clamp(parameters.logits.values, max=float(ceiling)))
