"""Metric scale, gravity and floor from walkers whose world is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from body.world import person_evidence
from recon.core.errors import InputError
from recon.core.geometry import Array, invert_transform, rotvec_to_matrix, transform_points
from recon.core.people import PersonEvidence, WorldPlacement
from slam.ground import place_world
from slam.metric_scale import ScaleEstimate
from slam.scale_fusion import fuse_scales
from tests.walking_world import View, WalkingWorld, walking_world

MOVING: tuple[View, ...] = ("side", "orbit", "behind")
SEEDS = range(5)


def placed(world: WalkingWorld, *people: PersonEvidence) -> WorldPlacement:
    evidence = list(people) or [person_evidence(world.motion, world.rig)]
    return place_world(world.camera, evidence, world.times)[0]


def tilt_deg(world: WalkingWorld, placement: WorldPlacement) -> float:
    """Angle between the true vertical and the found one."""
    true_up, up = (Ts[0, 2, :3] for Ts in (world.Ts_world_camera, placement.Ts_world_camera))
    return float(np.degrees(np.arccos(np.clip(true_up @ up, -1, 1))))


def camera_distances(Ts: Array) -> Array:
    return np.linalg.norm(Ts[:, :3, 3] - Ts[0, :3, 3], axis=1)


@pytest.mark.parametrize("view", MOVING)
def test_a_noiseless_walk_gives_the_exact_scale(view: View) -> None:
    world = walking_world(view, noise=0)
    placement = placed(world)
    assert placement.scale == pytest.approx(world.scale, rel=0.005)
    assert tilt_deg(world, placement) < 0.5
    found, true = (camera_distances(T) for T in (placement.Ts_world_camera, world.Ts_world_camera))
    np.testing.assert_allclose(found, true, atol=0.05)
    assert placement.Ts_world_camera[0, 2, 3] == pytest.approx(
        world.Ts_world_camera[0, 2, 3], abs=0.06
    )


@pytest.mark.parametrize(("view", "limit"), [("side", 0.05), ("orbit", 0.05), ("behind", 0.10)])
def test_scale_and_gravity_survive_monocular_noise(view: View, limit: float) -> None:
    inside = []
    for seed in SEEDS:
        world = walking_world(view, seed=seed)
        placement = placed(world)
        error = abs(np.log(placement.scale / world.scale))
        assert error < limit
        assert placement.scale_log_std < limit
        inside.append(error < 2 * placement.scale_log_std)
        assert tilt_deg(world, placement) < 3
    assert np.mean(inside) >= 0.6


@pytest.mark.parametrize("scale", [0.05, 60.0])
def test_the_world_does_not_depend_on_the_slam_gauge(scale: float) -> None:
    """Another origin, other axes and another unit of the slam frame: the same world."""
    world = walking_world("orbit", seed=3, seconds=5)
    R, t = rotvec_to_matrix(np.array([0.4, -2.0, 1.0])), np.array([3.0, -5.0, 8.0])
    Ts = world.camera.Ts_slam_camera.copy()
    Ts[:, :3, 3] = Ts[:, :3, 3] @ R.T / scale + t
    Ts[:, :3, :3] = R @ Ts[:, :3, :3]
    other = replace(world, camera=replace(world.camera, Ts_slam_camera=Ts))
    a, b = placed(world), placed(other)
    np.testing.assert_allclose(a.Ts_world_camera, b.Ts_world_camera, atol=1e-4)
    assert b.scale == pytest.approx(a.scale * scale, rel=1e-4)


@pytest.mark.parametrize("view", ["static", "orbit"])
def test_the_placement_is_a_similarity_with_the_walker_on_the_floor(view: View) -> None:
    world = walking_world(view, seed=1)
    p = placed(world)
    centres = p.scale * world.camera.Ts_slam_camera[:, :3, 3] @ p.R_world_slam.T + p.t_world_slam
    np.testing.assert_allclose(centres, p.Ts_world_camera[:, :3, 3], atol=1e-9)
    np.testing.assert_allclose(p.R_world_slam @ p.R_world_slam.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(p.R_world_slam) == pytest.approx(1)
    evidence = person_evidence(world.motion, world.rig)
    soles = transform_points(p.Ts_world_camera, evidence.soles_camera)
    assert abs(np.median(soles[..., 2][world.contacts > 0.5])) < 0.02
    pelvis = transform_points(p.Ts_world_camera[:1], evidence.joints_camera[:1, :1])[0, 0]
    np.testing.assert_allclose(pelvis[:2], 0, atol=1e-9)
    right = p.Ts_world_camera[0, :3, 0]
    assert right[0] > 0.99
    assert abs(right[1]) < 1e-9


def test_a_static_camera_has_no_scale_to_find() -> None:
    world = walking_world("static")
    placement = placed(world)
    assert placement.scale == 1
    assert np.isinf(placement.scale_log_std)
    assert "static" in placement.scale_source


def test_a_camera_that_hardly_moves_is_never_given_a_confident_scale() -> None:
    """2 mm of sway cannot be weighed against feet that err by centimetres."""
    world = walking_world("static", seed=2)
    Ts = world.camera.Ts_slam_camera.copy()
    Ts[:, :3, 3] += 0.001 * np.sin(np.outer(world.times, [1.0, 2.0, 3.0]))
    camera = replace(world.camera, kind="moving", Ts_slam_camera=Ts)
    evidence = [person_evidence(world.motion, world.rig)]
    placement, report = place_world(camera, evidence, world.times)
    assert placement.scale_log_std > 0.25
    assert any("scale" in w for w in report.warnings)


def test_scene_points_beside_the_feet_give_the_scale_when_feet_cannot() -> None:
    world = walking_world("static", seed=2)
    rng = np.random.default_rng(0)
    ground = np.concatenate(
        [rng.uniform([-3, -3], [13, 3], (4000, 2)), np.zeros((4000, 1))], axis=1
    )
    slam = world.camera.Ts_slam_camera.copy()
    slam[:, :3, 3] = 0
    points = transform_points(invert_transform(world.Ts_world_camera[0]), ground) / 2.5
    camera = replace(
        world.camera, kind="moving", Ts_slam_camera=slam, points_slam=points @ slam[0, :3, :3].T,
        point_colors=np.zeros((4000, 3), np.uint8),
    )  # fmt: skip
    placement = placed(replace(world, camera=camera))
    assert placement.scale == pytest.approx(2.5, rel=0.05)
    assert 0.04 < placement.scale_log_std < 0.1  # never surer than a fitted body is


def test_an_estimate_that_contradicts_a_certain_one_is_left_out() -> None:
    feet = ScaleEstimate(source="feet", scale=2.0, log_std=0.02)
    near = ScaleEstimate(source="near", scale=2.2, log_std=0.2)
    far = ScaleEstimate(source="far", scale=5.0, log_std=0.2)
    fused = fuse_scales([feet, near, far])
    assert fused is not None
    assert fused.used == (True, True, False)
    assert fused.estimate.source == "feet and near"
    assert 2.0 < fused.estimate.scale < 2.01
    assert fused.estimate.log_std < 0.02
    assert [n["used"] for n in fused.numbers()] == [True, True, False]
    assert any("Far gives 5" in w for w in fused.warnings())
    assert fuse_scales([]) is None


def test_two_people_know_the_scale_better_than_one() -> None:
    one, two = (walking_world("behind", seed=s) for s in (1, 2))
    assert np.allclose(one.Ts_world_camera, two.Ts_world_camera)
    people = [person_evidence(w.motion, w.rig) for w in (one, two)]
    both = placed(one, *people)
    assert both.scale_log_std < placed(one, people[0]).scale_log_std
    assert both.scale == pytest.approx(one.scale, rel=0.08)


def test_a_walker_who_leans_does_not_tilt_the_world() -> None:
    """Everything above the hips bent 25 degrees forward, as a hiker with a load."""
    world = walking_world("side", noise=0)
    rotations = world.motion.poses_camera.rotations.copy()
    rotations[:, 3] = rotations[:, 3] @ rotvec_to_matrix(np.radians([25.0, 0, 0]))
    poses = replace(world.motion.poses_camera, rotations=rotations)
    motion = replace(world.motion, poses_camera=poses, joints_camera=world.rig.joints(poses)[1])
    assert tilt_deg(world, placed(replace(world, motion=motion))) < 3


def test_somebody_lying_down_does_not_lay_the_world_down() -> None:
    world = walking_world("static", noise=0)
    lying = rotvec_to_matrix(np.radians([0.0, 0, 90]))
    evidence = person_evidence(world.motion, world.rig)

    def laid(points: Array) -> Array:
        """The first frame's body turned about its pelvis and kept there."""
        pivot = evidence.joints_camera[0, 0]
        return np.repeat(((points[:1] - pivot) @ lying.T + pivot), len(points), axis=0)

    other = replace(
        evidence,
        joints_camera=laid(evidence.joints_camera),
        soles_camera=laid(evidence.soles_camera),
    )
    assert tilt_deg(world, placed(world, evidence, other)) < 3
    alone = placed(world, other)
    assert tilt_deg(world, alone) < 10
    assert alone.gravity_std > np.radians(10)


def test_nobody_gives_the_cameras_own_vertical_and_a_warning() -> None:
    world = walking_world("side")
    placement, report = place_world(world.camera, [], world.times)
    assert placement.Ts_world_camera[0, 2, 3] == pytest.approx(1.5)
    assert placement.scale == 1
    assert any("Nobody" in w for w in report.warnings)
    assert {d.name for d in report.decisions} == {"gravity", "scale", "floor"}


def test_frames_outside_the_video_are_refused() -> None:
    world = walking_world("static", seconds=2)
    evidence = person_evidence(world.motion, world.rig)
    late = replace(evidence, frame_idx=evidence.frame_idx + 5)
    with pytest.raises(InputError, match="frame indices below"):
        place_world(world.camera, [late], world.times)
    with pytest.raises(InputError, match="frame times"):
        place_world(world.camera, [evidence], world.times[:-1])
