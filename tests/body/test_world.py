"""World motion: feet that stand stay, flight and steps stay too, and nothing leaves its pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from body.foot_lock import lock_feet
from body.world import (
    WorldConfig,
    in_world,
    motion_by_shots,
    motion_numbers,
    person_evidence,
    pixel_shift,
    run,
    world_motion,
)
from recon.core.contacts import contact_probabilities, interval_labels
from recon.core.errors import InputError
from recon.core.geometry import Array, invert_transform, rotvec_to_matrix, transform_points
from recon.core.people import BodyPoses, WorldMotion, WorldPlacement
from slam.ground import place_world
from tests.synthetic import make_scene, toy_rig, walking_poses
from tests.walking_world import View, WalkingWorld, walking_world

UP = np.array([0.0, 0.0, 1.0])


def true_placement(world: WalkingWorld) -> WorldPlacement:
    return WorldPlacement(
        scale=1.0,
        scale_log_std=0.0,
        scale_source="known",
        R_world_slam=np.eye(3),
        t_world_slam=np.zeros(3),
        Ts_world_camera=world.Ts_world_camera,
        gravity_std=0.0,
    )


def moved(world: WalkingWorld, config: WorldConfig | None = None) -> WorldMotion:
    return world_motion(
        world.motion, world.rig, true_placement(world), times=world.times, config=config
    )


def with_poses(world: WalkingWorld, poses: BodyPoses) -> WalkingWorld:
    """The same camera watching other world poses, without noise."""
    Ts = invert_transform(world.Ts_world_camera)
    rotations = poses.rotations.copy()
    rotations[:, 0] = Ts[:, :3, :3] @ rotations[:, 0]
    seen = BodyPoses(root=transform_points(Ts, poses.root[:, None])[:, 0], rotations=rotations)
    motion = replace(world.motion, poses_camera=seen, joints_camera=world.rig.joints(seen)[1])
    return replace(world, motion=motion, poses=poses)


def root_error(poses: BodyPoses, world: WalkingWorld) -> float:
    return float(np.linalg.norm(poses.root - world.poses.root, axis=1).mean())


def slides(world: WalkingWorld, feet: Array) -> Array:
    """Metres per frame (M,) of sole points that truly stand in both frames."""
    on = world.contacts > 0.5
    return np.linalg.norm(np.diff(feet, axis=0), axis=-1)[on[1:] & on[:-1]]


@pytest.mark.parametrize("view", ["static", "side", "orbit", "behind"])
def test_a_noiseless_walk_passes_unchanged(view: View) -> None:
    world = walking_world(view, noise=0)
    motion = moved(world)
    assert root_error(motion.poses_world, world) < 0.015
    np.testing.assert_allclose(motion.feet_world, world.rig.soles(world.poses), atol=0.08)
    assert np.median(slides(world, motion.feet_world)) < 1e-3
    np.testing.assert_allclose(motion.joints_world, world.rig.joints(motion.poses_world)[1])


@pytest.mark.parametrize("view", ["static", "side", "orbit", "behind"])
def test_noisy_feet_stop_skating(view: View) -> None:
    """By the true contacts, not only by those that the stage found itself."""
    for seed in range(3):
        world = walking_world(view, seed=seed)
        before = in_world(world.motion, true_placement(world))
        motion = moved(world)
        skating = slides(world, world.rig.soles(before))
        locked = slides(world, motion.feet_world)
        assert np.median(skating) > 0.02
        assert np.median(locked) < 0.005
        assert np.quantile(locked, 0.9) < 0.02
        assert root_error(motion.poses_world, world) < root_error(before, world)
        assert motion.feet_world[..., 2].min() > -0.01
        found, true = motion.contacts > 0.5, world.contacts > 0.5
        assert 2 * np.sum(found & true) / (found.sum() + true.sum()) > 0.9


def test_the_body_stays_on_its_pixels() -> None:
    world = walking_world("static", seed=4)
    motion = moved(world)
    shift = pixel_shift(world.motion, motion, true_placement(world), camera=world.camera)
    assert 0 < shift < 4  # the noise itself moves joints by 2 to 3 px


@pytest.mark.parametrize("fps", [12.5, 60.0, 120.0])
def test_the_frame_rate_does_not_matter(fps: float) -> None:
    world = walking_world("side", fps=fps, seed=1, seconds=4)
    motion = moved(world)
    found, true = motion.contacts > 0.5, world.contacts > 0.5
    assert 2 * np.sum(found & true) / (found.sum() + true.sum()) > 0.85
    assert np.median(slides(world, motion.feet_world)) < 0.005
    before = root_error(in_world(world.motion, true_placement(world)), world)
    assert root_error(motion.poses_world, world) < before


def test_a_jump_keeps_its_height() -> None:
    world = walking_world("static", noise=0, seconds=4)
    stand = world.poses
    t = world.times - 2.0
    height = np.maximum(0.35 - 0.5 * 9.81 * t**2, 0)
    root = np.repeat(stand.root[:1], len(t), axis=0) + height[:, None] * UP
    poses = BodyPoses(root=root, rotations=np.repeat(stand.rotations[:1], len(t), axis=0))
    motion = moved(with_poses(world, poses))
    rise = motion.poses_world.root[:, 2] - stand.root[0, 2]
    assert rise.max() > 0.32
    assert abs(np.median(rise)) < 0.01
    flying = height > 0.1
    assert motion.feet_world[flying][..., 2].min() > 0.05


def test_somebody_on_a_box_is_not_pulled_to_the_floor() -> None:
    """A hop from the floor onto a box 40 cm high, seen with noise."""
    world = walking_world("static", seed=6, seconds=5)
    t = np.clip((world.times - 2.0) / 0.5, 0, 1)
    height = 0.4 * t + 4 * 0.15 * t * (1 - t)
    still = in_world(world.motion, true_placement(world)).root - world.poses.root
    root = world.poses.root[:1] + height[:, None] * UP + still
    rotations = np.repeat(world.poses.rotations[:1], len(t), axis=0)
    motion = moved(with_poses(world, BodyPoses(root=root, rotations=rotations)))
    z = motion.poses_world.root[:, 2]
    assert np.mean(z[-60:]) - np.mean(z[:45]) == pytest.approx(0.4, abs=0.03)


def test_a_treadmill_leaves_the_walker_in_place() -> None:
    """Feet on a belt move while they carry weight; nobody must be dragged along by them."""
    world = walking_world("static", noise=0, seconds=5)
    poses = replace(world.poses, root=np.repeat(world.poses.root[:1], len(world.times), axis=0))
    motion = moved(with_poses(world, poses))
    assert np.linalg.norm(motion.poses_world.root - poses.root, axis=1).max() < 0.05
    assert np.mean(motion.contacts > 0.5) < 0.3


def test_a_hidden_stretch_is_bridged() -> None:
    world = walking_world("static", seed=5)
    hidden = np.ones(len(world.times), bool)
    hidden[100:115] = False
    root = world.motion.poses_camera.root.copy()
    root[~hidden] += [0.0, 0.0, 0.5]  # filled in badly
    motion = replace(
        world.motion,
        observed=hidden,
        poses_camera=replace(world.motion.poses_camera, root=root),
    )
    bridged = replace(world, motion=motion)
    before = in_world(motion, true_placement(world))
    assert root_error(moved(bridged).poses_world, world) < 0.8 * root_error(before, world)


# The foot lock ---------------------------------------------------------------------------------


def test_nothing_is_continued_across_a_cut() -> None:
    """A world that jumps by three metres at a cut: each side is as if it were alone."""
    world = walking_world("side", noise=0.2, seed=3)
    Ts = world.Ts_world_camera.copy()
    cut = len(Ts) // 2
    Ts[cut:, :3, 3] += [3.0, 0.0, 0.0]
    placement = replace(true_placement(world), Ts_world_camera=Ts)

    def path(shot_starts: list[int]) -> WorldMotion:
        return motion_by_shots(
            world.motion, world.rig, placement, times=world.times, shot_starts=np.array(shot_starts)
        )

    whole, parted = path([0]), path([0, cut])
    np.testing.assert_array_equal(parted.frame_idx, world.motion.frame_idx)
    truth = world.poses.root + np.where(np.arange(len(Ts)) >= cut, 3.0, 0.0)[:, None] * [1, 0, 0]
    near = slice(cut - 5, cut + 5)
    error = np.linalg.norm(parted.poses_world.root - truth, axis=1)[near].max()
    smeared = np.linalg.norm(whole.poses_world.root - truth, axis=1)[near].max()
    assert error < 0.15 and smeared > 0.5
    alone = moved(world)
    np.testing.assert_allclose(parted.joints_world[:5], alone.joints_world[:5], atol=0.03)


def test_the_lock_reaches_its_anchor_and_keeps_foot_and_body() -> None:
    rig, poses = toy_rig(), walking_poses(60, 30.0)
    times = np.arange(60) / 30
    soles = rig.soles(poses)
    labels = np.full((60, 4), -1)
    labels[32:42, 0] = 0
    anchor = soles[37, 0] + [0.02, -0.01, 0.01]
    locked = lock_feet(rig, poses, times, labels=labels, anchors=anchor[None], blend=0.1)
    feet = rig.soles(locked)
    np.testing.assert_allclose(feet[32:42, 0], np.repeat(anchor[None], 10, axis=0), atol=2e-3)
    np.testing.assert_allclose(locked.rotations[:28], poses.rotations[:28], atol=1e-9)
    np.testing.assert_allclose(locked.rotations[46:], poses.rotations[46:], atol=1e-9)
    assert np.linalg.norm(np.diff(feet[:, 0] - soles[:, 0], axis=0), axis=1).max() < 0.03
    before, after = rig.joints(poses)[0], rig.joints(locked)[0]
    np.testing.assert_allclose(after[:, 7], before[:, 7], atol=1e-9)  # the foot's orientation
    others = [j for j in range(52) if j not in (1, 4, 7, 10)]
    np.testing.assert_allclose(after[:, others], before[:, others], atol=1e-9)


def test_a_lock_without_contacts_changes_nothing() -> None:
    rig, poses = toy_rig(), walking_poses(30, 30.0)
    none = np.full((30, 4), -1)
    locked = lock_feet(
        rig, poses, np.arange(30) / 30, labels=none, anchors=np.zeros((0, 3)), blend=0.1
    )
    np.testing.assert_allclose(locked.rotations, poses.rotations, atol=1e-9)
    np.testing.assert_allclose(locked.root, poses.root, atol=1e-9)


# Contacts --------------------------------------------------------------------------------------


def test_contacts_do_not_depend_on_where_and_which_way_somebody_walks() -> None:
    rig = toy_rig()
    times = np.arange(90) / 30
    soles = rig.soles(walking_poses(90, 30.0))
    turn = rotvec_to_matrix(np.array([0.0, 0.0, 2.0]))
    other = soles @ turn.T + [4.0, -7.0, 1.3]
    np.testing.assert_allclose(
        contact_probabilities(soles, times, up=UP),
        contact_probabilities(other, times, up=UP),
        atol=1e-6,
    )


def test_intervals_count_runs_of_contact() -> None:
    contacts = np.array([[0.9, 0.1], [0.8, 0.7], [0.2, 0.7], [0.9, 0.2]])
    np.testing.assert_array_equal(interval_labels(contacts), [[0, -1], [0, 2], [-1, 2], [1, -1]])


# The stage -------------------------------------------------------------------------------------


@pytest.mark.parametrize("camera", ["static", "moving"])
def test_the_stage_writes_a_world_like_the_truth(tmp_path: Path, camera: View) -> None:
    scene = make_scene(tmp_path / "scene", num_people=2, num_frames=120, camera=camera)  # type: ignore[arg-type]
    truth = scene.world_motions
    seen: list[tuple[int, int]] = []
    report = run(scene, WorldConfig(), place=place_world, progress=lambda i, n: seen.append((i, n)))
    found = scene.world_motions
    assert seen[-1][0] == seen[-1][1]
    for a, b in zip(found, truth, strict=True):
        steps_a, steps_b = (np.diff(m.poses_world.root, axis=0) for m in (a, b))
        lengths_a, lengths_b = (np.linalg.norm(s, axis=1).sum() for s in (steps_a, steps_b))
        assert lengths_a == pytest.approx(lengths_b, rel=0.02)
        np.testing.assert_allclose(a.poses_world.root[:, 2], b.poses_world.root[:, 2], atol=0.04)
    apart_a, apart_b = (
        m[1].poses_world.root[0] - m[0].poses_world.root[m[1].frame_idx[0]] for m in (found, truth)
    )
    assert np.linalg.norm(apart_a) == pytest.approx(np.linalg.norm(apart_b), abs=0.05)
    names = [d.name for d in report.decisions]
    assert names == [
        "gravity",
        "scale",
        "floor",
        "people and camera together",
        "contacts of person1",
        "contacts of person2",
    ]
    assert report.numbers["person1"]["mean_speed"] == pytest.approx(1.0, abs=0.05)
    assert report.numbers["person1"]["stance_slide_cm"] < 0.5


def test_the_stage_without_people_still_places_the_camera(tmp_path: Path) -> None:
    scene = make_scene(tmp_path / "scene", num_people=0, num_frames=10)
    report = run(scene, WorldConfig(), place=place_world)
    assert scene.world_motions == []
    assert len(scene.placement.Ts_world_camera) == 10
    assert report.warnings


def test_one_frame_is_enough() -> None:
    world = walking_world("static", seconds=1 / 30, noise=0)
    motion = moved(world)
    assert root_error(motion.poses_world, world) < 0.02
    assert motion_numbers(motion, world.times)["mean_speed"] == 0


def test_frames_outside_the_placement_are_refused() -> None:
    world = walking_world("static", seconds=1)
    short = replace(true_placement(world), Ts_world_camera=world.Ts_world_camera[:-3])
    with pytest.raises(InputError, match="expected frames below 27"):
        world_motion(world.motion, world.rig, short, times=world.times)


def test_evidence_of_filled_in_frames_has_no_weight() -> None:
    world = walking_world("static", seconds=1)
    observed = np.arange(30) < 20
    evidence = person_evidence(replace(world.motion, observed=observed), world.rig)
    assert (evidence.weights[:20] > 0).all()
    assert (evidence.weights[20:] == 0).all()
