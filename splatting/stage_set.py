"""The place around a camera that stands: a floor, and a backdrop behind the people."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import roma
import torch

from recon.core.geometry import Array
from splatting.gaussians import Gaussians
from splatting.photos import Photos
from splatting.starts import unproject

TOP, MOST_PUSH = 1.5, 1.4
"""Standard deviations over its middle where a Gaussian ends; the farthest push, in distances."""
LEAST_COSINE, LEAST_DISTANCE = 0.1, 0.1


@dataclass(frozen=True, kw_only=True)
class StageSet:
    """Where things are taken to be that were seen from one place only.

    Pictures from one place tell nothing of depth. As on a stage, the floor (z = 0) lies right and
    all the rest hangs behind the people.

    Args:
        centre: (3,) metres, the camera, in a z-up world. far: metres to the backdrop.
        axis: (3,) horizontal unit; the backdrop is upright across it. None: it goes all around.
    """

    centre: Array
    far: float
    axis: Array | None

    def distances(self, rays: Array) -> Array:
        """Metres (N,) along unit rays (N, 3) from the centre to the floor or the backdrop."""
        below = rays[:, 2] < -1e-6
        floor = np.where(below, self.centre[2] / np.where(below, -rays[:, 2], 1), np.inf)
        return np.maximum(np.minimum(floor, self._back(rays)), LEAST_DISTANCE)

    def points(self, photos: Photos, count: int) -> tuple[Array, Array]:
        """Points (N, 3) with colours (N, 3) behind random pixels, less those that are ignored."""
        generator = np.random.default_rng(0)
        height, width = photos.images.shape[1:3]
        rows = generator.integers(len(photos), size=count)
        pixels = generator.uniform(size=(count, 2)) * (width, height)
        column, row = pixels.astype(int).T
        if photos.ignored is not None:
            kept = ~photos.ignored[rows, row, column]
            rows, pixels, column, row = rows[kept], pixels[kept], column[kept], row[kept]
        rays = unproject(photos, rows, pixels, np.ones(len(rows))) - self.centre
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        points = self.centre + self.distances(rays)[:, None] * rays
        return points, photos.images[rows, row, column] / 255

    def settled(self, gaussians: Gaussians) -> Gaussians:
        """The Gaussians, those of the floor pushed away along their rays until they lie below it.

        They are as thick as wide, and drawn in the order of their middles: where they reach over
        the floor, feet would stand in them. What the centre sees of them stays the same, because
        their sizes grow in proportion.
        """
        offset = gaussians.means.detach().cpu().numpy().astype(float) - self.centre
        rays = offset / np.maximum(np.linalg.norm(offset, axis=1, keepdims=True), 1e-6)
        axes = roma.unitquat_to_rotmat(
            torch.nn.functional.normalize(gaussians.quats[:, [1, 2, 3, 0]], dim=1)
        )
        rise = (axes[:, 2] * gaussians.scales).norm(dim=1).detach().cpu().numpy()
        # Pushed by r, its top lies at the floor: centre_z + r (offset_z + TOP rise) = 0.
        drop = -offset[:, 2] - TOP * rise
        push = np.where(drop > 0, self.centre[2] / np.maximum(drop, 1e-6), MOST_PUSH)
        floor = self.distances(rays) < 0.999 * self._back(rays)
        ratio = np.where(floor, np.clip(push, 1, MOST_PUSH), 1)[:, None]
        like = gaussians.means
        return replace(
            gaussians,
            means=torch.as_tensor(self.centre + ratio * offset).to(like),
            scales=gaussians.scales * torch.as_tensor(ratio).to(like),
        )

    def _back(self, rays: Array) -> Array:
        """Metres (N,) along unit rays to the backdrop."""
        flat = np.linalg.norm(rays[:, :2], axis=1) if self.axis is None else rays @ self.axis
        return self.far / np.maximum(flat, LEAST_COSINE)
