"""Laws of procedural motion: feet stand, nothing sinks, bodies bend as people do."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from recon.core.errors import InputError
from recon.core.geometry import matrix_to_rotvec
from recon.core.people import BodyPoses
from recon.core.skeletons import CANONICAL_JOINTS
from recon.motion import ACTIONS, Action, MotionClip, procedural, sequence
from tests.recon.motion.bodies import floor_under, rig, slide

CASES = [
    (action, seed, fps, size)
    for action in ACTIONS
    for seed, fps, size in ((0, 30.0, 0.0), (1, 59.94, 1.5), (2, 24.0, -1.5))
]
J = {name: i for i, name in enumerate(CANONICAL_JOINTS)}


@cache
def clip(action: Action, seed: int, fps: float = 30.0, size: float = 0.0) -> MotionClip:
    seconds = 8.0 if action == "climb" else 4.0
    return procedural(action, rig(size), seconds=seconds, fps=fps, seed=seed)


@pytest.mark.parametrize(("action", "seed", "fps", "size"), CASES)
def test_feet_in_contact_are_still_and_nothing_sinks(action, seed, fps, size) -> None:
    motion = clip(action, seed, fps, size)
    soles = rig(size).soles(motion.poses)
    assert slide(motion).max() < 1e-4
    assert motion.contacts is not None
    stands = motion.contacts > 0.5
    above = soles[..., 2] - floor_under(motion, soles)
    assert np.abs(above[stands]).max() < 1e-3
    assert above.min() > -1e-3


@pytest.mark.parametrize(("action", "seed", "fps", "size"), CASES)
def test_joints_stay_within_human_range(action, seed, fps, size) -> None:
    motion = clip(action, seed, fps, size)
    turned = np.degrees(matrix_to_rotvec(motion.poses.rotations))
    for side in ("left", "right"):
        knee, hip, ankle, elbow = (
            turned[:, J[f"{side}_{part}"]] for part in ("knee", "hip", "ankle", "elbow")
        )
        assert -5 < knee[:, 0].min() and knee[:, 0].max() < 150
        assert np.abs(knee[:, 1:]).max() < 25, "a knee is a hinge"
        assert -130 < hip[:, 0].min() and hip[:, 0].max() < 40
        assert np.abs(hip[:, 1:]).max() < 50
        assert -50 < ankle[:, 0].min() and ankle[:, 0].max() < 60
        assert np.linalg.norm(elbow, axis=1).max() < 150
        assert (elbow[:, 1] * (-1 if side == "left" else 1)).min() > -1, "elbows bend one way"
    for part in ("spine1", "spine2", "spine3", "neck", "head"):
        assert np.linalg.norm(turned[:, J[part]], axis=1).max() < 40


@pytest.mark.parametrize("action", ACTIONS)
def test_joints_accelerate_as_people_do(action) -> None:
    motion = clip(action, 0, 60.0)
    joints = rig().joints(motion.poses)[1][:, :22]
    acceleration = np.linalg.norm(np.diff(joints, n=2, axis=0), axis=-1) * 60.0**2
    assert np.percentile(acceleration, 99) < 160
    assert acceleration.max() < 500
    pelvis = acceleration[:, 0]
    assert pelvis.max() < 40


@pytest.mark.parametrize("action", ["run", "jump"])
def test_the_pelvis_falls_freely_in_flight(action) -> None:
    motion = clip(action, 0, 120.0)
    assert motion.contacts is not None
    free = np.all(motion.contacts < 0.5, axis=1)
    inside = free[:-2] & free[1:-1] & free[2:]
    assert inside.sum() > 10
    pull = np.diff(motion.poses.root[:, 2], n=2) * 120.0**2
    np.testing.assert_allclose(pull[inside], -9.81, atol=1e-3)


@pytest.mark.parametrize("action", ACTIONS)
def test_the_curve_does_not_depend_on_the_frame_rate(action) -> None:
    slow, fast = clip(action, 0, 30.0), clip(action, 0, 90.0)
    n = min(len(slow.times), (len(fast.times) + 2) // 3)
    np.testing.assert_allclose(slow.times[:n], fast.times[::3][:n], atol=1e-9)
    np.testing.assert_allclose(slow.poses.root[:n], fast.poses.root[::3][:n], atol=1e-9)


def test_given_times_are_used_exactly() -> None:
    times = np.array([0.0, 0.11, 0.5, 0.52, 1.9])
    motion = procedural("walk", rig(), seed=3, times=times)
    np.testing.assert_array_equal(motion.times, times)
    full = procedural("walk", rig(), seed=3, times=np.linspace(0, 1.9, 191))
    np.testing.assert_allclose(motion.poses.root[1], full.poses.root[11], atol=1e-9)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_seed_is_a_person(action) -> None:
    again = procedural(action, rig(), seconds=8.0 if action == "climb" else 4.0, seed=0)
    np.testing.assert_array_equal(again.poses.rotations, clip(action, 0).poses.rotations)
    assert np.abs(again.poses.rotations - clip(action, 5).poses.rotations).max() > 0.02


def test_start_heading_and_speed_are_what_was_asked_for() -> None:
    motion = procedural("walk", rig(), seconds=4.0, seed=1, start=(2.0, -1.0), heading=2.0,
                        speed=1.0)  # fmt: skip
    root = motion.poses.root
    assert np.linalg.norm(root[0, :2] - [2.0, -1.0]) < 0.06
    step = root[10, :2] - root[0, :2]
    assert abs(np.arctan2(step[1], step[0]) - 2.0) < 0.25
    way = np.linalg.norm(np.diff(root[:, :2], axis=0), axis=1).sum()
    assert way / motion.times[-1] == pytest.approx(1.0, abs=0.06)


def test_a_path_is_walked_to_its_end() -> None:
    path = np.array([[2.0, 0.0], [3.0, 1.5], [1.0, 3.0]])
    motion = procedural("walk", rig(), seconds=9.0, seed=0, path=path)
    root = motion.poses.root[:, :2]
    for point in path:
        assert np.linalg.norm(root - point, axis=1).min() < 0.15
    assert np.linalg.norm(root[-1] - path[-1]) < 0.1


@pytest.mark.parametrize("seed", range(4))
def test_a_sequence_stays_in_its_disc_with_feet_that_stand(seed) -> None:
    parts: list[Action] = ["walk", "turn", "squat", "jump", "run", "reach", "walk"]
    motion = sequence(parts, rig(), seconds=18.0, seed=seed, start=(1.0, 1.0), radius=2.5)
    assert np.linalg.norm(motion.poses.root[:, :2] - 1.0, axis=1).max() < 2.7
    soles = rig().soles(motion.poses)
    assert slide(motion).max() < 1e-4
    assert soles[..., 2].min() > -1e-3
    way = np.linalg.norm(np.diff(motion.poses.root[:, :2], axis=0), axis=1).sum()
    assert way > 3.5


@pytest.mark.parametrize("seed", range(3))
def test_nobody_walks_through_chairs_and_steps(seed) -> None:
    motion = sequence(["walk", "sit", "walk", "climb"], rig(), seconds=20.0, seed=seed, radius=4.0)
    assert {box.kind for box in motion.props} == {"chair", "step"}
    soles = rig().soles(motion.poses)
    for box in motion.props:
        inside = np.abs(box.local(soles)) < box.size / 2 - 1e-3
        assert not inside.all(axis=-1).any()


def test_a_sitter_rests_on_the_seat() -> None:
    motion = clip("sit", 0)
    middle = len(motion.times) // 2
    poses = motion.poses
    seated = BodyPoses(
        root=poses.root[middle : middle + 1], rotations=poses.rotations[middle : middle + 1]
    )
    vertices = rig().vertices(seated)[0]
    seat = motion.props[0]
    local = seat.local(vertices.astype(float))
    over = (np.abs(local[:, :2]) < seat.size[:2] / 2 - 0.03).all(axis=1)
    gap = local[over, 2].min() - seat.size[2] / 2
    assert -0.04 < gap < 0.01
    shoulders, pelvis = rig().joints(seated)[1][0][[J["neck"], 0]]
    assert np.linalg.norm((shoulders - pelvis)[:2]) < 0.2, "sits upright"


@pytest.mark.parametrize(
    "call",
    [
        lambda: procedural("fly", rig()),  # type: ignore[arg-type]
        lambda: procedural("walk", rig(), seconds=-1.0),
        lambda: procedural("walk", rig(), path=np.zeros((3, 3))),
        lambda: procedural("walk", rig(), speed=9.0),
        lambda: sequence([], rig()),
        lambda: sequence(["sit", "climb", "walk"], rig(), seconds=3.0),
    ],
    ids=["unknown action", "no time", "path in 3D", "too fast", "no parts", "too little time"],
)
def test_what_cannot_be_done_is_said(call) -> None:
    with pytest.raises(InputError, match="expected"):
        call()
