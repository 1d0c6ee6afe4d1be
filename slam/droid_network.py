"""DROID-SLAM's network in plain torch, and its official checkpoint by an explicit key map.

Features and context of pictures at 1/8 resolution, a correlation pyramid between two of them, and
a recurrent operator that says where each cell really is, how far to trust that in x and in y, and
how strongly a frame's depths should be damped.

Source: Teed and Deng 2021, DROID-SLAM, section 3.2 and appendix; Teed and Deng 2020, RAFT. The
layout of the layers is that of the official checkpoint `droid.pth` (BSD-3-Clause). That file has
never been run here, since nothing could be downloaded: the tests use random values under its keys
and shapes. With such values every output equalled that of the official layers to 1e-5.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recon.core.errors import InputError

CELL = 8
CHANNELS = 128
LEVELS, RADIUS = 4, 3
MAX_MOTION = 64.0
DAMPING_SCALE = 0.01
MEAN_RGB, STD_RGB = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class _Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut; instance norm or none."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, norm: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride=stride) if stride > 1 else None
        self.norm = nn.InstanceNorm2d(outputs) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.norm(self.conv1(x)))
        y = functional.relu(self.norm(self.conv2(y)))
        if self.shortcut is not None:
            x = self.norm(self.shortcut(x))
        return functional.relu(x + y)


class _Encoder(nn.Module):
    """Pictures (B, 3, 8h, 8w) to (B, outputs, h, w)."""

    def __init__(self, outputs: int, *, norm: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 7, stride=2, padding=3)
        self.norm = nn.InstanceNorm2d(32) if norm else nn.Identity()
        sizes = ((32, 32, 1), (32, 32, 1), (32, 64, 2), (64, 64, 1), (64, 128, 2), (128, 128, 1))
        self.blocks = nn.Sequential(*(_Residual(a, b, stride=s, norm=norm) for a, b, s in sizes))
        self.head = nn.Conv2d(128, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(functional.relu(self.norm(self.stem(x)))))


class _ConvGru(nn.Module):
    """A convolutional gated recurrent unit whose gates also see a weighted mean of the state."""

    def __init__(self, hidden: int, inputs: int) -> None:
        super().__init__()
        self.forget = nn.Conv2d(hidden + inputs, hidden, 3, padding=1)
        self.reset = nn.Conv2d(hidden + inputs, hidden, 3, padding=1)
        self.candidate = nn.Conv2d(hidden + inputs, hidden, 3, padding=1)
        self.attention = nn.Conv2d(hidden, hidden, 1)
        self.global_forget = nn.Conv2d(hidden, hidden, 1)
        self.global_reset = nn.Conv2d(hidden, hidden, 1)
        self.global_candidate = nn.Conv2d(hidden, hidden, 1)

    def forward(self, hidden: Tensor, inputs: Tensor) -> Tensor:
        both = torch.cat([hidden, inputs], dim=1)
        mean = (torch.sigmoid(self.attention(hidden)) * hidden).mean(dim=(2, 3), keepdim=True)
        z = torch.sigmoid(self.forget(both) + self.global_forget(mean))
        r = torch.sigmoid(self.reset(both) + self.global_reset(mean))
        q = self.candidate(torch.cat([r * hidden, inputs], dim=1))
        return (1 - z) * hidden + z * torch.tanh(q + self.global_candidate(mean))


class _Aggregate(nn.Module):
    """From the states of all links of one frame (m, C, h, w): damping (h, w) of its depths, and
    the weights (576, h, w) with which 3x3 cells make the 8x8 pixels of one."""

    def __init__(self) -> None:
        super().__init__()
        self.each = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.together = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.damping = nn.Conv2d(CHANNELS, 1, 3, padding=1)
        self.upsampling = nn.Conv2d(CHANNELS, 9 * CELL * CELL, 1)

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        mean = functional.relu(self.each(hidden)).mean(dim=0, keepdim=True)
        mean = functional.relu(self.together(mean))
        damping = DAMPING_SCALE * functional.softplus(self.damping(mean))
        return damping[0, 0], self.upsampling(mean)[0]


def _two_layers(inputs: int, kernels: tuple[int, int], middle: int, outputs: int) -> nn.Sequential:
    a, b = kernels
    return nn.Sequential(
        nn.Conv2d(inputs, middle, a, padding=a // 2), nn.ReLU(),
        nn.Conv2d(middle, outputs, b, padding=b // 2),
    )  # fmt: skip


class _Update(nn.Module):
    """One recurrent step of m links of one source frame."""

    def __init__(self) -> None:
        super().__init__()
        self.correlation = _two_layers(LEVELS * (2 * RADIUS + 1) ** 2, (1, 3), CHANNELS, CHANNELS)
        self.motion = _two_layers(4, (7, 3), CHANNELS, 64)
        self.gru = _ConvGru(CHANNELS, CHANNELS + CHANNELS + 64)
        self.weight = _two_layers(CHANNELS, (3, 3), CHANNELS, 2)
        self.delta = _two_layers(CHANNELS, (3, 3), CHANNELS, 2)
        self.aggregate = _Aggregate()

    def forward(
        self, hidden: Tensor, context: Tensor, correlation: Tensor, motion: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The new state (m, C, h, w), the correction (m, 2, h, w) in cells, and its weights."""
        seen = functional.relu(self.correlation(correlation))
        moved = functional.relu(self.motion(motion))
        hidden = self.gru(hidden, torch.cat([context, seen, moved], dim=1))
        return hidden, self.delta(hidden), torch.sigmoid(self.weight(hidden))


class DroidNetwork(nn.Module):
    """All of DROID-SLAM's layers, with random values until `load_checkpoint` fills them."""

    def __init__(self) -> None:
        super().__init__()
        self.features = _Encoder(CHANNELS, norm=True)
        self.context = _Encoder(2 * CHANNELS, norm=False)
        self.update = _Update()


def _parts() -> Iterator[tuple[str, str]]:
    """Official layer names and ours."""
    for theirs, ours in (("fnet", "features"), ("cnet", "context")):
        yield f"{theirs}.conv1", f"{ours}.stem"
        for layer in range(3):
            for block in range(2):
                for conv in ("conv1", "conv2"):
                    place = f"{theirs}.layer{layer + 1}.{block}.{conv}"
                    yield place, f"{ours}.blocks.{2 * layer + block}.{conv}"
            if layer > 0:
                shortcut = f"{ours}.blocks.{2 * layer}.shortcut"
                yield f"{theirs}.layer{layer + 1}.0.downsample.0", shortcut
        yield f"{theirs}.conv2", f"{ours}.head"
    for theirs, ours in (
        ("corr_encoder", "correlation"), ("flow_encoder", "motion"),
        ("weight", "weight"), ("delta", "delta"),
    ):  # fmt: skip
        for place in (0, 2):
            yield f"update.{theirs}.{place}", f"update.{ours}.{place}"
    for theirs, ours in (
        ("gru.convz", "gru.forget"), ("gru.convr", "gru.reset"), ("gru.convq", "gru.candidate"),
        ("gru.w", "gru.attention"), ("gru.convz_glo", "gru.global_forget"),
        ("gru.convr_glo", "gru.global_reset"), ("gru.convq_glo", "gru.global_candidate"),
        ("agg.conv1", "aggregate.each"), ("agg.conv2", "aggregate.together"),
        ("agg.eta.0", "aggregate.damping"), ("agg.upmask.0", "aggregate.upsampling"),
    ):  # fmt: skip
        yield f"update.{theirs}", f"update.{ours}"


CHECKPOINT_KEYS: Mapping[str, str] = {
    f"{theirs}.{kind}": f"{ours}.{kind}" for theirs, ours in _parts() for kind in ("weight", "bias")
}
"""The keys of droid.pth, without its prefix `module.`, and ours."""

# The official heads have a third channel that nothing reads.
_CUT_TO_TWO = ("update.weight.2", "update.delta.2")


def load_checkpoint(path: Path) -> DroidNetwork:
    """The network with the values of an official checkpoint (droid.pth), on the CPU.

    Raises:
        InputError: no such file, not a checkpoint, or a key or shape that is not DROID-SLAM's.
    """
    expected = "expected DROID-SLAM's droid.pth"
    if not path.is_file():
        raise InputError(f"{expected}, got no file {path}")
    try:
        # weights_only: tensors and plain containers, no code.
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive can raise anything
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{expected}, got {path}, which torch cannot read: {why}") from error
    if not isinstance(content, Mapping):
        raise InputError(f"{expected}, got {path}, which holds a {type(content).__name__}")
    given = {str(key).removeprefix("module."): value for key, value in content.items()}
    network = DroidNetwork()
    wanted = network.state_dict()
    values = {}
    for theirs, ours in CHECKPOINT_KEYS.items():
        value, shape = given.pop(theirs, None), tuple(wanted[ours].shape)
        if not isinstance(value, Tensor):
            raise InputError(f"{expected} with {theirs}, got {path}, which lacks it")
        if theirs.rpartition(".")[0] in _CUT_TO_TWO:
            value = value[:2]
        if tuple(value.shape) != shape:
            raise InputError(
                f"{expected} with {theirs} of shape {shape}, got {tuple(value.shape)} in {path}"
            )
        values[ours] = value
    if given:
        raise InputError(f"{expected}, got {path}, which also holds {next(iter(given))}")
    network.load_state_dict(values)
    return network.eval()


@dataclass(frozen=True, kw_only=True)
class Code:
    """What the network keeps of a picture: features, first state and context, (C, h, w) each."""

    features: Tensor
    hidden: Tensor
    context: Tensor


@dataclass(frozen=True, kw_only=True)
class Link:
    """Two pictures and the state of the operator that compares them.

    The state is in half precision: a clip has thousands of links.
    """

    source: Code
    target: Code
    hidden: Tensor


@dataclass(frozen=True, kw_only=True)
class FlowUpdate:
    """What the operator says of m links of one source frame.

    Args:
        links: with their new states. delta: (m, 2, h, w) cells, to be added to where the cells
            were taken to be. weights: (m, 2, h, w) 0-1, trust in its x and its y.
        damping: (h, w) of the source's depths.
    """

    links: Sequence[Any]
    delta: np.ndarray
    weights: np.ndarray
    damping: np.ndarray


def correlation_pyramid(a: Tensor, b: Tensor) -> list[Tensor]:
    """Dot products of all cells of a with all of b, (m, h * w, h_l, w_l) for each level l.

    Args: a, b: (m, C, h, w) features.
    """
    sources = (a / 16).flatten(2).transpose(1, 2)
    levels = []
    for level in range(LEVELS):
        if level:  # averages of products are products with averages, and those are far fewer
            b = functional.avg_pool2d(b, 2)
        volume = sources @ b.flatten(2)
        levels.append(volume.reshape(*volume.shape[:2], *b.shape[2:]))
    return levels


def look_up(pyramid: Sequence[Tensor], at: Tensor) -> Tensor:
    """Correlations (m, 196, h, w) around places: 7x7 per level, bilinear, 0 outside.

    Args:
        at: (m, 2, h, w) cells of the target's finest level, 0 its first; at level l they are
            divided by 2**l. Channels go level by level, then by x, then by y.
    """
    m, _, h, w = at.shape
    steps = torch.arange(-RADIUS, RADIUS + 1, device=at.device, dtype=at.dtype)
    window = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1)
    centres = at.permute(0, 2, 3, 1).reshape(m * h * w, 1, 1, 2)
    found = []
    for level, volume in enumerate(pyramid):
        size = torch.tensor([volume.shape[3], volume.shape[2]], device=at.device, dtype=at.dtype)
        # grid_sample counts from -1 to 1 between the outer edges of the first and last cell.
        grid = (2 * (centres / 2**level + window) + 1) / size - 1
        cells = volume.reshape(m * h * w, 1, *volume.shape[2:])
        sampled = functional.grid_sample(cells, grid, align_corners=False)
        found.append(sampled.reshape(m, h, w, -1).permute(0, 3, 1, 2))
    return torch.cat(found, dim=1)


class NetworkMatcher:
    """The network behind the matcher's seam of slam.droid: numpy in, numpy out.

    Args: device: where it computes, such as "cpu" or "cuda".
    """

    def __init__(self, network: DroidNetwork, *, device: str) -> None:
        self.device = torch.device(device)
        self.network = network.to(self.device).eval()

    @torch.inference_mode()
    def encode(self, image: np.ndarray) -> Code:
        """A picture's code. Args: image: (8h, 8w, 3) uint8 RGB."""
        pixels = torch.from_numpy(np.ascontiguousarray(image)).to(self.device)
        mean, std = (torch.tensor(v, device=self.device) for v in (MEAN_RGB, STD_RGB))
        x = ((pixels / 255 - mean) / std).permute(2, 0, 1)[None]
        hidden, context = self.network.context(x)[0].split(CHANNELS)
        return Code(
            features=self.network.features(x)[0],
            hidden=torch.tanh(hidden),
            context=functional.relu(context),
        )

    def link(self, source: Code, target: Code) -> Link:
        """A link before its first update."""
        return Link(source=source, target=target, hidden=source.hidden.half())

    @torch.inference_mode()
    def update(self, links: Sequence[Link], at: np.ndarray, motion: np.ndarray) -> FlowUpdate:
        """One step of links that share their source.

        Args:
            at: (m, 2, h, w) cells of the targets where the sources' cells are taken to be.
            motion: (m, 4, h, w) cells, how far that is from where they were, and what the last
                step found beyond it.
        """
        source, where = links[0].source, torch.from_numpy(at).float().to(self.device)
        pyramid = correlation_pyramid(
            source.features[None].expand(len(links), -1, -1, -1),
            torch.stack([link.target.features for link in links]),
        )
        hidden, delta, weights = self.network.update(
            torch.stack([link.hidden for link in links]).float(),
            source.context[None].expand(len(links), -1, -1, -1),
            look_up(pyramid, where),
            torch.from_numpy(motion).float().to(self.device).clamp(-MAX_MOTION, MAX_MOTION),
        )
        damping, _ = self.network.update.aggregate(hidden)
        return FlowUpdate(
            links=[
                Link(source=link.source, target=link.target, hidden=state)
                for link, state in zip(links, hidden.half(), strict=True)
            ],
            delta=delta.cpu().numpy(),
            weights=weights.cpu().numpy(),
            damping=damping.cpu().numpy(),
        )
