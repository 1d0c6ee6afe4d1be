"""The CUDA back-end: gsplat's fused kernels."""

from __future__ import annotations

import torch

from recon.core.errors import InputError, MissingDependencyError
from splatting.gaussians import Cameras, Gaussians
from splatting.rasterize import BLUR_PX2, NEAR, Drawing


class GsplatRasterizer:
    """Needs CUDA tensors, and the CUDA toolkit on the first call (gsplat compiles itself)."""

    def __call__(self, gaussians: Gaussians, cameras: Cameras, *, antialiased: bool) -> Drawing:
        """Raises InputError without CUDA tensors, MissingDependencyError without gsplat."""
        if not gaussians.means.is_cuda:
            raise InputError(
                f"expected CUDA tensors for the gsplat rasterizer, got them on "
                f"{gaussians.means.device}; use the backend 'numba'"
            )
        try:  # gsplat 1.6 looks for the toolkit when it is imported, 1.5 at the first call
            from gsplat import rasterization  # pyright: ignore[reportMissingImports]
            from gsplat.cuda._backend import _C  # pyright: ignore[reportMissingImports]
        except (ImportError, OSError, RuntimeError) as error:
            raise MissingDependencyError("gsplat", "splat") from error
        if _C is None:
            raise InputError(
                "expected the CUDA toolkit (nvcc), with which gsplat compiles itself, got none; "
                "install it, or use --backend numba"
            )
        colour, alpha, info = rasterization(
            gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.sh,
            cameras.Ts_camera_world, cameras.Ks, cameras.width, cameras.height,
            near_plane=NEAR, eps2d=BLUR_PX2, sh_degree=gaussians.sh_degree, packed=False,
            render_mode="RGB+D", rasterize_mode="antialiased" if antialiased else "classic",
        )  # fmt: skip
        screen, radii = info["means2d"], info["radii"]
        if screen.requires_grad:
            screen.retain_grad()
        if radii.ndim == 3:  # half width and half height, since gsplat 1.5
            radii = radii.amax(-1)
        picture = torch.cat((colour[..., :3], alpha, colour[..., 3:]), dim=-1)
        return Drawing(picture=picture, radii_px=radii.to(picture.dtype), screen=screen)
