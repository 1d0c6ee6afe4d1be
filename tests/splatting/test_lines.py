"""Lines of Gaussians lie where they should and hide what is behind them."""

from __future__ import annotations

import numpy as np
import torch

from splatting.gaussians import Cameras, joined
from splatting.lines import floor, lines
from splatting.paths import look_at
from splatting.rasterize import rasterize
from tests.splatting.scenes import cloud


def test_beads_lie_along_their_segment() -> None:
    rng = np.random.default_rng(0)
    starts, ends = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    ends[4] = starts[4]  # no length, no line
    row = lines(starts, ends, color=(1.0, 0.0, 0.0), width=0.01)
    away = []
    for start, end in zip(starts[:4], ends[:4], strict=True):
        axis = (end - start) / np.linalg.norm(end - start)
        offset = row.means.numpy() - start
        along = np.clip(offset @ axis, 0, np.linalg.norm(end - start))
        away.append(np.linalg.norm(offset - along[:, None] * axis, axis=1))
    assert np.min(away, axis=0).max() < 1e-5
    assert (row.scales[:, 1:] == 0.01).all()


def test_a_line_is_drawn_without_gaps() -> None:
    row = lines(
        np.array([[-1.0, 0, 0]]), np.array([[1.0, 0, 0]]), color=(1.0, 0.5, 0.0), width=0.02
    )
    T = look_at(np.array([[0.0, -2.0, 0.0]]), np.zeros(3), np.array([0, 0, 1.0]))
    K = np.array([[100.0, 0, 60], [0, 100.0, 20], [0, 0, 1]])
    seen = rasterize(row, Cameras.of(T, K, width=120, height=40))
    peak = seen.alpha[0].max(dim=0).values[15:105]
    assert peak.min() > 0.8 and peak.max() - peak.min() < 0.08
    colour = seen.colour[0, 20, 60] / seen.alpha[0, 20, 60]
    torch.testing.assert_close(colour, torch.tensor([1.0, 0.5, 0.0]), atol=1e-3, rtol=0)


def test_the_floor_is_level_and_reaches_beyond_everybody() -> None:
    points = np.random.default_rng(0).uniform([-1, 2, 0], [3, 4, 2], (50, 3))
    grid = floor(points, height=0.1).means.numpy()
    assert np.allclose(grid[:, 2], 0.1)
    assert (grid.min(axis=0)[:2] < points.min(axis=0)[:2] - 1).all()
    assert (grid.max(axis=0)[:2] > points.max(axis=0)[:2] + 1).all()
    long = floor(points * [200.0, 1, 1])
    assert len(long) < 200_000, "a long way has a coarser grid"


def test_joined_gaussians_are_all_there_with_the_highest_degree() -> None:
    parts = [cloud(4, degree=0), cloud(6, seed=1, degree=2)]
    both = joined(parts)
    assert len(both) == 10 and both.sh_degree == 2
    torch.testing.assert_close(both.sh[:4, :1], parts[0].sh)
    assert not both.sh[:4, 1:].any()
    torch.testing.assert_close(both.means[4:], parts[1].means)
