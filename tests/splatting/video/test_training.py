"""Training on a clip: frames, motion and what lies between frames are learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from splatting.losses import psnr
from splatting.rasterize import rasterize
from splatting.video.assumed import assumed_depth, moving_foreground, standing
from splatting.video.clip import Clip
from splatting.video.drawing import dense_tracks, track_points
from splatting.video.evaluation import flow_error, score
from splatting.video.model import VideoGaussians
from splatting.video.rigidity import neighbours_of, rigidity
from splatting.video.training import VideoConfig, VideoTraining
from tests.splatting.video.moving_square import corner, moving_square, picture

CONFIG = VideoConfig(steps=150, most=1200, rigid_sample=512)


@pytest.fixture(scope="module")
def clip() -> Clip:
    return moving_square()


@pytest.fixture(scope="module")
def trained(clip: Clip) -> VideoGaussians:
    rows, _ = clip.split(8)
    return VideoTraining(clip.take(rows), CONFIG).run()


def test_frames_are_learned_and_held_out_ones_interpolated(
    clip: Clip, trained: VideoGaussians
) -> None:
    rows, held = clip.split(8)
    known, between = score(trained, clip, rows), score(trained, clip, held)
    assert known["psnr"] > 27 and known["foreground_psnr"] > 25, known
    nearest = np.mean([
        psnr(*(torch.from_numpy(clip.images[i]) / 255 for i in (k, k - 1))) for k in held
    ])  # fmt: skip
    assert between["psnr"] > nearest + 5, (between, nearest)
    assert len(trained) <= CONFIG.most


def test_any_time_can_be_drawn(trained: VideoGaussians) -> None:
    image, _ = picture(7.5)
    with torch.no_grad():
        drawn = rasterize(trained.at(7.5 / 30), trained.cameras).colour[0]
    assert psnr(drawn, torch.from_numpy(image) / 255) > 24


def test_drawn_motion_is_the_flow_and_carries_points(clip: Clip, trained: VideoGaussians) -> None:
    assert flow_error(trained, clip) < 0.25
    start = np.add(corner(1), 10)[None]
    found = track_points(trained, start, clip.times[1], clip.times)
    truth = np.array([np.add(corner(i), 10) for i in range(len(clip))])
    assert np.median(np.linalg.norm(found[0] - truth, axis=1)) < 1.0


def test_dense_tracks_lie_on_what_they_show(clip: Clip, trained: VideoGaussians) -> None:
    tracks = dense_tracks(trained)
    assert tracks["points_px"].shape == (*tracks["visible"].shape, 2)
    assert clip.foreground is not None
    assert tracks["visible"].any(axis=1).mean() > 0.8
    at = tracks["points_px"][:, 8][tracks["visible"][:, 8] & tracks["foreground"]].astype(int)
    assert clip.foreground[8][at[:, 1], at[:, 0]].mean() > 0.9


def test_the_seed_decides() -> None:
    clip = moving_square(6)
    few = VideoConfig(steps=6, most=300)
    a, b = (VideoTraining(clip, few).run() for _ in range(2))
    # Sums of several threads differ by roundings.
    torch.testing.assert_close(a.places, b.places, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(a.motions, b.motions, rtol=1e-5, atol=1e-6)
    other = VideoTraining(clip, VideoConfig(steps=6, most=300, seed=1)).run()
    assert not torch.equal(a.places, other.places)


def test_a_rigid_motion_costs_nothing_and_a_stretched_one_does() -> None:
    before = torch.rand(40, 3, generator=torch.Generator().manual_seed(0)) * 20
    neighbours = neighbours_of(before[:, None], torch.zeros(40))
    turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    rows = torch.arange(40)
    moved = before @ turn.T + 5
    assert rigidity(before, moved, rows, neighbours) < 1e-4
    assert rigidity(before, 1.5 * before, rows, neighbours) > 0.5


def test_the_foreground_is_no_neighbour_of_what_is_behind_it() -> None:
    points = torch.rand(60, 2, 3, generator=torch.Generator().manual_seed(0))
    foreground = torch.arange(60) % 2 == 0
    neighbours = neighbours_of(points, foreground)
    assert (foreground[neighbours] == foreground[:, None]).all()


def test_what_moves_by_itself_is_found_and_stands_on_the_ground(clip: Clip) -> None:
    found = moving_foreground(clip.images)
    assert clip.foreground is not None
    both, either = found & clip.foreground, found | clip.foreground
    assert both.sum() > 0.6 * either.sum()
    ground = assumed_depth(56, 72)
    assert (np.diff(ground[:, 0]) < 0).all()
    depth = standing(ground, clip.foreground[0])
    assert np.allclose(depth[clip.foreground[0]], ground[37, 0], rtol=0.05)
    assert np.array_equal(depth[~clip.foreground[0]], ground[~clip.foreground[0]])
