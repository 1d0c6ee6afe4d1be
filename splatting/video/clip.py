"""A short clip as Gaussians are trained on it, and the fixed camera that stands for its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from recon.core.checks import check_array
from recon.core.errors import InputError

LEAST_FRAMES, LEAST_SIDE = 4, 32


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Pictures of one camera with what is known or assumed of how far things are.

    Args:
        images: (T, H, W, 3) uint8 RGB. times: (T,) seconds, increasing.
        K: (3, 3) px, of a pinhole camera that stands still: what it sees moves instead.
        foreground: (T, H, W) bool, or None where nobody looked.
        depth: (T, H, W) float32, z in `unit`. depth_weight: (T, H, W) float32, 0-1: how far it is
            to be believed. unit: "metres" or "assumed metres".
    """

    images: np.ndarray
    times: np.ndarray
    K: np.ndarray
    foreground: np.ndarray | None
    depth: np.ndarray
    depth_weight: np.ndarray
    unit: str

    def __post_init__(self) -> None:
        check_array("images", self.images, (None, None, None, 3), np.uint8)
        count, height, width = self.images.shape[:3]
        if count < LEAST_FRAMES or min(height, width) < LEAST_SIDE:
            raise InputError(
                f"expected {LEAST_FRAMES} frames or more, of {LEAST_SIDE} px or more, got {count} "
                f"of {width}x{height}; use a longer clip or larger pictures"
            )
        check_array("times", self.times, (count,))
        if np.any(np.diff(self.times) <= 0):
            raise InputError("times: expected strictly increasing seconds")
        check_array("K", self.K, (3, 3))
        if self.foreground is not None:
            check_array("foreground", self.foreground, (count, height, width), bool)
        check_array("depth", self.depth, (count, height, width))
        check_array("depth_weight", self.depth_weight, (count, height, width))
        if self.depth.min() <= 0:
            raise InputError("depth: expected positive numbers, got zero or less")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, px."""
        return self.images.shape[2], self.images.shape[1]

    def take(self, rows: np.ndarray) -> Clip:
        """Only these frames."""
        return replace(
            self, images=self.images[rows], times=self.times[rows],
            foreground=None if self.foreground is None else self.foreground[rows],
            depth=self.depth[rows], depth_weight=self.depth_weight[rows],
        )  # fmt: skip

    def split(self, every: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows to train on, and rows to measure with: each `every`-th from within, 0 for none.

        Neither the first nor the last frame is held out: they would not lie between others.
        """
        rows = np.arange(len(self))
        held = np.zeros(len(self), bool)
        if every:
            held[every // 2 : -1 : every] = True
            held[0] = False
        return rows[~held], rows[held]
