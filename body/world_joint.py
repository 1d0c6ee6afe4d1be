"""People and camera of one shot in one world: all residuals minimised together.

Every person is a banded problem over frames (`body.world_person`); what they share is eliminated
last (Schur complement), so that the cost grows with the number of frames, not its square.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

import numpy as np

from body.fit import OVERLAP, joined
from body.kinematics import BodyState
from body.solver import stepped
from body.world_camera import CameraPrior, refined_cameras
from body.world_feet import SHARED
from body.world_person import PersonProblem, Reduced
from body.world_posture import travelling
from recon.core.contacts import contact_probabilities
from recon.core.geometry import Array, invert_transform, rotvec_to_matrix, transform_points

_WINDOW = 600
_STRICTNESS = 1.7  # of contacts once motion is smooth: a foot that sets off slowly has left
_UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, kw_only=True)
class SharedPrior:
    """What is known of the shared unknowns (`SHARED`) beforehand; std 0 holds one fixed.

    Args:
        mean: (G,) where they should end, counted from the start. std: (G,) how far they may be.
        scale_error: in log, stance_error: metres, how well poses tell the scale and where a foot
            stands at best, however many frames there are: their errors stay alike.
    """

    mean: Array
    std: Array
    scale_error: float = 0.15
    stance_error: float = 0.03

    @classmethod
    def fixed(cls) -> SharedPrior:
        """The camera and the floor stay where they are."""
        return cls(mean=np.zeros(SHARED), std=np.zeros(SHARED))

    def information(self, people: Array, spread: float) -> Array:
        """Weights (G,) beside the people's own information matrix (G, G).

        Args:
            spread: metres, of the stances along the ground: a tilt shows only at a distance.
        """
        tilt = self.stance_error / max(spread, 0.05)
        errors = np.array([self.scale_error, tilt, tilt, self.stance_error])
        weak = np.maximum(1.0, np.diag(people) * errors**2)
        return weak / np.maximum(self.std, 1e-12) ** 2


@dataclass(frozen=True, kw_only=True)
class World:
    """A state of one shot: cameras (T, 4, 4) and a body per problem.

    Args:
        moved: (G,) all moves of the shared unknowns so far, and similarity: (4, 4) their effect.
    """

    cameras: Array
    bodies: tuple[BodyState, ...]
    moved: Array = field(default_factory=lambda: np.zeros(SHARED))
    similarity: Array = field(default_factory=lambda: np.eye(4))


def similarity_of(shared: Array, pivot: Array) -> Array:
    """(4, 4) of moves (G,) of `SHARED`: scaled and turned about a pivot (3,), then lowered."""
    turn = rotvec_to_matrix(np.array([shared[1], shared[2], 0.0]))
    linear = np.exp(shared[0]) * turn
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = linear, pivot - linear @ pivot - shared[3] * _UP
    return out


def moved_cameras(Ts_world_camera: Array, similarity: Array) -> Array:
    """Cameras (T, 4, 4) of a world that a similarity (4, 4) moves; they stay rigid."""
    scale = np.cbrt(np.linalg.det(similarity[:3, :3]))
    out = similarity @ Ts_world_camera
    out[:, :3, :3] /= scale
    return out


def carried(body: BodyState, before: Array, after: Array) -> BodyState:
    """The body as its cameras (M, 4, 4) move, which see it as before."""
    Ts = after @ invert_transform(before)
    rotations = body.rotations.copy()
    rotations[:, 0] = Ts[:, :3, :3] @ rotations[:, 0]
    return replace(body, root=transform_points(Ts, body.root[:, None])[:, 0], rotations=rotations)


def windows(num: int) -> list[slice]:
    """Overlapping stretches of a motion of `num` frames: memory grows with one of them only."""
    starts = range(0, max(num - OVERLAP, 1), _WINDOW - OVERLAP)
    return [slice(start, min(start + _WINDOW, num)) for start in starts]


def joined_windows(bodies: Sequence[BodyState]) -> BodyState:
    """Bodies over `windows` as one, blended where they overlap."""
    return reduce(joined, bodies)


def solve_world(
    problems: Sequence[PersonProblem],
    world: World,
    *,
    prior: SharedPrior,
    camera: CameraPrior | None = None,
    times: Array,
    rounds: int = 3,
) -> World:
    """The most probable world; contacts, motion and the camera's own path are found in turn.

    Args:
        camera: how far the camera's path may be corrected; None: not at all.
        times: (T,) seconds of the shot's frames.
    """
    tracked = world.cameras
    problems = list(problems)
    for k in range(rounds):
        problems = [
            _with_contacts(p, body, world.cameras, lenient=k == 0)
            for p, body in zip(problems, world.bodies, strict=True)
        ]
        world = minimise(problems, world, prior=prior, max_iterations=6)
        if camera is not None:
            world = _with_cameras(
                problems, world,
                refined_cameras(
                    problems, world.bodies, world.cameras, prior=camera, times=times,
                    tracked=moved_cameras(tracked, world.similarity),
                ),
            )  # fmt: skip
        if k == 0:
            problems = [p.adapted(b) for p, b in zip(problems, world.bodies, strict=True)]
    return world


def _with_cameras(problems: Sequence[PersonProblem], world: World, cameras: Array) -> World:
    """The world with other cameras, everybody carried along."""
    bodies = [
        carried(body, world.cameras[problem.frames], cameras[problem.frames])
        for problem, body in zip(problems, world.bodies, strict=True)
    ]
    return replace(world, cameras=cameras, bodies=tuple(bodies))


def _with_contacts(
    problem: PersonProblem, body: BodyState, cameras: Array, *, lenient: bool
) -> PersonProblem:
    """The problem with the contacts of this body; `lenient` about motion in depth, while noisy."""
    rays = body.root - cameras[problem.frames, :3, 3]
    rays = rays / np.maximum(np.linalg.norm(rays, axis=1, keepdims=True), 1e-9)
    found = contact_probabilities(
        problem.soles(body), problem.times, up=_UP, rays=rays if lenient else None,
        strictness=1.0 if lenient else _STRICTNESS,
    )  # fmt: skip
    travel = None if problem.travel is None else travelling(body.root, problem.times)
    return replace(problem, contacts=found, travel=travel)


def minimise(
    problems: Sequence[PersonProblem], world: World, *, prior: SharedPrior, max_iterations: int
) -> World:
    """Levenberg-Marquardt steps of everything at once."""
    damping = 1e-3
    reduced = [_reduce(p, b, world, damping) for p, b in zip(problems, world.bodies, strict=True)]
    people = sum((r.matrix for r in reduced), np.zeros((SHARED, SHARED)))
    information = prior.information(people, _spread(problems, world.bodies))

    def cost(parts: Sequence[Reduced], at: World) -> float:
        return sum(r.cost for r in parts) + float(information @ (at.moved - prior.mean) ** 2)

    current = cost(reduced, world)
    for _ in range(max_iterations):
        trial = _stepped(problems, world, reduced, information=information, mean=prior.mean)
        parts = [_reduce(p, b, trial, damping) for p, b in zip(problems, trial.bodies, strict=True)]
        proposed = cost(parts, trial)
        if not proposed < current:
            damping *= 20
            reduced = [
                _reduce(p, b, world, damping) for p, b in zip(problems, world.bodies, strict=True)
            ]
            continue
        gain = current - proposed
        world, reduced, current = trial, parts, proposed
        damping = max(damping / 5, 1e-6)
        if gain < 1e-3 * current:
            break
    return world


def _spread(problems: Sequence[PersonProblem], bodies: Sequence[BodyState]) -> float:
    """Metres that the places where feet stand are apart along the ground (standard deviation)."""
    places = np.concatenate(
        [p.soles(b)[p.contacts > 0.5][:, :2] for p, b in zip(problems, bodies, strict=True)]
    )
    return float(np.sqrt(np.sum(np.var(places, axis=0)))) if len(places) else 0.0


def _reduce(problem: PersonProblem, body: BodyState, world: World, damping: float) -> Reduced:
    return problem.reduce(body, world.cameras, damping)


def _stepped(
    problems: Sequence[PersonProblem],
    world: World,
    reduced: Sequence[Reduced],
    *,
    information: Array,
    mean: Array,
) -> World:
    """The world after one step of all unknowns."""
    matrix = np.diag(information) + sum(r.matrix for r in reduced)
    right = -information * (world.moved - mean) + sum(r.right for r in reduced)
    shared = np.asarray(np.linalg.solve(matrix, right), float)
    similarity = similarity_of(shared, world.cameras[0, :3, 3])
    bodies = [
        stepped(body, part.step - part.gain @ shared)
        for body, part in zip(world.bodies, reduced, strict=True)
    ]
    cameras = moved_cameras(world.cameras, similarity)
    world = replace(
        world, bodies=tuple(bodies), moved=world.moved + shared,
        similarity=similarity @ world.similarity,
    )  # fmt: skip
    return _with_cameras(problems, world, cameras)
