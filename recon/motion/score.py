"""What a person is to do, written down on one time line: where to go, how to step, how to hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from recon.core.geometry import Array, rotvec_to_matrix
from recon.core.people import NUM_JOINTS, BodyPoses
from recon.core.rig import Rig
from recon.core.skeletons import CANONICAL_JOINTS
from recon.motion.clip import Box
from recon.motion.curves import ease

STRAIGHT = 0.992
"""Length of a standing leg, hip to ankle, of thigh plus shin: knees bent by some 14 degrees."""

_GIVE = 0.015
"""Metres by which a sitting body is flattened."""

LEGS = tuple(
    tuple(CANONICAL_JOINTS.index(f"{side}_{part}") for part in ("hip", "knee", "ankle"))
    for side in ("left", "right")
)


@dataclass(frozen=True, kw_only=True)
class Build:
    """Lengths of a body, metres.

    Args:
        thigh, shin: of the leg. pelvis, hip, ankle: heights over the floor in standing.
        foot_forward: from the ankle to the middle of the sole. seat: from what somebody sits on
            up to the pelvis joint.
    """

    thigh: float
    shin: float
    pelvis: float
    hip: float
    ankle: float
    foot_forward: float
    seat: float

    @property
    def leg(self) -> float:
        """Thigh and shin."""
        return self.thigh + self.shin

    @property
    def foot_back(self) -> float:
        """From a standing body's ankles forward to its pelvis."""
        return 0.05

    @property
    def foothold(self) -> float:
        """From a standing body's pelvis forward to the middle of its soles."""
        return self.foot_forward - self.foot_back

    @classmethod
    def of(cls, rig: Rig) -> Build:
        """The lengths of a rig."""
        hip, knee, ankle = rig.rest_joints[list(LEGS[0])]
        thigh, shin = float(np.linalg.norm(knee - hip)), float(np.linalg.norm(ankle - knee))
        above = -float(rig.sole_points[:, 1].mean())
        height = above + STRAIGHT * (thigh + shin)
        return cls(
            thigh=thigh, shin=shin, hip=height, pelvis=height - float(hip[1]), ankle=above,
            foot_forward=float(rig.sole_points[:, 2].mean()), seat=_seat(rig),
        )  # fmt: skip


def _seat(rig: Rig) -> float:
    """Metres from the lowest point of a sitting body's buttocks and thighs to its pelvis joint."""
    rotations = np.tile(np.eye(3), (1, NUM_JOINTS, 1, 1))
    hips = [hip for hip, _, _ in LEGS]
    rotations[0, hips] = rotvec_to_matrix(np.array([-np.pi / 2, 0.0, 0.0]))
    poses = BodyPoses(root=np.zeros((1, 3)), rotations=rotations)
    sitting = np.isin(rig.indices[np.arange(len(rig.weights)), rig.weights.argmax(axis=1)],
                      [0, *hips])  # fmt: skip
    return -float(rig.vertices(poses)[0, sitting, 1].min()) - _GIVE


@dataclass(frozen=True, kw_only=True)
class Style:
    """What makes a person's way of moving their own; factors near 1, angles in radians.

    Args:
        pace: of speed. cadence: of steps a second. arms: of the swing of each arm. elbow,
            abduction, lean, turnout: angles held. width: half the distance of the feet in
            walking, metres.
        sway: metres of idle movement. lead: the foot that prefers to go first.
    """

    pace: float
    cadence: float
    arms: tuple[float, float]
    elbow: float
    abduction: float
    lean: float
    turnout: float
    width: float
    sway: float
    lead: int

    @classmethod
    def random(cls, rng: np.random.Generator, build: Build) -> Style:
        def near(mean: float, spread: float) -> float:
            return float(mean + spread * np.clip(rng.standard_normal(), -2, 2))

        arms = near(1.0, 0.25)
        return cls(
            pace=near(1.0, 0.1),
            cadence=near(1.0, 0.04),
            arms=(arms * near(1.0, 0.1), arms * near(1.0, 0.1)),
            elbow=near(0.3, 0.08),
            abduction=near(0.14, 0.03),
            lean=near(0.03, 0.02),
            turnout=near(0.12, 0.05),
            width=near(0.06, 0.01) * build.leg / 0.82,
            sway=near(0.008, 0.002),
            lead=int(rng.integers(2)),
        )


@dataclass(frozen=True, kw_only=True)
class Gait:
    """How to step between `start` and `end` seconds: a foot goes every `period` seconds, for
    `swing` seconds, as Stance describes it; `first` is the foot to start with, if any."""

    start: float
    end: float
    period: float
    swing: float
    strike: float = 0.0
    landing: float = 0.0
    push: float = 0.0
    rolling: float = 0.0
    clearance: float = 0.05
    tuck: float = 0.0
    early: float = 0.5
    width: float = 0.09
    centre: float = 0.5
    carry: float = 0.0
    first: int | None = None


@dataclass(frozen=True, kw_only=True)
class Hop:
    """Both feet leave the ground at `start` and land at `end` seconds."""

    start: float
    end: float
    tuck: float = 0.7
    lead: float = 0.3
    tail: float = 0.3


@dataclass(frozen=True, kw_only=True)
class Tread:
    """A place for feet from `start` to `end` seconds: their middle comes over `middle` (3,) if it
    would be within `half` metres of it along a heading."""

    start: float
    end: float
    middle: Array
    heading: float
    half: float


CHANNELS: dict[str, float] = {
    "pelvis_forward": 0.0,  # metres off the middle of the path
    "pelvis_left": 0.0,
    "pelvis_cap": 3.0,  # metres above the ground that the pelvis may not exceed
    "pelvis_pitch": 0.0,  # radians; forward and to the left are positive throughout
    "pelvis_yaw": 0.0,
    "pelvis_roll": 0.0,
    "spine_pitch": 0.0,
    "spine_yaw": 0.0,
    "spine_roll": 0.0,
    "head_pitch": 0.0,
    "head_yaw": 0.0,
    "swing": 1.0,  # of the arms by the legs
    "knees_out": 0.0,
    **{
        f"{side}_{part}": 0.0
        for side in ("left", "right")
        for part in ("flex", "abduct", "twist", "elbow", "wrist")
    },  # added to the hanging arm
}
"""What a score can move, with its value at rest."""


@dataclass(kw_only=True)
class Score:
    """The time line while it is written, from `cursor` seconds on.

    Args:
        build, style: of the person. rng: for what is left to chance.
        place: (3,) x, y and heading where the cursor is.
        course: pieces of (seconds (K,), x y heading (K, 3)) in order of time.
        keys: of each channel, (seconds, value). waves: of each channel, functions of time
            that are added. props: what stands in the world. treads: where feet go on steps.
    """

    build: Build
    style: Style
    rng: np.random.Generator
    place: Array
    cursor: float = 0.0
    course: list[tuple[Array, Array]] = field(default_factory=list)
    gaits: list[Gait] = field(default_factory=list)
    hops: list[Hop] = field(default_factory=list)
    keys: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    waves: list[tuple[str, Callable[[Array], Array]]] = field(default_factory=list)
    props: list[Box] = field(default_factory=list)
    treads: list[Tread] = field(default_factory=list)

    def key(self, channel: str, *keys: tuple[float, float]) -> None:
        """Adds keys (seconds, value) to a channel."""
        assert channel in CHANNELS, channel
        self.keys.setdefault(channel, []).extend(keys)

    def hold(self, start: float, end: float, *, fade: float, **values: float) -> None:
        """Channels ease to values by `start` + fade, and back to rest from `end` - fade on."""
        for channel, value in values.items():
            rest = CHANNELS[channel]
            self.key(
                channel, (start, rest), (start + fade, value), (end - fade, value), (end, rest)
            )

    def go(self, times: Array, places: Array) -> None:
        """Moves along places (K, 3) at times (K,) seconds, and the cursor to the last."""
        self.course.append((times, places))
        self.place, self.cursor = places[-1], float(times[-1])

    def wait(self, seconds: float) -> None:
        """Stays at the same place."""
        self.cursor += seconds

    def shift(self, seconds: float, *, forward: float = 0.0, left: float = 0.0, turn: float = 0.0):
        """Moves by metres in the body's own axes and by an angle, at rest before and after."""
        u = ease(np.linspace(0.0, 1.0, max(3, round(seconds * 100))))[:, None]
        c, s = np.cos(self.place[2]), np.sin(self.place[2])
        step = np.array([c * forward - s * left, s * forward + c * left, turn])
        times = self.cursor + np.linspace(0.0, seconds, len(u))
        self.go(times, self.place + u * step)

    def places(self, times: Array) -> Array:
        """The course (N, 3) at any times, at rest where nothing was written."""
        if not self.course:
            return np.repeat(self.place[None], len(times), axis=0)
        at = np.concatenate([piece for piece, _ in self.course])
        where = np.concatenate([places for _, places in self.course])
        return np.stack([np.interp(times, at, where[:, k]) for k in range(3)], axis=-1)
