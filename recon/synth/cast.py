"""Who acts: random bodies, what they do, and where in the world they do it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from body.models import load_body_model
from body.models.base import BodyModel, ParamSpec
from recon.core.errors import InputError
from recon.core.geometry import Array, rotvec_to_matrix
from recon.core.people import BodyPoses, BodyShape
from recon.core.rig import Rig
from recon.synth.cameras import CameraMove

if TYPE_CHECKING:
    from recon.motion import Action, Box, MotionClip

TRAVELLING = ("walk", "run")
IN_PLACE = ("turn", "reach", "dance", "squat", "sit", "jump", "climb", "walk")
"""Actions by whether they need a camera that goes along."""
_SECONDS = {
    "walk": 4.5, "turn": 3.0, "reach": 3.0, "dance": 5.0, "squat": 3.5, "sit": 5.5, "jump": 3.0,
}  # fmt: skip
"""How long each takes as a part of several."""
_LANE = 1.0
_APART = 0.7
"""Metres between people side by side, and between the places that others need."""


@dataclass(frozen=True, kw_only=True)
class Performer:
    """One true person in every frame of a world.

    Args:
        shape: of the body model. stature: metres. action: what the motion is called.
        poses: in the world. contacts: (T, 4) probability that each of FOOT_POINTS stands still;
            exact for procedural motion, estimated for recordings.
        keypoints: (T, 33, 3) metres, BlazePose order, in the world.
        props: what the motion stands or sits on.
    """

    shape: BodyShape
    rig: Rig
    stature: float
    action: str
    poses: BodyPoses
    contacts: Array
    keypoints: Array
    props: tuple[Box, ...] = ()


def random_shape(spec: ParamSpec, rng: np.random.Generator) -> Array:
    """Shape values (S,) of a random adult, at most two deviations from the mean."""
    shape = spec.mean + spec.std * np.clip(rng.standard_normal(len(spec.mean)), -2, 2)
    return np.clip(shape, spec.low, spec.high)


def cast(
    times: Array,
    *,
    people: int,
    actions: tuple[str, ...],
    motions: tuple[Path, ...],
    move: CameraMove,
    rng: np.random.Generator,
) -> list[Performer]:
    """People who act at the same time without walking through each other.

    Args:
        times: (T,) seconds. actions: of each person in turn; chosen to suit the camera if empty.
        motions: files of recorded motion, which replace the actions.

    Raises:
        InputError: an unknown action, or a file that holds no motion.
    """
    model = load_body_model("anny")
    chosen = actions or suitable_actions(move, people, float(times[-1] - times[0]), rng)
    # Those who travel keep together; with a camera that stays, they walk about.
    speed = rng.uniform(0.9, 1.4) if "run" not in chosen else rng.uniform(2.0, 2.7)
    radius = 1.5 if people == 1 else 0.6
    together = set(chosen) <= set(TRAVELLING)  # who walks off leaves the others out of the picture
    stays = move in ("static", "swaying", "orbiting") or not together
    performers = []
    for k in range(people):
        shape = random_shape(model.param_spec, rng)
        rig = model.skinning_spec(shape)
        if motions:
            clip = _recorded(motions[k % len(motions)], rig, times)
        else:
            clip = _acted(
                chosen[k % len(chosen)], rig, times, seed=int(rng.integers(1 << 30)),
                stays=stays, speed=speed, radius=radius,
            )  # fmt: skip
        performers.append(_performer(model, shape, rig, clip))
    return _placed(performers, rng)


def suitable_actions(
    move: CameraMove, people: int, seconds: float, rng: np.random.Generator
) -> tuple[str, ...]:
    """Actions that such a camera can film for so long."""
    if move in ("forward", "following"):
        return ("walk",) if people > 1 or rng.random() < 0.75 else ("run",)
    if move == "panning" and rng.random() < 0.5:
        return ("walk",)
    # Steps take up as much room as three people.
    alone = rng.permutation([a for a in IN_PLACE if people == 1 or a != "climb"])[:people]
    return tuple(_several(seconds, rng) if rng.random() < 0.5 else str(a) for a in alone)


def _several(seconds: float, rng: np.random.Generator) -> str:
    """As many different actions one after the other as there is time for, at least one."""
    parts: list[str] = []
    for part in rng.permutation(list(_SECONDS)).tolist():
        if not parts or sum(_SECONDS[p] for p in (*parts, part)) <= seconds:
            parts.append(part)
    return "+".join(parts[:4])


def _acted(
    action: str, rig: Rig, times: Array, *, seed: int, stays: bool, speed: float, radius: float
) -> MotionClip:
    """Somebody doing one thing, or several joined by "+"."""
    from recon.motion import ACTIONS, procedural, sequence

    for part in action.split("+"):
        if part not in ACTIONS:
            raise InputError(f"--action: expected some of {', '.join(ACTIONS)}; got {part!r}")
    parts: list[Action] = [name for part in action.split("+") for name in ACTIONS if name == part]
    since = times - times[0]
    if len(parts) > 1:
        return sequence(parts, rig, times=since, seed=seed, radius=radius)
    if action in TRAVELLING and not stays:
        return procedural(parts[0], rig, times=since, seed=seed, speed=speed)
    return procedural(parts[0], rig, times=since, seed=seed, radius=radius)


def _recorded(path: Path, rig: Rig, times: Array) -> MotionClip:
    from recon.motion import load_motion, retarget

    clip = retarget(load_motion(path), rig)
    length = clip.times[-1] - clip.times[0]
    needed = times[-1] - times[0]
    if length < needed:
        raise InputError(
            f"expected a motion of {needed:.1f} s or more, got {length:.1f} s in {path}; "
            "ask for fewer --frames"
        )
    return clip.at(times - times[0] + clip.times[0])


def _performer(model: BodyModel, shape: Array, rig: Rig, clip: MotionClip) -> Performer:
    assert clip.contacts is not None  # `procedural` and `retarget` both tell
    return Performer(
        shape=BodyShape(model=model.name, names=model.param_spec.names, values=shape),
        rig=rig,
        stature=model.rest_body(shape).stature,
        action=clip.name,
        poses=clip.poses,
        contacts=clip.contacts,
        keypoints=model.keypoints(shape, clip.poses, "blazepose"),
        props=tuple(clip.props),
    )


def moved(person: Performer, *, yaw: float, shift: Array) -> Performer:
    """The same motion turned by `yaw` (radians) about the world's z axis, then shifted (3,)."""
    turn = rotvec_to_matrix(np.array([0.0, 0.0, yaw]))
    rotations = person.poses.rotations.copy()
    rotations[:, 0] = turn @ rotations[:, 0]
    return replace(
        person,
        poses=BodyPoses(root=person.poses.root @ turn.T + shift, rotations=rotations),
        keypoints=person.keypoints @ turn.T + shift,
        props=tuple(
            replace(box, center=turn @ box.center + shift, yaw=box.yaw + yaw)
            for box in person.props
        ),
    )


def _placed(performers: list[Performer], rng: np.random.Generator) -> list[Performer]:
    """Travellers side by side in one direction, the others round one another."""
    heading = rng.uniform(0, 2 * np.pi)
    across = np.array([-np.sin(heading), np.cos(heading), 0.0])
    out: list[Performer] = []
    taken: list[tuple[Array, float]] = []
    lanes = 0
    for person in performers:
        path = person.poses.root[:, :2]
        way = path[-1] - path[0]
        if np.linalg.norm(way) > 3.0:
            yaw = heading - np.arctan2(way[1], way[0])
            lane = (lanes + 1) // 2 * _LANE * (-1) ** lanes
            lanes += 1
            start = _turned(path[0], yaw)
            ahead = np.array([np.cos(heading), np.sin(heading), 0]) * rng.uniform(-0.5, 0.5)
            shift = lane * across + ahead - [*start, 0.0]
            out.append(moved(person, yaw=yaw, shift=shift))
            continue
        yaw = rng.uniform(0, 2 * np.pi)
        used = np.concatenate([path, *(box.corners()[:, :2] for box in person.props)])
        middle = 0.5 * (used.min(axis=0) + used.max(axis=0))
        room = float(np.linalg.norm(used - middle, axis=1).max())
        spot = _free_spot(taken, room, rng)
        taken.append((spot, room))
        out.append(moved(person, yaw=yaw, shift=np.array([*(spot - _turned(middle, yaw)), 0.0])))
    return out


def _turned(point: Array, yaw: float) -> Array:
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([c * point[0] - s * point[1], s * point[0] + c * point[1]])


def _free_spot(taken: list[tuple[Array, float]], room: float, rng: np.random.Generator) -> Array:
    """The middle (2,) of a circle of this radius that keeps away from the others."""
    reach = 0.0
    while True:
        angle, reach = rng.uniform(0, 2 * np.pi), reach + 0.02
        spot = reach * np.array([np.cos(angle), np.sin(angle)])
        if all(np.linalg.norm(spot - at) > room + other + _APART for at, other in taken):
            return spot
