"""The `droid` back-end: its weights, what it makes of exact matches, and of a blind network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
import torch

import slam.droid
from recon.core.camera import Intrinsics
from recon.core.errors import CameraError, InputError
from slam.backends.base import CameraProblem
from slam.backends.droid import DroidCamera
from slam.camera import load_backend
from slam.droid import network_size, prepare
from slam.droid_network import CELL, CHECKPOINT_KEYS, DroidNetwork, FlowUpdate
from slam.tracks import BackgroundTracks, Keyframe
from tests.slam.test_camera import position_error
from tests.slam.test_droid import GRID, ExactMatcher, carried

WIDTH, HEIGHT = 24 * CELL, 18 * CELL
FRAMES = 24


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A random network's checkpoint, where the back-end looks for it; pictures kept small."""
    monkeypatch.setenv("RECON_CACHE", str(tmp_path))
    monkeypatch.setattr(slam.droid, "AREA", WIDTH * HEIGHT)
    torch.manual_seed(0)
    network = DroidNetwork()
    with torch.no_grad():  # sees everything move three cells to the right, whatever it is shown
        cast(Any, network.update.delta[2]).bias[:] = torch.tensor([3.0, 0.0])
        cast(Any, network.update.delta[2]).weight[:] *= 0.01
    values = network.state_dict()
    path = tmp_path / "droid.pth"
    torch.save({f"module.{theirs}": values[ours] for theirs, ours in CHECKPOINT_KEYS.items()}, path)
    return path


def problem(source: str = "user", count: int = FRAMES) -> CameraProblem:
    """Flat pictures whose brightness tells their number, and a lens."""
    frames = []
    for index in range(count):
        picture = np.full((HEIGHT, WIDTH, 3), 8 * index, np.uint8)
        frames.append(
            Keyframe(index=index, jpeg=cv2.imencode(".jpg", picture)[1], background_bits=None)
        )
    nothing = tuple(np.zeros(0, np.int32) for _ in frames)
    tracks = BackgroundTracks(
        width=WIDTH, height=HEIGHT, ids=nothing, points=nothing, people=np.zeros(count),
        looks=np.zeros((count, 3)), keyframes=tuple(frames),
    )  # fmt: skip
    lens = Intrinsics.from_fov(2 * WIDTH, 2 * HEIGHT, fov_deg=60, source=cast(Any, source))
    return CameraProblem(
        tracks=tracks, evidence=cast(Any, None), times=np.arange(count) / 30, intrinsics=lens,
        seed=0,
    )  # fmt: skip


class CountedMatcher(ExactMatcher):
    """Exact matches of the pictures that `problem` makes."""

    def encode(self, image: np.ndarray) -> int:
        return round(float(image.mean()) / 8)

    def update(
        self, links: Sequence[tuple[int, int]], at: np.ndarray, motion: np.ndarray
    ) -> FlowUpdate:
        return super().update(links, at, motion)


def test_missing_weights_are_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECON_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"droid: expected .*droid\.pth, got no such file") as e:
        load_backend("droid")
    assert str(tmp_path / "droid.pth") in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("source", ["user", "prior"])
def test_a_solved_clip_comes_back_in_our_terms(
    weights: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    matcher = CountedMatcher(carried(FRAMES, metres=1.5))
    asked: list[str] = []

    def matcher_of(network: DroidNetwork, *, device: str) -> CountedMatcher:
        asked.append(device)
        return matcher

    monkeypatch.setattr("slam.backends.droid.NetworkMatcher", matcher_of)
    given = problem(source)
    solution = load_backend("droid").solve(given)
    assert asked == ["cuda" if torch.cuda.is_available() else "cpu"]
    trajectory = solution.trajectory
    assert (trajectory.kind, trajectory.backend) == ("moving", "droid")
    assert trajectory.intrinsics == given.intrinsics
    assert solution.focal_why.startswith("kept as assumed") == (source == "prior")
    assert trajectory.tracked.all() and not solution.warnings
    assert position_error(trajectory.Ts_slam_camera, matcher.Ts_room_camera) < 1e-4
    assert len(trajectory.points_slam) == len(trajectory.point_colors) > 300
    assert solution.numbers["residual_px"] < 0.01
    # In a picture of 640 px a cell of this one is 640 / 24 px.
    assert 1 < solution.numbers["parallax_px"] / (640 / 24) < 10
    assert solution.decisions[0].value == "trusted"


def test_no_path_comes_from_a_network_that_sees_the_same_everywhere(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of the real network runs, and its nonsense is recognised."""
    monkeypatch.setattr(slam.droid, "AREA", WIDTH * HEIGHT // 4)
    with pytest.raises(CameraError, match=r"its path cannot be trusted.*--camera static"):
        DroidCamera().solve(problem(count=4))


def test_a_frame_as_the_network_sees_it() -> None:
    """Sizes, people grown by a cell and sampled where the cells look, colours of the cells."""
    assert network_size(640, 480) == (512, 384)
    assert network_size(1080, 1920) == (336, 592)
    rng = np.random.default_rng(0)
    picture = np.kron(rng.integers(0, 255, (6, 8, 3)), np.ones((60, 60, 1))).astype(np.uint8)
    background = np.ones((360, 480), bool)
    background[:, 200:230] = False
    keyframe = Keyframe(
        index=0, jpeg=cv2.imencode(".png", picture[..., ::-1])[1],
        background_bits=np.packbits(background),
    )  # fmt: skip
    view = prepare(keyframe, width=160, height=120)
    assert view.image.shape == (120, 160, 3)
    free = view.background.reshape(15, 20)
    assert (free == free[0]).all()
    # In the small picture he covers 66.7 to 76.7 px, and 8 more on either side.
    np.testing.assert_array_equal(np.flatnonzero(~free[0]) * CELL, [64, 72, 80])
    colors = view.colors.reshape(15, 20, 3)
    assert np.abs(colors[1, 1].astype(int) - picture[30, 30]).max() < 12
    assert GRID.places[0] == pytest.approx((0.0625, 0.0625))
