"""Where video Gaussians start: on pixels that are followed through the clip by optical flow."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy.spatial import KDTree

from recon.core.geometry import Array
from splatting.video.clip import Clip
from splatting.video.flow import Flow, follow, inside, sample
from splatting.video.motion import MotionBasis, fit_motion

FIRST_SHARE, SOWN_SHARE = 0.45, 0.75
"""Of the Gaussians at the end, how many lie on the first picture that is sown, and on all."""
FINER = 2.0
"""How much nearer to each other they lie on the foreground, which has the finer motion."""
SOWN = 9
"""Pictures that are sown where nothing that was followed from others covers them."""
GUESS_WEIGHT = 0.02
"""Of a place that only the background's motion tells, against one that was followed."""
DEPTH_REST = 1.0
"""Weight of a change of log z in half the clip against an error in one frame."""
HOMOGRAPHY_PX, LEAST_POINTS = 1.0, 20


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Followed pixels as curves of a basis.

    Args:
        places: (N, 3) and motions: (N, 3, B), px and log z. colours: (N, 3) in 0 to 1.
        foreground: (N,) bool. spacing: (N,) px between neighbours when they were sown.
    """

    places: Array
    motions: Array
    colours: Array
    foreground: np.ndarray
    spacing: Array


@dataclass(frozen=True, kw_only=True)
class _Tracks:
    """places (N, T, 2) px, weights (N, T), log z (N,T) with weights, first colours and labels."""

    places: Array
    weights: Array
    log_z: Array
    z_weights: Array
    colours: Array
    foreground: np.ndarray


def followed_curves(
    clip: Clip,
    flows: dict[tuple[int, int], Flow],
    basis: MotionBasis,
    *,
    most: int,
    generator: np.random.Generator,
) -> Curves:
    """Curves through pixels of the middle picture, and of others where those leave them bare.

    Splatter a Video starts anywhere and learns all motion by descent; least squares on chained
    flow is where that would arrive, after a minute instead of an hour.

    Args:
        most: number of Gaussians that there shall be at the end.
    """
    width, height = clip.size
    inner = 0.0 if clip.foreground is None else float(clip.foreground.mean())
    area = width * height * (1 + inner * (FINER**2 - 1))
    spacing = float(np.sqrt(area / (FIRST_SHARE * most)))
    turns = [
        background_turn(flows[i, i + 1], _foreground_of(clip, i)) for i in range(len(clip) - 1)
    ]
    found: list[_Tracks] = []
    for frame in _sowing_order(len(clip)):
        seeds, gaps = _seeds(clip, frame, spacing, generator)
        if found:  # bare: nothing that is seen here lies near
            seen = [t.places[t.weights[:, frame] == 1, frame] for t in found]
            distance, _ = KDTree(np.concatenate(seen)).query(seeds)
            seeds = seeds[np.asarray(distance) > gaps]
        room = int(SOWN_SHARE * most) - sum(len(t.places) for t in found)
        if len(seeds) > room:
            seeds = seeds[generator.permutation(len(seeds))[:room]]
        if len(seeds):
            found.append(_tracks(clip, flows, turns, frame, seeds))
    joined = _Tracks(
        **{name: np.concatenate([getattr(t, name) for t in found])
           for name in _Tracks.__dataclass_fields__}
    )  # fmt: skip
    spacings = np.where(joined.foreground, spacing / FINER, spacing)
    return _curves(joined, clip.times, basis, spacings)


def _curves(tracks: _Tracks, times: Array, basis: MotionBasis, spacing: Array) -> Curves:
    places, motions = fit_motion(basis, times, tracks.places, tracks.weights)
    # Depth changes slowly; its measurements jump where a track passes an edge.
    calm = replace(basis, harmonics=0)
    z, z_motions = fit_motion(
        calm, times, tracks.log_z[..., None], tracks.z_weights, rest=DEPTH_REST
    )
    all_z = np.zeros((len(z), 1, basis.terms))
    all_z[..., : basis.polynomials] = z_motions
    return Curves(
        places=np.concatenate((places, z), axis=1),
        motions=np.concatenate((motions, all_z), axis=1),
        colours=tracks.colours, foreground=tracks.foreground, spacing=spacing,
    )  # fmt: skip


def _sowing_order(count: int) -> list[int]:
    """The middle, then the ends, then what lies between."""
    spread = np.unique(np.linspace(0, count - 1, SOWN).round().astype(int)).tolist()
    middle = spread[len(spread) // 2]
    return [middle, *(i for i in (0, count - 1) if i != middle),
            *(i for i in spread[1:-1] if i != middle)]  # fmt: skip


def _seeds(
    clip: Clip, frame: int, spacing: float, generator: np.random.Generator
) -> tuple[Array, Array]:
    """Points (N, 2) all over a picture, closer on the foreground, and their distances (N,)."""
    coarse = _grid(*clip.size, spacing, generator)
    mask = _foreground_of(clip, frame)
    if mask is None:
        return coarse, np.full(len(coarse), spacing)
    fine = _grid(*clip.size, spacing / FINER, generator)
    outside = coarse[sample(mask, coarse, nearest=True) < 0.5]
    inside_it = fine[sample(mask, fine, nearest=True) > 0.5]
    gaps = np.repeat((spacing, spacing / FINER), (len(outside), len(inside_it)))
    return np.concatenate((outside, inside_it)), gaps


def _grid(width: int, height: int, spacing: float, generator: np.random.Generator) -> Array:
    """Points (N, 2) about so far apart, shaken so that no lines show."""
    x = np.arange(spacing / 2, width, spacing)
    y = np.arange(spacing / 2, height, spacing)
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    points = points + generator.uniform(-0.3, 0.3, size=points.shape) * spacing
    return np.clip(points, 0.01, np.array([width, height]) - 0.01)


def _foreground_of(clip: Clip, frame: int) -> np.ndarray | None:
    return None if clip.foreground is None else clip.foreground[frame]


def background_turn(flow: Flow, foreground: np.ndarray | None) -> Array:
    """The homography (3, 3) px of most of a picture into the next; none found: it stands still."""
    usable = flow.sure if foreground is None else flow.sure & ~foreground
    y, x = np.nonzero(usable[::4, ::4])
    if len(x) < LEAST_POINTS:
        return np.eye(3)
    before = 4.0 * np.stack((x, y), axis=-1) + 0.5
    after = before + flow.moved[4 * y, 4 * x]
    cv2.setRNGSeed(0)
    H, _ = cv2.findHomography(before, after, cv2.RANSAC, HOMOGRAPHY_PX)
    return np.eye(3) if H is None else np.asarray(H, float)


def turned_points(H: Array, points_px: Array) -> Array:
    """Points (..., 2) through a homography; those beyond its horizon stay."""
    p = points_px @ H[:2, :2].T + H[:2, 2]
    w = points_px @ H[2, :2] + H[2, 2]
    return np.where((w > 0.1)[..., None], p / np.maximum(w, 0.1)[..., None], points_px)


def _tracks(
    clip: Clip, flows: dict[tuple[int, int], Flow], turns: list[Array], start: int, seeds: Array
) -> _Tracks:
    """Seeds of one picture through all; where lost, those of the background move as most of it."""
    width, height = clip.size
    places, seen = follow(flows, start, seeds, num_frames=len(clip))
    mask = _foreground_of(clip, start)
    foreground = np.zeros(len(seeds), bool)
    if mask is not None:
        foreground = sample(mask, seeds, nearest=True) > 0.5
    for a in range(start, len(clip) - 1):
        lost = ~seen[:, a + 1]
        places[lost, a + 1] = turned_points(turns[a], places[lost, a])
    for a in range(start, 0, -1):
        lost = ~seen[:, a - 1]
        back = np.linalg.inv(turns[a - 1]).astype(float)
        places[lost, a - 1] = turned_points(back, places[lost, a])
    log_z, z_weights = np.zeros(seen.shape), np.zeros(seen.shape)
    for i in range(len(clip)):
        at = np.flatnonzero(seen[:, i] & inside(places[:, i], width=width, height=height))
        log_z[at, i] = np.log(sample(clip.depth[i], places[at, i], nearest=True))
        z_weights[at, i] = 1e-3 + sample(clip.depth_weight[i], places[at, i], nearest=True)
    guessed = np.where(foreground, 0.0, GUESS_WEIGHT)
    return _Tracks(
        places=places, weights=np.where(seen, 1.0, guessed[:, None]),
        log_z=log_z, z_weights=z_weights, foreground=foreground,
        colours=sample(clip.images[start], seeds, nearest=True) / 255,
    )  # fmt: skip
