"""Training Gaussians on photographs (3D Gaussian Splatting, Kerbl et al. 2023)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from recon.core.errors import InputError
from splatting.adjustments import Adjustments
from splatting.densify import Classic, Mcmc, Strategy
from splatting.densify_gsplat import GsplatStrategy
from splatting.gaussians import MAX_SH_DEGREE, Cameras, Gaussians
from splatting.losses import photo_loss, psnr
from splatting.parameters import LearningRates, Parameters, initial_gaussians
from splatting.photos import Photos
from splatting.rasterize import rasterize
from splatting.starts import fill_bare, points_in_view

MOST_STEPS = 30_000
"""As many as 3DGS trains; more hardly help."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How to train.

    Args:
        steps: pictures looked at, unless `minutes` is over first. minutes: None for no limit.
        most: number of Gaussians at the end. strategy: "mcmc" or "classic" densification.
        mode: of the rasterizer. sh_degree: highest, reached by a third of the training.
        similarity: weight of structural similarity against the mean difference.
        opacity_weight, scale_weight: regularisers of the mcmc strategy.
        hole_weight: of light that comes through where pictures are ignored.
        exposure: whether each picture gets its own gain and offset per channel.
        random_points: to start from where none are known. first_size: of the Gaussians at the
            start, in distances to their neighbours. coarse_until: share of the training that
            looks at pictures of half the size.
        refine_poses: whether camera poses move too, at `pose_rate` (radians, and shares of the
            cameras' extent, per step), which falls to a tenth in the end.
    """

    steps: int = MOST_STEPS
    minutes: float | None = None
    most: int = 100_000
    strategy: Literal["mcmc", "classic"] = "mcmc"
    mode: Literal["classic", "antialiased"] = "classic"
    backend: str = "auto"
    sh_degree: int = MAX_SH_DEGREE
    similarity: float = 0.2
    opacity_weight: float = 0.01
    scale_weight: float = 0.01
    hole_weight: float = 0.05
    exposure: bool = False
    refine_poses: bool = False
    pose_rate: float = 1e-4
    random_points: int = 10_000
    first_size: float = 0.3
    coarse_until: float = 0.33
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Status:
    """What a training says of itself now and then."""

    step: int
    progress: float
    seconds: float
    count: int
    psnr: float


Watch = Callable[[Status], None]


class Training:
    """Gaussians that see one photograph per step.

    Args:
        photos: to train on. gaussians: to start from; default from the photos' points, or from
            random ones in view of the cameras.
    """

    def __init__(
        self, photos: Photos, config: TrainingConfig, *, gaussians: Gaussians | None = None,
        device: str = "cpu",
    ) -> None:  # fmt: skip
        self.photos, self.config, self.device = photos, config, device
        self.generator = np.random.default_rng(config.seed)
        start = gaussians if gaussians is not None else first_gaussians(photos, config)
        self.parameters = Parameters(start.to(device), LearningRates(), photos.extent)
        self.strategy = _strategy(config, photos.extent, device)
        self.adjust = Adjustments(
            len(photos), pose_rate=config.pose_rate, extent=photos.extent, device=device
        )
        self.coarse = photos.reduced(2) if config.coarse_until > 0 else photos
        self.order: list[int] = []
        self.steps_done, self.seconds_done = 0, 0.0

    @property
    def progress(self) -> float:
        """0 to 1, by whichever of steps and minutes is nearer its end."""
        by_steps = self.steps_done / self.config.steps
        minutes = self.config.minutes
        by_time = 0.0 if minutes is None else self.seconds_done / (60 * minutes)
        return min(1.0, max(by_steps, by_time))

    @property
    def sh_degree(self) -> int:
        """Colours get one degree more at each ninth of the training."""
        return min(self.config.sh_degree, int(9 * self.progress))

    def run(self, watch: Watch | None = None, every: float = 5.0) -> Gaussians:
        """Trains to the end of the budget; `watch` is called every `every` seconds."""
        if self.config.minutes is not None:
            self._compile()
        spoken = 0.0
        while self.progress < 1:
            start = time.perf_counter()
            value = self.step()
            self.seconds_done += time.perf_counter() - start
            if watch is not None and self.seconds_done - spoken >= every:
                spoken = self.seconds_done
                watch(self.status(value))
        return self.gaussians

    def _compile(self) -> None:
        """One step of a throwaway: kernels compile on first use, and a budget is for training."""
        now = self.gaussians
        few = Gaussians(
            means=now.means[:8], quats=now.quats[:8], scales=now.scales[:8],
            opacities=now.opacities[:8], sh=now.sh[:8],
        )  # fmt: skip
        two = self.photos.take(np.arange(2))
        Training(two, self.config, gaussians=few, device=self.device).step()

    def status(self, value: float) -> Status:
        return Status(
            step=self.steps_done, progress=self.progress, seconds=self.seconds_done,
            count=len(self.parameters), psnr=value,
        )  # fmt: skip

    @property
    def gaussians(self) -> Gaussians:
        """As they are now, without gradients; the next step changes them."""
        now = self.parameters.gaussians(self.config.sh_degree)
        return Gaussians(**{f.name: getattr(now, f.name).detach() for f in fields(now)})

    @property
    @torch.no_grad()
    def cameras_world(self) -> np.ndarray:
        """Poses of the photographs' cameras in the world (C, 4, 4), moved as far as they were."""
        if not self.config.refine_poses:
            return self.photos.Ts_world_camera
        given = self.photos.cameras(slice(None)).Ts_camera_world.to(self.device)
        moved = torch.stack([self.adjust.moved(T, i) for i, T in enumerate(given)])
        return np.linalg.inv(moved.cpu().double().numpy())

    def step(self) -> float:
        """Looks at one photograph; the PSNR there, dB."""
        config, parameters = self.config, self.parameters
        i = self._next()
        photos = self.coarse if self.progress < config.coarse_until else self.photos
        gaussians = parameters.gaussians(self.sh_degree)
        camera = self._camera(photos, i)
        rendering = rasterize(gaussians, camera, mode=config.mode, backend=config.backend)
        colour = rendering.colour[0]
        if config.exposure:
            colour = self.adjust.exposed(colour, i)
        photo, keep = photos.target(i, self.device)
        loss = photo_loss(colour, photo, keep, similarity=config.similarity)
        loss = loss + self._regularisers(gaussians)
        if keep is not None:
            # What is hidden in every picture would stay a black hole: its surroundings close it.
            hole = (1 - rendering.alpha[0])[~keep].sum() / keep.sum().clamp(min=1)
            loss = loss + config.hole_weight * hole
        loss.backward()
        self.steps_done += 1
        parameters.step(self.progress)
        if config.exposure or config.refine_poses:
            self.adjust.step(self.progress)
        self.strategy.after_step(
            parameters, rendering, step=self.steps_done, progress=self.progress
        )
        with torch.no_grad():
            if keep is not None:
                colour, photo = colour[keep], photo[keep]
            return psnr(colour.detach(), photo) if len(photo) else 0.0

    def _next(self) -> int:
        if not self.order:
            self.order = self.generator.permutation(len(self.photos)).tolist()
        return self.order.pop()

    def _camera(self, photos: Photos, i: int) -> Cameras:
        camera = photos.cameras([i]).to(self.device)
        if not self.config.refine_poses:
            return camera
        moved = self.adjust.moved(camera.Ts_camera_world[0], i)
        return replace(camera, Ts_camera_world=moved[None])

    def _regularisers(self, gaussians: Gaussians) -> Tensor | float:
        if self.config.strategy != "mcmc":
            return 0.0
        return (
            self.config.opacity_weight * gaussians.opacities.mean()
            + self.config.scale_weight * gaussians.scales.mean() / self.photos.extent
        )


def _strategy(config: TrainingConfig, extent: float, device: str) -> Strategy:
    """On CUDA gsplat's own, elsewhere ours of the same semantics."""
    if config.strategy not in ("mcmc", "classic"):
        raise InputError(f"expected strategy 'mcmc' or 'classic', got '{config.strategy}'")
    if device.startswith("cuda") and config.backend in ("auto", "gsplat"):
        return GsplatStrategy(config.strategy, most=config.most, extent=extent)
    if config.strategy == "mcmc":
        return Mcmc(most=config.most, seed=config.seed)
    return Classic(most=config.most, seed=config.seed)


def first_gaussians(photos: Photos, config: TrainingConfig) -> Gaussians:
    """Where training starts: at known points, else spread through what the cameras see."""
    generator = np.random.default_rng(config.seed)
    points, colours = photos.points, photos.colours
    if points is None or colours is None or len(points) < 10:
        points = points_in_view(photos, config.random_points, generator)
        colours = generator.uniform(size=points.shape)
        more, their_colours = points[:0], colours[:0]
    else:
        more, their_colours = fill_bare(photos, points)
    room = max(config.most // 2, config.most - len(more))
    if len(points) > room:
        rows = generator.choice(len(points), room, replace=False)
        points, colours = points[rows], colours[rows]
    points = np.concatenate((points, more))[: config.most]
    colours = np.concatenate((colours, their_colours))[: config.most]
    opacity = 0.5 if config.strategy == "mcmc" else 0.1
    return initial_gaussians(
        points, colours, degree=config.sh_degree, opacity=opacity, size=config.first_size
    )
