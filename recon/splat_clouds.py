"""Gaussians handed to viewers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recon.core.geometry import Array
from recon.core.splat_view import SplatCloud

if TYPE_CHECKING:
    from splatting.gaussians import Gaussians


def cloud(gaussians: Gaussians) -> SplatCloud:
    """Gaussians as viewers take them: their colour seen from all around."""
    from splatting.harmonics import sh_to_rgb

    return SplatCloud(
        means=gaussians.means.cpu().numpy().astype(float),
        covariances=covariances(gaussians),
        colors=sh_to_rgb(gaussians.sh[:, 0]).clamp(0, 1).cpu().numpy().astype(float),
        opacities=gaussians.opacities.cpu().numpy().astype(float),
    )


def covariances(gaussians: Gaussians) -> Array:
    """R S S^T R^T (N, 3, 3), square metres (3DGS, Kerbl et al. 2023, equation 6)."""
    from scipy.spatial.transform import Rotation

    turned = Rotation.from_quat(gaussians.quats.cpu().numpy(), scalar_first=True).as_matrix()
    axes = turned * gaussians.scales.cpu().numpy()[:, None, :]
    return axes @ axes.swapaxes(1, 2)
