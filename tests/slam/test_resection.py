"""Poses from known points, and poses between poses."""

from __future__ import annotations

import numpy as np

from recon.core.camera import Intrinsics
from recon.core.geometry import (
    invert_transform,
    make_transform,
    matrix_to_rotvec,
    rotvec_to_matrix,
    transform_points,
)
from slam.resection import interpolate_poses, refine_pose

INTRINSICS = Intrinsics.from_fov(640, 360, fov_deg=60, source="user")


def seen(seed: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    T_map_camera = make_transform(rotvec_to_matrix(rng.normal(0, 0.2, 3)), rng.normal(0, 0.3, 3))
    px = rng.uniform([10, 10], [630, 350], (n, 2))
    points = transform_points(T_map_camera, INTRINSICS.unproject(px, rng.uniform(2, 6, n)))
    return px, points, T_map_camera


def test_a_pose_is_found_from_a_near_guess_with_a_fifth_of_lies() -> None:
    for seed in range(3):
        px, points, T_map_camera = seen(seed, 100)
        px[:20] += np.random.default_rng(9).uniform(-90, 90, (20, 2))
        guess = T_map_camera @ make_transform(rotvec_to_matrix(np.full(3, 0.01)), np.full(3, 0.02))
        found = refine_pose(px, points, T_map_camera=guess, intrinsics=INTRINSICS)
        assert found is not None
        np.testing.assert_allclose(found, T_map_camera, atol=1e-3)


def test_too_few_points_give_no_pose() -> None:
    px, points, T_map_camera = seen(0, 8)
    assert refine_pose(px, points, T_map_camera=T_map_camera, intrinsics=INTRINSICS) is None


def test_poses_between_keys_lie_on_the_arc_and_keys_are_kept() -> None:
    turn = np.array([0.0, 0.6, 0.0])
    keys = make_transform(
        rotvec_to_matrix(np.stack([0 * turn, turn])), np.array([[0.0, 0, 0], [2, 4, 6]])
    )
    between = interpolate_poses(np.array([1.0, 1.5, 3.0, 4.0]), np.array([1.0, 3.0]), keys)
    np.testing.assert_allclose(between[[0, 2]], keys, atol=1e-12)
    np.testing.assert_allclose(between[3], keys[1], atol=1e-12)
    np.testing.assert_allclose(between[1, :3, 3], [0.5, 1.0, 1.5])
    np.testing.assert_allclose(matrix_to_rotvec(between[1, :3, :3]), turn / 4, atol=1e-9)
    np.testing.assert_allclose(between[1] @ invert_transform(between[1]), np.eye(4), atol=1e-12)
