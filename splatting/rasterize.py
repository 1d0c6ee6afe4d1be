"""Pictures of Gaussians: one call, three back-ends."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from recon.core.errors import InputError
from splatting.gaussians import Cameras, Gaussians

BACKENDS: dict[str, str] = {
    "numba": "splatting.backends.numba_cpu:NumbaRasterizer",
    "gsplat": "splatting.backends.gsplat_cuda:GsplatRasterizer",
    "torch": "splatting.backends.torch_reference:TorchRasterizer",
}

# The constants of the field, shared by all back-ends (3DGS, Kerbl et al. 2023; gsplat 1.5).
NEAR = 0.01
BLUR_PX2 = 0.3
MIN_ALPHA, MAX_ALPHA = 1 / 255, 0.999
MIN_TRANSMITTANCE = 1e-4
FRUSTUM_MARGIN = 0.3


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """What cameras see.

    Args:
        colour: (C, H, W, 3) RGB, over the background; may exceed 1.
        alpha: (C, H, W) how much the Gaussians cover, 0 to 1.
        depth: (C, H, W) expected z in the camera frame, metres, over what is covered; 0 where
            nothing is.
        radii_px: (C, N) half extent on screen; 0 where a Gaussian was not drawn.
        screen: (C, N, 2 or more) of which the first two are the centres on screen, px; keeps its
            gradient (for densification).
    """

    colour: Float[Tensor, "C H W 3"]
    alpha: Float[Tensor, "C H W"]
    depth: Float[Tensor, "C H W"]
    radii_px: Float[Tensor, "C N"]
    screen: Float[Tensor, "C N S"]

    @property
    def screen_gradient(self) -> Float[Tensor, "C N 2"]:
        """Gradient of the loss by each centre on screen, 1/px; after `backward`."""
        if self.screen.grad is None:
            raise ValueError("expected backward() to have run, got no gradient yet")
        return self.screen.grad[..., :2]


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """What a back-end returns.

    Args:
        picture: (C, H, W, 5) RGB, alpha and z, each summed with the blending weights, over black.
        radii_px, screen: as in Rendering.
    """

    picture: Float[Tensor, "C H W 5"]
    radii_px: Float[Tensor, "C N"]
    screen: Float[Tensor, "C N S"]


class Rasterizer(Protocol):
    """One way to draw Gaussians."""

    def __call__(self, gaussians: Gaussians, cameras: Cameras, *, antialiased: bool) -> Drawing: ...


def rasterize(
    gaussians: Gaussians,
    cameras: Cameras,
    *,
    background: Float[Tensor, " 3"] | None = None,
    mode: Literal["classic", "antialiased"] = "classic",
    backend: str = "auto",
) -> Rendering:
    """What the cameras see of the Gaussians; differentiable in all parameters and the poses.

    EWA splatting as in 3DGS (Kerbl et al. 2023): a Gaussian is drawn with the projected covariance
    plus 0.3 px², front to back, where its alpha is at least 1/255, until less than 1e-4 of the
    light is left. "antialiased" takes back the opacity that the 0.3 px² add (Mip-Splatting).

    Args:
        background: (3,) RGB behind everything; default black.
        backend: a name in BACKENDS; "auto" is gsplat on CUDA tensors and numba on the CPU.

    Raises:
        InputError: no such back-end, or tensors on a device that it cannot use.
        MissingDependencyError: the back-end's package is not installed.
    """
    if mode not in ("classic", "antialiased"):
        raise InputError(f"expected mode 'classic' or 'antialiased', got '{mode}'")
    if backend == "auto":
        backend = "gsplat" if gaussians.means.is_cuda else "numba"
    draw = load_backend(backend)
    drawing = draw(gaussians, cameras, antialiased=mode == "antialiased")
    colour, alpha, depth = drawing.picture.split((3, 1, 1), dim=-1)
    if background is not None:
        colour = colour + (1 - alpha) * background
    covered = alpha > MIN_ALPHA / 2
    depth = torch.where(covered, depth / torch.where(covered, alpha, 1), 0)
    return Rendering(
        colour=colour,
        alpha=alpha[..., 0],
        depth=depth[..., 0],
        radii_px=drawing.radii_px,
        screen=drawing.screen,
    )


def load_backend(name: str) -> Rasterizer:
    """The rasterizer of this name.

    Raises:
        InputError: no such name. MissingDependencyError: its package is not installed.
    """
    if name not in BACKENDS:
        raise InputError(f"expected a rasterizer among {', '.join(BACKENDS)}, got '{name}'")
    module, attribute = BACKENDS[name].split(":")
    return getattr(importlib.import_module(module), attribute)()


def device_of(backend: str) -> str:
    """Where the tensors of a back-end lie; "auto" is CUDA where there is one and gsplat with it.

    Raises:
        InputError: no such back-end, or gsplat without a CUDA device, or where it does not work.
        MissingDependencyError: gsplat is not installed.
    """
    on_cuda = torch.cuda.is_available()
    if backend == "auto":
        backend = "gsplat" if on_cuda and find_spec("gsplat") is not None else "numba"
    load_backend(backend)
    if backend != "gsplat":
        return "cpu"
    if not on_cuda:
        raise InputError(
            "expected a CUDA device for --backend gsplat, got none; use --backend numba"
        )
    from splatting.backends.gsplat_cuda import compiled_gsplat

    compiled_gsplat()
    return "cuda"
