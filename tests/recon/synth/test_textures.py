"""Textures: statistics of surfaces, mip levels that keep the light."""

from __future__ import annotations

import numpy as np
import pytest

from recon.synth import textures as tx


@pytest.mark.parametrize("slope", [0.5, 1.0, 1.5])
def test_noise_falls_with_the_frequency_as_asked(slope: float) -> None:
    picture = tx.noise(np.random.default_rng(0), 256, 256, slope=slope)
    assert abs(picture.mean()) < 1e-5 and picture.std() == pytest.approx(1, rel=1e-4)
    size = np.abs(np.fft.rfft2(picture))[0, 1:100]
    fit = np.polyfit(np.log(np.arange(1, 100)), np.log(size), 1)[0]
    assert fit == pytest.approx(-slope, abs=0.1)


def test_noise_repeats_without_a_seam() -> None:
    picture = tx.noise(np.random.default_rng(1), 128, 192, slope=1.2)
    inside = np.abs(np.diff(picture, axis=1)).mean()
    assert np.abs(picture[:, 0] - picture[:, -1]).mean() < 2 * inside


def test_a_mip_level_holds_as_much_light_as_the_first() -> None:
    atlas = tx.Atlas()
    rng = np.random.default_rng(2)
    numbers = [atlas.add(rng.random((64, 128, 3))), atlas.add(np.full((8, 8, 3), 2.0), linear=True)]
    texels, table = atlas.arrays()
    for number in numbers:
        means = []
        for start, width, height in table[number]:
            means.append(texels[start : start + width * height].mean())
        np.testing.assert_allclose(means, means[0], rtol=0.01)
    assert table[numbers[1], 0].tolist()[1:] == [8, 8]
    assert texels[table[numbers[1], 0, 0], 0] == 2.0  # a gain is not a colour


@pytest.mark.parametrize("make", [tx.poster, tx.window, tx.door])
def test_pictures_on_walls_are_colours_and_differ_by_seed(make) -> None:
    one, same, other = (make(np.random.default_rng(s), 120, 90) for s in (3, 3, 4))
    assert one.shape == (120, 90, 3)
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).mean() > 0.01
    assert one.mean() < 1 and one.std() > 0.02
