"""Image distances; LPIPS on small random weights, against its formula written out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import maximum_filter

from recon.core.errors import InputError
from recon.evaluate.images import Lpips, image_figures

SHAPES = ((64, 3, 11), (192, 64, 5), (384, 192, 3), (256, 384, 3), (256, 256, 3))
STEPS = ((4, 2), (1, 2), (1, 1), (1, 1), (1, 1))
POOLED = (False, True, True, False, False)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> tuple[Path, Path]:
    """Files with the names and shapes of AlexNet and of LPIPS's heads."""
    folder, rng = tmp_path_factory.mktemp("lpips"), torch.Generator().manual_seed(0)
    network, heads = {}, {}
    for n, (k, (o, i, size)) in enumerate(zip((0, 3, 6, 8, 10), SHAPES, strict=True)):
        width = (i * size**2) ** -0.5
        network[f"features.{k}.weight"] = width * torch.randn(o, i, size, size, generator=rng)
        network[f"features.{k}.bias"] = 0.1 * torch.randn(o, generator=rng)
        heads[f"lin{n}.model.1.weight"] = torch.rand(1, o, 1, 1, generator=rng)
    network["classifier.1.weight"] = torch.zeros(2, 2)
    torch.save(network, folder / "alexnet.pth")
    torch.save(heads, folder / "alex.pth")
    return folder / "alexnet.pth", folder / "alex.pth"


@pytest.fixture(scope="module")
def pictures() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 255, (8, 9, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    noisy = np.clip(photo.astype(int) + rng.normal(0, 20, photo.shape), 0, 255).astype(np.uint8)
    return noisy, photo


def test_equal_pictures(pictures, weights) -> None:
    _, photo = pictures
    figures = image_figures(photo, photo, lpips=Lpips(*weights))
    assert figures["psnr"] == np.inf
    assert figures["ssim"] == pytest.approx(1, abs=1e-6)
    assert figures["lpips"] == 0


def test_psnr_by_hand() -> None:
    photo = np.full((16, 16, 3), 100, np.uint8)
    figures = image_figures(photo + np.uint8(51), photo)
    assert figures["psnr"] == pytest.approx(-20 * np.log10(0.2), abs=1e-4)
    assert "lpips" not in figures


def test_lpips_is_its_formula(pictures, weights) -> None:
    noisy, photo = pictures
    network, heads = (torch.load(w, weights_only=True) for w in weights)
    sides = [x / 255 * 2 - 1 for x in (noisy, photo)]
    sides = [(x - [-0.030, -0.088, -0.188]) / [0.458, 0.448, 0.450] for x in sides]
    total, features = 0.0, [x.transpose(2, 0, 1) for x in sides]
    for n, k in enumerate((0, 3, 6, 8, 10)):
        weight, bias = (network[f"features.{k}.{part}"].numpy() for part in ("weight", "bias"))
        features = [_layer(x, weight, bias, n) for x in features]
        unit = [x / np.linalg.norm(x, axis=0) for x in features]
        head = heads[f"lin{n}.model.1.weight"].numpy()[0, :, 0, 0]
        total += np.mean(np.einsum("c,chw->hw", head, (unit[0] - unit[1]) ** 2))
    assert image_figures(noisy, photo, lpips=Lpips(*weights))["lpips"] == pytest.approx(
        total, rel=1e-4
    )


def _layer(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, n: int) -> np.ndarray:
    """Pooling, convolution and rectifier of one layer, by windows."""
    if POOLED[n]:
        x = maximum_filter(x, (1, 3, 3))[:, 1:-1, 1:-1][:, ::2, ::2]
    stride, padding = STEPS[n]
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    size = weight.shape[-1]
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    maps = np.tensordot(weight, windows[:, ::stride, ::stride], ((1, 2, 3), (0, 3, 4)))
    return np.maximum(maps + bias[:, None, None], 0)


def test_more_noise_is_farther(pictures, weights) -> None:
    noisy, photo = pictures
    worse = np.clip(photo + 3.0 * (noisy.astype(float) - photo), 0, 255).astype(np.uint8)
    near, far = (image_figures(x, photo, lpips=Lpips(*weights)) for x in (noisy, worse))
    assert near["psnr"] > far["psnr"] and near["ssim"] > far["ssim"]
    assert near["lpips"] < far["lpips"]


def test_gradients_of_lpips_lead_to_the_photograph(pictures, weights) -> None:
    noisy, photo = (torch.from_numpy(p.astype(np.float32) / 255) for p in pictures)
    lpips, moving = Lpips(*weights), noisy.clone().requires_grad_()
    distance = lpips.distance(moving, photo)
    (by,) = torch.autograd.grad(distance, moving)
    assert float(distance) == pytest.approx(lpips(noisy, photo))
    assert lpips(noisy - 1e-3 * by / by.norm() * noisy.norm(), photo) < float(distance)


def test_wrong_pictures_and_weights_are_refused(pictures, weights, tmp_path: Path) -> None:
    noisy, photo = pictures
    with pytest.raises(InputError, match="expected pictures of one size"):
        image_figures(noisy[:40], photo)
    with pytest.raises(InputError, match=r"uint8 RGB, got \(64, 72, 3\) float64"):
        image_figures(noisy / 255, photo)
    with pytest.raises(InputError, match="64 px or more"):
        image_figures(noisy[:40], photo[:40], lpips=Lpips(*weights))
    with pytest.raises(InputError, match=r"got no file .*torchvision's alexnet"):
        Lpips(tmp_path / "none.pth", weights[1])
    with pytest.raises(InputError, match=r"expected 'features\.0\.weight'"):
        Lpips(weights[1], weights[1])
    with pytest.raises(InputError, match=r"expected 'lin0\.model\.1\.weight' of shape"):
        Lpips(weights[0], weights[0])


@pytest.mark.weights
def test_the_published_heads_fit(weights) -> None:
    """They are fetched with the open networks; AlexNet itself is random here."""
    assert Lpips(weights[0])(*torch.rand(2, 64, 64, 3)) > 0
