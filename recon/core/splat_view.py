"""Gaussians as they pass to viewers, which know nothing of how they are made or drawn."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from recon.core.checks import check_array
from recon.core.geometry import Array


@dataclass(frozen=True, kw_only=True)
class SplatCloud:
    """Gaussians in the world.

    Args:
        means: (N, 3) metres. covariances: (N, 3, 3) square metres. colors: (N, 3) RGB in 0 to 1,
            as seen from all around. opacities: (N,) in 0 to 1.
    """

    means: Array
    covariances: Array
    colors: Array
    opacities: Array

    def __post_init__(self) -> None:
        count = len(self.means)
        check_array("means", self.means, (count, 3))
        check_array("covariances", self.covariances, (count, 3, 3))
        check_array("colors", self.colors, (count, 3))
        check_array("opacities", self.opacities, (count,))

    def rows(self, kept: np.ndarray) -> SplatCloud:
        """Some of them, in this order: indices or a mask."""
        return SplatCloud(
            means=self.means[kept], covariances=self.covariances[kept], colors=self.colors[kept],
            opacities=self.opacities[kept],
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SplatPicture:
    """What a camera sees of Gaussians.

    Args:
        color: (H, W, 3) uint8 RGB over black. alpha: (H, W) how much they cover, 0 to 1.
        depth: (H, W) z in the camera frame, metres; 0 where nothing is.
    """

    color: np.ndarray
    alpha: np.ndarray
    depth: np.ndarray


class SplatStage(Protocol):
    """A scene's Gaussians over time: the place, and people as avatars.

    `people`: track ids of those who are there as avatars.
    """

    people: frozenset[int]

    def place(self) -> SplatCloud | None:
        """What does not move; None if it was not trained."""
        ...

    def cast(self, frame: int, without: Set[int] = frozenset()) -> SplatCloud | None:
        """The avatars at a video frame but for some track ids; None where nobody is."""
        ...

    def picture(
        self, frame: int, T_world_camera: Array, K: Array, size: tuple[int, int]
    ) -> SplatPicture:
        """Place and people at a video frame, seen by a pinhole camera; size is width, height."""
        ...
