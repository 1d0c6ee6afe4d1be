"""Footsteps from a score: which foot goes when, and where it lands."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from recon.core.geometry import Array
from recon.motion.feet import Stance
from recon.motion.score import Gait, Hop, Score

FOREVER = 30.0
"""Seconds that the first and the last foothold reach beyond the score."""
_HOME = 0.03
"""Metres from its place within which a foot need not step."""
_STANDING_WIDTH = 0.095
"""Metres, half the distance of the feet in standing."""


def plan(score: Score, start: float, end: float) -> tuple[list[Stance], list[Stance]]:
    """Footholds of the left and the right foot between `start` and `end` seconds."""
    feet = [[_foothold(score, foot, start, _STANDING_WIDTH)] for foot in (0, 1)]
    feet = [[replace(f[0], start=start - FOREVER)] for f in feet]
    events: list[Gait | Hop] = sorted([*score.gaits, *score.hops], key=lambda e: e.start)
    for event in events:
        if isinstance(event, Hop):
            _hop(score, feet, event)
        else:
            _walk(score, feet, event)
    return _closed(feet[0], end), _closed(feet[1], end)


def _closed(stances: list[Stance], end: float) -> list[Stance]:
    return [*stances[:-1], replace(stances[-1], end=max(end, stances[-1].start) + FOREVER)]


def _foothold(score: Score, foot: int, time: float, width: float) -> Stance:
    """Where a foot belongs at a time."""
    x, y, heading = score.places(np.array([time]))[0]
    side = 1 - 2 * foot
    forward, left = score.build.foothold, side * width
    c, s = np.cos(heading), np.sin(heading)
    position = np.array([x + c * forward - s * left, y + s * forward + c * left, 0.0])
    for tread in score.treads:
        along = np.array([np.cos(tread.heading), np.sin(tread.heading)])
        away = float((position - tread.middle)[:2] @ along)
        if tread.start <= time <= tread.end and abs(away) < tread.half:
            position[:2] -= away * along
            position[2] = tread.middle[2]
    return Stance(
        start=time, end=np.inf, position=position, yaw=heading + side * score.style.turnout
    )


def _off(stance: Stance, target: Stance) -> float:
    turned = abs(stance.yaw - target.yaw)
    return float(np.linalg.norm(stance.position - target.position)) + 0.15 * turned


def _walk(score: Score, feet: list[list[Stance]], gait: Gait) -> None:
    """One foot after the other goes where it belongs in the middle of its coming stance."""
    time, last = gait.start, None
    stance_time = 2 * gait.period - gait.swing
    ahead = gait.swing + gait.centre * stance_time
    while time < gait.end - 1e-9:
        landing = time + gait.swing
        here, there = score.places(np.array([time, time + ahead]))
        speed = float(np.linalg.norm(there[:2] - here[:2])) / ahead
        width = _STANDING_WIDTH + (gait.width - _STANDING_WIDTH) * min(speed / 0.5, 1.0)
        targets = [_foothold(score, foot, time + ahead, width) for foot in (0, 1)]
        waiting = [f for f in (0, 1) if feet[f][-1].start + feet[f][-1].landing + 0.1 < time]
        wants = {foot: _off(feet[foot][-1], targets[foot]) for foot in waiting}
        if last is None and gait.first is not None and gait.first in wants:
            wants = {gait.first: wants[gait.first]}
        elif last is not None and len(wants) == 2:
            wants[last] -= 0.02  # a foot goes twice in a row only if it really has to
        foot = max(wants, key=lambda f: (wants[f], f == score.style.lead)) if wants else None
        if foot is not None and wants[foot] > _HOME:
            _step(feet[foot], time, replace(targets[foot], start=landing), gait)
            last = foot
        time += gait.period


def _step(stances: list[Stance], lift: float, target: Stance, gait: Gait) -> None:
    """Ends the last stance at `lift` and adds the next; short steps roll less.

    On the way down the toes touch first, on the way up the whole sole.
    """
    before = stances[-1]
    length = np.linalg.norm(target.position - before.position)
    share = float(np.clip(length / 0.5, 0.15, 1.0))
    rise = target.position[2] - before.position[2]
    rolling = min(gait.rolling, 0.9 * (lift - before.start - before.landing))
    strike = gait.strike * share if rise == 0 else 0.0 if rise > 0 else -0.25
    landing = gait.landing if rise == 0 else 0.12
    stances[-1] = replace(
        before, end=lift, push=gait.push * share, rolling=rolling,
        clearance=gait.clearance * (0.5 + 0.5 * share), tuck=gait.tuck * share, early=gait.early,
        carry=gait.carry * share,
    )  # fmt: skip
    stances.append(replace(target, strike=strike, landing=landing if strike else 0.0))


def _hop(score: Score, feet: list[list[Stance]], hop: Hop) -> None:
    for foot, stances in enumerate(feet):
        target = _foothold(score, foot, hop.end + 0.3, _STANDING_WIDTH)
        stances[-1] = replace(
            stances[-1], end=hop.start, push=0.65, rolling=0.2, clearance=0.02, tuck=0.7,
            early=0.5, leap=hop.end - hop.start,
        )  # fmt: skip
        stances.append(replace(target, start=hop.end, strike=-0.35, landing=0.1))


def flights(left: list[Stance], right: list[Stance]) -> list[tuple[float, float]]:
    """Intervals (start, end) in seconds in which neither foot touches anything."""
    gaps = [[(a.end, b.start) for a, b in pairwise(stances)] for stances in (left, right)]
    both = [(max(a, c), min(b, d)) for a, b in gaps[0] for c, d in gaps[1]]
    return sorted((a, b) for a, b in both if b - a > 1e-6)


def grounded(stances: list[Stance], times: Array, *, margin: float = 0.0) -> np.ndarray:
    """(N,) bool: whether a foot touches something, or does within `margin` seconds."""
    on = np.zeros(len(times), bool)
    for s in stances:
        on |= (times >= s.start - margin) & (times <= s.end + margin)
    return on
