"""Our call of gsplat 1.5 against our reference: its own Python code, without its CUDA kernels.

Runs wherever the package is installed (`pip install gsplat`); no GPU and no toolkit are needed,
because each kernel is replaced by gsplat's own torch version of it.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from splatting.rasterize import MAX_ALPHA, MIN_ALPHA, MIN_TRANSMITTANCE
from tests.splatting.scenes import cloud
from tests.splatting.test_rasterize import Mode, gradients

rendering = pytest.importorskip("gsplat.rendering")


class Kernels:
    """What gsplat 1.5's `rasterization` calls, without CUDA."""

    def __init__(self) -> None:
        from gsplat.cuda import _torch_impl  # pyright: ignore[reportMissingImports]

        self.torch = _torch_impl
        self.seen = self.depths = torch.empty(0)

    def fully_fused_projection(
        self, means: Tensor, covars: None, quats: Tensor, scales: Tensor, *camera: Any,
        eps2d: float, near_plane: float, far_plane: float, calc_compensations: bool, **_: Any,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        covars, _ = self.torch._quat_scale_to_covar_preci(quats, scales, True, False, triu=False)
        return self.torch._fully_fused_projection(
            means, covars, *camera, eps2d, near_plane, far_plane, calc_compensations
        )

    def spherical_harmonics(self, degree: int, dirs: Tensor, sh: Tensor, **_: Any) -> Tensor:
        return self.torch._spherical_harmonics(degree, dirs, sh)

    def isect_tiles(self, means2d: Tensor, radii: Tensor, depths: Tensor, *_: Any, **__: Any):
        self.seen, self.depths = (radii > 0).all(-1), depths
        return None, None, None

    def isect_offset_encode(self, _: None, cameras: int, across: int, down: int) -> Tensor:
        return torch.zeros(cameras * across * down)

    def rasterize_to_pixels(
        self, means2d: Tensor, conics: Tensor, colors: Tensor, opacities: Tensor, *rest: Any,
        **_: Any,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        (width, height, *__), pictures = rest, []
        for k, depths in enumerate(self.depths):
            order = torch.argsort(depths)
            order = order[self.seen[k][order]]
            y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
            dx = x[..., None] + 0.5 - means2d[k, order, 0]
            dy = y[..., None] + 0.5 - means2d[k, order, 1]
            a, b, c = conics[k, order].unbind(-1)
            power = -0.5 * (a * dx**2 + c * dy**2) - b * dx * dy
            alpha = (opacities[k, order] * torch.exp(power)).clamp(max=MAX_ALPHA)
            alpha = torch.where(alpha >= MIN_ALPHA, alpha, 0)
            after = torch.cumprod(1 - alpha, -1)
            before = torch.cat((torch.ones_like(after[..., :1]), after[..., :-1]), -1)
            weights = torch.where(after > MIN_TRANSMITTANCE, alpha * before, 0)
            pictures.append((weights @ colors[k, order], weights.sum(-1, keepdim=True)))
        colour, alpha = zip(*pictures, strict=True)
        return torch.stack(colour), torch.stack(alpha)


@pytest.mark.parametrize("degree", range(4))
@pytest.mark.parametrize("mode", get_args(Mode))
def test_gsplat_draws_and_differentiates_as_the_reference(
    mode: Mode, degree: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "fully_fused_projection" not in rendering.rasterization.__code__.co_names:
        pytest.skip("this gsplat calls its kernels elsewhere than 1.5 does")
    true, true_grads = gradients(cloud(80, degree=degree), "torch", mode, torch.float64, count=2)
    kernels, backend = Kernels(), ModuleType("gsplat.cuda._backend")
    backend.__dict__["_C"] = kernels
    monkeypatch.setitem(sys.modules, "gsplat.cuda._backend", backend)
    for name in (n for n in vars(Kernels) if not n.startswith("_")):
        monkeypatch.setattr(rendering, name, getattr(kernels, name))
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    found, grads = gradients(cloud(80, degree=degree), "gsplat", mode, torch.float64, count=2)
    torch.testing.assert_close(found.colour, true.colour, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.depth, true.depth, atol=1e-6, rtol=0)
    # gsplat rounds up, and without its kernels it knows nothing of faint ones.
    assert (found.radii_px >= true.radii_px).all()
    for name, expected in true_grads.items():
        # It inverts the pose as any matrix: that differs where a pose cannot go.
        limit = 1e-2 if name == "pose" else 1e-5
        assert (grads[name] - expected).norm() <= limit * expected.norm(), name
