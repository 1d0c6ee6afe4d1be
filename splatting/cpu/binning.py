"""Which Gaussians touch which tile, front to back: one sort by depth, then a counting sort."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numba import njit, prange

from splatting.cpu.blending import DEPTH, GRADIENTS, HALF_HEIGHT, LEAST_POWER, SPLAT, TILE, A, U

F = np.float32
CHUNKS_PER_THREAD = 4


@dataclass(frozen=True, kw_only=True)
class Bins:
    """The members of every tile.

    Args:
        starts: (tiles + 1,) where each tile's members begin. members: (M,) indices of splats, front
            to back in each tile. tiles: all tiles, in an order that gives threads equal shares.
        by_depth: (D,) the splats drawn, front to back. pair_starts, pair_counts: (D,) where each
            one's places are listed in `places`, the rows of `members` that are its own.
    """

    starts: np.ndarray
    members: np.ndarray
    tiles: np.ndarray
    by_depth: np.ndarray
    pair_starts: np.ndarray
    pair_counts: np.ndarray
    places: np.ndarray


def bin_splats(splats: np.ndarray, radii_px: np.ndarray, *, width: int, height: int) -> Bins:
    """The members of the tiles of a picture of this size."""
    by_depth = _front_to_back(splats, radii_px)
    across, down = -(-width // TILE), -(-height // TILE)
    threads = numba.get_num_threads()
    chunks = CHUNKS_PER_THREAD * threads
    pairs = _find_pairs(splats, by_depth, across, down, chunks)
    pair_starts, pair_counts, pair_tiles, counts, chunk_starts = pairs
    # Where each chunk's first member of each tile goes: all tiles before, then all chunks before.
    totals = counts.sum(0)
    starts = np.concatenate(([0], np.cumsum(totals)))
    positions = starts[:-1] + np.cumsum(counts, axis=0) - counts
    members = np.empty(starts[-1], np.int32)
    places = np.empty(len(pair_tiles), np.int32)
    _deal(by_depth, pair_starts, pair_counts, pair_tiles, positions, members, places, chunk_starts)
    heaviest = np.argsort(-totals, kind="stable")
    tiles = np.concatenate([heaviest[k::threads] for k in range(threads)])
    return Bins(
        starts=starts, members=members, tiles=tiles, by_depth=by_depth, pair_starts=pair_starts,
        pair_counts=pair_counts, places=places,
    )  # fmt: skip


def _front_to_back(splats: np.ndarray, radii_px: np.ndarray) -> np.ndarray:
    """(D,) the splats drawn, by depth and then by index.

    A positive float sorts like its bits, so both fit one integer; those sort fastest.
    """
    drawn = np.flatnonzero(radii_px).astype(np.uint64)
    depths = np.ascontiguousarray(splats[drawn, DEPTH], np.float32).view(np.uint32)
    keys = (depths.astype(np.uint64) << np.uint64(32)) | drawn
    keys.sort()
    return (keys & np.uint64(0xFFFFFFFF)).astype(np.int32)


@njit(fastmath=True)
def _tile_range(splat, across, down):
    """Columns and rows of tiles under the rectangle around a splat."""
    half_y = splat[HALF_HEIGHT]
    half_x = half_y * np.sqrt(splat[A + 2] / splat[A])
    u, v, size = splat[U], splat[U + 1], F(1 / TILE)
    return (
        max(0, int(np.floor((u - half_x) * size))), min(across, int((u + half_x) * size) + 1),
        max(0, int(np.floor((v - half_y) * size))), min(down, int((v + half_y) * size) + 1),
    )  # fmt: skip


@njit(fastmath=True)
def _touches(ellipse, x0, y0):
    """Whether an ellipse reaches the tile with its corner at (x0, y0) from the centre: exactly.

    Where the centre is outside, the smallest a x² + 2 b x y + c y² over the tile lies on one of
    the two edges that face the centre.
    """
    a, b, c, slope_x, slope_y, level = ellipse
    x1, y1 = x0 + F(TILE), y0 + F(TILE)
    dx, dy = max(x0, min(F(0), x1)), max(y0, min(F(0), y1))
    if dx == 0 and dy == 0:
        return True
    least = F(np.inf)
    if dx != 0:
        y = min(max(slope_y * dx, y0), y1)
        least = a * dx * dx + F(2) * b * dx * y + c * y * y
    if dy != 0:
        x = min(max(slope_x * dy, x0), x1)
        least = min(least, a * x * x + F(2) * b * x * dy + c * dy * dy)
    return least <= level


@njit(parallel=True, fastmath=True, cache=True)
def _find_pairs(splats, by_depth, across, down, chunks):
    """Each splat's tiles, and how many splats of each chunk every tile has."""
    count = len(by_depth)
    size = (count + chunks - 1) // chunks
    areas = np.zeros(chunks + 1, np.int64)
    for chunk in prange(chunks):
        area = 0
        for i in range(chunk * size, min(count, (chunk + 1) * size)):
            left, right, top, bottom = _tile_range(splats[by_depth[i]], across, down)
            area += max(0, right - left) * max(0, bottom - top)
        areas[chunk + 1] = area
    areas = np.cumsum(areas)
    pair_tiles = np.empty(areas[-1], np.int32)
    pair_starts, pair_counts = np.zeros(count, np.int64), np.zeros(count, np.int64)
    counts = np.zeros((chunks, across * down), np.int64)
    for chunk in prange(chunks):
        n = areas[chunk]
        for i in range(chunk * size, min(count, (chunk + 1) * size)):
            splat = splats[by_depth[i]]
            left, right, top, bottom = _tile_range(splat, across, down)
            u, v, a, b, c = splat[U], splat[U + 1], splat[A], splat[A + 1], splat[A + 2]
            ellipse = (a, b, c, -b / a, -b / c, F(-2) * splat[LEAST_POWER])
            one = (right - left) * (bottom - top) == 1
            pair_starts[i] = n
            for row in range(top, bottom):
                for column in range(left, right):
                    if one or _touches(ellipse, F(column * TILE) - u, F(row * TILE) - v):
                        tile = row * across + column
                        pair_tiles[n] = tile
                        counts[chunk, tile] += 1
                        n += 1
            pair_counts[i] = n - pair_starts[i]
    return pair_starts, pair_counts, pair_tiles, counts, np.arange(chunks + 1) * size


@njit(parallel=True, cache=True)
def _deal(by_depth, pair_starts, pair_counts, pair_tiles, positions, members, places, chunk_starts):
    """Puts every splat into its tiles' lists; `positions` moves on."""
    for chunk in prange(len(positions)):
        next_place = positions[chunk]
        for i in range(chunk_starts[chunk], min(len(by_depth), chunk_starts[chunk + 1])):
            for pair in range(pair_starts[i], pair_starts[i] + pair_counts[i]):
                tile = pair_tiles[pair]
                place = next_place[tile]
                next_place[tile] += 1
                members[place] = by_depth[i]
                places[pair] = place


@njit(parallel=True, fastmath=True, cache=True)
def gather_gradients(by_member, by_depth, pair_starts, pair_counts, places, count):
    """(count, 12) gradient by splats: the sums of each one's members (M, 10)."""
    out = np.zeros((count, SPLAT), np.float32)
    for i in prange(len(by_depth)):
        row = out[by_depth[i]]
        for pair in range(pair_starts[i], pair_starts[i] + pair_counts[i]):
            member = by_member[places[pair]]
            for k in range(GRADIENTS):
                row[k] += member[k]
    return out
