"""Video Gaussians: where they are, their file, and what is refused."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from recon.core.errors import InputError
from splatting.video.clip import Clip
from splatting.video.model import VideoGaussians, load_video_gaussians, save_video_gaussians
from splatting.video.motion import MotionBasis
from tests.splatting.video.moving_square import moving_square

BASIS = MotionBasis(start=0.0, end=1.0, polynomials=2, harmonics=1)


def some(count: int = 5) -> VideoGaussians:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    return VideoGaussians(
        places=normal(count, 3) * 5 + torch.tensor([40.0, 30.0, 1.0]),
        motions=normal(count, 3, BASIS.terms), quats=normal(count, 4),
        turns=normal(count, 4, BASIS.polynomials) * 0.1, scales=torch.exp(normal(count, 3) - 3),
        opacities=torch.sigmoid(normal(count)), colours=torch.sigmoid(normal(count, 3)),
        foreground=torch.tensor([1.0, 0, 0, 1, 0]), basis=BASIS,
        K=np.array([[70.0, 0, 41], [0, 72, 29], [0, 0, 1]]), width=80, height=60,
        times=np.linspace(0, 1, 9), unit="metres",
    )  # fmt: skip


def test_centres_are_seen_at_their_places_at_every_time() -> None:
    video = some()
    for time in (0.0, 0.31, 1.0):
        places, means = video.places_at(time), video.at(time).means
        assert torch.allclose(means[:, 2], torch.exp(places[:, 2]), rtol=1e-5)
        seen = means @ torch.tensor(video.K, dtype=torch.float32).T
        assert torch.allclose(seen[:, :2] / seen[:, 2:], places[:, :2], atol=1e-3)
    points, depth = video.tracks(video.times)
    assert points.shape == (5, 9, 2) and depth.shape == (5, 9)
    assert np.allclose(points[:, 4], video.places_at(0.5)[:, :2], atol=1e-5)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    video = some()
    save_video_gaussians(video, tmp_path / "v.npz")
    again = load_video_gaussians(tmp_path / "v.npz")
    for field in fields(video):
        a, b = getattr(video, field.name), getattr(again, field.name)
        assert torch.equal(a, b) if isinstance(a, Tensor) else np.array_equal(a, b), field.name


def spoil(path: Path, **changed: np.ndarray) -> None:
    save_video_gaussians(some(), path)
    with np.load(path) as data:
        arrays = {**{k: data[k] for k in data.files}, **changed}
    np.savez(path, **{k: v for k, v in arrays.items() if v.size})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "write",
    [
        lambda p: None,
        lambda p: p.write_bytes(b"PK nothing"),
        lambda p: spoil(p, places=np.zeros((4, 3), np.float32)),
        lambda p: spoil(p, motions=np.zeros((5, 3, 9), np.float32)),
        lambda p: spoil(p, colours=np.full((5, 3), np.nan, np.float32)),
        lambda p: spoil(p, version=np.asarray(99)),
        lambda p: spoil(p, quats=np.zeros(0)),
    ],
    ids=["missing", "damaged", "count", "basis", "nan", "version", "field"],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, write) -> None:
    write(tmp_path / "v.npz")
    with pytest.raises(InputError, match=r"expected video Gaussians .*v\.npz, got") as caught:
        load_video_gaussians(tmp_path / "v.npz")
    assert "\n" not in str(caught.value)


def test_a_clip_holds_out_frames_between_others() -> None:
    clip = moving_square()
    rows, held = clip.split(8)
    assert held.tolist() == [4, 12] and len(rows) == 14
    assert clip.split(0)[1].size == 0
    assert len(clip.take(rows)) == 14


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"images": np.zeros((3, 56, 72, 3), np.uint8)}, "expected 4 frames or more"),
        ({"images": np.zeros((16, 8, 8, 3), np.uint8)}, "of 32 px or more"),
        ({"times": np.zeros(16)}, "increasing"),
        ({"depth": np.zeros((16, 56, 72), np.float32)}, "positive"),
    ],
    ids=["short", "tiny", "times", "depth"],
)
def test_a_clip_that_cannot_be_used_is_refused(changed, message: str) -> None:
    clip = moving_square()
    whole = {f.name: getattr(clip, f.name) for f in fields(clip)}
    with pytest.raises(InputError, match=message):
        Clip(**{**whole, **changed})
