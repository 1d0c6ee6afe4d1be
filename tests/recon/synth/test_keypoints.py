"""Worlds without pixels: their truth is consistent, their errors are those that were asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recon.core.errors import InputError
from recon.core.geometry import invert_transform, make_transform, transform_points
from recon.core.placed import place_camera
from recon.motion import procedural, save_motion
from recon.synth import (
    CAMERA_MOVES,
    CLEAN,
    TRUE_CAMERA,
    CameraMove,
    KeypointWorld,
    WorldSpec,
    keypoint_world,
)

SPEC = WorldSpec(seed=1, camera="following", people=2, frames=90)


@pytest.fixture(scope="module")
def world() -> KeypointWorld:
    return keypoint_world(SPEC)


def test_the_truth_agrees_with_itself(world: KeypointWorld) -> None:
    """Bodies in the camera, brought to the world by the placed camera, are the world's bodies."""
    truth = world.truth
    placed = place_camera(truth.camera, truth.placement)
    scale = truth.placement.scale
    S = make_transform(scale * truth.placement.R_world_slam, truth.placement.t_world_slam)
    centres = transform_points(S, truth.camera.Ts_slam_camera[:, :3, 3])
    np.testing.assert_allclose(centres, placed.Ts_frame_camera[:, :3, 3], atol=1e-9)
    for motion, found, rig in zip(truth.motions, truth.world_motions, truth.rigs, strict=True):
        joints = transform_points(placed.Ts_frame_camera, motion.joints_camera)
        np.testing.assert_allclose(joints, found.joints_world, atol=1e-9)
        np.testing.assert_allclose(
            rig.joints(motion.poses_camera)[1], motion.joints_camera, atol=1e-9
        )


def test_nobody_sinks_below_the_floor_or_walks_through_another(world: KeypointWorld) -> None:
    feet = np.stack([m.feet_world for m in world.truth.world_motions])
    assert feet[..., 2].min() > -0.01
    one, other = (m.poses_world.root for m in world.truth.world_motions)
    assert np.linalg.norm(one - other, axis=1).min() > 0.5


@pytest.mark.parametrize("move", CAMERA_MOVES)
@pytest.mark.parametrize("people", [1, 3])
def test_every_camera_keeps_people_in_a_good_part_of_the_picture(
    move: CameraMove, people: int
) -> None:
    fills, shares, heights = [], [], []
    for seed in range(3):
        world = keypoint_world(WorldSpec(seed=seed, camera=move, people=people, frames=60, fps=10))
        fills += [np.ptp(t.keypoints_px[..., 1], axis=1) / 540 for t in world.truth.tracks]
        shares.append(sum(len(t.frame_idx) for t in world.tracks) / (60 * people))
        heights.append(world.staged.Ts_world_camera[:, 2, 3])
    fill = np.concatenate(fills)
    assert 0.2 < np.quantile(fill, 0.1) and np.quantile(fill, 0.9) < 0.9
    assert np.mean(shares) > 0.8
    assert 1.0 < np.min(heights) and np.max(heights) < 2.0


def test_the_seed_is_all_there_is_to_chance(world: KeypointWorld) -> None:
    again, other = keypoint_world(SPEC), keypoint_world(replace(SPEC, seed=2))
    np.testing.assert_array_equal(again.tracks[0].keypoints_px, world.tracks[0].keypoints_px)
    np.testing.assert_array_equal(again.camera.Ts_slam_camera, world.camera.Ts_slam_camera)
    assert other.truth.motions[0].shape.values.tolist() != (
        world.truth.motions[0].shape.values.tolist()
    )


def test_no_errors_where_none_are_asked_for() -> None:
    world = keypoint_world(replace(SPEC, people=1), sensor=CLEAN, slam=TRUE_CAMERA)
    seen, true = world.tracks[0], world.truth.tracks[0]
    np.testing.assert_allclose(seen.keypoints_px, true.keypoints_px[seen.frame_idx], atol=1e-6)
    np.testing.assert_allclose(
        world.camera.Ts_slam_camera, world.truth.camera.Ts_slam_camera, atol=1e-9
    )


def test_a_tracked_camera_strays_and_knows_neither_scale_nor_axes(world: KeypointWorld) -> None:
    slam, true = world.camera.Ts_slam_camera, world.staged.Ts_world_camera
    lengths = [np.linalg.norm(np.diff(T[::5, :3, 3], axis=0), axis=1).sum() for T in (true, slam)]
    scale = world.truth.placement.scale
    assert abs(scale - 1) > 0.05
    assert lengths[0] / lengths[1] == pytest.approx(scale, rel=0.1)
    relative = [invert_transform(T[0]) @ T[-1] for T in (true, slam)]
    error = np.linalg.norm(relative[0][:3, 3] - scale * relative[1][:3, 3])
    assert 1e-3 < error < 0.05 * lengths[0]


def test_who_does_not_move_is_metric_and_has_no_points() -> None:
    world = keypoint_world(WorldSpec(camera="static", frames=30))
    assert world.camera.kind == "static"
    assert len(world.camera.points_slam) == 0
    np.testing.assert_allclose(
        world.camera.Ts_slam_camera, np.tile(np.eye(4), (30, 1, 1)), atol=1e-9
    )


def test_any_frame_rate_is_the_same_camera_path() -> None:
    fast = keypoint_world(replace(SPEC, people=1, frames=121, fps=60)).staged
    slow = keypoint_world(replace(SPEC, people=1, frames=61, fps=30)).staged
    apart = fast.Ts_world_camera[::2, :3, 3] - slow.Ts_world_camera[:, :3, 3]
    assert np.linalg.norm(apart, axis=1).max() < 0.1


@pytest.mark.parametrize("move", CAMERA_MOVES)
def test_nobody_walks_off_while_others_stay(move: CameraMove) -> None:
    spec = WorldSpec(seed=3, camera=move, people=2, frames=90, fps=10, actions=("walk", "reach"))
    one, other = (m.poses_world.root for m in keypoint_world(spec).truth.world_motions)
    assert np.linalg.norm(one - other, axis=1).max() < 3.5


def test_recorded_motion_on_another_body(tmp_path: Path) -> None:
    rig = keypoint_world(replace(SPEC, people=1, frames=4)).truth.rigs[0]
    clip = procedural("walk", rig, seconds=3.0, seed=5, speed=1.2)
    save_motion(clip, tmp_path / "walk.npz")
    spec = WorldSpec(seed=6, camera="forward", frames=60, motions=(tmp_path / "walk.npz",))
    (motion,) = keypoint_world(spec).truth.world_motions
    walked = np.linalg.norm(motion.poses_world.root[-1] - motion.poses_world.root[0])
    assert walked == pytest.approx(1.2 * 59 / 30, rel=0.25)  # legs of another length
    assert 0.3 < motion.contacts.mean() < 0.9
    with pytest.raises(InputError, match="--frames"):
        keypoint_world(replace(spec, frames=300))


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"people": 5}, "--people"),
        ({"frames": 1}, "--frames"),
        ({"camera": "flying"}, "--camera"),
        ({"size": (961, 540)}, "--size"),
        ({"fps": 0.0}, "--fps"),
        ({"fov_deg": 170.0}, "--fov"),
    ],
)
def test_a_world_that_cannot_be_is_refused_by_the_flag(change: dict, flag: str) -> None:
    with pytest.raises(InputError, match=flag):
        replace(SPEC, **change)
