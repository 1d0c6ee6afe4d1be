"""The CUDA back-end: gsplat's fused kernels."""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor

from recon.core.errors import InputError, MissingDependencyError
from splatting.gaussians import Cameras, Gaussians
from splatting.rasterize import BLUR_PX2, NEAR, Drawing


def import_gsplat(module: str = "gsplat") -> Any:
    """A module of gsplat; from version 1.6 on that alone needs the CUDA toolkit.

    Raises:
        MissingDependencyError: gsplat is not installed. InputError: it is, but does not work here.
    """
    try:
        return importlib.import_module(module)
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and missing.split(".")[0] == "gsplat":
            raise MissingDependencyError("gsplat", "splat") from error
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(
            f"expected gsplat to compile itself with the CUDA toolkit (nvcc), got: {first}; "
            "mend that, use --backend numba, or uninstall gsplat"
        ) from error


def compiled_gsplat() -> Any:
    """The package gsplat with its kernels, which the first call compiles (minutes).

    Raises:
        MissingDependencyError: gsplat is not installed. InputError: it does not work here.
    """
    if import_gsplat("gsplat.cuda._backend")._C is None:  # so says 1.5, and prints a warning
        raise InputError(
            "expected the CUDA toolkit (nvcc), with which gsplat compiles itself, got none; "
            "install it, use --backend numba, or uninstall gsplat"
        )
    return import_gsplat()


class GsplatRasterizer:
    """Needs CUDA tensors, and the CUDA toolkit on the first call (gsplat compiles itself)."""

    def __call__(self, gaussians: Gaussians, cameras: Cameras, *, antialiased: bool) -> Drawing:
        """Raises InputError without CUDA tensors; see also `compiled_gsplat`."""
        if not gaussians.means.is_cuda:
            raise InputError(
                f"expected CUDA tensors for the gsplat rasterizer, got them on "
                f"{gaussians.means.device}; use the backend 'numba'"
            )
        if len(gaussians) == 0:
            return _nothing(gaussians, cameras)
        colour, alpha, info = compiled_gsplat().rasterization(
            gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.sh,
            cameras.Ts_camera_world, cameras.Ks, cameras.width, cameras.height,
            near_plane=NEAR, eps2d=BLUR_PX2, sh_degree=gaussians.sh_degree, packed=False,
            render_mode="RGB+D", rasterize_mode="antialiased" if antialiased else "classic",
        )  # fmt: skip
        return _drawing(colour, alpha, info)


def _nothing(gaussians: Gaussians, cameras: Cameras) -> Drawing:
    """What no Gaussians look like: gsplat's kernels would divide by their number."""
    screen = gaussians.means[None, :, :2].expand(len(cameras), -1, -1)
    blank = screen.new_zeros(len(cameras), cameras.height, cameras.width, 4) + screen.sum()
    return _drawing(blank, blank[..., :1], {"means2d": screen, "radii": screen.detach()})


def _drawing(colour: Tensor, alpha: Tensor, info: dict[str, Any]) -> Drawing:
    """Colour with summed depth (C, H, W, 4), alpha (C, H, W, 1) and what gsplat says of them."""
    screen, radii = info["means2d"], info["radii"]
    if screen.requires_grad:
        screen.retain_grad()
    if radii.ndim == 3:  # half width and half height, since gsplat 1.5
        radii = radii.amax(-1)
    picture = torch.cat((colour[..., :3], alpha, colour[..., 3:]), dim=-1)
    return Drawing(picture=picture, radii_px=radii.to(picture.dtype), screen=screen)
