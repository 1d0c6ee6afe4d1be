"""Gaussians as .glb: glTF 2.0 with the Khronos extension KHR_gaussian_splatting.

One still set of Gaussians: the ratified extension says nothing of skinned splats, so a moving
avatar is written at one moment. Viewers without the extension show coloured points.
"""

from __future__ import annotations

from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recon.core.storage import write_atomic
from recon.export.gltf import GltfDocument, srgb_to_linear

if TYPE_CHECKING:
    from splatting.gaussians import Gaussians

EXTENSION = "KHR_gaussian_splatting"
POINTS = 0


def write_splat_glb(path: Path, gaussians: Gaussians, *, name: str, says: str) -> None:
    """Writes Gaussians of the z-up world, in glTF's y-up axes, metres.

    Attributes as the extension has them: SCALE linear, OPACITY linear, ROTATION a unit quaternion
    xyzw, SH_DEGREE_l_COEF_n in the order m = -l to l; colours are display-referred sRGB.

    Args:
        name: of the node. says: what the file holds, in words, into asset.extras.
    """
    from splatting.axes import to_axes

    turned = to_axes(gaussians, "y-up")
    quats = turned.quats.numpy()[:, [1, 2, 3, 0]]
    values = {
        "ROTATION": quats / np.linalg.norm(quats, axis=1, keepdims=True),
        "SCALE": turned.scales.numpy(),
        "OPACITY": turned.opacities.numpy(),
    }
    for k, coefficient in enumerate(turned.sh.numpy().swapaxes(0, 1)):
        degree = isqrt(k)
        values[f"SH_DEGREE_{degree}_COEF_{k - degree**2}"] = coefficient
    document = GltfDocument()
    document.content["asset"]["extras"] = {"holds": says}
    document.content["extensionsUsed"] = [EXTENSION]
    attributes = {
        "POSITION": document.add_accessor(turned.means.numpy(), target="vertices", bounds=True),
        "COLOR_0": document.add_accessor(_fallback(turned), target="vertices"),
    } | {
        f"{EXTENSION}:{key}": document.add_accessor(array, target="vertices")
        for key, array in values.items()
    }
    primitive = {
        "mode": POINTS, "attributes": attributes,
        "extensions": {EXTENSION: {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}},
    }  # fmt: skip
    mesh = document.add("meshes", {"name": name, "primitives": [primitive]})
    document.add_root({"name": name, "mesh": mesh})
    write_atomic(path, lambda file: file.write(document.to_glb()))


def _fallback(gaussians: Gaussians) -> np.ndarray:
    """COLOR_0 (N, 4): the colour from all around in linear light, as glTF wants it, and opacity."""
    from splatting.harmonics import sh_to_rgb

    srgb = sh_to_rgb(gaussians.sh[:, 0]).clamp(0, 1).numpy()
    return np.concatenate([srgb_to_linear(srgb), gaussians.opacities.numpy()[:, None]], axis=1)
