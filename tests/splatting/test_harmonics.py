"""Spherical harmonics: orthonormal, and the numba copy equal with its gradient."""

# pyright: reportCallIssue=false
# (compiled functions and LLVM flags have signatures that the stubs do not know)

from __future__ import annotations

import numpy as np
import torch

from splatting.cpu.harmonics import sh_basis as fast_basis
from splatting.cpu.harmonics import sh_gradient
from splatting.harmonics import rgb_to_sh, sh_basis


def sphere(count: int) -> torch.Tensor:
    """Evenly spread unit vectors (Fibonacci lattice)."""
    i = torch.arange(count, dtype=torch.float64) + 0.5
    z, turn = 1 - 2 * i / count, i * np.pi * (1 + 5**0.5)
    ring = torch.sqrt(1 - z * z)
    return torch.stack((ring * torch.cos(turn), ring * torch.sin(turn), z), -1)


def test_the_basis_is_orthonormal_on_the_sphere() -> None:
    basis = sh_basis(sphere(20000), 3)
    gram = basis.T @ basis * (4 * np.pi / 20000)
    torch.testing.assert_close(gram, torch.eye(16, dtype=torch.float64), atol=1e-4, rtol=0)


def test_the_numba_basis_and_gradient_are_the_same() -> None:
    generator = np.random.default_rng(0)
    for direction in sphere(20).float():
        for degree in range(1, 4):
            count = (degree + 1) ** 2
            point = direction.clone().requires_grad_()
            expected = sh_basis(point, degree)
            weights = generator.normal(size=16).astype(np.float32)
            (expected * torch.from_numpy(weights[:count])).sum().backward()
            out = np.zeros(16, np.float32)
            fast_basis(*direction.numpy(), count, out)
            np.testing.assert_allclose(out[:count], expected.detach(), atol=1e-6)
            found = sh_gradient(*direction.numpy(), count, weights)
            assert point.grad is not None
            slope = point.grad.numpy()
            # Only the part along the sphere counts: the reference may differ along the radius.
            d = direction.numpy()
            along = (np.array(found) - slope) - ((np.array(found) - slope) @ d) * d
            np.testing.assert_allclose(along, 0, atol=2e-5)


def test_a_constant_coefficient_shows_its_colour() -> None:
    rgb = torch.tensor([0.1, 0.5, 0.9])
    shown = sh_basis(torch.tensor([0.0, 0.0, 1.0]), 0)[0] * rgb_to_sh(rgb) + 0.5
    torch.testing.assert_close(shown, rgb)
