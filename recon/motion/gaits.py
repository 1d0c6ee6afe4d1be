"""Walking, running and turning: where the body goes and how its feet follow."""

from __future__ import annotations

import numpy as np

from recon.core.geometry import Array
from recon.motion.curves import ease, spline
from recon.motion.room import angle_inwards, around, bearing, obstacles_of
from recon.motion.score import Gait, Score

_STEP = 0.01
"""Seconds between the points of a course."""
_WALK_RATIO = 0.39
"""Metres a second squared: length of a step over cadence (0.0065 m per step/min, Sekiya 1996)."""
_TURN_RATE = 1.2
"""Radians a second that somebody under way turns at most."""
_SPIN, _TURN_STEP = 1.0, 0.42
"""Radians a second of turning on the spot, and seconds from step to step in it."""
_LATERAL = 2.5
"""m/s^2 across the way that people accept in a bend."""


def walk(score: Score, seconds: float, *, speed: float | None = None, ramp: bool = True,
         path: Array | None = None, within: tuple[Array, float] | None = None) -> None:  # fmt: skip
    """Walks for `seconds`, from rest to rest if `ramp`.

    Args:
        speed: m/s; None is the person's own.
        path: (P, 2) metres, points to pass; stands where it ends. within: centre (2,) and
            radius of the disc to stay in; None walks nearly straight on.
    """
    size = score.build.leg / 0.82
    speed = float(speed or 1.25 * score.style.pace * np.sqrt(size))
    period = 1 / (np.sqrt(speed / (_WALK_RATIO * size)) * score.style.cadence)
    _travel(score, seconds, speed=speed, period=period, ramp=ramp, path=path, within=within,
            gait=Gait(
                start=0, end=0, period=period, swing=0.78 * period, strike=0.32,
                landing=0.22 * period, push=0.68, rolling=0.52 * period, clearance=0.025,
                tuck=0.86, early=0.45, width=score.style.width, carry=0.12,
            ))  # fmt: skip


def run(score: Score, seconds: float, *, speed: float | None = None, ramp: bool = True,
        path: Array | None = None, within: tuple[Array, float] | None = None) -> None:  # fmt: skip
    """Runs for `seconds`; arguments as for `walk`."""
    size = score.build.leg / 0.82
    speed = float(speed or 2.7 * score.style.pace * np.sqrt(size))
    period = 1 / ((2.45 + 0.1 * speed) * score.style.cadence / np.sqrt(size))
    flight = 0.09 + 0.012 * speed
    posture = {"spine_pitch": 0.03 + 0.025 * speed, "left_elbow": 1.15, "right_elbow": 1.15}
    posture["pelvis_pitch"] = 0.03 * speed
    start, end = score.cursor, score.cursor + seconds
    if ramp:
        score.hold(start, end, fade=0.6, **posture)
    else:
        for name, value in posture.items():
            score.key(name, (start, value))
    _travel(score, seconds, speed=speed, period=period, ramp=ramp, path=path, within=within,
            gait=Gait(
                start=0, end=0, period=period, swing=period + flight, strike=0.16, landing=0.04,
                push=0.75, rolling=0.45 * (period - flight), 
                clearance=min(0.10 + 0.06 * speed, 0.28) * size,
                tuck=1.25, early=0.38, width=0.6 * score.style.width, centre=0.34 + 0.015 * speed,
                carry=0.3,
            ))  # fmt: skip


def turn(score: Score, seconds: float, *, angle: float) -> None:
    """Turns on the spot by `angle` radians, stepping, and stands until `seconds` are over."""
    period = _TURN_STEP / score.style.cadence
    busy = max(min(abs(angle) / _SPIN, seconds - 3 * period), 2 * period)
    start = score.cursor
    score.gaits.append(
        Gait(
            start=start, end=start + busy + 2.2 * period, period=period, swing=0.7 * period,
            push=0.45, rolling=0.2, clearance=0.03, tuck=0.5, width=0.095,
            first=0 if angle > 0 else 1,
        )
    )  # fmt: skip
    score.key("head_yaw", (start, 0.0), (start + 0.3, 0.4 * np.sign(angle)), (start + busy, 0.0))
    score.wait(0.15)
    score.shift(busy, turn=angle)
    score.wait(start + seconds - score.cursor)


def turn_to(score: Score, seconds: float, angle: float) -> float:
    """Turns before something else that has `seconds` in all; how long the turn takes."""
    if abs(angle) < 0.3:
        return 0.0
    needed = min(abs(angle) / _SPIN + 4 * _TURN_STEP, 0.5 * seconds)
    most = _SPIN * (needed - 4 * _TURN_STEP)
    turn(score, needed, angle=float(np.clip(angle, -most, most)))
    return needed


def _travel(
    score: Score, seconds: float, *, speed: float, period: float, ramp: bool,
    path: Array | None, within: tuple[Array, float] | None, gait: Gait,
) -> None:  # fmt: skip
    """Writes a course at `speed` and a gait that follows it."""
    if within is not None:
        if ramp:
            seconds -= turn_to(score, seconds, angle_inwards(score, within))
        speed = min(speed, 0.55 * _TURN_RATE * within[1])  # or there is no room to turn
    start, stop = score.cursor, score.cursor + seconds
    settle = gait.swing + 1.2 * period if ramp else 0.0
    moving = max(seconds - settle, 0.5 * seconds)
    times = np.arange(0.0, moving + 0.5 * _STEP, _STEP)
    pace = np.full(len(times), float(speed))
    if ramp:
        gather = min(1.6 * period + 0.15 * speed, 0.45 * moving)
        pace *= ease(times / gather) * ease((moving - times) / gather)
    if path is not None:
        places = _along(score.place, path, pace)
    else:
        places = _wander(score, pace, within)
    score.go(start + times, places)
    score.gaits.append(
        Gait(**{**gait.__dict__, "start": start, "end": stop - gait.swing if ramp else stop})
    )
    score.wait(stop - score.cursor)


def _along(place: Array, path: Array, pace: Array) -> Array:
    """Places (N, 3) along a smooth line from `place` through points, slowing to a stand there."""
    points = np.concatenate([place[None, :2], np.asarray(path, float)])
    chords = np.linalg.norm(np.diff(points, axis=0), axis=1)
    points = points[np.concatenate([[True], chords > 1e-3])]
    chords = chords[chords > 1e-3]
    if not len(chords):
        return np.repeat(place[None], len(pace), axis=0)
    knots = np.concatenate([[0.0], np.cumsum(np.sqrt(chords))])  # centripetal
    line = spline(knots, points)
    fine = np.linspace(0, knots[-1], 60 * len(knots))
    where = line(fine)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(where, axis=0), axis=1))])
    heading = np.unwrap(np.arctan2(*line(fine, 1).T[::-1]))
    heading += 2 * np.pi * np.round((place[2] - heading[0]) / (2 * np.pi))
    gone = _progress(pace, length, heading)
    return np.stack([np.interp(gone, length, column) for column in (*where.T, heading)], axis=1)


def _progress(pace: Array, length: Array, heading: Array) -> Array:
    """Metres (N,) gone along a line at a pace, slower in its bends and before its end.

    Args:
        pace: (N,) m/s. length, heading: (K,) metres and radians along the line.
    """
    bend = np.abs(np.gradient(heading, np.maximum(length, 1e-9 * np.arange(len(length)))))
    fastest = np.minimum(np.sqrt(_LATERAL / np.maximum(bend, 1e-3)), _TURN_RATE / (bend + 1e-3))
    ahead = np.searchsorted(length, length + 0.5 * float(pace.max()), side="right")
    behind = np.searchsorted(length, length - 0.3)
    slowest = np.array([fastest[a:b].min() for a, b in zip(behind, ahead, strict=True)])
    brake = max(0.6, 0.5 * float(pace.max()))
    gone, out, speed = 0.0, np.empty(len(pace)), 0.0
    for i, v in enumerate(pace):
        left = length[-1] - gone
        wish = min(float(v), float(np.interp(gone, length, slowest)), v * left / brake)
        speed += (wish - speed) * min(1.0, _STEP / 0.12) if i else wish - speed
        gone = min(gone + speed * _STEP, length[-1])
        out[i] = gone
    return out


def _wander(score: Score, pace: Array, within: tuple[Array, float] | None) -> Array:
    """Places (N, 3) on a gently winding way, kept within a disc by steering towards it."""
    rng = score.rng
    phase, rate = rng.uniform(0, 2 * np.pi, 2), rng.uniform(0.1, 0.25, 2)
    at = np.arange(len(pace)) * _STEP
    drift = 0.08 * np.sin(2 * np.pi * rate[:, None] * at + phase[:, None]).sum(axis=0)
    out = np.empty((len(pace), 3))
    here, heading = score.place[:2], score.place[2]
    top = float(pace.max())
    turning, side = 0.0, 1.0 if rng.random() < 0.5 else -1.0
    obstacles = obstacles_of(score)
    for i, v in enumerate(pace):
        wish = float(drift[i])
        if within is not None:
            wish += _homewards(here, heading, top, within, side)
        wish += around(here, heading, obstacles)
        turning += (np.clip(wish, -_TURN_RATE, _TURN_RATE) - turning) * _STEP / 0.25
        heading += turning * _STEP * min(2 * v, 1.0)
        here = here + v * _STEP * np.array([np.cos(heading), np.sin(heading)])
        out[i] = *here, heading
    return out


def _homewards(
    here: Array, heading: float, speed: float, within: tuple[Array, float], side: float
) -> float:
    """Turning rate that keeps a walker inside a disc: none in its middle, full near its rim."""
    centre, radius = within
    ahead = here + speed / _TURN_RATE * np.array([np.cos(heading), np.sin(heading)])
    to = bearing(here, heading, centre)
    if abs(to) > 2.6:
        to = side * abs(to)
    out = float(np.linalg.norm(ahead - centre)) / radius
    return float(2.5 * to * ease(np.array([(out - 0.4) / 0.4]))[0])
