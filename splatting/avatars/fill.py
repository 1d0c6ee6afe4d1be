"""Looks for places of a body that no picture showed: the other side's, else their surroundings'."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import spsolve
from scipy.spatial import KDTree

from splatting.avatars.binding import SurfaceBinding
from splatting.gaussians import Gaussians

MIRROR = np.array([-1.0, 1.0, 1.0])
FAR = 2.5
"""Distances between texels within which a mirrored place counts as the same."""
PULL = 1e-4
"""Of the nearest known place, for parts that are no neighbours of any."""


def fill_unseen(
    gaussians: Gaussians, binding: SurfaceBinding, seen: np.ndarray, pairs: np.ndarray
) -> Gaussians:
    """The Gaussians with the unseen ones' looks, sizes and distances from the body guessed.

    Args:
        gaussians: (N,) in the rest pose, on the CPU. seen: (N,) bool. pairs: (E, 2) neighbours.
    """
    if seen.all() or not seen.any():
        return gaussians
    spacing = np.sqrt(binding.texel_area)[:, None]
    looks = np.concatenate([
        gaussians.sh.flatten(1).numpy(), torch.log(gaussians.scales).numpy() - np.log(spacing),
        (gaussians.means.numpy() - binding.rest_points),
        torch.logit(gaussians.opacities, eps=1e-4).numpy()[:, None],
    ], axis=1).astype(float)  # fmt: skip
    terms = gaussians.sh[0].numel()
    known = seen.copy()
    rows, twins = _twins(binding, seen)
    looks[rows] = looks[twins]
    looks[rows, terms + 3 : terms + 6] *= MIRROR
    known[rows] = True
    if not known.all():
        looks = _smoothed(looks, known, pairs, binding.rest_points)
    fresh = torch.from_numpy(looks.astype(np.float32))
    unseen = torch.from_numpy(~seen)[:, None]
    scales = torch.exp(fresh[:, terms : terms + 3]) * torch.from_numpy(spacing)
    means = torch.from_numpy(binding.rest_points) + fresh[:, terms + 3 : terms + 6]
    return Gaussians(
        means=torch.where(unseen, means, gaussians.means),
        quats=gaussians.quats,
        scales=torch.where(unseen, scales, gaussians.scales),
        opacities=torch.where(unseen[:, 0], torch.sigmoid(fresh[:, -1]), gaussians.opacities),
        sh=torch.where(
            unseen[..., None], fresh[:, :terms].reshape(gaussians.sh.shape), gaussians.sh
        ),
    )


def _twins(binding: SurfaceBinding, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unseen texels whose mirror image on the body's other side was seen, and that image."""
    rows = np.flatnonzero(~seen)
    points, normals = binding.rest_points[seen], binding.rest_normals[seen]
    distance, found = KDTree(points).query(binding.rest_points[rows] * MIRROR)
    at = np.asarray(found)
    facing = np.sum(normals[at] * binding.rest_normals[rows] * MIRROR, axis=1)
    close = distance < FAR * np.sqrt(binding.texel_area[rows])
    kept = close & (facing > 0.5)
    return rows[kept], np.flatnonzero(seen)[at[kept]]


def _smoothed(
    values: np.ndarray, known: np.ndarray, pairs: np.ndarray, points: np.ndarray
) -> np.ndarray:
    """Values (N, D), the unknown rows as smooth as can be (harmonic on the neighbours' graph)."""
    count = len(values)
    a, b = pairs.T
    ones = np.ones(len(a))
    graph = coo_matrix((ones, (a, b)), shape=(count, count)).tocsr()
    graph = graph + graph.T
    laplacian = (diags(np.asarray(graph.sum(axis=1)).ravel()) - graph).tocsr()
    free = np.flatnonzero(~known)
    system = laplacian[free][:, free] + PULL * diags(np.ones(len(free)))
    nearest = KDTree(points[known]).query(points[free])[1]
    right = -laplacian[free][:, known] @ values[known] + PULL * values[known][nearest]
    out = values.copy()
    out[free] = np.asarray(spsolve(system.tocsc(), right)).reshape(len(free), -1)
    return out
