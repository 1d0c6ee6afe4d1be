"""Training an avatar's network in two stages, as in GaussianAvatar (Hu et al., CVPR 2024).

Stage 1 finds the map of features, the decoder and the motion. Stage 2 keeps features and motion,
and finds a pose encoder, while the decoder follows at a tenth of its rate. Losses and weights are
the paper's: difference and dissimilarity of pictures (0.8 and 0.2), LPIPS where the caller has it
(0.2), offsets (10), features (1) and pose features (10); of sizes 0.03, as in its code. From the
fast mode come those of the mask and of the motion's smoothness, and light and exposure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from recon.core.errors import InputError
from recon.core.rig import Rig
from splatting.avatars.avatar import Avatar
from splatting.avatars.binding import SurfaceBinding, bind_surface
from splatting.avatars.network import AvatarNetwork, Homes, NetworkShape, PosedAppearance
from splatting.avatars.photos import AvatarPhotos
from splatting.avatars.training import AvatarConfig, AvatarResult, AvatarTraining, Watch
from splatting.gaussians import Gaussians
from splatting.harmonics import SH_C0

Perceptual = Callable[[Tensor, Tensor], Tensor]
"""(rendered, photo), (H, W, 3) each in 0 to 1, to a distance that gradients pass through."""
RATE_AT_END = 0.05
_DECODED = ("means", "scales", "sh")


@dataclass(frozen=True, kw_only=True)
class NetworkConfig(AvatarConfig):
    """How to train; beside what AvatarConfig says:

    Args:
        feature_resolution: of the map of features. channels: of features. hidden: of the
            decoder's layers. encoder: first channels of the pose encoder.
        together: pictures looked at for one step of the network in stage 1.
        posed_from: share of the training after which stage 2 begins; 1 for none.
        network_rate, feature_rate, colour_rate: learning rates.
        offset_weight, size_weight, feature_weight, pose_weight, perceptual_weight: of losses.
    """

    steps: int = 30_000
    feature_resolution: int = 64
    channels: int = 32
    hidden: int = 64
    encoder: int = 16
    coarse_until: float = 0.1
    together: int = 2
    posed_from: float = 0.7
    network_rate: float = 3e-3
    feature_rate: float = 1e-3
    colour_rate: float = 2e-2
    offset_weight: float = 10.0
    size_weight: float = 0.03
    feature_weight: float = 1.0
    pose_weight: float = 10.0
    perceptual_weight: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.posed_from <= 1:
            raise InputError(f"posed_from: expected more than 0 to 1, got {self.posed_from}")
        if self.together < 1:
            raise InputError(f"together: expected 1 picture or more, got {self.together}")


def paper_config(**settings: object) -> NetworkConfig:
    """The sizes and steps of the paper, for CUDA, where `settings` do not say otherwise."""
    sizes = {
        "resolution": 512, "feature_resolution": 128, "channels": 64, "hidden": 128,
        "encoder": 32, "steps": 20_000,
    }  # fmt: skip
    return NetworkConfig(**(sizes | settings))  # pyright: ignore[reportArgumentType]


def train_network(
    rig: Rig, photos: AvatarPhotos, config: NetworkConfig, watch: Watch | None = None, *,
    track_id: int = 1, source: str = "pictures", device: str = "cpu",
    perceptual: Perceptual | None = None,
) -> AvatarResult:  # fmt: skip
    """The avatar of the person in the pictures, with an appearance that depends on the pose.

    Args:
        rig: the person's body. track_id, source: kept with the avatar. perceptual: LPIPS or
            another distance, left out where None.

    Raises:
        InputError: see `bind_surface`. MissingDependencyError: Open3D is not installed.
    """
    binding = bind_surface(rig, config.resolution)
    training = NetworkTraining(binding, photos, config, device=device, perceptual=perceptual)
    training.run(watch)
    return training.result(rig, track_id=track_id, source=source)


class NetworkTraining(AvatarTraining):
    """Looks at `together` pictures a step in stage 1, and at one in stage 2."""

    config: NetworkConfig
    _built = False

    def __init__(
        self, binding: SurfaceBinding, photos: AvatarPhotos, config: NetworkConfig,
        *, device: str = "cpu", perceptual: Perceptual | None = None,
    ) -> None:  # fmt: skip
        super().__init__(binding, photos, config, device=device)  # paints the surface
        self.perceptual = perceptual
        surface = self.surface
        homes = Homes(
            points=surface.homes.cpu(), spacing=surface.spacing.cpu(),
            texel=torch.from_numpy(binding.texel),
            colours=(0.5 + SH_C0 * surface.sh.values.detach()[:, 0]).clamp(0, 1).cpu(),
        )  # fmt: skip
        shape = NetworkShape(
            resolution=binding.resolution, feature_resolution=config.feature_resolution,
            channels=config.channels, hidden=config.hidden, encoder=config.encoder,
            offset_bound=config.normal_bound,
        )  # fmt: skip
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.network = AvatarNetwork(shape, homes).to(device)
        self.learning = self._first_learning()
        self._built = True

    @property
    def stage(self) -> int:
        """1 without and 2 with a pose encoder."""
        return 1 if self.network.encoder is None else 2

    def rest(self) -> Gaussians:
        """As they are in no pose in particular."""
        return self.network()[0] if self._built else super().rest()

    def step(self) -> float:
        """Looks at some pictures; their mean PSNR over the person, dB."""
        config, network = self.config, self.network
        if self.stage == 1 and self.progress >= config.posed_from:
            self._begin_stage_2()
        rows = [self._next() for _ in range(config.together if self.stage == 1 else 1)]
        pose = self._pose_features(rows[0]) if self.stage == 2 else None
        rest, offsets = network(pose)
        loss = config.offset_weight * offsets.square().mean()
        loss = loss + config.size_weight * rest.scales.mean()
        if pose is None:
            loss = loss + config.feature_weight * network.features.square().mean()
        else:
            loss = loss + config.pose_weight * pose.square().mean()
        # The pictures' gradients gather before the decoder, which then runs backwards once.
        leaves = {name: getattr(rest, name).detach().requires_grad_() for name in _DECODED}
        values = []
        for i in rows:
            _, by_picture, value = self.look(replace(rest, **leaves), i)
            (by_picture / len(rows)).backward()
            values.append(value)
        for name, leaf in leaves.items():
            loss = loss + (getattr(rest, name) * leaf.grad).sum()
        loss.backward()
        self.steps_done += len(rows)
        self._update()
        return sum(values) / len(values)

    def avatar(self, *, model: str, licence: str, track_id: int, source: str) -> Avatar:
        """The avatar as it is now; the network goes along if it knows poses."""
        plain = super().avatar(model=model, licence=licence, track_id=track_id, source=source)
        if self.stage == 1:
            return plain
        return replace(plain, neural=PosedAppearance(self.network))

    def picture_loss(self, colour: Tensor, photo: Tensor, keep: Tensor | None) -> Tensor:
        """Beside what the fast mode compares, LPIPS."""
        loss = super().picture_loss(colour, photo, keep)
        if self.perceptual is None:
            return loss
        if keep is not None:
            colour = torch.where(keep[..., None], colour, photo)
        return loss + self.config.perceptual_weight * self.perceptual(colour, photo)

    def _pose_features(self, i: int) -> Tensor:
        rotations = self.motion.frame(i)[0].detach()
        return self.network.pose_features(rotations, self.surface.skinning, self.rest_joints)

    def _update(self) -> None:
        done, start = self.progress, self.config.posed_from
        within = done / start if self.stage == 1 else (done - start) / (1 - start)
        for group in self.learning.param_groups:
            group["lr"] = group["first"] * RATE_AT_END ** min(within, 1.0)
        self.learning.step()
        self.learning.zero_grad()
        if self.stage == 1 and self.config.refine_motion:
            self.motion.step(min(within, 1.0))
        self.motion.optimizer.zero_grad()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def _decoder(self) -> Iterable[nn.Parameter]:
        for part in (self.network.smooth, self.network.trunk, self.network.heads):
            yield from part.parameters()

    def _first_learning(self) -> torch.optim.Adam:
        config, network = self.config, self.network
        return _adam(
            (self._decoder(), config.network_rate),
            ([network.features], config.feature_rate),
            ([network.colours], config.colour_rate),
        )

    def _begin_stage_2(self) -> None:
        network, rate = self.network, self.config.network_rate
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            network.add_encoder()
        assert network.encoder is not None
        self.learning = _adam((self._decoder(), 0.1 * rate), (network.encoder.parameters(), rate))


def _adam(*groups: tuple[Iterable[nn.Parameter], float]) -> torch.optim.Adam:
    """Each group keeps its first rate as "first"."""
    return torch.optim.Adam(
        [{"params": list(params), "lr": rate, "first": rate} for params, rate in groups]
    )
