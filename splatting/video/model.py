"""Video Gaussians: a clip as Gaussians that move before a fixed camera, and their file."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from recon.core.errors import InputError, StaleSceneError
from recon.core.geometry import Array
from recon.core.storage import pack, unpack, write_atomic
from recon.core.untrusted import read_arrays
from splatting.gaussians import Cameras, Gaussians
from splatting.harmonics import rgb_to_sh
from splatting.video.motion import MotionBasis

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class VideoGaussians:
    """Gaussians in the space of a camera that stands at the origin and looks along +z.

    A centre is kept as its place: x and y on screen in px, and the logarithm of z. There the
    motion is smooth by itself, whatever moved, the camera or the thing (Sun et al. 2024, Splatter
    a Video, take an orthographic camera instead).

    Args:
        places: (N, 3) the constants of the curves. motions: (N, 3, B) weights of the basis.
        quats: (N, 4) wxyz. turns: (N, 4, P) weights of the basis' P polynomials, added to quats.
        scales: (N, 3) in `unit`. opacities: (N,). colours: (N, 3) RGB, about 0 to 1.
        foreground: (N,) bool. basis: of the motion. K: (3, 3) px for width x height.
        times: (T,) seconds of the frames. unit: of z and scales, in words.
    """

    places: Float[Tensor, "N 3"]
    motions: Float[Tensor, "N 3 B"]
    quats: Float[Tensor, "N 4"]
    turns: Float[Tensor, "N 4 P"]
    scales: Float[Tensor, "N 3"]
    opacities: Float[Tensor, " N"]
    colours: Float[Tensor, "N 3"]
    foreground: Float[Tensor, " N"]
    basis: MotionBasis
    K: Array
    width: int
    height: int
    times: Array
    unit: str

    def __post_init__(self) -> None:
        count, basis = len(self.places), self.basis
        tails = {
            "places": (3,), "motions": (3, basis.terms), "quats": (4,),
            "turns": (4, basis.polynomials), "scales": (3,), "opacities": (), "colours": (3,),
            "foreground": (),
        }  # fmt: skip
        for name, tail in tails.items():
            shape = tuple(getattr(self, name).shape)
            if shape != (count, *tail):
                raise InputError(f"expected {name} of shape {(count, *tail)}, got {shape}")
        if self.K.shape != (3, 3) or self.times.ndim != 1 or min(self.width, self.height) < 1:
            raise InputError(
                f"expected K (3, 3), times (T,) and a picture, got {self.K.shape}, "
                f"{self.times.shape} and {self.width}x{self.height}"
            )

    def __len__(self) -> int:
        return len(self.places)

    def to(self, device: str | torch.device) -> VideoGaussians:
        """The same on another device."""
        tensors = {f.name: getattr(self, f.name) for f in fields(self)}
        moved = {k: v.to(device) for k, v in tensors.items() if isinstance(v, Tensor)}
        return replace(self, **moved)

    @property
    def cameras(self) -> Cameras:
        """The clip's one camera."""
        here = Cameras.of(np.eye(4)[None], self.K, width=self.width, height=self.height)
        return here.to(self.places.device)

    def places_at(self, time: float) -> Float[Tensor, "N 3"]:
        """x, y (px) and log z at a time, seconds."""
        return moved(self.places, self.motions, self._basis_at(time))

    def _basis_at(self, time: float) -> Array:
        return self.basis.values(np.array([time]))[0]

    def at(self, time: float) -> Gaussians:
        """The Gaussians at any time, seconds, in the camera's frame; they go on beyond the clip."""
        row = self._basis_at(time)
        return posed(
            moved(self.places, self.motions, row), moved(self.quats, self.turns, row), self.K,
            scales=self.scales, opacities=self.opacities, colours=self.colours,
        )  # fmt: skip

    def tracks(self, times: Array) -> tuple[Float[np.ndarray, "N M 2"], Float[np.ndarray, "N M"]]:
        """Where the centres are on screen, px, and their z, at times (M,) seconds."""
        found = np.stack([self.places_at(float(t)).cpu().numpy() for t in times], axis=1)
        return found[..., :2], np.exp(found[..., 2])


def moved(values: Tensor, weights: Tensor, basis_values: Array) -> Tensor:
    """values (N, C) plus weights (N, C, P) times the first P of the basis' values (B,)."""
    row = torch.as_tensor(basis_values, dtype=values.dtype, device=values.device)
    return values + weights @ row[: weights.shape[-1]]


def unprojected(places: Tensor, K: Array) -> Tensor:
    """Points (N, 3) in the camera's frame of places (N, 3)."""
    z = torch.exp(places[..., 2:])
    centre, focal = places.new_tensor(K[:2, 2]), places.new_tensor(K[[0, 1], [0, 1]])
    return torch.cat(((places[..., :2] - centre) / focal * z, z), dim=-1)


def posed(
    places: Tensor, quats: Tensor, K: Array, *, scales: Tensor, opacities: Tensor, colours: Tensor
) -> Gaussians:
    """Gaussians at places, in the camera's frame, with a colour (N, 3) from everywhere."""
    return Gaussians(
        means=unprojected(places, K), quats=quats, scales=scales, opacities=opacities,
        sh=rgb_to_sh(colours)[:, None],
    )  # fmt: skip


def save_video_gaussians(video: VideoGaussians, path: Path) -> None:
    """Writes one .npz: the fields of VideoGaussians by their names, "basis." before the basis'.

    A place at a time is places + motions @ MotionBasis.values(time), the quaternion quats + turns @
    the first of these; the centre is ((x - cx) / fx z, (y - cy) / fy z, z) with z = exp(place[2]).
    """
    on_cpu = video.to("cpu")
    arrays = {**pack(on_cpu), "version": np.asarray(VERSION)}
    write_atomic(path, lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]


def load_video_gaussians(path: Path) -> VideoGaussians:
    """What `save_video_gaussians` wrote, on the CPU.

    Raises:
        InputError: no such file, or not one of video Gaussians, damaged or of another version.
    """
    path = Path(path)
    expected = f"expected video Gaussians (recon splat --video) in {path}"
    if not path.is_file():
        raise InputError(f"{expected}, got no such file; check the path")
    try:
        arrays = read_arrays(path)
        version = int(arrays.pop("version"))
        if version != VERSION:
            raise ValueError(f"version {version} instead of {VERSION}")
        loaded = unpack(VideoGaussians, arrays)
        tensors = {
            f.name: torch.from_numpy(getattr(loaded, f.name).astype(np.float32))
            for f in fields(loaded) if f.type.startswith("Float[Tensor")
        }  # fmt: skip
        if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
            raise ValueError("numbers that are not finite")
        return replace(loaded, **tensors)
    except (
        InputError, StaleSceneError, OSError, ValueError, KeyError, AttributeError, TypeError,
    ) as error:  # fmt: skip
        raise InputError(f"{expected}, got: {error}; train them again") from error
