"""The floor among scene points, and the scale from its depth under standing feet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from body.world import person_evidence
from recon.core.camera import CameraTrajectory, Intrinsics
from recon.core.depth import KeyframeDepth
from recon.core.geometry import Array, invert_transform, rotvec_to_matrix, transform_points
from slam.depth_scale import contact_depth_scale
from slam.floor_plane import find_floor, scene_cloud
from slam.ground import place_world
from slam.metric_scale import SlamFeet, slam_feet
from tests.walking_world import WalkingWorld, walking_world

UP = np.array([0.0, 0.0, 1.0])
CENTRES = np.array([[0.0, -4.5, 1.5], [8.0, -4.5, 1.5]])


def ground(rng: np.random.Generator, *, count: int = 500, z: float = 0.0) -> Array:
    return rng.uniform([-3, -3, z - 0.01], [12, 3, z + 0.01], (count, 3))


def wall(rng: np.random.Generator, *, count: int = 800) -> Array:
    return rng.uniform([-3, 3, 0], [12, 3.02, 4], (count, 3))


def tilt_deg(a: Array, b: Array) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b, -1, 1))))


def test_the_floor_is_found_beside_a_larger_wall_and_clutter() -> None:
    rng = np.random.default_rng(0)
    clutter = rng.uniform([-3, -3, 0.1], [12, 3, 2], (300, 3))
    cloud = np.concatenate([ground(rng), wall(rng), clutter])
    floor = find_floor(cloud, up=UP, centres=CENTRES)
    assert floor is not None
    assert tilt_deg(floor.normal, UP) < 0.3
    assert abs(floor.level) < 0.02
    assert floor.normal_std < np.radians(1)


@pytest.mark.parametrize("scale", [0.01, 40.0])
def test_the_floor_does_not_depend_on_the_slam_gauge(scale: float) -> None:
    rng = np.random.default_rng(1)
    cloud = np.concatenate([ground(rng), wall(rng)])
    R, t = rotvec_to_matrix(np.array([0.7, -0.4, 2.0])), np.array([3.0, 1.0, -2.0])
    a = find_floor(cloud, up=UP, centres=CENTRES)
    b = find_floor(scale * cloud @ R.T + t, up=R @ UP, centres=scale * CENTRES @ R.T + t)
    assert a is not None
    assert b is not None
    np.testing.assert_allclose(b.normal, R @ a.normal, atol=1e-6)
    np.testing.assert_allclose(b.heights(scale * cloud @ R.T + t), scale * a.heights(cloud),
                               atol=1e-6 * scale)  # fmt: skip


def test_a_wrong_vertical_is_corrected_by_the_floor() -> None:
    rng = np.random.default_rng(2)
    leaning = rotvec_to_matrix(np.radians([9.0, 0, 0])) @ UP
    cloud = np.concatenate([ground(rng), wall(rng)])
    floor = find_floor(cloud, up=leaning, centres=CENTRES)
    assert floor is not None
    assert tilt_deg(floor.normal, UP) < 0.5


def test_walls_ceilings_and_tables_are_no_floor() -> None:
    rng = np.random.default_rng(3)
    assert find_floor(wall(rng), up=UP, centres=CENTRES) is None
    assert find_floor(ground(rng, z=3.0), up=UP, centres=CENTRES) is None
    assert find_floor(np.zeros((0, 3)), up=UP, centres=CENTRES) is None
    low = [[2.0, -4.5, 0.9], [6.0, -4.5, 0.9]]  # a distant wall seen from low down
    assert find_floor(wall(rng) + np.array([0, 9, 0]), up=UP, centres=np.array(low)) is None
    table = rng.uniform([2, -1, 0.79], [4, 1, 0.81], (200, 3))
    under = rng.uniform([-3, -3, 0.0], [12, 3, 0.6], (120, 3))
    assert find_floor(np.concatenate([table, under]), up=UP, centres=CENTRES) is None


def test_dense_depth_becomes_points_of_the_scene() -> None:
    """A level camera 1.5 m over a floor: every measured cell lies on it, others do not count."""
    world_camera = walking_world("static", seconds=2).Ts_world_camera[:1]
    intrinsics = Intrinsics(fx=100, fy=100, cx=80, cy=45, width=160, height=90)
    y, x = np.mgrid[:18, :32]
    px = np.stack([(x + 0.5) * 5, (y + 0.5) * 5], axis=-1)
    rays = intrinsics.unproject(px, np.ones(px.shape[:2])) @ world_camera[0, :3, :3].T
    inverse = np.maximum(-rays[..., 2], 0) / world_camera[0, 2, 3]
    weights = (inverse > 0.02) * 1.0
    weights[15:, 5:9] = 0.0  # a person
    inverse[15:, 5:9] = 2.0
    depth = KeyframeDepth(
        frame_idx=np.array([0]),
        inverse_depth=inverse[None].astype(np.float16),
        weights=weights[None].astype(np.float16),
    )
    camera = CameraTrajectory(
        kind="moving", backend="synthetic", intrinsics=intrinsics, Ts_slam_camera=world_camera,
        tracked=np.ones(1, bool), points_slam=np.zeros((0, 3)),
        point_colors=np.zeros((0, 3), np.uint8),
    )  # fmt: skip
    cloud = scene_cloud(camera, depth)
    assert len(cloud) == int(weights.sum())
    assert np.abs(cloud[:, 2]).max() < 0.05
    floor = find_floor(cloud, up=UP, centres=world_camera[:, :3, 3])
    assert floor is not None
    assert tilt_deg(floor.normal, UP) < 0.5


# Depth of the floor at the feet ----------------------------------------------------------------


def in_slam(world: WalkingWorld, points_world: Array) -> Array:
    seen = transform_points(invert_transform(world.Ts_world_camera[0]), points_world)
    return transform_points(world.camera.Ts_slam_camera[0], seen / world.scale)


def feet_of(world: WalkingWorld) -> list[SlamFeet]:
    return [slam_feet(world.camera, person_evidence(world.motion, world.rig), world.times)]


def up_in_slam(world: WalkingWorld) -> Array:
    return world.camera.Ts_slam_camera[0, :3, :3] @ world.Ts_world_camera[0, 2, :3]


def depth_scale(world: WalkingWorld, points_world: Array) -> float | None:
    centres = world.camera.Ts_slam_camera[:, :3, 3]
    floor = find_floor(in_slam(world, points_world), up=up_in_slam(world), centres=centres)
    found = None if floor is None else contact_depth_scale(feet_of(world), floor)
    return None if found is None else found.scale


@pytest.mark.parametrize("view", ["side", "behind"])
def test_the_floor_at_the_feet_gives_the_scale_whatever_stands_behind(view: str) -> None:
    rng = np.random.default_rng(4)
    world = walking_world(view, seed=4, seconds=5)  # type: ignore[arg-type]
    found = depth_scale(world, np.concatenate([ground(rng), wall(rng)]))
    assert found == pytest.approx(world.scale, rel=0.04)


def test_rather_no_scale_than_that_of_a_wall_or_of_a_floor_elsewhere() -> None:
    rng = np.random.default_rng(5)
    world = walking_world("side", seed=5, seconds=5)
    assert depth_scale(world, wall(rng)) is None
    far = ground(rng) + np.array([0.0, 12.0, 0.0])
    assert depth_scale(world, np.concatenate([far, wall(rng)])) is None


def test_feet_in_the_air_contradict_the_floor_under_them() -> None:
    """Somebody seen climbing: the floor is near their feet in the picture, not in the world."""
    rng = np.random.default_rng(6)
    world = walking_world("side", seed=6, seconds=5)
    floor = find_floor(
        in_slam(world, ground(rng)), up=up_in_slam(world),
        centres=world.camera.Ts_slam_camera[:, :3, 3],
    )  # fmt: skip
    assert floor is not None
    (feet,) = feet_of(world)
    assert contact_depth_scale([feet], floor) is not None
    climb = np.linspace(0, 1.2, len(feet.times))[:, None, None] * floor.normal
    assert contact_depth_scale([replace(feet, offsets=feet.offsets + climb)], floor) is None


def test_scene_points_hold_the_vertical_where_bodies_lean() -> None:
    rng = np.random.default_rng(7)
    world = walking_world("side", seed=7, seconds=4)
    person = person_evidence(world.motion, world.rig)
    pivot = person.soles_camera.mean(axis=1, keepdims=True)
    R = rotvec_to_matrix(np.radians([12.0, 0, 0]))  # the whole body tips away from the camera
    person = replace(person, joints_camera=(person.joints_camera - pivot) @ R.T + pivot)
    points = in_slam(world, np.concatenate([ground(rng), wall(rng)]))
    camera = replace(world.camera, points_slam=points,
                     point_colors=np.zeros((len(points), 3), np.uint8))  # fmt: skip
    errors = []
    for c in (world.camera, camera):
        placement, report = place_world(c, [person], world.times)
        errors.append(tilt_deg(placement.R_world_slam[2], up_in_slam(world)))
    assert errors[1] < 1.5
    assert errors[1] < errors[0]
    assert report.numbers["gravity_disagreement_deg"]["bodies"] > 5
    assert report.numbers["gravity_disagreement_deg"]["the floor's scene points"] < 1.5


def test_a_body_taken_for_larger_makes_the_world_larger_by_as_much() -> None:
    """Why the spread of stature is reported apart: no measurement of this clip can see it."""
    world = walking_world("side", noise=0, seconds=4)
    person = person_evidence(world.motion, world.rig)
    larger = replace(
        person, joints_camera=1.05 * person.joints_camera, soles_camera=1.05 * person.soles_camera
    )
    scales = [place_world(world.camera, [p], world.times)[0].scale for p in (person, larger)]
    assert scales[1] / scales[0] == pytest.approx(1.05, rel=2e-3)
    report = place_world(world.camera, [person], world.times)[1]
    assert report.numbers["body_size_log_std"] == pytest.approx(0.047, abs=0.001)
