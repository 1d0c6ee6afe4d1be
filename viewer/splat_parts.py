"""Gaussians that move, in parts that are carried whole: a recording has no room for more."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.cluster.vq import kmeans2

from recon.core.geometry import Array, nearest_rotation
from recon.core.splat_view import SplatCloud

NUM_PARTS = 64


@dataclass(frozen=True, kw_only=True)
class SplatParts:
    """Gaussians at one moment, those of a part beside one another.

    Args:
        cloud: N Gaussians. starts: (P,) int, the first one of each part. order: (N,) int, where
            the Gaussians lie in the clouds that they were made from.
    """

    cloud: SplatCloud
    starts: np.ndarray
    order: np.ndarray

    @classmethod
    def of(cls, clouds: Sequence[SplatCloud], count: int = NUM_PARTS) -> SplatParts:
        """At most `count` parts whose Gaussians are near one another at all moments.

        Args:
            clouds: the same Gaussians at some moments; they will look as in the first.
        """
        ways = np.concatenate([cloud.means for cloud in clouds], axis=1)
        seeds = ways[np.linspace(0, len(ways) - 1, min(count, len(ways))).astype(int)]
        with warnings.catch_warnings():  # fewer parts than asked for are none to speak of
            warnings.simplefilter("ignore", UserWarning)
            labels = kmeans2(ways, seeds, minit="matrix")[1]
        order = np.argsort(labels, kind="stable")
        starts = np.unique(labels[order], return_index=True)[1]
        return cls(cloud=clouds[0].rows(order), starts=starts, order=order)

    def clouds(self) -> list[SplatCloud]:
        """The Gaussians of every part about their middle."""
        ends = [*self.starts[1:], len(self.order)]
        parts = [self.cloud.rows(np.arange(*span)) for span in zip(self.starts, ends, strict=True)]
        return [replace(part, means=part.means - part.means.mean(axis=0)) for part in parts]

    def carried(self, means: Array) -> tuple[Array, Array]:
        """Rotations (P, 3, 3) of the parts and places (P, 3) of their middles nearest to `means`.

        Args:
            means: (N, 3) metres, of the Gaussians at another moment, in the order of the clouds.

        Source: Kabsch 1976, for every part.
        """
        before, _ = self._arms(self.cloud.means)
        after, middles = self._arms(means[self.order])
        products = np.einsum("ni,nj->nij", after, before)
        return nearest_rotation(np.add.reduceat(products, self.starts)), middles

    def _arms(self, means: Array) -> tuple[Array, Array]:
        """Means (N, 3) from the middles of their parts, and these (P, 3)."""
        counts = np.diff([*self.starts, len(means)])
        middles = np.add.reduceat(means, self.starts) / counts[:, None]
        return means - np.repeat(middles, counts, axis=0), middles
