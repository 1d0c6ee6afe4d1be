"""People and camera in one problem: its derivatives, what it recovers, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from body.kinematics import NUM_BODY, NUM_DOF, BodyState
from body.solver import stepped
from body.world_camera import CameraPrior, refined_cameras
from body.world_evidence import SeenJoints, rest_of_rig
from body.world_feet import SHARED, WorldNoise
from body.world_joint import (
    SharedPrior,
    World,
    carried,
    joined_windows,
    moved_cameras,
    similarity_of,
    solve_world,
    windows,
)
from body.world_person import PersonProblem
from body.world_posture import travelling
from recon.core.geometry import Array, rotvec_to_matrix, transform_points
from tests.walking_world import View, WalkingWorld, walking_world

RNG = np.random.default_rng(0)


def problem_of(world: WalkingWorld, cameras: Array) -> tuple[PersonProblem, BodyState]:
    """The walker before these cameras, starting from what was measured."""
    seen, times = world.motion.poses_camera, world.times
    evidence = SeenJoints(
        times=times, joints=world.motion.joints_camera[:, :NUM_BODY], trust=np.ones(len(times)),
        lateral=0.015, depth=0.1,
    )  # fmt: skip
    problem = PersonProblem(
        rest=rest_of_rig(world.rig), seen=evidence, frames=np.arange(len(times)),
        noise=WorldNoise(), contacts=world.contacts, travel=np.zeros((len(times), 2)),
    )  # fmt: skip
    rotations = seen.rotations[:, :NUM_BODY].copy()
    rotations[:, 0] = cameras[:, :3, :3] @ rotations[:, 0]
    root = transform_points(cameras, seen.root[:, None])[:, 0]
    return problem, BodyState(shape=np.zeros(0), root=root, rotations=rotations)


def test_right_hand_sides_are_the_gradient_of_the_cost() -> None:
    """Of every kind of unknown at once, in random directions, against finite differences."""
    world = walking_world("orbit", seed=2, seconds=0.5)
    cameras = world.Ts_world_camera
    problem, body = problem_of(world, cameras)
    problem = replace(problem, travel=travelling(body.root, world.times))
    normal = problem.normal(body, cameras)

    def cost(step: Array, shared: Array) -> float:
        moved = moved_cameras(cameras, similarity_of(shared, cameras[0, :3, 3]))
        state = carried(stepped(body, step), cameras, moved)
        return problem.normal(state, moved).cost

    still, fixed, h = np.zeros((len(cameras), NUM_DOF)), np.zeros(SHARED), 1e-5
    for columns in (slice(0, 3), slice(6, None)):
        direction = np.zeros_like(still)
        direction[:, columns] = RNG.standard_normal(direction[:, columns].shape)
        slope = (cost(h * direction, fixed) - cost(-h * direction, fixed)) / (2 * h)
        assert slope == pytest.approx(-2 * np.sum(normal.right * direction), rel=0.03, abs=1.0)
    for direction in np.eye(SHARED):
        slope = (cost(still, h * direction) - cost(still, -h * direction)) / (2 * h)
        assert slope == pytest.approx(-2 * normal.right_shared @ direction, rel=0.03, abs=1.0)


def test_what_the_camera_saw_does_not_change_as_the_shared_unknowns_move() -> None:
    world = walking_world("side", seconds=0.3)
    _, body = problem_of(world, world.Ts_world_camera)
    similarity = similarity_of(np.array([0.2, 0.1, -0.05, 0.3]), world.Ts_world_camera[0, :3, 3])
    cameras = moved_cameras(world.Ts_world_camera, similarity)
    after = carried(body, world.Ts_world_camera, cameras)
    in_camera = np.einsum("nji,nj->ni", cameras[:, :3, :3], after.root - cameras[:, :3, 3])
    np.testing.assert_allclose(in_camera, world.motion.poses_camera.root, atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(cameras[:, :3, :3]), 1, atol=1e-9)


@pytest.mark.parametrize("view", ["side", "orbit"])
def test_people_tell_scale_and_vertical(view: View) -> None:
    """A path 12 % too long under a vertical 2 degrees off, of which little is known."""
    world = walking_world(view, noise=0.3, seed=3, seconds=5)
    wrong = similarity_of(np.array([0.12, 0.0, 0.035, 0.0]), world.Ts_world_camera[0, :3, 3])
    cameras = moved_cameras(world.Ts_world_camera, wrong)
    problem, body = problem_of(world, cameras)
    prior = SharedPrior(mean=np.zeros(SHARED), std=np.array([0.5, 0.1, 0.1, 0.3]), scale_error=0.01)
    solved = solve_world(
        [problem], World(cameras=cameras, bodies=(body,)), prior=prior, times=world.times
    )
    scale = np.cbrt(np.linalg.det((solved.similarity @ wrong)[:3, :3]))
    assert abs(np.log(scale)) < 0.05  # feet that set off slowly make it a little short
    up = (solved.similarity @ wrong)[:3, 2] / scale
    assert np.degrees(np.arccos(up[2])) < 1.0


def test_a_camera_that_wanders_is_brought_back_by_a_walker() -> None:
    """Up and down, which nothing but the floor tells; the path as tracked stays the prior."""
    world = walking_world("side", noise=0.2, seed=1, seconds=6)
    true = world.Ts_world_camera
    wander = 0.05 * np.sin(np.linspace(0, 5, len(true)))
    tracked = true.copy()
    tracked[:, 2, 3] += wander
    problem, body = problem_of(world, tracked)
    found = refined_cameras(
        [problem], [body], tracked, tracked=tracked, times=world.times, prior=CameraPrior()
    )

    def off(cameras: Array) -> float:
        return float(np.std(cameras[:, 2, 3] - true[:, 2, 3]))

    assert off(found) < 0.5 * off(tracked)
    stiff = CameraPrior(drift=1e-6, wander=1e-6, turn=1e-6, place=1e-6, angle=1e-6)
    held = refined_cameras(
        [problem], [body], tracked, tracked=tracked, times=world.times, prior=stiff
    )
    np.testing.assert_allclose(held, tracked, atol=1e-4)


@pytest.mark.parametrize("num", [1, 29, 600, 601, 1000, 3000])
def test_windows_cover_every_frame_and_join_to_the_whole(num: int) -> None:
    turns = 0.3 * RNG.standard_normal((num, NUM_BODY, 3))
    whole = BodyState(
        shape=np.zeros(0), root=RNG.standard_normal((num, 3)), rotations=rotvec_to_matrix(turns)
    )
    joined = joined_windows([whole.take(rows) for rows in windows(num)])
    np.testing.assert_allclose(joined.root, whole.root, atol=1e-12)
    np.testing.assert_allclose(joined.rotations, whole.rotations, atol=1e-9)


@pytest.mark.parametrize(
    ("off", "shaken"),
    [("contact_drift", "feet"), ("level_acceleration", "root")],
)
def test_a_residual_that_is_off_leaves_its_error(off: str, shaken: str) -> None:
    world = walking_world("static", seed=2, seconds=3)
    cameras = world.Ts_world_camera

    def error(noise: WorldNoise) -> float:
        problem, body = problem_of(world, cameras)
        problem = replace(problem, noise=noise)
        solved = solve_world(
            [problem], World(cameras=cameras, bodies=(body,)), prior=SharedPrior.fixed(),
            times=world.times,
        )  # fmt: skip
        if shaken == "root":
            return float(np.abs(np.diff(solved.bodies[0].root[:, :2], n=2, axis=0)).mean())
        on = (world.contacts[1:] * world.contacts[:-1]) > 0.5
        steps = np.linalg.norm(np.diff(problem.soles(solved.bodies[0]), axis=0), axis=-1)
        return float(np.median(steps[on]))

    assert error(replace(WorldNoise(), **{off: 1e6})) > 1.5 * error(WorldNoise())


def test_who_travels_comes_to_face_where_he_goes() -> None:
    world = walking_world("static", noise=0, seconds=3)
    cameras = world.Ts_world_camera
    problem, body = problem_of(world, cameras)
    # Seen 25 degrees askew, as a fit may be when it mistakes depths.
    twist = rotvec_to_matrix(np.array([0.0, 0.0, np.radians(25)]))
    joints = np.einsum("nji,nkj->nki", cameras[:, :3, :3], _twisted(world, twist))
    seen = replace(problem.seen, joints=joints, bone=0.1)  # type: ignore[type-var]
    rotations = body.rotations.copy()
    rotations[:, 0] = twist @ rotations[:, 0]
    askew = replace(body, rotations=rotations)

    def facing(travel: Array | None) -> float:
        solved = solve_world(
            [replace(problem, seen=seen, travel=travel)], World(cameras=cameras, bodies=(askew,)),
            prior=SharedPrior.fixed(), times=world.times,
        )  # fmt: skip
        front = solved.bodies[0].rotations[:, 0, :2, 2]
        return float(np.degrees(np.abs(np.arctan2(front[:, 1], front[:, 0])).mean()))

    assert facing(problem.travel) < 0.75 * facing(None)


def _twisted(world: WalkingWorld, twist: Array) -> Array:
    """The walker's joints about the pelvis turned by `twist` (3, 3), from each camera's centre."""
    joints = world.rig.joints(world.poses)[1][:, :NUM_BODY]
    root = joints[:, :1]
    return root + (joints - root) @ twist.T - world.Ts_world_camera[:, None, :3, 3]
