"""Things that people do on the spot: each writes its part of a score."""

from __future__ import annotations

import numpy as np

from recon.motion.curves import ease
from recon.motion.score import Gait, Hop, Score


def stand(score: Score, seconds: float) -> None:
    """Stands, shifting the weight from foot to foot and looking around."""
    start = score.cursor
    for channel, size in (("pelvis_left", 0.035), ("head_yaw", 0.45), ("spine_yaw", 0.08)):
        at = start
        while at + 2.0 < start + seconds:
            value = size * score.rng.uniform(-1, 1)
            at += score.rng.uniform(1.2, 2.5)
            if at + 0.8 < start + seconds:
                score.key(channel, (at, value))
        score.key(channel, (start, 0.0), (start + seconds, 0.0))
    score.wait(seconds)


def squat(score: Score, seconds: float) -> None:
    """Squats once in about three seconds, arms forward for balance."""
    rng, build = score.rng, score.build
    count = max(1, round(seconds / 3.0))
    each = seconds / count
    for _ in range(count):
        start, depth = score.cursor, rng.uniform(0.38, 0.52)
        down, hold = 0.38 * each, 0.1 * each
        cap = build.pelvis - depth * build.leg
        keys = ((start, 0.0), (start + down, 1.0), (start + down + hold, 1.0), (start + each, 0.0))
        for channel, top in (
            ("pelvis_forward", -0.13), ("pelvis_pitch", 0.35), ("spine_pitch", 0.35),
            ("left_flex", 1.9), ("right_flex", 1.9), ("knees_out", 0.22),
            ("left_abduct", -0.1), ("right_abduct", -0.1),
        ):  # fmt: skip
            score.key(channel, *((t, v * top) for t, v in keys))
        score.key("pelvis_cap", *((t, build.pelvis + v * (cap - build.pelvis)) for t, v in keys))
        score.wait(each)


def jump(score: Score, seconds: float) -> None:
    """Jumps up or forward with both feet, about once in two seconds."""
    rng, build = score.rng, score.build
    count = max(1, round(seconds / 2.2))
    each = seconds / count
    for _ in range(count):
        start, rise = score.cursor, rng.uniform(0.12, 0.28)
        forward = rng.uniform(0.0, 0.5)
        flight = float(np.sqrt(8 * rise / 9.81))
        low = build.pelvis - rng.uniform(0.2, 0.3) * build.leg
        crouched, off = start + 0.24 * each, start + 0.24 * each + 0.32
        down = off + flight
        score.hops.append(Hop(start=off, end=down, lead=0.32, tail=0.26))
        score.key(
            "pelvis_cap", (start, build.pelvis), (crouched, low), (down + 0.26, low + 0.04),
            (start + each, build.pelvis),
        )  # fmt: skip
        for channel, crouch, air, land in (
            ("spine_pitch", 0.45, -0.03, 0.35), ("pelvis_pitch", 0.35, 0.0, 0.25),
            ("left_flex", -0.7, 2.3, 0.6), ("right_flex", -0.7, 2.3, 0.6),
            ("left_elbow", 0.2, 0.1, 0.4), ("right_elbow", 0.2, 0.1, 0.4),
            ("pelvis_forward", -0.06, 0.0, -0.05),
        ):  # fmt: skip
            score.key(
                channel, (start, 0.0), (crouched, crouch), (off + 0.35 * flight, air),
                (down + 0.22, land), (start + each, 0.0),
            )  # fmt: skip
        score.cursor = crouched + 0.12
        score.shift(down - crouched - 0.02, forward=forward)
        score.cursor = start + each


def reach(score: Score, seconds: float) -> None:
    """Reaches up or down with one hand, again and again."""
    rng, build = score.rng, score.build
    count = max(1, round(seconds / 2.6))
    each = seconds / count
    for k in range(count):
        side, other, sign = (("left", "right", 1.0), ("right", "left", -1.0))[int(rng.integers(2))]
        start = score.cursor
        times = [start + each * u for u in (0.0, 0.4, 0.6, 1.0)]
        high = rng.random() < 0.5 if k else True
        if high:
            tops = {f"{side}_flex": rng.uniform(2.1, 2.8), f"{side}_elbow": -0.15,
                    f"{side}_abduct": 0.1, "spine_yaw": -0.3 * sign, "spine_roll": -0.15 * sign,
                    "head_pitch": -0.35, "pelvis_left": 0.03 * sign}  # fmt: skip
        else:
            tops = {f"{side}_flex": 1.25, f"{side}_elbow": -0.1, "spine_pitch": 0.65,
                    "pelvis_pitch": 0.55, "pelvis_forward": -0.16, "head_pitch": 0.3,
                    "spine_yaw": -0.25 * sign, "knees_out": 0.15,
                    f"{other}_flex": 0.9}  # fmt: skip
            low = build.pelvis - rng.uniform(0.25, 0.4) * build.leg
            score.key(
                "pelvis_cap", (times[0], build.pelvis), (times[1], low), (times[2], low),
                (times[3], build.pelvis),
            )  # fmt: skip
        for channel, top in tops.items():
            score.key(channel, (times[0], 0.0), (times[1], top), (times[2], top), (times[3], 0.0))
        score.wait(each)


def dance(score: Score, seconds: float) -> None:
    """Steps from side to side to a beat, with arms, hips and now and then a turn."""
    rng = score.rng
    beat = rng.uniform(0.48, 0.6)
    start, end = score.cursor, score.cursor + seconds
    bars = max(1, int((seconds - beat) / (2 * beat)))
    side = 1.0 if rng.random() < 0.5 else -1.0
    for bar in range(bars):
        at = start + 2 * beat * bar
        score.gaits.append(
            Gait(
                start=at, end=at + 2 * beat - 1e-6, period=beat, swing=0.62 * beat, push=0.35,
                rolling=0.25 * beat, clearance=0.06, tuck=0.45, width=0.1,
                first=0 if side > 0 else 1,
            )
        )  # fmt: skip
        score.cursor = at
        spin = 0.5 * rng.uniform(-1, 1)
        score.shift(1.3 * beat, left=side * rng.uniform(0.25, 0.38), turn=spin,
                    forward=rng.uniform(-0.12, 0.12))  # fmt: skip
        side = -side
    score.cursor = end
    _groove(score, start, end, beat)


def _groove(score: Score, start: float, end: float, beat: float) -> None:
    """The beat in knees, hips, chest and arms, faded in and out."""
    rng = score.rng

    def wave(channel: str, size: float, beats: float, phase: float, mean: float = 0.0) -> None:
        def value(t):
            inside = ease((t - start) / beat) * ease((end - t) / beat)
            return inside * (mean + size * np.sin(np.pi * (t - start) / (beat * beats) + phase))

        score.waves.append((channel, value))

    cap = score.build.pelvis
    bounce = rng.uniform(0.03, 0.05)
    score.key("pelvis_cap", (start, cap), (start + beat, cap - bounce), (end - beat, cap - bounce),
              (end, cap))  # fmt: skip
    wave("pelvis_cap", bounce, 0.5, rng.uniform(0, 1))
    wave("pelvis_roll", 0.08, 1, rng.uniform(0, 6))
    wave("spine_roll", 0.10, 1, rng.uniform(0, 6))
    wave("spine_yaw", 0.18, 2, rng.uniform(0, 6))
    wave("head_pitch", 0.08, 0.5, rng.uniform(0, 6))
    lag = rng.uniform(0, 6)
    for arm, phase in (("left", lag), ("right", lag + rng.choice([0.0, np.pi]))):
        wave(f"{arm}_flex", 0.45, 1, phase, rng.uniform(0.4, 1.2))
        wave(f"{arm}_abduct", 0.35, 2, phase, rng.uniform(0.4, 0.8))
        wave(f"{arm}_elbow", 0.4, 1, phase + 0.8, 0.9)
