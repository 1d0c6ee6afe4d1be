"""A score performed by a body: feet exactly where they stand, the rest carried over them."""

from __future__ import annotations

import numpy as np

from recon.core.geometry import R_YUP_ZUP, Array, rotvec_to_matrix
from recon.core.people import FOOT_POINTS, NUM_JOINTS, BodyPoses
from recon.core.rig import Rig
from recon.core.skeletons import CANONICAL_JOINTS
from recon.motion.clip import MotionClip
from recon.motion.curves import GRID_RATE, keyed, quintic, smooth, smooth_below, spline
from recon.motion.feet import FootState, FootTrack, Sole
from recon.motion.footsteps import flights, grounded, plan
from recon.motion.legs import bend_leg
from recon.motion.score import CHANNELS, LEGS, STRAIGHT, Score

GRAVITY = 9.81
_J = {name: i for i, name in enumerate(CANONICAL_JOINTS)}
_MARGIN = 1.5
"""Seconds of performance computed on both sides of what is asked for."""
_TAKE_OFF, _TOUCH_DOWN = 0.985, 0.975
"""Length of the leg, of thigh plus shin, where a runner's flight begins and ends."""
_HOP = 0.96
"""The same of a jump, in which the body leaves faster than a foot can follow."""
_RUN_RISE = 0.02
_AXES = {"x": np.array([1.0, 0, 0]), "y": np.array([0, 1.0, 0]), "z": np.array([0, 0, 1.0])}


def _turn(axis: str, angles: Array | float) -> Array:
    """Rotations (N, 3, 3) about a coordinate axis."""
    return rotvec_to_matrix(np.atleast_1d(np.asarray(angles, float))[:, None] * _AXES[axis])


class Performance:
    """A body doing what a score says, at any times between `start` and `end` seconds."""

    def __init__(self, score: Score, rig: Rig, *, start: float, end: float) -> None:
        self.score, self.rig = score, rig
        stances = plan(score, start - _MARGIN, end + _MARGIN)
        self.feet = [FootTrack(Sole.of(rig, foot), stances[foot]) for foot in (0, 1)]
        grid = np.arange(start - _MARGIN, end + _MARGIN, 1 / GRID_RATE)
        states = [foot.at(grid) for foot in self.feet]
        controls = self._controls(grid, states)
        self._names = tuple(controls)
        self._controls_at = spline(grid, np.stack(list(controls.values()), axis=-1))
        places = score.places(grid)
        places[:, :2] = smooth(places[:, :2], 0.1)
        places[:, 2] = smooth(places[:, 2], 0.25)
        level = self._level_path(places, controls)
        self._path = spline(grid, np.concatenate([level, places[:, 2:]], axis=1))
        self._height = self._height_curves(grid, states)

    # Controls: everything but legs and height ---------------------------------------------------

    def _controls(self, grid: Array, states: list[FootState]) -> dict[str, Array]:
        """Each channel's course with what walking adds to it."""
        score = self.score
        out = {name: keyed(score.keys.get(name, [(0.0, rest)]), grid)
               for name, rest in CHANNELS.items()}  # fmt: skip
        for name, wave in score.waves:
            out[name] = out[name] + wave(grid)
        ahead, beside, load = self._stride(grid, states)
        swing = smooth(ahead, 0.16) * out["swing"]
        out["pelvis_left"] = out["pelvis_left"] + beside
        out["pelvis_yaw"] = out["pelvis_yaw"] - 0.10 * ahead
        out["pelvis_roll"] = out["pelvis_roll"] - 0.06 * load
        out["spine_roll"] = out["spine_roll"] + 0.05 * load
        out["spine_yaw"] = out["spine_yaw"] + 0.10 * ahead + 0.10 * swing
        out["spine_pitch"] = out["spine_pitch"] + score.style.lean
        for side, sign, arm in zip(("left", "right"), (-1.0, 1.0), score.style.arms, strict=True):
            forward = sign * 0.42 * arm * swing
            out[f"{side}_flex"] = out[f"{side}_flex"] + 0.04 + forward
            bent = out[f"{side}_elbow"] + score.style.elbow + 0.45 * forward
            out[f"{side}_elbow"] = 0.5 * (bent + np.hypot(bent, 0.15))  # never the wrong way
            out[f"{side}_abduct"] = out[f"{side}_abduct"] + score.style.abduction
        return out

    def _stride(self, grid: Array, states: list[FootState]) -> tuple[Array, Array, Array]:
        """Left foot ahead of the right (N,) in leg lengths; metres that the pelvis moves to the
        left over the feet that stand; which one they are, 1 left to -1 right."""
        places = self.score.places(grid)
        c, s = np.cos(places[:, 2]), np.sin(places[:, 2])
        off = [state.ankle[:, :2] - places[:, :2] for state in states]
        forward = [c * o[:, 0] + s * o[:, 1] for o in off]
        left = [c * o[:, 1] - s * o[:, 0] for o in off]
        on = [smooth(grounded(foot.stances, grid).astype(float), 0.2) + 1e-2 for foot in self.feet]
        total = on[0] + on[1]
        centre = (on[0] * left[0] + on[1] * left[1]) / total
        ahead = (forward[0] - forward[1]) / self.score.build.leg
        return smooth(ahead, 0.08), 0.35 * smooth(centre, 0.3), smooth((on[0] - on[1]) / total, 0.2)

    def _level_path(self, places: Array, controls: dict[str, Array]) -> Array:
        """Where the pelvis is, x and y (N, 2)."""
        c, s = np.cos(places[:, 2]), np.sin(places[:, 2])
        forward, left = controls["pelvis_forward"], controls["pelvis_left"]
        return places[:, :2] + np.stack([c * forward - s * left, s * forward + c * left], axis=1)

    def _at(self, times: Array) -> dict[str, Array]:
        return dict(zip(self._names, self._controls_at(times).T, strict=True))

    def _pelvis(self, times: Array) -> Array:
        """World rotations (N, 3, 3) of the pelvis."""
        c = self._at(times)
        heading = self._path(times)[:, 2] + np.pi / 2 + c["pelvis_yaw"]
        tilt = _turn("x", c["pelvis_pitch"]) @ _turn("z", -c["pelvis_roll"])
        return _turn("z", heading) @ R_YUP_ZUP.T @ tilt

    # Height -------------------------------------------------------------------------------------

    def _highest(self, times: Array, states: list[FootState], straight: float) -> list[Array]:
        """Heights (N,) of the pelvis at which the left and the right leg is so straight."""
        pelvis, path = self._pelvis(times), self._path(times)
        out = []
        for state, (hip, _, _) in zip(states, LEGS, strict=True):
            offset = pelvis @ self.rig.rest_joints[hip]
            level = path[:, :2] + offset[:, :2] - state.ankle[:, :2]
            room = (straight * self.score.build.leg) ** 2 - np.sum(level**2, axis=1)
            out.append(state.ankle[:, 2] + np.sqrt(np.maximum(room, 0.01)) - offset[:, 2])
        return out

    def _height_curves(self, grid: Array, states: list[FootState]):
        """The pelvis' height: as high as the standing legs allow, and pieces with flights."""
        reachable = np.full(len(grid), np.inf)
        for foot, high in zip(self.feet, self._highest(grid, states, STRAIGHT), strict=True):
            on = grounded(foot.stances, grid, margin=1 / GRID_RATE)
            reachable = np.where(on, np.minimum(reachable, high), reachable)
        limit = np.minimum(self._at(grid)["pelvis_cap"], reachable)
        known = limit < CHANNELS["pelvis_cap"] - 1e-6
        limit = np.interp(grid, grid[known], limit[known])
        usual = spline(grid, smooth_below(limit, 0.28) - 0.003)
        return usual, [self._within_legs(group, usual, grid, reachable) for group in self._groups()]

    def _within_legs(self, group: list[tuple[float, float]], usual, grid: Array, reachable: Array):
        """The height around flights, sunk until the standing legs are long enough."""
        sink = 0.0
        piece = self._airborne(group, usual, sink)
        for _ in range(5):
            first, last, curve = piece
            rows = (grid > first) & (grid < last)
            excess = float(np.max(curve(grid[rows]) - reachable[rows]))
            if excess <= 0:
                break
            sink += excess + 0.002
            piece = self._airborne(group, usual, sink)
        return piece

    def _groups(self) -> list[list[tuple[float, float]]]:
        """Flights that follow one another closely."""
        groups: list[list[tuple[float, float]]] = []
        for flight in flights(*(foot.stances for foot in self.feet)):
            if groups and flight[0] - groups[-1][-1][1] < 0.75:
                groups[-1].append(flight)
            else:
                groups.append([flight])
        return groups

    def _airborne(self, group: list[tuple[float, float]], usual, sink: float):
        """The height around flights: free fall, and the legs as springs in between.

        `sink` metres lower than the legs would allow at take-off and touch-down.
        """
        hop = next((h for h in self.score.hops if abs(h.start - group[0][0]) < 1e-6), None)
        lead, tail = (hop.lead, hop.tail) if hop else (0.3, 0.3)
        first, last = group[0][0] - lead, group[-1][1] + tail
        knots = [(first, [usual(first), usual(first, 1), usual(first, 2)])]
        for start, end in group:
            low = self._stands(start, _HOP if hop else _TAKE_OFF) - sink
            high = self._stands(end, _HOP if hop else _TOUCH_DOWN) - sink
            if hop is None:  # a runner takes off hardly higher than they land
                low = min(low, high + _RUN_RISE)
            fall = 0.5 * GRAVITY * (end - start)
            rate = (high - low) / (end - start)
            knots += [(start, [low, rate + fall, -GRAVITY]), (end, [high, rate - fall, -GRAVITY])]
        knots.append((last, [usual(last), usual(last, 1), usual(last, 2)]))
        return first, last, quintic(knots)

    def _stands(self, time: float, straight: float) -> float:
        """The pelvis' height at the end of contact, with the standing leg so straight."""
        times = np.array([time])
        states = [foot.at(times) for foot in self.feet]
        high = self._highest(times, states, straight)
        near = [
            min(min(abs(s.start - time), abs(s.end - time)) for s in foot.stances) < 1e-6
            for foot in self.feet
        ]
        return min(float(h[0]) for h, on in zip(high, near, strict=True) if on)

    def _root(self, times: Array) -> Array:
        usual, pieces = self._height
        root = self._path(times).copy()
        root[:, 2] = usual(times)
        for first, last, curve in pieces:
            rows = (times > first) & (times < last)
            root[rows, 2] = curve(times[rows])
        return root

    # Poses --------------------------------------------------------------------------------------

    def clip(self, name: str, times: Array) -> MotionClip:
        """What the body does at times (N,) seconds."""
        states = [foot.at(times) for foot in self.feet]
        rotations = np.tile(np.eye(3), (len(times), NUM_JOINTS, 1, 1))
        rotations[:, 0] = self._pelvis(times)
        controls = self._at(times)
        _pose_trunk(rotations, controls)
        _pose_arms(rotations, controls)
        root = self._root(times)
        for leg, state, side in zip(LEGS, states, (1.0, -1.0), strict=True):
            self._pose_leg(rotations, root, leg, state, side * controls["knees_out"])
        contacts = np.concatenate([state.contact for state in states], axis=1).astype(float)
        assert contacts.shape[1] == len(FOOT_POINTS)
        return MotionClip(
            name=name, times=times, poses=BodyPoses(root=root, rotations=rotations),
            contacts=contacts, rig=self.rig, props=tuple(self.score.props),
        )  # fmt: skip

    def _pose_leg(
        self, rotations: Array, root: Array, leg: tuple[int, ...], state: FootState, out: Array
    ) -> None:
        """Bends a leg so that its ankle is where the foot wants it, the knee over the foot."""
        hip, knee, ankle = leg
        pelvis = rotations[:, 0]
        toes = np.einsum("nji,nj->ni", pelvis, state.rotations[..., 2])
        ahead = 0.5 * (toes[:, 2] + np.hypot(toes[:, 2], 0.3))  # feet do not point backwards
        aside = 0.5 * np.arctan2(toes[:, 0], ahead) + out
        rotations[:, hip] = _turn("y", aside) @ _turn("x", -0.3)
        rotations[:, knee] = _turn("x", np.full(len(root), 0.6))
        bent = bend_leg(self.rig, root, rotations, leg, ankle=state.ankle, foot=state.rotations)
        for joint, rotation in zip(leg, bent, strict=True):
            rotations[:, joint] = rotation
        rotations[:, ankle + 3] = _turn("x", -state.toes)


def _pose_trunk(rotations: Array, c: dict[str, Array]) -> None:
    """Spine and head; the head stays level and looks ahead of the chest."""
    for joint, share in (("spine1", 0.3), ("spine2", 0.35), ("spine3", 0.35)):
        rotations[:, _J[joint]] = (
            _turn("y", share * c["spine_yaw"])
            @ _turn("x", share * c["spine_pitch"])
            @ _turn("z", -share * c["spine_roll"])
        )
    pitch = c["head_pitch"] - 0.6 * (c["spine_pitch"] + c["pelvis_pitch"])
    yaw = c["head_yaw"] - 0.8 * c["spine_yaw"]
    roll = -0.7 * (c["spine_roll"] + c["pelvis_roll"])
    for joint in ("neck", "head"):
        rotations[:, _J[joint]] = (
            _turn("y", 0.5 * yaw) @ _turn("x", 0.5 * pitch) @ _turn("z", -0.5 * roll)
        )


def _pose_arms(rotations: Array, c: dict[str, Array]) -> None:
    """Arms hang from the T-pose and swing about the body's own axes; fingers are curled."""
    for side, sign in (("left", 1.0), ("right", -1.0)):
        flex, abduct = c[f"{side}_flex"], c[f"{side}_abduct"]
        raised = np.maximum(np.hypot(flex, abduct) - 1.2, 0)
        rotations[:, _J[f"{side}_collar"]] = _turn("z", sign * 0.25 * raised)
        rotations[:, _J[f"{side}_shoulder"]] = (
            _turn("x", -flex)
            @ _turn("z", sign * (abduct - np.pi / 2))
            @ _turn("x", -c[f"{side}_twist"])
        )
        rotations[:, _J[f"{side}_elbow"]] = _turn("y", -sign * c[f"{side}_elbow"])
        rotations[:, _J[f"{side}_wrist"]] = _turn("z", -sign * (0.1 + c[f"{side}_wrist"]))
        for finger in ("index", "middle", "ring", "pinky"):
            for k, curl in ((1, 0.3), (2, 0.35), (3, 0.25)):
                rotations[:, _J[f"{side}_{finger}{k}"]] = _turn("z", -sign * curl)
