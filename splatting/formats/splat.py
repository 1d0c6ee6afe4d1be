"""antimatter15's .splat: 32 bytes per Gaussian and no header; axes y-down.

Position 3 x float32, scale 3 x float32 (not log), RGBA 4 x uint8, rotation wxyz 4 x uint8
(128 + 128 q). Colours that depend on the view have no place in it: degree 0 only.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np

from recon.core.errors import InputError
from splatting.axes import Axes
from splatting.formats.checks import check_count, checked_gaussians
from splatting.formats.encodings import unit_quats
from splatting.gaussians import Gaussians
from splatting.harmonics import SH_C0, sh_to_rgb

AXES: Axes = "y-down"

_ROW = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("quat", "u1", 4)])


def read(path: Path) -> tuple[Gaussians, Axes]:
    """The file's Gaussians (SH degree 0) as they stand in it, and its axes.

    Raises:
        InputError: not a whole number of rows, or rows that are no Gaussians.
    """
    size = path.stat().st_size
    if size % _ROW.itemsize:
        raise InputError(
            f"expected a .splat of {_ROW.itemsize} bytes per Gaussian, got {size} bytes in {path}; "
            f"the file is cut short, or of another kind"
        )
    check_count(path, size // _ROW.itemsize)
    rows = np.fromfile(path, _ROW)
    gaussians = checked_gaussians(
        path,
        means=rows["mean"],
        quats=(rows["quat"].astype(np.float32) - 128) / 128,
        scales=rows["scale"],
        opacities=rows["rgba"][:, 3] / 255,
        sh=((rows["rgba"][:, :3] / 255 - 0.5) / SH_C0)[:, None],
    )
    return gaussians, AXES


def write(file: BinaryIO, gaussians: Gaussians, axes: Axes) -> None:
    """Writes Gaussians as they stand (the format cannot record `axes`)."""
    rows = np.empty(len(gaussians), _ROW)
    rows["mean"], rows["scale"] = gaussians.means.numpy(), gaussians.scales.numpy()
    rgb = sh_to_rgb(gaussians.sh[:, 0]).numpy()
    rgba = np.concatenate((rgb, gaussians.opacities.numpy()[:, None]), axis=1)
    rows["rgba"] = np.rint(255 * rgba.clip(0, 1))
    rows["quat"] = np.rint(128 + 128 * unit_quats(gaussians.quats.numpy())).clip(0, 255)
    file.write(rows.data)
