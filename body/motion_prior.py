"""A compact motion prior: a conditional VAE that decodes whole windows of four seconds at once.

Two families were open. HuMoR (Rempe 2021) is a conditional VAE over single transitions: it is
rolled out frame by frame, needs hundreds of sequential optimisation steps through the roll-out,
and drifts over long occlusions. HMP (Duran 2024, after NeMF, He 2022) decodes a window from one
latent code, all frames in parallel, both ends of an occlusion seen together. We take HMP's
non-autoregressive decoder, and HuMoR's conditioning: the decoder is given the code and what was
seen around the hidden rows. Decoded from the code alone (96 numbers for 16 000), real mocap gaits
came out worse than by interpolation: they are unlike those that could be trained on, and only
the neighbouring steps tell how this person walks. Attention over the window finds those.

The code is read off the evidence by an encoder, as in Kaufmann 2020 ("Convolutional Autoencoders
for Human Motion Infilling"), instead of being searched for per clip as in HMP: one pass, no
starting point, no local minima. Hidden rows enter bridged by interpolation and the network adds
to that (the delta mode of Oreshkin 2022, "Motion In-betweening via Deep Delta-Interpolator").

    rows, seen (120, 137) -> patches of 4 (30, C) -> convolutions, attention -> context (30, C)
    context -> code (Z), mean and spread
    code, context -> convolutions -> patches of 4 -> rows (120, 140), added to the bridged ones

Rows are those of `body.motion_features`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from body.motion_features import CONTACTS, NUM_FEATURES, NUM_POSE, RATES
from recon.core.errors import InputError
from recon.core.geometry import Array
from recon.core.storage import write_atomic
from recon.core.untrusted import read_arrays

WINDOW = 120
"""Rows of a window: four seconds, so that two hidden ones keep a second on either side."""
SHIPPED = Path(__file__).parent / "data" / "motion_prior.npz"
"""Made by `recon train-prior --out FILE` with its defaults."""
_PATCH = 4
_TOKENS = WINDOW // _PATCH
_FORMAT = "recon3d motion prior 1"


@dataclass(frozen=True, kw_only=True)
class NetworkSize:
    """Channels of the context, of the layer before the code, of the code; layers of each kind."""

    channels: int = 112
    squeezed: int = 48
    code: int = 64
    convolutions: int = 3
    attentions: int = 2


class _Convolution(nn.Module):
    """Residual convolution over time, dilated to see the whole window."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.first = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Float[Tensor, "B C T"]) -> Float[Tensor, "B C T"]:
        return x + self.second(nn.functional.gelu(self.first(self.norm(x))))


class PriorNetwork(nn.Module):
    """Encoder of partly hidden windows and decoder of codes, on normalised rows."""

    def __init__(self, size: NetworkSize) -> None:
        super().__init__()
        c, s = size.channels, size.squeezed
        dilations = [2**k for k in range(size.convolutions)]
        self.size = size
        self.embed = nn.Linear(_PATCH * (NUM_POSE + 1), c)
        self.encoder = nn.Sequential(*[_Convolution(c, d) for d in dilations])
        self.place = nn.Parameter(0.02 * torch.randn(_TOKENS, c))
        self.attention = nn.Sequential(*[
            nn.TransformerEncoderLayer(
                c, nhead=4, dim_feedforward=2 * c, dropout=0.0, activation="gelu",
                batch_first=True, norm_first=True,
            )
            for _ in range(size.attentions)
        ])  # fmt: skip
        self.squeeze = nn.Conv1d(c, s, 4, stride=2, padding=1)
        self.to_code = nn.Linear(s * _TOKENS // 2, 2 * size.code)
        self.from_code = nn.Linear(size.code, s * _TOKENS // 2)
        self.widen = nn.ConvTranspose1d(s, c, 4, stride=2, padding=1)
        self.decoder = nn.Sequential(*[_Convolution(c, d) for d in reversed(dilations)])
        self.restore = nn.Linear(c, _PATCH * NUM_FEATURES)

    def encode(
        self, rows: Float[Tensor, "B 120 136"], seen: Float[Tensor, "B 120"]
    ) -> tuple[Float[Tensor, "B C 30"], Float[Tensor, "B Z"], Float[Tensor, "B Z"]]:
        """Context, and the code's mean and log standard deviation; `seen` is 0 where bridged."""
        x = torch.cat([rows, seen[..., None]], dim=-1).reshape(len(rows), _TOKENS, -1)
        x = self.encoder(self.embed(x).transpose(1, 2)).transpose(1, 2)
        context = self.attention(x + self.place).transpose(1, 2)
        mean, log_std = self.to_code(self.squeeze(context).flatten(1)).chunk(2, dim=-1)
        return context, mean, log_std.clamp(-5, 2)

    def decode(
        self,
        code: Float[Tensor, "B Z"],
        context: Float[Tensor, "B C 30"],
        rows: Float[Tensor, "B 120 136"],
    ) -> Float[Tensor, "B 120 140"]:
        """Normalised rows; contact columns are logits."""
        x = self.widen(self.from_code(code).reshape(len(code), self.size.squeezed, -1))
        x = self.decoder(x + context).transpose(1, 2)
        x = self.restore(x).reshape(len(code), WINDOW, NUM_FEATURES)
        return x + nn.functional.pad(rows, (0, NUM_FEATURES - NUM_POSE))


@dataclass(frozen=True, kw_only=True)
class MotionPrior:
    """A trained network with the numbers that its rows are normalised by.

    Args:
        network: in evaluation mode.
        mean, scale: (140,) of the features; rows go in as `(row - mean) / scale`.
        spread_seconds: (B,) distances in time from the nearest frame seen, increasing from 0.
        spread: (B, 69) standard deviations that far from it: pelvis position in leg lengths (its
            axes the heading's), then 22 rotation vectors in radians; measured on held-out clips.
        recipe: how it was trained, JSON-serialisable.
    """

    network: PriorNetwork
    mean: Array
    scale: Array
    spread_seconds: Array
    spread: Array
    recipe: dict[str, Any]

    def complete(self, rows: Array, seen: np.ndarray) -> Array:
        """Rows (120, 140) that the decoder offers for partly seen ones.

        Args:
            rows: (120, 140), anything finite where not seen. seen: (120,) bool, at least one.
        """
        bridged = (fill(rows, seen) - self.mean) / self.scale
        x = torch.as_tensor(bridged[None, :, :NUM_POSE], dtype=torch.float32)
        with torch.no_grad():
            context, code, _ = self.network.encode(x, torch.as_tensor(seen[None]).float())
            out = self.network.decode(code, context, x)[0].double().numpy()
        offered = out * self.scale + self.mean
        offered[:, CONTACTS] = 1 / (1 + np.exp(-out[:, CONTACTS]))
        return offered

    def save(self, path: Path) -> None:
        """Writes all of it as one .npz without pickle; weights in half precision."""
        arrays = {
            f"network.{k}": v.detach().numpy().astype(np.float16)
            for k, v in self.network.state_dict().items()
        }
        arrays |= {k: np.asarray(getattr(self, k), np.float32) for k in _TABLES}
        head = {"format": _FORMAT, "size": asdict(self.network.size), "recipe": self.recipe}
        arrays["head"] = np.frombuffer(json.dumps(head).encode(), np.uint8)
        write_atomic(path, lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]

    @classmethod
    def shipped(cls) -> MotionPrior:
        """The prior that comes with the project, trained on procedural motion alone."""
        return cls.load(SHIPPED)

    @classmethod
    def load(cls, path: Path) -> MotionPrior:
        """The prior that `save` wrote.

        Raises:
            InputError: no such file, or it holds something else.
        """
        try:
            arrays = read_arrays(path)
            head = json.loads(arrays.pop("head").tobytes())
            if head["format"] != _FORMAT:
                raise ValueError(f"format {head['format']!r}")
            size = NetworkSize(**head["size"])
            if max(size.convolutions, size.attentions) > len(arrays):
                raise ValueError("more layers than arrays")
            with torch.device("meta"):  # a size that the arrays do not have takes no memory
                network = PriorNetwork(size)
            tables = {k: arrays.pop(k).astype(float) for k in _TABLES}
            network.load_state_dict(
                {
                    k.removeprefix("network."): torch.as_tensor(v.astype(np.float32))
                    for k, v in arrays.items()
                },
                assign=True,
            )
        except Exception as error:  # whatever the file holds instead
            raise InputError(
                f"expected a motion prior in {path}, got: {error}; "
                "make one with: recon train-prior --out FILE"
            ) from error
        return cls(network=network.eval(), recipe=head["recipe"], **tables)


_TABLES = ("mean", "scale", "spread_seconds", "spread")


def fill(rows: Array, seen: np.ndarray) -> Array:
    """Rows (T, F) whose unseen stretches are bridged by straight lines, held beyond the ends.

    Velocities, which lead from a row to the next, become their own mean from the last row seen
    to the next one, which keeps the way travelled.

    Args:
        seen: (T,) bool, at least one.
    """
    index = np.arange(len(rows))
    known = np.flatnonzero(seen)
    after = known[np.minimum(np.searchsorted(known, index, side="right"), len(known) - 1)]
    before = known[np.maximum(np.searchsorted(known, index, side="right") - 1, 0)]
    share = np.clip((index - before) / np.maximum(after - before, 1), 0, 1)[:, None]
    out = (1 - share) * rows[before] + share * rows[after]
    way = np.concatenate([np.zeros((1, 3)), np.cumsum(rows[:, RATES], axis=0)])
    mean = (way[after] - way[before]) / np.maximum(after - before, 1)[:, None]
    out[:, RATES] = mean
    first, last = known[0], known[-1]
    out[:first, RATES] = rows[first, RATES]
    out[last:, RATES] = rows[max(last - 1, first), RATES]
    return out
