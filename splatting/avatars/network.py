"""Appearance from a network on the body's texture, as in GaussianAvatar (Hu et al., CVPR 2024).

A map of features on the texture, smoothed by convolutions, is read at every texel and decoded to
an offset, an isotropic size and a colour; opacities and orientations are fixed. A pose encoder, a
small U-Net on the map of the posed body's places, adds features that change with the pose.

What differs from the paper: the decoder's outputs are corrections of the painted body (a bounded
offset, a size in distances between texels, a change of a colour that each texel has of its own and
that starts as the pictures' mean), so that training starts near its end; layer norms stand in the
decoder, and none in the encoder, where batch norms would make one picture depend on others; the
encoder sees how far the posed body's places are from those at rest, in the pelvis's frame, so that
it does not matter where somebody stands.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from recon.core.errors import InputError
from recon.core.people import BodyPoses
from splatting.avatars.posing import joint_transforms
from splatting.gaussians import Gaussians
from splatting.harmonics import rgb_to_sh

if TYPE_CHECKING:
    from splatting.avatars.avatar import Avatar

OPACITY = 0.99
"""Of all Gaussians: 1 in the paper, but there the rasterizer's gradient stops."""
LEAST_SIZE, FIRST_SIZE, MOST_SIZE = 0.55, 0.65, 2.0
"""Standard deviations in distances between texels: smaller round ones leave holes, larger ones a
halo around the person."""
OFFSET_UNIT = 0.02
"""Metres that the decoder's one stands for."""
FEATURE_DEVIATION = 0.01
MOST_OF_ANYTHING = 1024
"""Texels, channels or the like: a damaged file must not fill the memory."""
OUTPUTS = (3, 1, 3)
"""Of the decoder's heads: offset, size, colour."""
SMOOTHERS, KERNEL = 3, 5
MOVED_SCALE = 0.3
"""Metres of a move that counts as one."""
LEVELS = 4
"""Halvings of the pose encoder's map."""


@dataclass(frozen=True, kw_only=True)
class NetworkShape:
    """How large the network is.

    Args:
        resolution: of the texture. feature_resolution: of the map of features, at least 2**LEVELS
            and a power of two. channels: of features. hidden: of the decoder's layers. encoder:
            channels of the pose encoder's first layer. offset_bound: metres.
    """

    resolution: int
    feature_resolution: int
    channels: int = 64
    hidden: int = 128
    encoder: int = 32
    offset_bound: float = 0.10

    def __post_init__(self) -> None:
        size = self.feature_resolution
        if size < 2**LEVELS or size & (size - 1):
            raise InputError(
                f"feature_resolution: expected a power of two from {2**LEVELS}, got {size}"
            )
        for name in ("resolution", "feature_resolution", "channels", "hidden", "encoder"):
            if not 1 <= getattr(self, name) <= MOST_OF_ANYTHING:
                raise InputError(
                    f"{name}: expected 1 to {MOST_OF_ANYTHING}, got {getattr(self, name)}"
                )


@dataclass(frozen=True, kw_only=True)
class Homes:
    """What the network knows of the texels; tensors on the CPU.

    Args:
        points: (N, 3) metres, rest pose. spacing: (N,) metres between texels. texel: (N, 2) int64
            row and column. colours: (N, 3) RGB to start from.
    """

    points: Float[Tensor, "N 3"]
    spacing: Float[Tensor, " N"]
    texel: Tensor
    colours: Float[Tensor, "N 3"]


class AvatarNetwork(nn.Module):
    """Gaussians of the rest pose, one per texel; with a pose encoder they depend on the pose.

    Args:
        shape: sizes. homes: of the Gaussians.
    """

    home_points: Tensor
    home_spacing: Tensor
    home_texel: Tensor
    grid: Tensor
    cell: Tensor
    start: Tensor

    def __init__(self, shape: NetworkShape, homes: Homes) -> None:
        super().__init__()
        self.shape = shape
        for name in ("points", "spacing", "texel"):
            self.register_buffer(f"home_{name}", getattr(homes, name))
        size, channels = shape.feature_resolution, shape.channels
        self.features = nn.Parameter(FEATURE_DEVIATION * torch.randn(1, channels, size, size))
        self.colours = nn.Parameter(torch.logit(homes.colours, eps=0.01))
        self.smooth = nn.Sequential(*(_unchanged(channels) for _ in range(SMOOTHERS)))
        self.trunk = _decoder(channels + 2, shape.hidden)
        self.heads = nn.ModuleList(_head(shape.hidden, width) for width in OUTPUTS)
        self.encoder: PoseEncoder | None = None
        # Texels to the unit square of grid_sample, and to the cells of the map of places.
        grid = (homes.texel.flip(1).float() + 0.5) / shape.resolution
        cell = (grid * size).long().clamp(max=size - 1)
        self.register_buffer("grid", 2 * grid - 1, persistent=False)
        self.register_buffer("cell", cell[:, 1] * size + cell[:, 0], persistent=False)
        # What the decoder says before it has learned is taken back: it starts with the painted
        # body, and features have their say from the first step.
        self.register_buffer("start", torch.zeros(len(homes.points), sum(OUTPUTS)))
        with torch.no_grad():
            self.start.copy_(self._decoded(None))

    def add_encoder(self) -> None:
        """From now on with a pose encoder, which changes nothing before it has learned."""
        encoder = PoseEncoder(self.shape.encoder, self.shape.channels)
        self.encoder = encoder.to(self.home_points.device)

    def __len__(self) -> int:
        return len(self.home_points)

    def forward(self, pose_features: Tensor | None = None) -> tuple[Gaussians, Tensor]:
        """Gaussians of the rest pose, and their offsets from home (N, 3), metres.

        Args:
            pose_features: (1, C, r, r) of the pose encoder, or None: none are added.
        """
        raw = self._decoded(pose_features) - self.start
        shift, size, colour = raw.split(OUTPUTS, dim=1)
        bound = self.shape.offset_bound
        offsets = bound * torch.tanh(OFFSET_UNIT * shift / bound)
        first = np.log((FIRST_SIZE - LEAST_SIZE) / (MOST_SIZE - FIRST_SIZE))
        sizes = LEAST_SIZE + (MOST_SIZE - LEAST_SIZE) * torch.sigmoid(size + first)
        colours = torch.sigmoid(self.colours + colour)
        count = len(self)
        upright = torch.zeros(count, 4, device=raw.device)
        upright[:, 0] = 1
        gaussians = Gaussians(
            means=self.home_points + offsets,
            quats=upright,
            scales=(self.home_spacing[:, None] * sizes).repeat(1, 3),
            opacities=torch.full((count,), OPACITY, device=raw.device),
            sh=rgb_to_sh(colours)[:, None],
        )
        return gaussians, offsets

    def _decoded(self, pose_features: Tensor | None) -> Float[Tensor, "N 7"]:
        """Features at the texels, decoded."""
        features = self.smooth(self.features)
        if pose_features is not None:
            features = features + pose_features
        at = nn.functional.grid_sample(features, self.grid[None, None], align_corners=False)
        x = self.trunk(torch.cat([at[0, :, 0].T / FEATURE_DEVIATION, self.grid], dim=1))
        return torch.cat([head(x) for head in self.heads], dim=1)

    def pose_features(
        self, rotations: Float[Tensor, "J 3 3"], skinning: Float[Tensor, "N J"],
        rest_joints: Float[Tensor, "J 3"],
    ) -> Float[Tensor, "1 C r r"]:  # fmt: skip
        """What the pose encoder says of a pose, wherever it stands and whichever way it faces.

        Args:
            rotations: relative to the parents, as in BodyPoses. skinning: of the texels.
            rest_joints: metres.
        """
        if self.encoder is None:
            raise InputError("expected a network with a pose encoder, got one without")
        facing = torch.eye(3, device=rotations.device)[None]
        rotations = torch.cat([facing, rotations[1:]])
        root = torch.zeros(1, 3, device=rotations.device)
        transforms = joint_transforms(rest_joints, rotations[None], root)[0]
        blended = (skinning @ transforms.reshape(-1, 12)).reshape(-1, 3, 4)
        places = (blended[:, :, :3] * self.home_points[:, None]).sum(dim=2) + blended[:, :, 3]
        moved = (places - self.home_points) / MOVED_SCALE
        size = self.shape.feature_resolution
        counted = torch.cat([moved, torch.ones_like(moved[:, :1])], dim=1)
        total = torch.zeros(size * size, 4, device=moved.device).index_add(0, self.cell, counted)
        mean = total[:, :3] / total[:, 3:].clamp(min=1)
        return FEATURE_DEVIATION * self.encoder(mean.T.reshape(1, 3, size, size))


class PoseEncoder(nn.Module):
    """A U-Net from a map of places (1, 3, r, r) to features (1, C, r, r); zero before training."""

    def __init__(self, first: int, out: int) -> None:
        super().__init__()
        widths = [first * min(2**k, 4) for k in range(LEVELS)]
        inputs = [3, *widths[:-1]]
        self.down = nn.ModuleList(
            _block(nn.Conv2d(a, b, 4, stride=2, padding=1))
            for a, b in zip(inputs, widths, strict=True)
        )
        up_from = [widths[-1], *(2 * width for width in widths[-2::-1])]
        self.up = nn.ModuleList(
            _block(nn.ConvTranspose2d(a, b, 4, stride=2, padding=1))
            for a, b in zip(up_from, [*widths[-2::-1], first], strict=True)
        )
        self.last = nn.Conv2d(first, out, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        if self.last.bias is not None:
            nn.init.zeros_(self.last.bias)

    def forward(self, places: Tensor) -> Tensor:
        seen, x = [], places
        for block in self.down:
            x = block(x)
            seen.append(x)
        for level, block in enumerate(self.up):
            x = block(x if level == 0 else torch.cat([x, seen[-1 - level]], dim=1))
        return self.last(x)


class PosedAppearance:
    """A trained network in an avatar: what the texels that were seen look like in a pose.

    Args:
        network: with a pose encoder; it is copied.
    """

    def __init__(self, network: AvatarNetwork) -> None:
        if network.encoder is None:
            raise InputError("expected a network with a pose encoder, got one without")
        self.network = deepcopy(network).cpu().eval().requires_grad_(False)

    @torch.no_grad()
    def rest_gaussians(self, avatar: Avatar, poses: BodyPoses, frame: int) -> Gaussians:
        """The avatar's Gaussians in the rest pose as they look in one frame of a motion.

        What no picture showed stays as it was filled in.
        """
        rotations, rest_joints = (
            torch.tensor(a, dtype=torch.float32)
            for a in (poses.rotations[frame], avatar.rest_joints)
        )
        features = self.network.pose_features(rotations, avatar.skinning, rest_joints)
        drawn, _ = self.network(features)
        seen, filled = torch.from_numpy(avatar.seen), avatar.gaussians
        return Gaussians(
            **{
                field.name: torch.where(
                    seen.reshape(-1, *[1] * (getattr(filled, field.name).ndim - 1)),
                    getattr(drawn, field.name),
                    getattr(filled, field.name),
                )
                for field in fields(Gaussians)
            }
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """The network's shape, texels and weights."""
        shape = {f"shape.{k.name}": np.array(getattr(self.network.shape, k.name))
                 for k in fields(NetworkShape)}  # fmt: skip
        return shape | {
            f"state.{name}": value.detach().cpu().numpy()
            for name, value in self.network.state_dict().items()
        }


def restore(arrays: dict[str, np.ndarray], *, count: int) -> PosedAppearance:
    """What `PosedAppearance.arrays` gave away.

    Args:
        count: of the avatar's Gaussians.

    Raises:
        KeyError, ValueError, InputError: arrays are missing, of the wrong size or out of range.
    """
    numbers = {k.name: arrays[f"shape.{k.name}"].item() for k in fields(NetworkShape)}
    shape = NetworkShape(**numbers)
    state = {k.removeprefix("state."): torch.from_numpy(v)
             for k, v in arrays.items() if k.startswith("state.")}  # fmt: skip
    _check_sizes(state, shape)
    texel = state["home_texel"]
    if texel.shape != (count, 2) or texel.dtype != torch.int64:
        raise ValueError(f"expected {count} texels, got {tuple(texel.shape)} {texel.dtype}")
    if count and not 0 <= int(texel.min()) <= int(texel.max()) < shape.resolution:
        raise ValueError(f"expected texels below {shape.resolution}, got {int(texel.max())}")
    homes = Homes(
        points=state["home_points"], spacing=state["home_spacing"], texel=state["home_texel"],
        colours=torch.sigmoid(state["colours"]),
    )  # fmt: skip
    network = AvatarNetwork(shape, homes)
    network.add_encoder()
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(str(error).splitlines()[-1].strip()) from error
    return PosedAppearance(network)


def _check_sizes(state: dict[str, Tensor], shape: NetworkShape) -> None:
    """Raises ValueError for arrays of other sizes than told, before a network takes memory."""
    with torch.device("meta"):
        encoder = PoseEncoder(shape.encoder, shape.channels).state_dict()
    side = shape.feature_resolution
    sizes = {"features": (1, shape.channels, side, side)}
    sizes |= {f"encoder.{name}": tuple(value.shape) for name, value in encoder.items()}
    for name, size in sizes.items():
        if tuple(state[name].shape) != size:
            raise ValueError(f"{name}: expected {size}, got {tuple(state[name].shape)}")


def _unchanged(channels: int) -> nn.Conv2d:
    """A convolution that lets everything pass before it has learned."""
    layer = nn.Conv2d(channels, channels, KERNEL, padding=KERNEL // 2, bias=False)
    nn.init.dirac_(layer.weight)
    return layer


def _decoder(inputs: int, hidden: int) -> nn.Sequential:
    """Four layers per texel."""
    widths = [inputs, hidden, hidden, hidden, hidden]
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [_kept(nn.Linear(a, b)), nn.LayerNorm(b), nn.SiLU()]
    return nn.Sequential(*layers)


def _head(hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(_kept(nn.Linear(hidden, hidden // 2)), nn.SiLU(),
                         nn.Linear(hidden // 2, out))  # fmt: skip


def _kept(layer: nn.Linear) -> nn.Linear:
    """Started so that signals keep their size, which torch's own start makes three times less."""
    nn.init.normal_(layer.weight, std=(2 / layer.in_features) ** 0.5)
    nn.init.zeros_(layer.bias)
    return layer


def _block(layer: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    """Without a norm, which would hide how far a limb moved; signals keep their size at first."""
    taps = layer.weight[0, 0].numel() / (4 if isinstance(layer, nn.ConvTranspose2d) else 1)
    nn.init.normal_(layer.weight, std=(2 / (taps * layer.in_channels)) ** 0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return nn.Sequential(layer, nn.LeakyReLU(0.2))
