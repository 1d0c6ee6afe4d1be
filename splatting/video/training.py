"""Training video Gaussians (after Splatter a Video, Sun et al. 2024, NeurIPS)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from splatting.gaussians import Cameras, Gaussians
from splatting.losses import photo_loss, psnr
from splatting.rasterize import Rendering, rasterize
from splatting.training import Status
from splatting.video.clip import Clip
from splatting.video.drawing import LEAST_COVER, draw_motion
from splatting.video.flow import GAPS, clip_flow
from splatting.video.model import VideoGaussians, unprojected
from splatting.video.motion import MotionBasis
from splatting.video.parameters import VideoParameters
from splatting.video.rigidity import neighbours_of, rigidity
from splatting.video.start import followed_curves

GROW_UNTIL, GROW_EVERY = 0.6, 50
MOMENTS = 5
"""Times at which neighbours have to be near each other."""


@dataclass(frozen=True, kw_only=True)
class VideoConfig:
    """How to train.

    Args:
        steps: frames looked at, unless `minutes` is over first (then the seed alone does not
            repeat a result). most: number of Gaussians at the end. backend: of the rasterizer.
        similarity: weight of structural similarity in the colours' loss.
        flow_weight: by px, of the blended motion's difference from optical flow. label_weight: of
            the foreground's share of a pixel. depth_weight: of log z. rigid_weight: by px.
        rigid_sample: neighbourhoods that a step looks at. place_rate: of learning, px.
    """

    steps: int = 20_000
    minutes: float | None = None
    most: int = 30_000
    backend: str = "auto"
    similarity: float = 0.2
    flow_weight: float = 0.02
    label_weight: float = 0.05
    depth_weight: float = 0.05
    rigid_weight: float = 0.02
    rigid_sample: int = 2048
    place_rate: float = 0.05
    seed: int = 0


class VideoTraining:
    """Gaussians that look at one frame per step, and at its motion to another."""

    def __init__(self, clip: Clip, config: VideoConfig, *, device: str = "cpu") -> None:
        self.clip, self.config, self.device = clip, config, device
        self.generator = np.random.default_rng(config.seed)
        self.flows = clip_flow(clip.images, [gap for gap in GAPS if gap < len(clip)])
        basis = MotionBasis.of(clip.times)
        self.weights = basis.values(clip.times)
        curves = followed_curves(
            clip, self.flows, basis, most=config.most, generator=self.generator
        )
        self.first_count = len(curves.places)
        self.parameters = VideoParameters(
            curves, clip, basis, place_rate=config.place_rate, device=device
        )
        width, height = clip.size
        self.camera = Cameras.of(np.eye(4)[None], clip.K, width=width, height=height).to(device)
        self.px_per_unit = float(clip.K[0, 0] / np.median(clip.depth))
        self.order: list[int] = []
        self.steps_done, self.seconds_done = 0, 0.0
        self._find_neighbours()

    @property
    def progress(self) -> float:
        """0 to 1, by whichever of steps and minutes is nearer its end."""
        minutes = self.config.minutes
        by_time = 0.0 if minutes is None else self.seconds_done / (60 * minutes)
        return min(1.0, max(self.steps_done / self.config.steps, by_time))

    def run(
        self, watch: Callable[[Status], None] | None = None, every: float = 1.0
    ) -> VideoGaussians:
        """Trains to the end of the budget; `watch` is called every so many seconds."""
        spoken = 0.0
        while self.progress < 1:
            start = time.perf_counter()
            value = self.step()
            # Kernels compile in the first step; a budget is for training.
            self.seconds_done += time.perf_counter() - start if self.steps_done > 1 else 0
            if watch is not None and self.seconds_done - spoken >= every:
                spoken = self.seconds_done
                watch(Status(step=self.steps_done, progress=self.progress, psnr=value,
                             seconds=self.seconds_done, count=len(self.parameters)))  # fmt: skip
        return self.parameters.snapshot()

    def step(self) -> float:
        """Looks at one frame; the PSNR there, dB."""
        config, parameters = self.config, self.parameters
        i = self._next()
        j = self._partner(i)
        here, there = parameters.places(self.weights[i]), parameters.places(self.weights[j])
        gaussians = parameters.gaussians(here, self.weights[i])
        seen = rasterize(gaussians, self.camera, backend=config.backend)
        photo = self._tensor(self.clip.images[i]) / 255
        loss = (
            photo_loss(seen.colour[0], photo, None, similarity=config.similarity)
            + config.depth_weight * self._depth_loss(seen, i)
            + self._motion_loss(gaussians, here, there, (i, j))
            + config.rigid_weight * self._rigid_loss(here, there)
        )
        loss.backward()
        self.steps_done += 1
        parameters.step(self.progress)
        drawn = seen.colour[0].detach()
        if self.progress < GROW_UNTIL and self.steps_done % GROW_EVERY == 0:
            grown = self.first_count + (config.most - self.first_count) * min(
                1.0, self.progress / GROW_UNTIL
            )
            parameters.respawn(
                (drawn - photo).abs().mean(-1) ** 2, photo, i, weights=self.weights[i],
                wanted=int(grown), generator=self.generator,
            )  # fmt: skip
            self._find_neighbours()
        return psnr(drawn, photo)

    # Losses ------------------------------------------------------------------------------------

    def _depth_loss(self, seen: Rendering, i: int) -> Tensor:
        prior, weight = self._tensor(self.clip.depth[i]), self._tensor(self.clip.depth_weight[i])
        covered = seen.alpha[0].detach() > LEAST_COVER
        z = torch.where(covered, seen.depth[0], prior)
        return (weight * torch.log(z / prior).abs()).mean()

    def _motion_loss(
        self, gaussians: Gaussians, here: Tensor, there: Tensor, pair: tuple[int, int]
    ) -> Tensor:
        """The blended motion against optical flow, and the foreground's share of pixels."""
        config, flow = self.config, self.flows[pair]
        drawn = draw_motion(
            gaussians, (there - here)[:, :2], self.parameters.foreground, self.camera,
            backend=config.backend,
        )  # fmt: skip
        sure = torch.from_numpy(flow.sure).to(self.device) & drawn.covered
        error = drawn.motion - self._tensor(flow.moved)
        length = torch.sqrt((error**2).sum(-1) + 0.01) - 0.1
        loss = config.flow_weight * torch.where(sure, length, 0).mean()
        if self.clip.foreground is not None:
            label = self._tensor(self.clip.foreground[pair[0]])
            loss = loss + config.label_weight * (drawn.foreground - label).abs().mean()
        return loss

    def _rigid_loss(self, here: Tensor, there: Tensor) -> Tensor:
        rows = self.generator.integers(len(here), size=self.config.rigid_sample)
        return rigidity(
            self._in_px(here), self._in_px(there), torch.from_numpy(rows).to(self.device),
            self.neighbours,
        )  # fmt: skip

    def _in_px(self, places: Tensor) -> Tensor:
        """Centres (N, 3) in the camera's frame; lengths in pixels at the clip's middle depth."""
        return unprojected(places, self.clip.K) * self.px_per_unit

    # What is looked at -------------------------------------------------------------------------

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.device).float()

    def _next(self) -> int:
        if not self.order:
            self.order = self.generator.permutation(len(self.clip)).tolist()
        return self.order.pop()

    def _partner(self, i: int) -> int:
        """Another frame to which there is flow from this."""
        near = [i + sign * gap for gap in GAPS for sign in (-1, 1)]
        return int(self.generator.choice([j for j in near if (i, j) in self.flows]))

    @torch.no_grad()
    def _find_neighbours(self) -> None:
        """Anew whenever there are other Gaussians."""
        moments = np.unique(np.linspace(0, len(self.clip) - 1, MOMENTS).round().astype(int))
        centres = [self._in_px(self.parameters.places(self.weights[i])) for i in moments]
        self.neighbours = neighbours_of(torch.stack(centres, dim=1), self.parameters.foreground)
