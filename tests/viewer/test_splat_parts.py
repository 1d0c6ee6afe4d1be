"""Gaussians in parts: what moves rigidly is carried exactly, whatever its order."""

import numpy as np
import pytest

from recon.core.geometry import make_transform, rotvec_to_matrix, transform_points
from recon.core.splat_view import SplatCloud
from viewer.splat_parts import SplatParts


def cloud(means):
    count = len(means)
    return SplatCloud(
        means=means, covariances=np.tile(0.01 * np.eye(3), (count, 1, 1)),
        colors=np.linspace(0, 1, 3 * count).reshape(count, 3), opacities=np.full(count, 0.9),
    )  # fmt: skip


def carried(parts, means):
    rotations, places = parts.carried(means)
    moved = [c.means @ R.T + t for c, R, t in zip(parts.clouds(), rotations, places, strict=True)]
    out = np.empty_like(means)
    out[parts.order] = np.concatenate(moved)
    return out


def test_limbs_are_found_and_carried_as_they_move():
    """Five stiff limbs, shuffled, that turn and go about."""
    rng = np.random.default_rng(0)
    limb = rng.integers(0, 5, 300)
    rest = rng.normal(0, 0.05, (300, 3)) + np.eye(5, 3)[limb]

    def moment():
        Ts = make_transform(rotvec_to_matrix(rng.normal(0, 1, (5, 3))), rng.normal(0, 5, (5, 3)))
        return transform_points(Ts[limb], rest[:, None])[:, 0]

    moments = [rest, *(moment() for _ in range(7))]
    parts = SplatParts.of([cloud(means) for means in moments], 20)
    ends = [*parts.starts[1:], 300]
    for start, end in zip(parts.starts, ends, strict=True):
        assert len(np.unique(limb[parts.order[start:end]])) == 1
    for means in (*moments, moment()):
        np.testing.assert_allclose(carried(parts, means), means, atol=1e-9)
    np.testing.assert_array_equal(
        np.concatenate([c.colors for c in parts.clouds()]), cloud(rest).colors[parts.order]
    )


@pytest.mark.parametrize("count", [1, 2])
def test_few_gaussians_are_parts_of_their_own(count):
    means = np.arange(3.0 * count).reshape(count, 3)
    parts = SplatParts.of([cloud(means), cloud(means + 1)])
    assert len(parts.starts) == count
    np.testing.assert_allclose(carried(parts, means + 7), means + 7)


def test_what_bends_is_carried_closely():
    """A stick that bends to a third of a circle: parts follow it, one part cannot."""
    rng = np.random.default_rng(1)
    at = rng.uniform(0, 1, 2000)

    def bent(angle):
        turn = angle * at
        x, y = (np.sin(turn) / angle, (1 - np.cos(turn)) / angle) if angle else (at, 0 * at)
        return np.stack([x, y, 0 * at], axis=1)

    clouds = [cloud(bent(angle)) for angle in (0.0, 1.0, 2.0)]
    off = {
        count: np.linalg.norm(carried(SplatParts.of(clouds, count), bent(1.5)) - bent(1.5), axis=1)
        for count in (1, 40)
    }
    assert off[40].max() < 2e-3 and off[1].max() > 5e-2
