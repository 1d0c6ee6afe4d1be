"""Similarity: known values, and the fused kernel against plain torch in float64."""

from __future__ import annotations

import pytest
import torch

from splatting.losses import psnr, ssim, ssim_map


def pair(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    photo = torch.rand(height, width, 3, generator=generator)
    return photo + 0.1 * torch.randn(height, width, 3, generator=generator), photo


@pytest.mark.parametrize("size", [(40, 53), (7, 9), (1, 30), (30, 1)])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_kernel_agrees_with_plain_torch(size: tuple[int, int], weighted: bool) -> None:
    rendered, photo = pair(*size)
    weights = torch.linspace(0, 1, size[0] * size[1]).reshape(size) if weighted else None
    fast = rendered.clone().requires_grad_()
    slow = rendered.double().requires_grad_()
    value = ssim(fast, photo, weights)
    expected = ssim(slow, photo.double(), None if weights is None else weights.double())
    value.backward()
    (3 * expected).backward()
    assert value.item() == pytest.approx(expected.item(), abs=1e-5)
    assert fast.grad is not None and slow.grad is not None
    error = (3 * fast.grad - slow.grad).norm() / slow.grad.norm()
    assert error < 1e-4


def test_equal_pictures_are_wholly_similar_and_cannot_improve() -> None:
    _, photo = pair(20, 30)
    rendered = photo.clone().requires_grad_()
    value = ssim(rendered, photo)
    value.backward()
    assert value.item() == pytest.approx(1, abs=1e-6)
    assert rendered.grad is not None
    assert rendered.grad.abs().max() < 1e-5


def test_a_constant_shift_has_the_known_similarity() -> None:
    dark, light = torch.full((30, 30, 3), 0.2), torch.full((30, 30, 3), 0.6)
    inner = ssim_map(dark, light)[10:20, 10:20]
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    torch.testing.assert_close(inner, torch.full_like(inner, expected), atol=1e-4, rtol=0)


def test_psnr_of_a_known_error() -> None:
    half = torch.full((4, 4, 3), 0.5)
    assert psnr(half + 0.1, half) == pytest.approx(20, abs=1e-3)
