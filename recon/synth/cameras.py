"""Cameras that somebody could have held: paths round people, hand-held shake, and SLAM's errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy.ndimage import gaussian_filter1d

from recon.core.camera import CameraKind, CameraTrajectory, Intrinsics
from recon.core.geometry import Array, make_transform, rotvec_to_matrix, transform_points

CameraMove = Literal["static", "panning", "swaying", "orbiting", "forward", "following"]
CAMERA_MOVES: tuple[CameraMove, ...] = get_args(CameraMove)

NEAREST, FARTHEST = 2.5, 7.0
"""Metres between camera and people that films of people keep."""
_AIM_HEIGHT = 0.92
_STEP_RATE = 1.9
"""Steps a second of somebody who walks with a camera."""


def kind_of(move: CameraMove) -> CameraKind:
    """What the camera stage calls such a camera."""
    kinds: dict[CameraMove, CameraKind] = {"static": "static", "panning": "rotating"}
    return kinds.get(move, "moving")


def look_at(eye: Array, target: Array) -> Array:
    """Camera to world (..., 4, 4), OpenCV axes, of level cameras at `eye` looking at `target`."""
    z = target - eye
    z = z / np.linalg.norm(z, axis=-1, keepdims=True)
    x = np.cross(z, [0.0, 0.0, 1.0])
    x = x / np.linalg.norm(x, axis=-1, keepdims=True)
    return make_transform(np.stack([x, np.cross(z, x), z], axis=-1), eye)


def shake(times: Array, rng: np.random.Generator, *, width: int = 3) -> Array:
    """Unit-variance smooth unrest (T, width) of a hand: 0.2 to 4 Hz, less of it where faster.

    It depends on time alone, not on the frame rate.
    """
    rates = np.geomspace(0.2, 4.0, 10)
    sizes = rates**-1.0
    phases = rng.uniform(0, 2 * np.pi, (len(rates), width))
    waves = np.sin(2 * np.pi * rates[:, None, None] * times[:, None] + phases[:, None])
    return np.tensordot(sizes / np.sqrt(0.5 * np.sum(sizes**2)), waves, 1)


def film(
    move: CameraMove,
    roots: Array,
    times: Array,
    *,
    stature: float,
    intrinsics: Intrinsics,
    rng: np.random.Generator,
) -> Array:
    """Camera to world (T, 4, 4) of somebody who films these people this way.

    Heights are 1.2 to 1.8 m; the distance is such that people fill 30 to 80 % of the picture's
    height where there is room for all of them, and 2.5 to 7 m where they stay together.

    Args:
        roots: (P, T, 3) metres, the people's pelvises in the world. times: (T,) seconds.
        stature: metres, of the tallest.
    """
    centre = roots.mean(axis=0) * [1, 1, 0]
    spread = np.linalg.norm((roots - centre)[..., :2], axis=-1).max()
    height = rng.uniform(1.2, 1.8)
    if move in ("static", "panning", "swaying"):
        eye = _beside(centre, spread, times, move=move, stature=stature, k=intrinsics, rng=rng)
    elif move == "orbiting":
        eye = _round(centre, spread, times, stature=stature, k=intrinsics, rng=rng)
    else:
        eye = _along(centre, spread, times, move=move, stature=stature, k=intrinsics, rng=rng)
    eye = eye + np.array([0, 0, height])
    if move == "static":
        aim = np.tile(_middle(centre), (len(times), 1))
    else:
        aim = _smooth(centre, times, 0.6)
    aim = aim + np.array([0, 0, _AIM_HEIGHT])
    if move == "static":
        return look_at(eye, aim)
    if move == "panning":
        # A sweep beyond the people and back, as who looks round does.
        across = np.stack([-(aim - eye)[:, 1], (aim - eye)[:, 0], 0 * times], axis=-1)
        pace = rng.uniform(0.1, 0.2)
        aim = aim + 0.14 * np.sin(2 * np.pi * pace * times + rng.uniform(0, 6))[:, None] * across
    else:
        eye = eye + [0.012, 0.012, 0.008] * shake(times, rng)
    Ts = look_at(eye, aim + 0.08 * shake(times, rng) * [1, 1, 0.4])
    turn = np.radians([0.25, 0.25, 0.5]) * shake(times, rng)
    Ts[:, :3, :3] = Ts[:, :3, :3] @ rotvec_to_matrix(turn)
    return Ts


def _distance(spread: float, stature: float, k: Intrinsics, rng: np.random.Generator) -> float:
    """Metres at which a person fills a good part of the picture and everybody fits in its width."""
    filled = rng.uniform(0.5, 0.78)
    tall = stature * k.fy / (filled * k.height)
    wide = spread + (spread + 0.5) * k.fx / (0.45 * k.width)
    return float(max(np.clip(tall, NEAREST + spread, FARTHEST), wide))


def _middle(centre: Array) -> Array:
    return 0.5 * (centre.min(axis=0) + centre.max(axis=0))


def _smooth(points: Array, times: Array, seconds: float) -> Array:
    """Points (T, 3) followed by somebody who foresees where they go."""
    sigma = seconds / float(np.median(np.diff(times)))
    # Beyond its ends the way goes on as it was, so that the camera neither brakes nor jumps.
    reach = min(len(points) - 1, int(np.ceil(3 * sigma)))
    before = 2 * points[0] - points[reach:0:-1]
    after = 2 * points[-1] - points[-2 : -reach - 2 : -1]
    padded = np.concatenate([before, points, after])
    return gaussian_filter1d(padded, sigma, axis=0, mode="nearest")[reach : reach + len(points)]


def _level(angle: Array | float) -> Array:
    """Unit vectors (..., 3) in the floor's plane."""
    angle = np.asarray(angle, dtype=float)
    return np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=-1)


def _travel(centre: Array, times: Array) -> tuple[float, float]:
    """Direction (radians) and speed (m/s) of the people's way as a whole."""
    way = centre[-1] - centre[0]
    return float(np.arctan2(way[1], way[0])), float(
        np.linalg.norm(way) / max(times[-1] - times[0], 1e-6)
    )


def _beside(
    centre: Array, spread: float, times: Array, *, move: CameraMove, stature: float,
    k: Intrinsics, rng: np.random.Generator,
) -> Array:  # fmt: skip
    """Where somebody stands who does not walk: (T, 3), at the floor."""
    middle = _middle(centre)
    direction, speed = _travel(centre, times)
    travelled = float(np.linalg.norm((centre - middle)[:, :2], axis=1).max())
    if move == "panning":  # it turns after them: only the nearest point counts
        distance = max(_distance(spread, stature, k, rng), 0.35 * travelled)
    else:
        distance = _distance(spread + travelled, stature, k, rng)
    walking = speed > 0.4
    side = rng.choice([-1, 1]) * rng.uniform(0.35, 0.5) * np.pi
    angle = direction + side if walking else rng.uniform(0, 2 * np.pi)
    away = _level(angle)
    eye = np.tile(middle + distance * away, (len(times), 1))
    if move == "swaying":
        pace = 2 * np.pi * rng.uniform(0.12, 0.25)
        phase, size = rng.uniform(0, 6), rng.uniform(0.25, 0.5)
        eye += size * np.sin(pace * times + phase)[:, None] * _level(angle + np.pi / 2)
        eye += 0.4 * size * np.sin(0.7 * pace * times + 2 * phase)[:, None] * away
        eye += 0.04 * np.sin(1.3 * pace * times)[:, None] * [0, 0, 1]
    return eye


def _round(
    centre: Array, spread: float, times: Array, *, stature: float, k: Intrinsics,
    rng: np.random.Generator,
) -> Array:  # fmt: skip
    """A circle round the people, who may move on."""
    distance = _distance(spread, stature, k, rng)
    speed = min(np.radians(rng.uniform(8, 16)), 1.3 / distance) * rng.choice([-1, 1])
    angle = rng.uniform(0, 2 * np.pi) + speed * times
    steps = _gait(times, _level(angle), rng)
    return _smooth(centre, times, 1.5) + distance * _level(angle) + steps


def _along(
    centre: Array, spread: float, times: Array, *, move: CameraMove, stature: float,
    k: Intrinsics, rng: np.random.Generator,
) -> Array:  # fmt: skip
    """Walking ahead behind the people or up to them (forward), or at their side (following)."""
    direction, speed = _travel(centre, times)
    near = _distance(spread, stature, k, rng)
    if move == "forward" and speed < 0.4:
        far = max(FARTHEST, near + 1.0)
        angle = rng.uniform(0, 2 * np.pi)
        seconds = max(times[-1] - times[0], 1e-6)
        # At a walking pace until near enough; then slower all the way.
        pace = min(1.0, (far - near) / seconds)
        left = far - pace * (times - times[0])
        ahead = _level(angle)
        return _middle(centre) + left[:, None] * ahead + _gait(times, ahead, rng)
    if move == "forward":
        angle = direction + np.pi + rng.uniform(-0.25, 0.25)
    else:
        angle = direction + rng.choice([-1, 1]) * rng.uniform(0.2, 0.85) * np.pi
    angle = angle + 0.15 * np.sin(2 * np.pi * times / rng.uniform(7, 12) + rng.uniform(0, 6))
    distance = near * (1 + 0.08 * np.sin(2 * np.pi * times / rng.uniform(6, 10)))
    way = _smooth(centre, times, 1.0) + distance[:, None] * _level(angle)
    return way + _gait(times, _level(angle), rng)


def _gait(times: Array, ahead: Array, rng: np.random.Generator) -> Array:
    """The body of who films bobs at every step and rolls at every second one."""
    across = np.stack([-ahead[..., 1], ahead[..., 0], 0 * ahead[..., 2]], axis=-1)
    phase = np.pi * _STEP_RATE * rng.uniform(0.9, 1.1) * times + rng.uniform(0, 6)
    bob = 0.012 * np.cos(2 * phase)[:, None] * [0, 0, 1]
    return bob + 0.012 * np.sin(phase)[:, None] * across


# What SLAM makes of it --------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class SlamNoise:
    """Errors of a camera tracker (standard deviations).

    Args:
        drift: position at the end, share of the path's length. turn: radians after ten seconds.
        scale: log scale at the end, against the beginning. jitter: metres, and jitter_turn:
            radians, independent from frame to frame. focal: relative error of the focal length.
    """

    drift: float = 0.006
    turn: float = 0.006
    scale: float = 0.015
    jitter: float = 0.0015
    jitter_turn: float = 0.0004
    focal: float = 0.0


TRUE_CAMERA = SlamNoise(drift=0, turn=0, scale=0, jitter=0, jitter_turn=0)


@dataclass(frozen=True, kw_only=True)
class Gauge:
    """Where a slam frame lies: `p_world = scale R p_slam + t`."""

    scale: float
    R_world_slam: Array
    t_world_slam: Array

    def to_slam(self, Ts_world_camera: Array) -> Array:
        """Camera to slam (T, 4, 4) of cameras in the world."""
        rotation = self.R_world_slam.T @ Ts_world_camera[..., :3, :3]
        return make_transform(rotation, self.points_to_slam(Ts_world_camera[..., :3, 3]))

    def points_to_slam(self, points: Array) -> Array:
        """Points (..., 3) of the world in the slam frame."""
        return (points - self.t_world_slam) @ self.R_world_slam / self.scale


def random_gauge(move: CameraMove, first: Array, rng: np.random.Generator) -> Gauge:
    """A gauge in which no axis is upright; metres where the camera does not move.

    Args:
        first: (4, 4) camera to world of the first frame.
    """
    if kind_of(move) != "moving":
        return Gauge(scale=1.0, R_world_slam=first[:3, :3], t_world_slam=first[:3, 3])
    turn = rotvec_to_matrix(rng.standard_normal(3))
    return Gauge(
        scale=float(np.exp(rng.uniform(-1, 1.2))), R_world_slam=turn,
        t_world_slam=first[:3, 3] + rng.standard_normal(3),
    )  # fmt: skip


def tracked_camera(
    Ts_world_camera: Array,
    times: Array,
    *,
    move: CameraMove,
    gauge: Gauge,
    intrinsics: Intrinsics,
    points_world: Array,
    noise: SlamNoise,
    rng: np.random.Generator,
) -> CameraTrajectory:
    """The trajectory as a camera tracker finds it, with its errors, in a gauge of its own.

    Args:
        points_world: (P, 3) of the place, of which those in view of some frame are kept.
    """
    kind = kind_of(move)
    Ts = Ts_world_camera if kind == "static" else _drifted(Ts_world_camera, times, noise, rng)
    if kind == "rotating":
        Ts = Ts.copy()
        Ts[:, :3, 3] = gauge.t_world_slam
    seen = points_world[_in_view(points_world, Ts_world_camera[::15], intrinsics)]
    if kind != "moving":
        seen = seen[:0]  # without parallax there are no points
    depth = np.linalg.norm(seen - Ts_world_camera[:, :3, 3].mean(axis=0), axis=1, keepdims=True)
    size = 2 * noise.jitter * depth / FARTHEST
    seen = seen + size * rng.standard_normal(seen.shape)
    focal = 1 + noise.focal * rng.standard_normal() if noise.focal else 1.0
    found = Intrinsics(
        fx=intrinsics.fx * focal, fy=intrinsics.fy * focal, cx=intrinsics.cx, cy=intrinsics.cy,
        width=intrinsics.width, height=intrinsics.height,
        source="estimated" if noise.focal else intrinsics.source,
    )  # fmt: skip
    return CameraTrajectory(
        kind=kind, backend="synthetic", intrinsics=found, Ts_slam_camera=gauge.to_slam(Ts),
        tracked=np.ones(len(Ts), bool), points_slam=gauge.points_to_slam(seen),
        point_colors=np.full(seen.shape, 128, np.uint8),
    )  # fmt: skip


def _drifted(
    Ts_world_camera: Array, times: Array, noise: SlamNoise, rng: np.random.Generator
) -> Array:
    """The path with errors that add up along it, anchored at the first frame."""
    centres = Ts_world_camera[:, :3, 3]
    steps = np.diff(centres, axis=0)
    length = np.linalg.norm(steps, axis=1)
    total = max(float(length.sum()), 1e-9)
    dt = np.diff(times, prepend=times[0])[:, None]
    walk = rng.standard_normal((len(times), 3)) * np.sqrt(dt / 10.0)
    turn = rotvec_to_matrix(noise.turn * np.cumsum(walk, axis=0))
    share = np.sqrt(length / total)
    grown = np.exp(noise.scale * np.cumsum(share * rng.standard_normal(len(share))))
    stray = noise.drift * total * share[:, None] * rng.standard_normal(steps.shape)
    moved = np.einsum("nij,nj->ni", turn[1:], steps * grown[:, None]) + stray
    centres = centres[0] + np.concatenate([np.zeros((1, 3)), np.cumsum(moved, axis=0)])
    centres = centres + noise.jitter * rng.standard_normal(centres.shape)
    wobble = rotvec_to_matrix(noise.jitter_turn * rng.standard_normal(centres.shape))
    return make_transform(turn @ Ts_world_camera[:, :3, :3] @ wobble, centres)


def _in_view(points: Array, Ts_world_camera: Array, intrinsics: Intrinsics) -> np.ndarray:
    """(P,) bool: before some camera and inside its picture."""
    seen = np.zeros(len(points), bool)
    for T in Ts_world_camera:
        local = transform_points(np.linalg.inv(T), points)
        front = local[:, 2] > 0.3
        px = intrinsics.project(np.where(front[:, None], local, [0.0, 0.0, 1.0]))
        seen |= front & ((px > 0) & (px < [intrinsics.width, intrinsics.height])).all(axis=1)
    return seen


def visible_extent(Ts_world_camera: Array, roots: Sequence[Array]) -> Array:
    """Least and most x, y (2, 2) metres of where cameras and people are."""
    places = np.concatenate([Ts_world_camera[:, :3, 3], *roots])[:, :2]
    return np.stack([places.min(axis=0), places.max(axis=0)])
