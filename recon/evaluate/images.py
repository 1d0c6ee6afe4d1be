"""How far a rendered picture is from a photograph: PSNR, SSIM and LPIPS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d, relu

from recon.core.errors import InputError
from recon.core.weights import network_path
from recon.imports.safe_pickle import read_torch
from splatting.losses import psnr, ssim

# Of AlexNet's convolutions: index in torchvision's `features`, shape, stride, padding, and whether
# a max pooling goes before.
_LAYERS = (
    (0, (64, 3, 11, 11), 4, 2, False),
    (3, (192, 64, 5, 5), 1, 2, True),
    (6, (384, 192, 3, 3), 1, 1, True),
    (8, (256, 384, 3, 3), 1, 1, False),
    (10, (256, 256, 3, 3), 1, 1, False),
)
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
MIN_SIDE = 64
"""Pixels below which AlexNet has no picture left."""


def image_figures(
    rendered: np.ndarray, photo: np.ndarray, *, lpips: Lpips | None = None
) -> dict[str, float]:
    """PSNR in dB ("psnr"), SSIM ("ssim") and, with its network, LPIPS ("lpips").

    Source: Wang et al. 2004 for SSIM, with 3DGS's window; Zhang et al. 2018 for LPIPS.

    Args:
        rendered, photo: (H, W, 3) uint8 RGB.
    Raises:
        InputError: they are of other sizes or types.
    """
    for name, image in (("rendered", rendered), ("photo", photo)):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise InputError(
                f"{name}: expected (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}"
            )
    if rendered.shape != photo.shape:
        raise InputError(
            f"expected pictures of one size, got {rendered.shape[:2]} and {photo.shape[:2]}; "
            "resize one of them"
        )
    x, y = (torch.from_numpy(image.astype(np.float32) / 255) for image in (rendered, photo))
    out = {"psnr": psnr(x, y), "ssim": float(ssim(x, y))}
    if lpips is not None:
        out["lpips"] = lpips(x, y)
    return out


class Lpips:
    """Learned perceptual distance over AlexNet's features (version 0.1), 0 for equal pictures.

    Source: Zhang et al. 2018, equation 1; lpips.LPIPS(net="alex").
    """

    def __init__(self, backbone: Path, heads: Path | None = None) -> None:
        """Reads torchvision's AlexNet, which no package registry carries, and LPIPS's own heads.

        Args:
            backbone: alexnet-owt-7be5be79.pth, or another state dict with its names.
            heads: lpips/weights/v0.1/alex.pth; by default the open network "lpips_alex".
        Raises:
            InputError: a file is missing, or holds other weights.
        """
        if not backbone.is_file():
            raise InputError(
                f"expected AlexNet's weights, got no file {backbone}; take torchvision's "
                "alexnet-owt-7be5be79.pth, which is free (BSD-3-Clause)"
            )
        network = read_torch(backbone)
        file = network_path("lpips_alex") if heads is None else heads
        linear = read_torch(file)
        self._layers = [
            (
                _weight(network, f"features.{k}.weight", shape, backbone),
                _weight(network, f"features.{k}.bias", shape[:1], backbone),
                _weight(linear, f"lin{n}.model.1.weight", (1, shape[0], 1, 1), file),
            )
            for n, (k, shape, *_) in enumerate(_LAYERS)
        ]

    @torch.no_grad()
    def __call__(self, rendered: Tensor, photo: Tensor) -> float:
        """The distance of two (H, W, 3) pictures in 0 to 1; raises as `distance` does."""
        return float(self.distance(rendered, photo))

    def distance(self, rendered: Tensor, photo: Tensor) -> Tensor:
        """The same as a tensor () that gradients pass through, on the pictures' device.

        Raises:
            InputError: they are smaller than MIN_SIDE.
        """
        if min(photo.shape[:2]) < MIN_SIDE:
            raise InputError(
                f"expected pictures of {MIN_SIDE} px or more for LPIPS, got {tuple(photo.shape)}"
            )
        device = photo.device
        shift, scale = (torch.tensor(t, device=device) for t in (_SHIFT, _SCALE))
        pair = (2 * torch.stack([rendered, photo]) - 1 - shift) / scale
        features, total = pair.movedim(-1, 1).float(), torch.zeros((), device=device)
        for tensors, (*_, stride, padding, pooled) in zip(self._layers, _LAYERS, strict=True):
            weight, bias, linear = (t.to(device) for t in tensors)
            if pooled:
                features = max_pool2d(features, 3, 2)
            features = relu(conv2d(features, weight, bias, stride, padding))
            unit = features / (features.norm(dim=1, keepdim=True) + 1e-10)
            total = total + conv2d((unit[:1] - unit[1:]) ** 2, linear).mean()
        return total


def _weight(content: object, name: str, shape: tuple[int, ...], file: Path) -> Tensor:
    array = content.get(name) if isinstance(content, dict) else None
    if not isinstance(array, np.ndarray) or array.shape != shape:
        got = "none" if array is None else str(getattr(array, "shape", type(array).__name__))
        raise InputError(f"expected '{name}' of shape {shape} in {file}, got {got}")
    return torch.from_numpy(array).float()
