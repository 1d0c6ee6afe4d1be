"""Where a foot is at any time, from its footholds: heel strike, flat, toe-off, swing.

In contact the sole points turn about the one that stands, so that they are exactly still; the
swing continues position, velocity and acceleration of both stances that it joins, but for what
speed a foot still has when the ground stops it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recon.core.geometry import R_YUP_ZUP, Array, rotvec_to_matrix
from recon.core.rig import Rig
from recon.motion.curves import ease, quintic

_H = 1e-3
"""Seconds over which a stance's motion is differentiated at its ends."""
_KINK = 0.012
"""Metres over which the lowest point changes from toe to heel in mid-swing."""


@dataclass(frozen=True, kw_only=True)
class Stance:
    """One foothold.

    Args:
        start, end: seconds from first to last touch. position: (3,) metres, middle of the
            sole. yaw: radians, of the foot's own forward axis.
        strike: radians of toe-up pitch at the first touch (negative: toes first), gone after
            `landing` seconds. push: radians of heel-up pitch at the last, within `rolling`.
        clearance: metres by which the swing that follows is lifted, `tuck` radians its heel-up
            pitch. early: 0-1, the share of the swing when it is highest. leap: seconds of the
            swing in free fall (0: none), whose rise is then added. carry: of the swing's mean
            speed, what is left when it lands.
    """

    start: float
    end: float
    position: Array
    yaw: float
    strike: float = 0.0
    landing: float = 0.0
    push: float = 0.0
    rolling: float = 0.0
    clearance: float = 0.05
    tuck: float = 0.0
    early: float = 0.5
    leap: float = 0.0
    carry: float = 0.0


@dataclass(frozen=True, kw_only=True)
class FootState:
    """A foot at N times: rotation (N, 3, 3) and position (N, 3) of the ankle joint, toe-up bend
    of the toes (N,) in radians, contact (N, 2) bool of heel and toe."""

    rotations: Array
    ankle: Array
    toes: Array
    contact: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Sole:
    """One foot's sole points (2, 3), heel and toe, in the ankle's frame, and the pitch that
    lays them level in radians."""

    points: Array
    level: float

    @classmethod
    def of(cls, rig: Rig, foot: int) -> Sole:
        """The sole of the left (0) or right (1) foot."""
        points = rig.sole_points[2 * foot : 2 * foot + 2]
        rise = points[1] - points[0]
        return cls(points=points, level=float(np.arctan2(rise[1], rise[2])))

    def rotation(self, yaw: Array, pitch: Array) -> Array:
        """World rotations (N, 3, 3) of the ankle for a heading and a toe-up pitch (N,)."""
        turn, tilt = np.zeros((len(yaw), 3)), np.zeros((len(yaw), 3))
        turn[:, 2], tilt[:, 0] = yaw + np.pi / 2, self.level - pitch
        return rotvec_to_matrix(turn) @ R_YUP_ZUP.T @ rotvec_to_matrix(tilt)

    def drop(self, pitch: Array) -> Array:
        """Metres (N, 2) by which heel and toe lie below the ankle."""
        tilt = np.zeros((len(pitch), 3))
        tilt[:, 0] = self.level - pitch
        return -np.einsum("nj,pj->np", rotvec_to_matrix(tilt)[:, 1], self.points)


class FootTrack:
    """One foot's motion over a list of stances in order of time."""

    def __init__(self, sole: Sole, stances: list[Stance]) -> None:
        self.sole, self.stances = sole, stances
        self.starts = np.array([s.start for s in stances])
        self.ends = np.array([s.end for s in stances])
        self._pitch = quintic(self._pitch_knots())
        self._swings = [self._swing_curve(k) for k in range(len(stances) - 1)]

    def _pitch_knots(self) -> list[tuple[float, list[float]]]:
        """Knots of the toe-up pitch (value, rate, acceleration)."""
        knots: list[tuple[float, list[float]]] = []
        for k, s in enumerate(self.stances):
            if s.strike:
                knots.append((s.start, [s.strike, -1.9 * s.strike / s.landing, 0.0]))
            knots.append((s.start + s.landing, [0.0, 0.0, 0.0]))
            knots.append((s.end - s.rolling, [0.0, 0.0, 0.0]))
            if k + 1 == len(self.stances):
                break
            if s.push:
                knots.append((s.end, [-s.push, -1.9 * s.push / s.rolling, 0.0]))
            after = self.stances[k + 1]
            swing = after.start - s.end
            if s.tuck:
                knots.append((s.end + (0.2 + 0.3 * s.leap) * swing, [-s.tuck, 0.0, 0.0]))
            if after.strike:
                knots.append((after.start - 0.12 * swing, [1.06 * after.strike, 0.0, 0.0]))
        return knots

    def at(self, times: Array) -> FootState:
        """The foot at times (N,) seconds within its stances."""
        k = np.clip(np.searchsorted(self.starts, times, side="right") - 1, 0, None)
        swinging = times >= self.ends[k]
        pitch, yaw = self._pitch(times), np.array([s.yaw for s in self.stances])[k]
        toes = np.clip(-pitch, 0.0, 0.8)
        ankle = self._standing(times, k)
        last = len(self.stances) - 1
        for i in np.unique(k[swinging & (k < last)]):
            rows = np.flatnonzero(swinging & (k == i))
            u = (times[rows] - self.ends[i]) / (self.starts[i + 1] - self.ends[i])
            yaw[rows] += (self.stances[i + 1].yaw - self.stances[i].yaw) * ease(u)
            away = ease(u / 0.35) * (1 - ease((u - 0.65) / 0.35))
            toes[rows] *= 1 - away
            ankle[rows] = self._swinging(i, times[rows], u, pitch[rows])
        on = ~swinging[:, None] | (k == last)[:, None]
        landed, rolling = self._phases(times, k)
        strike = np.array([s.strike for s in self.stances])[k]
        heel = (landed | (strike >= 0)) & ~rolling
        toe = landed | (strike <= 0)
        return FootState(
            rotations=self.sole.rotation(yaw, pitch),
            ankle=ankle,
            toes=0.75 * toes,
            contact=on & np.stack([heel, toe], axis=1),
        )

    def _phases(self, times: Array, k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        landing = np.array([s.landing for s in self.stances])[k]
        rolling = np.array([s.rolling for s in self.stances])[k]
        return times >= self.starts[k] + landing, (times > self.ends[k] - rolling) & (rolling > 0)

    def _standing(self, times: Array, k: np.ndarray) -> Array:
        """Ankles (N, 3) at times in or just outside stances k, about the point that stands."""
        yaw = np.array([s.yaw for s in self.stances])[k]
        flat = self.sole.rotation(yaw, np.zeros(len(times)))
        centre = np.stack([s.position for s in self.stances])[k]
        rotations = self.sole.rotation(yaw, self._pitch(times))
        landed, _ = self._phases(times, k)
        strike = np.array([s.strike for s in self.stances])[k]
        # Before it is flat a foot turns about what touched first, afterwards about the toe.
        pivot = np.where(landed, 1, np.where(strike > 0, 0, 1))
        held = self.sole.points[pivot]
        middle = self.sole.points.mean(axis=0)
        place = centre + np.einsum("nij,nj->ni", flat, held - middle)
        return place - np.einsum("nij,nj->ni", rotations, held)

    def _swing_curve(self, k: int):
        """The ankle's course between stances k and k + 1 (level coordinates only)."""
        lift, land = self.ends[k], self.starts[k + 1]
        knots = []
        for stance, time in ((k, lift), (k + 1, land)):
            p = self._standing(time + np.array([-_H, 0.0, _H]), np.full(3, stance))[:, :2]
            knots.append((time, [p[1], (p[2] - p[0]) / (2 * _H), (p[0] - 2 * p[1] + p[2]) / _H**2]))
        rise = self.stances[k + 1].position[2] - self.stances[k].position[2]
        carry = self.stances[k].carry / (land - lift)
        knots[1][1][1] = knots[1][1][1] + carry * (knots[1][1][0] - knots[0][1][0])
        if rise:
            # Over the edge of a step: up before forward, forward before down.
            u, gone, bend = (0.33, 0.12, 3.0) if rise > 0 else (0.67, 0.88, -3.0)
            seconds, start, way = land - lift, knots[0][1][0], knots[1][1][0] - knots[0][1][0]
            via = [start + gone * way, 0.9 * way / seconds, bend * way / seconds**2]
            knots.insert(1, (lift + u * seconds, via))
        return quintic(knots)

    def _swinging(self, k: int, times: Array, u: Array, pitch: Array) -> Array:
        """Ankles (N, 3) in the swing after stance k, u in [0, 1] of it."""
        stance, after = self.stances[k], self.stances[k + 1]
        low, high = stance.position[2], after.position[2]
        rising = ease(u / 0.5) if high > low else ease((u - 0.5) / 0.5)
        lowest = self.sole.drop(pitch)
        gap = lowest[:, 0] - lowest[:, 1]
        kink = _KINK * np.sin(np.pi * u) ** 2
        below = 0.5 * (lowest.sum(axis=1) + np.sqrt(gap**2 + kink**2))
        out = np.empty((len(times), 3))
        out[:, :2] = self._swings[k](times)
        out[:, 2] = low + (high - low) * rising + below + stance.clearance * _bump(u, stance.early)
        if stance.leap:
            rise = 9.81 / 8 * stance.leap**2
            out[:, 2] += rise * 4 * u * (1 - u) * ease(u / 0.16) * ease((1 - u) / 0.16)
        return out


def _bump(u: Array, peak: float) -> Array:
    """A rise from 0 to 1 at `peak` and back to 0, at rest at both ends."""
    a, b = 3.0, 3.0 * (1 - peak) / peak
    if b < 3.0:
        a, b = 3.0 * peak / (1 - peak), 3.0
    return (u / peak) ** a * ((1 - u) / (1 - peak)) ** b
