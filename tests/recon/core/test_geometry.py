from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from recon.core import geometry as g
from recon.core.geometry import Array

RNG = np.random.default_rng(7)


def rotations(*shape: int) -> Array:
    n = int(np.prod(shape))
    return Rotation.random(n, rng=np.random.default_rng(3)).as_matrix().reshape(*shape, 3, 3)


def rotvecs(n: int = 40) -> Array:
    """Random axes with angles from 0 over tiny to just below pi."""
    axes = RNG.normal(size=(n, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    angles = np.concatenate([[0.0, 1e-12, 1e-8, 1e-5, 1e-4, 1e-3], RNG.uniform(0.01, 3.1, n - 7)])
    return axes * np.append(angles, np.pi - 1e-6)[:, None]


def transforms(*shape: int) -> Array:
    return g.make_transform(rotations(*shape), RNG.normal(size=(*shape, 3)))


def test_hat_is_the_cross_product() -> None:
    a, b = RNG.normal(size=(2, 4, 5, 3))
    np.testing.assert_allclose((g.hat(a) @ b[..., None])[..., 0], np.cross(a, b), atol=1e-12)


def test_rotvec_to_matrix_agrees_with_scipy() -> None:
    v = rotvecs()
    np.testing.assert_allclose(
        g.rotvec_to_matrix(v), Rotation.from_rotvec(v).as_matrix(), atol=1e-12
    )


def test_rotvecs_survive_the_round_trip_over_all_angles() -> None:
    v = rotvecs()
    np.testing.assert_allclose(g.matrix_to_rotvec(g.rotvec_to_matrix(v)), v, atol=1e-7)


@pytest.mark.parametrize("axis", [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.6, 0.0, -0.8]])
def test_half_turns_have_the_right_axis_up_to_sign(axis: list[float]) -> None:
    v = g.matrix_to_rotvec(g.rotvec_to_matrix(np.pi * np.array(axis, float)))
    assert np.linalg.norm(v) == pytest.approx(np.pi)
    assert abs(v @ axis) == pytest.approx(np.pi)


def test_quaternions_are_wxyz_and_agree_with_scipy() -> None:
    r = rotations(30)
    xyzw = Rotation.from_matrix(r).as_quat(canonical=True)
    np.testing.assert_allclose(g.matrix_to_quat(r), g.xyzw_to_wxyz(xyzw), atol=1e-12)
    np.testing.assert_allclose(g.matrix_to_quat(np.eye(3)), [1, 0, 0, 0])


def test_quaternions_survive_the_round_trip() -> None:
    # All four branches of Shepperd's method: each component is the largest somewhere.
    halves = g.rotvec_to_matrix(3.1 * np.eye(3))
    r = np.concatenate([rotations(20), halves, np.eye(3)[None]])
    np.testing.assert_allclose(g.quat_to_matrix(g.matrix_to_quat(r)), r, atol=1e-12)
    q = g.matrix_to_quat(r)
    np.testing.assert_allclose(g.quat_to_matrix(-3 * q), r, atol=1e-12)


def test_quaternion_orders_are_inverse_to_each_other() -> None:
    q = RNG.normal(size=(5, 2, 4))
    np.testing.assert_array_equal(g.wxyz_to_xyzw(q)[..., 3], q[..., 0])
    np.testing.assert_array_equal(g.wxyz_to_xyzw(q)[..., :3], q[..., 1:])
    np.testing.assert_array_equal(g.xyzw_to_wxyz(g.wxyz_to_xyzw(q)), q)


def test_sign_continuous_keeps_rotations_and_removes_jumps() -> None:
    smooth = g.matrix_to_quat(g.rotvec_to_matrix(np.linspace(0, 6, 50)[:, None, None] * np.eye(3)))
    flipped = smooth * RNG.choice([-1, 1], size=(50, 3, 1))
    out = g.sign_continuous(flipped)
    assert np.all(np.sum(out[1:] * out[:-1], axis=-1) > 0)
    np.testing.assert_allclose(g.quat_to_matrix(out), g.quat_to_matrix(flipped), atol=1e-12)


def test_nearest_rotation_mends_noise_and_mirrors() -> None:
    r = rotations(12)
    np.testing.assert_allclose(g.nearest_rotation(r), r, atol=1e-12)
    np.testing.assert_allclose(g.nearest_rotation(2.5 * r), r, atol=1e-12)
    out = g.nearest_rotation(r + 0.3 * RNG.normal(size=r.shape))
    np.testing.assert_allclose(
        out @ np.swapaxes(out, -1, -2), np.tile(np.eye(3), (12, 1, 1)), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(g.nearest_rotation(-r)), 1)


def test_nearest_rotation_is_a_minimum() -> None:
    m = RNG.normal(size=(8, 3, 3))
    best = g.nearest_rotation(m)
    for _ in range(20):
        other = best @ g.rotvec_to_matrix(0.1 * RNG.normal(size=(8, 3)))
        assert np.all(
            np.linalg.norm(m - best, axis=(1, 2)) <= np.linalg.norm(m - other, axis=(1, 2)) + 1e-12
        )


def test_slerp_agrees_with_scipy_and_holds_the_ends() -> None:
    key_times, keys = np.array([0.0, 0.4, 1.0, 3.0]), rotations(4)
    times = np.linspace(0, 3, 25)
    expected = Slerp(key_times, Rotation.from_matrix(keys))(times).as_matrix()
    np.testing.assert_allclose(g.slerp_matrices(times, key_times, keys), expected, atol=1e-9)
    outside = g.slerp_matrices(np.array([-5.0, 9.0]), key_times, keys)
    np.testing.assert_allclose(outside, keys[[0, -1]], atol=1e-9)


def test_slerp_of_many_joints_is_slerp_of_each() -> None:
    key_times, keys, times = np.array([0.0, 1.0, 2.0]), rotations(3, 5), np.linspace(-1, 3, 9)
    together = g.slerp_matrices(times, key_times, keys)
    for j in range(5):
        np.testing.assert_allclose(
            together[:, j], g.slerp_matrices(times, key_times, keys[:, j]), atol=1e-12
        )
    np.testing.assert_array_equal(
        g.slerp_matrices(times, key_times[:1], keys[:1]), np.repeat(keys[:1], 9, axis=0)
    )


def test_rotation_between_turns_a_into_b_by_the_smallest_angle() -> None:
    a, b = RNG.normal(size=(2, 30, 3))
    a[:3] = b[0], -b[1], [2, 0, 0]  # the same, opposite, and opposite along an axis
    b[0], b[2] = 3 * b[0], [-1, 0, 0]
    r = g.rotation_between(a, b)
    a_unit = a / np.linalg.norm(a, axis=1, keepdims=True)
    b_unit = b / np.linalg.norm(b, axis=1, keepdims=True)
    np.testing.assert_allclose((r @ a_unit[..., None])[..., 0], b_unit, atol=1e-9)
    angle = np.linalg.norm(g.matrix_to_rotvec(r), axis=1)
    np.testing.assert_allclose(
        angle, np.arccos(np.clip(np.sum(a_unit * b_unit, 1), -1, 1)), atol=1e-6
    )
    np.testing.assert_allclose(np.linalg.det(r), 1)


def test_transforms_compose_invert_and_map_points() -> None:
    T_a_b, T_b_c = transforms(6), transforms(6)
    points_c = RNG.normal(size=(6, 9, 3))
    np.testing.assert_allclose(
        g.transform_points(T_a_b, g.transform_points(T_b_c, points_c)),
        g.transform_points(T_a_b @ T_b_c, points_c),
        atol=1e-12,
    )
    np.testing.assert_allclose(
        g.invert_transform(T_a_b) @ T_a_b, np.tile(np.eye(4), (6, 1, 1)), atol=1e-12
    )
    homogeneous = np.concatenate([points_c, np.ones((6, 9, 1))], axis=-1)
    np.testing.assert_allclose(
        g.transform_points(T_b_c, points_c),
        np.einsum("nij,npj->npi", T_b_c, homogeneous)[..., :3],
        atol=1e-12,
    )


def test_make_transform_broadcasts_one_rotation_over_many_translations() -> None:
    r, t = rotations(1)[0], RNG.normal(size=(4, 3))
    out = g.make_transform(r, t)
    assert out.shape == (4, 4, 4)
    for row, translation in zip(out, t, strict=True):
        np.testing.assert_array_equal(row, g.make_transform(r, translation))


@pytest.mark.parametrize("with_scale", [True, False])
def test_umeyama_finds_the_similarity_that_made_the_points(with_scale: bool) -> None:
    source, r, t = RNG.normal(size=(20, 3)), rotations(1)[0], np.array([1.0, -2, 3])
    scale = 2.7 if with_scale else 1.0
    got_scale, got_r, got_t = g.umeyama(source, scale * source @ r.T + t, with_scale=with_scale)
    assert got_scale == pytest.approx(scale)
    np.testing.assert_allclose(got_r, r, atol=1e-9)
    np.testing.assert_allclose(got_t, t, atol=1e-9)


def test_umeyama_never_mirrors() -> None:
    source = RNG.normal(size=(20, 3))
    _, r, _ = g.umeyama(source, source * [1, 1, -1])
    assert np.linalg.det(r) == pytest.approx(1)


def test_axis_changes_are_what_they_say() -> None:
    np.testing.assert_array_equal(g.R_YUP_ZUP @ [1, 2, 3], [1, 3, -2])
    np.testing.assert_array_equal(g.R_OPENGL_OPENCV @ [1, 2, 3], [1, -2, -3])
    for r in (g.R_YUP_ZUP, g.R_OPENGL_OPENCV):
        np.testing.assert_array_equal(r @ r.T, np.eye(3))
        assert np.linalg.det(r) == pytest.approx(1)


@pytest.mark.parametrize(
    "function",
    [g.rotvec_to_matrix, lambda v: g.matrix_to_quat(g.rotvec_to_matrix(v)), g.hat],
)
def test_a_batch_is_its_rows(function) -> None:
    v = rotvecs(12).reshape(3, 4, 3)
    together = function(v)
    for i in range(3):
        for j in range(4):
            np.testing.assert_allclose(together[i, j], function(v[i, j]), atol=1e-14)
