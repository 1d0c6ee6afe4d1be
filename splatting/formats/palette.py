"""Fewer numbers for many: codebooks and palettes by k-means, and an order that compresses well."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.cluster.vq import kmeans2, vq

_ROUNDS = 8
_SAMPLE = 100_000
_MAX_PALETTE = 1 << 16
_BOOK = 256


def codebook(values: np.ndarray) -> np.ndarray:
    """256 sorted numbers (float32) that stand for the values, of any shape."""
    flat = np.asarray(values, np.float32).reshape(-1, 1)
    # An even start bounds the largest error; the rounds lower the mean one.
    start = np.linspace(flat.min(), flat.max(), _BOOK, dtype=np.float32)[:, None]
    return np.sort(_k_means(_sampled(flat), start)[:, 0])


def nearest(values: np.ndarray, book: np.ndarray) -> np.ndarray:
    """The index (uint8) of the entry of a sorted codebook nearest to each value."""
    middles = (book[1:] + book[:-1]) / 2
    return np.searchsorted(middles, values).astype(np.uint8)


def palette(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Entries (E, D) that stand for rows (N, D), and the entry's index (N,) of each row.

    E is the largest power of two up to N and 65536, as PlayCanvas' own writer has it. Two levels
    of k-means (Nister & Stewenius 2006) cost 2 √E comparisons per row instead of E.
    """
    rows = np.ascontiguousarray(rows, np.float32)
    size = min(_MAX_PALETTE, 1 << (len(rows).bit_length() - 1))
    coarse = 1 << (size.bit_length() // 2)
    sample = _sampled(rows)
    groups, _ = vq(rows, _k_means(sample, _spread(sample, coarse)))
    order = np.argsort(groups, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(groups, minlength=coarse))[:-1])
    entries, labels, start = [], np.empty(len(rows), int), 0
    for rows_here, share in zip(members, _shares(members, size), strict=True):
        if share == 0:
            continue
        here = rows[rows_here]
        entries.append(_k_means(here, _spread(here, share)))
        labels[rows_here] = start + vq(here, entries[-1])[0]
        start += share
    return np.concatenate(entries), labels


def morton_order(points: np.ndarray) -> np.ndarray:
    """The order (N,) of points (N, 3) along a Z-shaped curve: neighbours in it lie near."""
    least = points.min(0)
    span = max(float((points.max(0) - least).max()), 1e-12)
    cells = ((points - least) / span * 1023).astype(np.uint64)
    code = np.zeros(len(points), np.uint64)
    for bit in range(10):
        for axis in range(3):
            code |= ((cells[:, axis] >> np.uint64(bit)) & np.uint64(1)) << np.uint64(3 * bit + axis)
    return np.argsort(code, kind="stable")


def _shares(members: list[np.ndarray], size: int) -> list[int]:
    """How many of the entries each group gets: by its size, one at least where it has rows."""
    sizes = np.array([len(m) for m in members])
    shares = np.maximum(np.minimum(sizes, 1), sizes * size // sizes.sum())
    # Rounding down leaves room for the ones, except where groups are many and tiny.
    while shares.sum() > size:
        shares[shares.argmax()] -= 1
    return shares.tolist()


def _k_means(rows: np.ndarray, start: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        # An empty cluster keeps its start, which serves.
        warnings.filterwarnings("ignore", "One of the clusters is empty")
        return kmeans2(rows, start, iter=_ROUNDS, minit="matrix")[0]


def _spread(rows: np.ndarray, count: int) -> np.ndarray:
    """So many of the rows, evenly from first to last."""
    return rows[np.linspace(0, len(rows) - 1, count).astype(int)]


def _sampled(rows: np.ndarray) -> np.ndarray:
    return rows if len(rows) <= _SAMPLE else _spread(rows, _SAMPLE)
