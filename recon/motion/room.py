"""Room to move: ways round what stands in the world, and where things can stand."""

from __future__ import annotations

import numpy as np

from recon.core.geometry import Array
from recon.motion.score import Score

_BERTH = 0.3
"""Metres that walkers keep from what stands in the world."""


def bearing(here: Array, heading: float, there: Array) -> float:
    """Radians, -pi to pi, to turn from a heading to face a point."""
    away = there - here
    return float((np.arctan2(away[1], away[0]) - heading + np.pi) % (2 * np.pi) - np.pi)


def obstacles_of(score: Score) -> Array:
    """Discs (K, 3) of x, y and radius around what stands in the world."""
    return np.array(
        [[*box.center[:2], 0.5 * np.hypot(*box.size[:2]) + _BERTH] for box in score.props]
    ).reshape(-1, 3)


def around(here: Array, heading: float, obstacles: Array) -> float:
    """Turning rate away from the obstacles that are near and ahead."""
    rate = 0.0
    for x, y, radius in obstacles:
        away = np.array([x, y]) - here
        near = 1 - (float(np.linalg.norm(away)) - radius) / 0.9
        to = bearing(here, heading, np.array([x, y]))
        if near > 0 and abs(to) < 1.4:
            rate -= 3.0 * near * (1.0 if to >= 0 else -1.0)
    return rate


def angle_inwards(score: Score, within: tuple[Array, float]) -> float:
    """Radians to turn towards a disc's middle, past obstacles, if the way ahead soon leaves it."""
    centre, radius = within
    here, heading = score.place[:2], score.place[2]
    ahead = here + 0.8 * radius * np.array([np.cos(heading), np.sin(heading)])
    obstacles = obstacles_of(score)
    if np.linalg.norm(ahead - centre) < 0.9 * radius and _free(here, heading, obstacles):
        return 0.0
    angle = bearing(here, heading, centre)
    aside = (0.0, 0.5, -0.5, 0.9, -0.9, 1.3, -1.3, 1.7, -1.7)
    angle += next((a for a in aside if _free(here, heading + angle + a, obstacles)), 0.0)
    return angle + 0.2 * float(score.rng.uniform(-1, 1))


def angle_for(
    score: Score, *, near: float, far: float, half: float, within: tuple[Array, float] | None
) -> float:
    """Radians to turn so that nobody has been where something is to stand.

    Args:
        near, far: metres ahead (negative: behind) between which it stands, `half` to each side.
        within: centre (2,) and radius of the disc in which it is to stand, if that can be.
    """
    been = np.concatenate([np.zeros((0, 3)), *(places for _, places in score.course)])[::10, :2]
    place = score.place
    taken = np.concatenate([been, *(box.corners()[:, :2] for box in score.props)]) - place[:2]
    best, least = 0.0, np.inf
    for angle in np.linspace(-np.pi, np.pi, 33):
        c, s = np.cos(place[2] + angle), np.sin(place[2] + angle)
        along, across = taken @ [c, s], taken @ [-s, c]
        hits = np.sum((along > near) & (along < far) & (np.abs(across) < half))
        cost = 10.0 * float(hits) + 0.3 * abs(angle)
        if within is not None:
            end = place[:2] + max(far, 1.0) * np.array([c, s]) - within[0]
            cost += 3.0 * max(float(np.linalg.norm(end)) - within[1], 0)
        if cost < least:
            best, least = float(angle), cost
    return best


def _free(here: Array, heading: float, obstacles: Array) -> bool:
    """Whether one can walk straight on for a while, coming no nearer to an obstacle's disc."""
    line = here + np.linspace(0.0, 1.5, 9)[:, None] * [np.cos(heading), np.sin(heading)]
    gaps = np.linalg.norm(line[:, None] - obstacles[None, :, :2], axis=-1) - obstacles[:, 2]
    return bool(np.all(gaps.min(axis=0, initial=np.inf) >= np.minimum(gaps[0], 0) - 1e-9))
