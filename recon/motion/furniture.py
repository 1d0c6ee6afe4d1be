"""Things that people do with something solid: sitting on a chair, climbing over steps."""

from __future__ import annotations

import numpy as np

from recon.core.geometry import Array
from recon.motion.clip import Box
from recon.motion.curves import smooth
from recon.motion.score import Gait, Score, Tread

_SEAT_WIDTH, _SEAT_THICKNESS, _BACK_HEIGHT, _LEG = 0.44, 0.04, 0.42, 0.035
_BEHIND = 0.19
"""Metres from a sitter's pelvis to the back of the chair."""


def sit(score: Score, seconds: float) -> None:
    """Sits down on a chair, stays, and gets up again."""
    build, rng, start = score.build, score.rng, score.cursor
    busy = min(1.6 * rng.uniform(0.9, 1.15), 0.32 * seconds)
    seated, leaves, end = start + busy, start + seconds - busy, start + seconds
    back = build.foot_back - build.shin * np.sin(0.10) + 0.98 * build.thigh
    low = build.pelvis - build.hip + build.ankle + build.shin * np.cos(0.10) + 0.01
    lean, rest = rng.uniform(0.35, 0.5), rng.uniform(-0.18, -0.05)

    def keys(channel: str, seated_value: float, on_the_way: float | None = None) -> None:
        stood = build.pelvis if channel == "pelvis_cap" else 0.0
        score.key(channel, (start, stood), (seated, seated_value), (leaves, seated_value),
                  (end, stood))  # fmt: skip
        if on_the_way is not None:
            score.key(channel, (start + 0.55 * busy, on_the_way), (end - 0.6 * busy, on_the_way))

    keys("pelvis_cap", low)
    keys("pelvis_forward", -back)
    keys("pelvis_pitch", rest, lean)
    keys("spine_pitch", 0.08, lean)
    keys("knees_out", rng.uniform(0.05, 0.15))
    for side in ("left", "right"):
        keys(f"{side}_flex", rng.uniform(0.22, 0.32), 0.7)
        keys(f"{side}_elbow", rng.uniform(0.5, 0.62))
    keys("head_pitch", rng.uniform(-0.05, 0.15))
    score.props.extend(_chair(score.place, back=back, seat=low - build.seat))
    score.wait(seconds)


def _chair(place: Array, *, back: float, seat: float) -> list[Box]:
    """A chair behind somebody at a place (3,), for a pelvis `back` metres behind it."""
    front, rear = -0.17, -back - _BEHIND
    half = _SEAT_WIDTH / 2 - _LEG / 2
    middle = (seat - _SEAT_THICKNESS) / 2
    depth = (front + rear) / 2
    boxes = [
        ((depth, 0.0, seat - _SEAT_THICKNESS / 2), (front - rear, _SEAT_WIDTH, _SEAT_THICKNESS)),
        ((rear - _LEG / 2, 0.0, seat + _BACK_HEIGHT / 2), (_LEG, _SEAT_WIDTH, _BACK_HEIGHT)),
    ]
    boxes += [
        ((x, y, middle), (_LEG, _LEG, 2 * middle))
        for x in (front - _LEG, rear + _LEG)
        for y in (-half, half)
    ]
    return [_box("chair", place, *box) for box in boxes]


def climb(score: Score, seconds: float) -> None:
    """Climbs two steps, and goes down again on the other side if there is time for it."""
    rng = score.rng
    rise, going = rng.uniform(0.14, 0.18), rng.uniform(0.33, 0.37)
    along = int(rng.integers(2, 4))
    heights = [0.0, 0.0, rise, *[2 * rise] * along, rise, 0.0, 0.0]
    period = rng.uniform(0.62, 0.72)
    if seconds < (len(heights) + 1.5) * period:
        slow = seconds / (len(heights) + 1.5)
        if slow > 0.5:
            period = slow
        else:
            heights = heights[: 3 + along]
            period = min(period, seconds / (len(heights) + 1.5))
    count = len(heights) - 1
    start, end, place = score.cursor + 0.1, score.cursor + seconds, score.place
    gait = Gait(
        start=start, end=start + (count + 2) * period - 0.01, period=period, swing=0.72 * period,
        strike=0.0, push=0.5, rolling=0.4 * period, clearance=0.06, tuck=0.75, early=0.45,
        width=1.3 * score.style.width, first=score.style.lead,
    )  # fmt: skip
    ahead = gait.swing + 0.5 * (2 * period - gait.swing)
    times = np.arange(start, end, 0.01)
    reached = going * np.clip((times - start - ahead) / period + 1, 0, count)
    reached = smooth(reached, 0.7 * period)
    heading = np.array([np.cos(place[2]), np.sin(place[2])])
    way = np.repeat(place[None], len(times), axis=0)
    way[:, :2] += reached[:, None] * heading
    for k, z in enumerate(heights):
        middle = np.array([*(place[:2] + (k * going + score.build.foothold) * heading), z])
        score.treads.append(
            Tread(
                start=start, end=end, middle=middle, heading=place[2],
                half=going / 2,
            )
        )  # fmt: skip
    score.props.extend(_stairs(score, going, heights))
    score.hold(start, start + (count + 2) * period, fade=0.8, head_pitch=0.22)
    score.go(times, way)
    score.gaits.append(gait)
    score.cursor = end


def _stairs(score: Score, going: float, heights: list[float]) -> list[Box]:
    """One box for each run of treads of the same height."""
    boxes, first = [], 0
    for k in range(1, len(heights) + 1):
        if k == len(heights) or heights[k] != heights[first]:
            if heights[first] > 0:
                long, high = (k - first) * going, heights[first]
                middle = 0.5 * (first + k - 1) * going + score.build.foothold
                boxes.append(_box("step", score.place, (middle, 0.0, high / 2), (long, 1.0, high)))
            first = k
    return boxes


def _box(kind, place: Array, center: tuple, size: tuple) -> Box:
    """A box given in the axes of somebody at a place (3,)."""
    c, s = np.cos(place[2]), np.sin(place[2])
    x, y, z = center
    return Box(
        kind=kind, yaw=float(place[2]), size=np.array(size, dtype=float),
        center=np.array([place[0] + c * x - s * y, place[1] + s * x + c * y, z]),
    )  # fmt: skip
