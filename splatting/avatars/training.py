"""Training an avatar without a network: the texels' Gaussians themselves, in minutes on a CPU.

A Gaussian per texel of the body's surface is moved by linear blend skinning and compared with the
pictures, as in GART (Lei et al. 2024) and GaussianAvatar (Hu et al. 2024), whose decoder it does
without; motion, light and exposure are found along with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace

import numpy as np
import torch
from torch import Tensor

from recon.core.errors import InputError
from recon.core.rig import Rig
from splatting.avatars.avatar import Avatar
from splatting.avatars.binding import SurfaceBinding, bind_surface
from splatting.avatars.fill import fill_unseen
from splatting.avatars.motion import RefinedMotion
from splatting.avatars.photos import AvatarPhotos
from splatting.avatars.posing import blended_quats, joint_transforms, pose_gaussians
from splatting.avatars.shading import LIGHT_TERMS, even_light, shaded
from splatting.avatars.surface import Surface, SurfaceRates, stretch, unevenness
from splatting.gaussians import Gaussians
from splatting.harmonics import SH_C0, rgb_to_sh
from splatting.losses import photo_loss, psnr
from splatting.rasterize import rasterize

LIGHT_RATE, GAIN_RATE = 5e-3, 1e-3
LIGHT_WEIGHT, GAIN_WEIGHT = 3e-4, 1e-2
OFFSET_SCALE = 0.02
"""Metres from the body that count as one."""
SEEN = 0.4
"""Of what a picture shows of a place from straight ahead: what no picture shows so much of was seen
askance at best, where a little of the background shows as well."""
PAINT_FROM = 40
"""Pictures whose colours the Gaussians start with."""


@dataclass(frozen=True, kw_only=True)
class AvatarConfig:
    """How to train.

    Args:
        steps: pictures looked at, unless `minutes` is over first. minutes: None for no limit.
        resolution: of the texture, texels along each side.
        normal_bound, tangent_bound: metres, how far Gaussians may leave the body, as loose clothes
            do. coarse_until: share of the training that looks at pictures of half the size.
        similarity: weight of structural similarity against the mean difference.
        mask_weight: of what coverage and mask differ in, judged like pictures. even_weight: of
            differences between neighbours. stretch_weight: as-isometric.
        offset_weight: of the distance from the body. smooth_weight: of corrections of the motion
            that differ from frame to frame. turn_rate, shift_rate: of the motion, radians and
            metres per step.
        refine_motion: whether the motion moves too. light: whether to find the light.
        exposure: whether each picture has its own gain.
    """

    steps: int = 3000
    minutes: float | None = None
    resolution: int = 192
    normal_bound: float = 0.10
    tangent_bound: float = 0.03
    coarse_until: float = 0.25
    similarity: float = 0.2
    mask_weight: float = 1.0
    even_weight: float = 0.01
    stretch_weight: float = 0.002
    offset_weight: float = 0.002
    smooth_weight: float = 0.01
    refine_motion: bool = True
    turn_rate: float = 5e-3
    shift_rate: float = 2.5e-3
    light: bool = True
    exposure: bool = True
    backend: str = "auto"
    seed: int = 0
    rates: SurfaceRates = field(default_factory=SurfaceRates)


@dataclass(frozen=True, kw_only=True)
class AvatarStatus:
    """What a training says of itself now and then."""

    step: int
    progress: float
    seconds: float
    psnr: float


@dataclass(frozen=True, kw_only=True)
class AvatarResult:
    """A trained avatar, and the motion of the pictures' frames as corrected.

    Args:
        steps: pictures looked at. seconds: of training.
    """

    avatar: Avatar
    motion: RefinedMotion
    steps: int
    seconds: float


Watch = Callable[[AvatarStatus], None]


def train_avatar(
    rig: Rig, photos: AvatarPhotos, config: AvatarConfig, watch: Watch | None = None, *,
    track_id: int = 1, source: str = "pictures", device: str = "cpu",
) -> AvatarResult:  # fmt: skip
    """The avatar of the person in the pictures.

    Args:
        rig: the person's body. track_id, source: kept with the avatar.

    Raises:
        InputError: see `bind_surface`. MissingDependencyError: Open3D is not installed.
    """
    binding = bind_surface(rig, config.resolution)
    training = AvatarTraining(binding, photos, config, device=device)
    training.run(watch)
    return training.result(rig, track_id=track_id, source=source)


class AvatarTraining:
    """Gaussians, motion, light and exposures, which look at one picture a step.

    Args:
        binding: homes of the Gaussians. photos: to train on.
    """

    def __init__(
        self, binding: SurfaceBinding, photos: AvatarPhotos, config: AvatarConfig,
        *, device: str = "cpu",
    ) -> None:  # fmt: skip
        self.binding, self.photos, self.config, self.device = binding, photos, config, device
        self.generator = np.random.default_rng(config.seed)
        self.backgrounds = torch.Generator().manual_seed(config.seed)
        self.coarse = photos.reduced(2) if config.coarse_until > 0 else photos
        self.rest_joints = torch.tensor(binding.rest_joints, dtype=torch.float32, device=device)
        self.motion = RefinedMotion(
            photos.poses, turn_rate=config.turn_rate, shift_rate=config.shift_rate, device=device
        )
        self.surface = Surface(
            binding, torch.full((len(binding), 3), 0.5),
            bounds=(config.normal_bound, config.tangent_bound), rates=config.rates, device=device,
        )  # fmt: skip
        self.light = torch.zeros(LIGHT_TERMS - 1, 3, device=device, requires_grad=True)
        self.gains = torch.zeros(len(photos), 3, device=device, requires_grad=True)
        self.optimizer = torch.optim.Adam(
            [{"params": [self.light], "lr": LIGHT_RATE}, {"params": [self.gains], "lr": GAIN_RATE}]
        )
        self.order: list[int] = []
        self.steps_done, self.seconds_done = 0, 0.0
        self._paint()

    @property
    def progress(self) -> float:
        """0 to 1, by whichever of steps and minutes is nearer its end."""
        minutes = self.config.minutes
        by_time = 0.0 if minutes is None else self.seconds_done / (60 * minutes)
        return min(1.0, max(self.steps_done / self.config.steps, by_time))

    def run(self, watch: Watch | None = None, every: float = 1.0) -> None:
        """Trains to the end of the budget; `watch` is called every `every` seconds."""
        spoken, value = 0.0, 0.0
        while self.progress < 1:
            start = time.perf_counter()
            value = self.step()
            self.seconds_done += time.perf_counter() - start
            if watch is not None and self.seconds_done - spoken >= every:
                spoken = self.seconds_done
                watch(AvatarStatus(step=self.steps_done, progress=self.progress,
                                   seconds=self.seconds_done, psnr=value))  # fmt: skip

    def posed(self, rest: Gaussians, i: int) -> Gaussians:
        """The Gaussians in the world at picture i, under the light."""
        rotations, root = self.motion.frame(i)
        transforms = joint_transforms(self.rest_joints, rotations[None], root[None])[0]
        turns = blended_quats(self.surface.skinning, transforms[:, :, :3])
        posed = pose_gaussians(rest, self.surface.skinning, transforms, turns=turns)
        if not self.config.light:
            return posed
        return replace(posed, sh=shaded(posed.sh, self.full_light, turns, self.surface.normals))

    @property
    def full_light(self) -> Tensor:
        """SH coefficients (9, 3); the constant one stays, or colours and light could trade."""
        return torch.cat([even_light().to(self.device)[:1], self.light])

    def rest(self) -> Gaussians:
        """The Gaussians in the rest pose; gradients reach what they are made of."""
        return self.surface.gaussians()

    def step(self) -> float:
        """Looks at one picture; the PSNR over the person there, dB."""
        i, rest = self._next(), self.rest()
        posed, loss, value = self.look(rest, i)
        (loss + self._regularisers(rest, posed)).backward()
        self.steps_done += 1
        self.surface.step(self.progress)
        if self.config.refine_motion:
            self.motion.step(self.progress)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return value

    def look(self, rest: Gaussians, i: int) -> tuple[Gaussians, Tensor, float]:
        """The Gaussians posed as in picture i, the loss there, and the PSNR over the person, dB."""
        config = self.config
        photos = self.coarse if self.progress < config.coarse_until else self.photos
        photo, mask, keep = photos.target(i, self.device)
        background = torch.rand(3, generator=self.backgrounds).to(self.device)
        photo = photo * mask[..., None] + background * (1 - mask[..., None])
        posed = self.posed(rest, i)
        rendering = rasterize(posed, photos.camera(i).to(self.device), backend=config.backend)
        colour, alpha = rendering.colour[0], rendering.alpha[0]
        if config.exposure:
            colour = colour * torch.exp(self.gains[i] - self.gains.detach().mean(dim=0))
        colour = colour + (1 - alpha[..., None]) * background
        # Beyond the outline coverage alone is judged: colours there would learn the background.
        inside = torch.where(mask[..., None] > 0, colour, photo)
        loss = self.picture_loss(inside, photo, keep)
        cover, outline = (x[..., None].repeat(1, 1, 3) for x in (alpha, mask))
        loss = loss + config.mask_weight * photo_loss(
            cover, outline, keep, similarity=config.similarity
        )
        if config.refine_motion:
            loss = loss + config.smooth_weight * self.motion.roughness(i)
        if config.exposure:
            loss = loss + GAIN_WEIGHT * self.gains[i].square().sum()
        if config.light:
            loss = loss + LIGHT_WEIGHT * self.light.square().sum()
        with torch.no_grad():
            person = mask > 0.5 if keep is None else (mask > 0.5) & keep
            value = psnr(colour[person], photo[person]) if person.any() else 0.0
        return posed, loss, value

    def picture_loss(self, colour: Tensor, photo: Tensor, keep: Tensor | None) -> Tensor:
        """How far a picture (H, W, 3) is from the photograph where it counts."""
        return photo_loss(colour, photo, keep, similarity=self.config.similarity)

    def result(self, rig: Rig, *, track_id: int, source: str) -> AvatarResult:
        """The avatar and the motion as they are now."""
        avatar = self.avatar(model=rig.model, licence=rig.licence, track_id=track_id, source=source)
        return AvatarResult(
            avatar=avatar, motion=self.motion, steps=self.steps_done, seconds=self.seconds_done
        )

    @torch.no_grad()
    def avatar(self, *, model: str, licence: str, track_id: int, source: str) -> Avatar:
        """The avatar as it is now, with what was never seen filled in."""
        *_, most_px = self.shown(most=len(self.photos))
        texel_px = self.binding.texel_area * (0.5 * self.photos.px_per_metre) ** 2
        seen = most_px.cpu().numpy() > SEEN * texel_px
        now = self.rest()
        plain = Gaussians(**{f.name: getattr(now, f.name).detach().cpu() for f in fields(now)})
        pairs = self.surface.pairs.cpu().numpy()
        binding = self.binding
        return Avatar(
            gaussians=fill_unseen(plain, binding, seen, pairs),
            normals=binding.rest_normals, weights=binding.weights, indices=binding.indices,
            rest_joints=binding.rest_joints, texel=binding.texel, resolution=binding.resolution,
            seen=seen, light=self.full_light.cpu().numpy() if self.config.light else None,
            model=model, licence=licence, track_id=track_id, source=source,
        )  # fmt: skip

    def _regularisers(self, rest: Gaussians, posed: Gaussians) -> Tensor:
        config, surface = self.config, self.surface
        some = self.steps_done % 4
        pairs, lengths = surface.pairs[some::4], surface.closeness[some::4]
        loss = config.even_weight * unevenness(surface, rest, pairs)
        loss = loss + config.stretch_weight * stretch(rest.means, posed.means, pairs, lengths)
        return loss + config.offset_weight * (surface.shifts / OFFSET_SCALE).square().mean()

    def _next(self) -> int:
        if not self.order:
            self.order = self.generator.permutation(len(self.photos)).tolist()
        return self.order.pop()

    def _paint(self) -> None:
        """Starts every Gaussian with the mean colour of the pixels that it shows.

        Raises:
            InputError: they show nothing of the person.
        """
        colours, weights, _ = self.shown()
        if not weights.any():
            raise InputError(
                "expected pictures in which the body and the person's mask meet, got none; look "
                "at the scene's overlay"
            )
        mean = colours / weights.clamp(min=1e-6)
        overall = colours.sum(dim=0) / weights.sum()
        rgb = torch.where(weights > 1e-3, mean, overall)
        with torch.no_grad():
            self.surface.sh.values.copy_(rgb_to_sh(rgb)[:, None])

    def shown(self, *, most: int = PAINT_FROM) -> tuple[Tensor, Tensor, Tensor]:
        """What every Gaussian shows in the pictures, in pixels of half the size: sum of the pixels'
        colours (N, 3), of the blending weights (N, 1), and their most in one picture (N,).

        Both are gradients: a picture's derivative by a Gaussian's colour is its weight there.

        Args:
            most: how many pictures to look at.
        """
        rows = np.unique(np.linspace(0, len(self.photos) - 1, most).round().astype(int))
        photos = self.photos.take(rows).reduced(2)
        rest = self.rest()
        colours = torch.zeros(len(self.surface), 3, device=self.device)
        weights, most_px = torch.zeros_like(colours[:, :1]), torch.zeros_like(colours[:, 0])
        for k, i in enumerate(rows.tolist()):
            photo, mask, keep = photos.target(k, self.device)
            counted = (mask if keep is None else mask * keep)[..., None]
            with torch.no_grad():
                posed = self.posed(rest, i)
            sh = torch.zeros_like(posed.sh).requires_grad_()
            with torch.enable_grad():
                drawn = rasterize(
                    replace(posed, sh=sh), photos.camera(k).to(self.device),
                    backend=self.config.backend,
                ).colour[0]  # fmt: skip
                (by_photo,) = torch.autograd.grad(
                    (drawn * photo * counted).sum(), sh, retain_graph=True
                )
                (by_mask,) = torch.autograd.grad((drawn * counted).sum(), sh)
            here = by_mask[:, 0].mean(dim=1) / SH_C0
            colours += by_photo[:, 0] / SH_C0
            weights += here[:, None]
            most_px = torch.maximum(most_px, here)
        return colours, weights, most_px
