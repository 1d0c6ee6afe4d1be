"""Motion made up from a seed: people walk, run, turn, squat, jump, reach, sit, climb and dance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from recon.core.errors import InputError
from recon.core.geometry import Array
from recon.core.rig import Rig
from recon.motion import actions, furniture, gaits
from recon.motion.clip import MotionClip
from recon.motion.performance import Performance
from recon.motion.room import angle_for
from recon.motion.score import Build, Score, Style

Action = Literal["stand", "walk", "run", "turn", "squat", "jump", "reach", "sit", "climb", "dance"]
ACTIONS: tuple[Action, ...] = get_args(Action)
_STEADY = 3.0
"""Seconds that a clip of one gait goes on before its first and after its last frame."""


def procedural(
    action: Action,
    rig: Rig,
    *,
    seconds: float = 4.0,
    fps: float = 30.0,
    seed: int = 0,
    times: Array | None = None,
    start: tuple[float, float] = (0.0, 0.0),
    heading: float = 0.0,
    speed: float | None = None,
    path: Array | None = None,
    radius: float | None = None,
) -> MotionClip:
    """Somebody doing one thing: the same curve at any frame rate, another one for every seed.

    Walking and running are under way at the first frame and the last, unless along a path or
    within a radius; everything else begins and ends standing.

    Args:
        times: (N,) seconds of the frames, from 0 on; None: `seconds` at `fps` frames a second.
        start: metres, where the first frame is; heading: radians, counter-clockwise from x.
        speed: m/s of walk and run; None is the person's own.
        path: (P, 2) metres, points to walk or run past, from `start`, to stand at the last; it
            sets the heading too.
        radius: metres around `start` to stay within while walking or running.
    Raises:
        InputError: an unknown action, no time, no human speed, or a path of another shape.
    """
    _check(action, seconds)
    _check_way(action, path, speed)
    seconds, times = _times(seconds, fps, times)
    score = _score(action, rig, seed, start, heading)
    if action in ("walk", "run"):
        steady = path is None and radius is None
        disc = None if radius is None else (np.array(start), radius)
        _go(score, action, seconds, speed=speed, path=path, radius=disc, steady=steady)
    else:
        seconds = max(seconds, _LEAST[action])  # of less than that, the clip is the beginning
        _act(score, action, seconds)
    return Performance(score, rig, start=0.0, end=seconds).clip(action, times)


def sequence(
    parts: Sequence[Action],
    rig: Rig,
    *,
    seconds: float = 10.0,
    fps: float = 30.0,
    seed: int = 0,
    times: Array | None = None,
    start: tuple[float, float] = (0.0, 0.0),
    heading: float = 0.0,
    speed: float | None = None,
    radius: float | None = 3.0,
) -> MotionClip:
    """Somebody doing several things one after the other, standing for a moment in between.

    Args:
        parts: what to do; `seconds` are shared out by how long each usually takes.
        radius: metres around `start` to stay within, as far as the parts allow; None: anywhere.
        The others as for `procedural`.
    Raises:
        InputError: no or unknown parts, no time, or no way round the props.
    """
    if not parts:
        raise InputError(f"expected one or more parts of {', '.join(ACTIONS)}, got none")
    for part in parts:
        _check(part, seconds)
    seconds, times = _times(seconds, fps, times)
    lengths = _shares(parts, seconds)
    disc = None if radius is None else (np.array(start), radius)
    best, least = None, np.inf
    for attempt in range(_ATTEMPTS):
        score = _score(f"sequence {attempt}", rig, seed, start, heading)
        for part, length in zip(parts, lengths, strict=True):
            if part in ("walk", "run"):
                _go(score, part, length, speed=speed, path=None, radius=disc, steady=False)
            else:
                _act(score, part, length - _make_room(score, part, length, disc))
        clip = Performance(score, rig, start=0.0, end=seconds).clip("+".join(parts), times)
        strays = _strays(clip, disc)
        if strays < least and not _walks_through(clip):
            best, least = clip, strays
        if least < _STRAYS:
            break
    if best is None:
        raise InputError(
            f"expected a way round the chairs and steps of {', '.join(parts)}, found none in "
            f"{_ATTEMPTS} tries; give more seconds or room (radius), or fewer of them"
        )
    return best


_ATTEMPTS = 20
_STRAYS = 0.2
"""Metres outside of their disc that people may stray."""


def _make_room(score: Score, part: str, seconds: float, disc: tuple[Array, float] | None) -> float:
    """Turns so that a chair or steps stand where nobody came from; how long it takes."""
    if part == "climb":
        angle = angle_for(score, near=0.5, far=3.8, half=0.8, within=disc)
    elif part == "sit":
        angle = angle_for(score, near=-0.9, far=-0.1, half=0.5, within=disc)
    else:
        return 0.0
    return gaits.turn_to(score, seconds, angle)


def _strays(clip: MotionClip, disc: tuple[Array, float] | None) -> float:
    """Metres by which somebody leaves a disc (its centre (2,) and radius)."""
    if disc is None:
        return 0.0
    away = np.linalg.norm(clip.poses.root[:, :2] - disc[0], axis=1)
    return max(float(away.max()) - disc[1], 0.0)


def _walks_through(clip: MotionClip) -> bool:
    """Whether a foot is ever inside a prop."""
    soles = clip.rig.soles(clip.poses)
    return any(
        bool(np.any(np.all(np.abs(box.local(soles)) < box.size / 2 - 1e-3, axis=-1)))
        for box in clip.props
    )


_USUAL: dict[str, float] = {
    "stand": 1.5, "walk": 4.0, "run": 3.5, "turn": 3.2, "squat": 3.0, "jump": 2.2, "reach": 2.6,
    "sit": 6.0, "climb": 8.5, "dance": 5.0,
}  # fmt: skip
"""Seconds that each action takes by itself."""


_LEAST: dict[str, float] = {
    "stand": 0.5, "walk": 1.5, "run": 1.5, "turn": 2.2, "squat": 1.6, "jump": 1.7, "reach": 1.4,
    "sit": 3.0, "climb": 4.2, "dance": 1.5,
}  # fmt: skip
"""Seconds below which an action cannot be done by a person."""

_SPEEDS = {"walk": (0.3, 2.3), "run": (1.2, 5.0)}
"""m/s, of the slowest and the fastest."""


def _shares(parts: Sequence[Action], seconds: float) -> Array:
    """Seconds that each part of a sequence gets."""
    usual = np.array([_USUAL[part] for part in parts])
    least = np.array([_LEAST[part] for part in parts])
    if seconds < least.sum():
        raise InputError(
            f"expected at least {least.sum():.1f} seconds for {', '.join(parts)}, got {seconds:g}; "
            "give more, or fewer parts"
        )
    if seconds > usual.sum():
        return usual * seconds / usual.sum()
    return least + (usual - least) * (seconds - least.sum()) / (usual - least).sum()


def _check(action: str, seconds: float) -> None:
    if action not in ACTIONS:
        raise InputError(f"expected an action of {', '.join(ACTIONS)}; got {action!r}")
    if seconds <= 0:
        raise InputError(f"{action}: expected a positive number of seconds, got {seconds}")


def _check_way(action: str, path: Array | None, speed: float | None) -> None:
    if path is not None and (np.ndim(path) != 2 or np.shape(path)[1] != 2 or len(path) == 0):
        raise InputError(f"path: expected points (P, 2) in metres, got shape {np.shape(path)}")
    if speed is not None and action in _SPEEDS:
        low, high = _SPEEDS[action]
        if not low <= speed <= high:
            raise InputError(f"{action}: expected a speed of {low} to {high} m/s, got {speed:g}")


def _times(seconds: float, fps: float, times: Array | None) -> tuple[float, Array]:
    """How long a clip is, and its frames' times from 0 on."""
    if times is None:
        return seconds, np.arange(max(2, round(seconds * fps))) / fps
    times = np.asarray(times, dtype=float)
    if len(times) == 0 or times[0] < 0 or times[-1] <= 0:
        raise InputError(f"expected times from 0 on, in seconds, got {times}")
    return float(times[-1]), times


def _score(name: str, rig: Rig, seed: int, start: tuple[float, float], heading: float) -> Score:
    rng = np.random.default_rng([seed, *name.encode()])
    build = Build.of(rig)
    score = Score(
        build=build, style=Style.random(rng, build), rng=rng,
        place=np.array([start[0], start[1], heading], dtype=float),
    )  # fmt: skip
    _idle(score)
    return score


def _idle(score: Score) -> None:
    """Small slow movements that never stop."""
    for channel, size in (
        ("pelvis_forward", 1.0), ("pelvis_left", 1.0), ("spine_pitch", 3.0), ("spine_roll", 2.0),
        ("spine_yaw", 3.0), ("head_yaw", 6.0), ("head_pitch", 4.0), ("left_flex", 4.0),
        ("right_flex", 4.0), ("left_elbow", 5.0), ("right_elbow", 5.0), ("left_abduct", 2.0),
        ("right_abduct", 2.0),
    ):  # fmt: skip
        rate, phase = score.rng.uniform(0.15, 0.5, 2), score.rng.uniform(0, 2 * np.pi, 2)
        scale = size * score.style.sway

        def wave(t: Array, rate=rate, phase=phase, scale=scale) -> Array:
            return scale * np.sin(2 * np.pi * rate * t[:, None] + phase).sum(axis=1)

        score.waves.append((channel, wave))


def _go(score: Score, action: str, seconds: float, *, speed: float | None, path: Array | None,
        radius: tuple[Array, float] | None, steady: bool) -> None:  # fmt: skip
    """Walks or runs: from rest to rest, or under way before the first frame and after the last."""
    move = gaits.walk if action == "walk" else gaits.run
    if not steady:
        move(score, seconds, speed=speed, path=path, within=radius)
        return
    origin = score.place
    score.cursor = -_STEADY
    move(score, seconds + 2 * _STEADY, speed=speed, ramp=False)
    # The way was written from three seconds before the first frame: lay its first frame at home.
    there = score.places(np.zeros(1))[0]
    turn = origin[2] - there[2]
    c, s = np.cos(turn), np.sin(turn)
    for k, (at, places) in enumerate(score.course):
        moved = (places[:, :2] - there[:2]) @ np.array([[c, s], [-s, c]]) + origin[:2]
        score.course[k] = (at, np.concatenate([moved, places[:, 2:] + turn], axis=1))


def _act(score: Score, action: str, seconds: float) -> None:
    if action == "turn":
        count = max(1, round(seconds / _USUAL["turn"]))
        for _ in range(count):
            most = min(3.1, seconds / count - 1.3)
            angle = score.rng.uniform(0.5 * most, most) * (1 if score.rng.random() < 0.5 else -1)
            gaits.turn(score, seconds / count, angle=angle)
        return
    {
        "stand": actions.stand, "squat": actions.squat, "jump": actions.jump,
        "reach": actions.reach, "sit": furniture.sit, "climb": furniture.climb,
        "dance": actions.dance,
    }[action](score, seconds)  # fmt: skip
