"""Lines and floors drawn with Gaussians, so that people hide them and stand on them."""

from __future__ import annotations

import numpy as np
import torch

from recon.core.geometry import Array, matrix_to_quat, rotation_between
from splatting.gaussians import Gaussians
from splatting.harmonics import rgb_to_sh

BEAD, OVERLAP = 0.08, 0.7
"""Metres between Gaussians along a line, and their standard deviation in such steps."""
OPACITY = 0.9
FLOOR_STEP, FLOOR_MARGIN, MOST_LINES = 0.5, 1.5, 80
FLOOR_COLOR = (0.74, 0.75, 0.78)
LINE_WIDTH = 0.004


def lines(
    starts: Array, ends: Array, *, color: tuple[float, float, float], width: float = LINE_WIDTH
) -> Gaussians:
    """Segments (S, 3) to (S, 3), metres, as rows of Gaussians, `width` their standard deviation."""
    means, quats, half = [], [], []
    for start, end in zip(starts, ends, strict=True):
        length = float(np.linalg.norm(end - start))
        if length < 1e-6:
            continue
        count = max(1, round(length / BEAD))
        at = (np.arange(count) + 0.5) / count
        means.append(start + at[:, None] * (end - start))
        turn = rotation_between(np.array([1.0, 0.0, 0.0]), end - start)
        quats.append(np.tile(matrix_to_quat(turn), (count, 1)))
        half.append(np.full(count, OVERLAP * length / count))
    count = sum(map(len, means))
    scales = np.full((count, 3), width)
    if count:
        scales[:, 0] = np.concatenate(half)
    constant = rgb_to_sh(torch.tensor(color, dtype=torch.float32))
    return Gaussians(
        means=_tensor(means, 3), quats=_tensor(quats, 4),
        scales=torch.tensor(scales, dtype=torch.float32),
        opacities=torch.full((count,), OPACITY), sh=constant.expand(count, 1, 3).clone(),
    )  # fmt: skip


def floor(points: Array, *, height: float = 0.0) -> Gaussians:
    """A grid of lines, level at `height`, under points (P, 3) and somewhat beyond them.

    Half a metre apart, or whole metres where that would be too many.
    """
    low, high = points[:, :2].min(axis=0) - FLOOR_MARGIN, points[:, :2].max(axis=0) + FLOOR_MARGIN
    step = FLOOR_STEP * max(1, 2 * round(float((high - low).max()) / FLOOR_STEP / MOST_LINES))
    (x0, y0), (x1, y1) = np.floor(low / step) * step, np.ceil(high / step) * step
    starts, ends = [], []
    for x in np.arange(x0, x1 + 0.5 * step, step):
        starts.append((x, y0, height))
        ends.append((x, y1, height))
    for y in np.arange(y0, y1 + 0.5 * step, step):
        starts.append((x0, y, height))
        ends.append((x1, y, height))
    return lines(np.array(starts), np.array(ends), color=FLOOR_COLOR)


def _tensor(parts: list[Array], width: int) -> torch.Tensor:
    rows = np.concatenate(parts) if parts else np.zeros((0, width))
    return torch.tensor(rows, dtype=torch.float32)
