"""Neighbours that move as one: as-rigid-as-possible motion."""

from __future__ import annotations

import numpy as np
import roma
import torch
from scipy.spatial import KDTree
from torch import Tensor

NEIGHBOURS = 6


def neighbours_of(trajectories: Tensor, foreground: Tensor) -> Tensor:
    """Of each Gaussian the nearest others all through the clip, (N, 6) indices.

    Args:
        trajectories: (N, M, 3) centres at some times, lengths alike in all directions.
        foreground: (N,) bool; it and what is around it are no neighbours.
    """
    points = trajectories.cpu().numpy().reshape(len(trajectories), -1)
    apart = 10 * float(np.ptp(points)) * foreground.cpu().numpy().astype(points.dtype)
    points = np.concatenate((points, apart[:, None]), axis=1)
    wanted = min(NEIGHBOURS + 1, len(points))
    _, found = KDTree(points, compact_nodes=False).query(points, k=wanted)
    return torch.from_numpy(np.atleast_2d(found)[:, 1:]).to(trajectories.device)


def rigidity(before: Tensor, after: Tensor, rows: Tensor, neighbours: Tensor) -> Tensor:
    """How far neighbourhoods are from having moved rigidly, a length; differentiable in both.

    Each neighbourhood's best rotation is found first (Kabsch) and held (Sorkine and Alexa
    2007); lengths enter robustly, since some neighbours belong to other things.

    Args:
        before, after: (N, 3) centres at two times. rows: (S,) whose neighbourhoods to look at.
        neighbours: (N, K).
    """
    others = neighbours[rows]
    old = before[others] - before[rows][:, None]
    new = after[others] - after[rows][:, None]
    with torch.no_grad():
        R = torch.as_tensor(roma.special_procrustes(new.mT @ old))
    change = new - old @ R.mT
    return (torch.sqrt((change**2).sum(-1) + 0.01) - 0.1).mean()
