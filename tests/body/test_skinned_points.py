import numpy as np

from body.models.anny import AnnyModel
from body.registration import rest_poses
from body.skinned_points import NUM_POSE, SkinnedPoints, moved
from tests.body.models.bodies import random_poses

RIG = AnnyModel().skinning_spec(AnnyModel().param_spec.mean)
VERTICES = np.arange(0, len(RIG.bind_vertices), 97)


def test_points_are_the_rigs_own_vertices_and_joints() -> None:
    poses = random_poses(3)
    points = SkinnedPoints(RIG, VERTICES).posed(poses)
    np.testing.assert_allclose(points[:, :-52], RIG.vertices(poses)[:, VERTICES], atol=2e-6)
    np.testing.assert_allclose(points[:, -52:], RIG.joints(poses)[1], atol=1e-12)


def test_jacobian_is_that_of_small_moves() -> None:
    poses, points = random_poses(2, seed=1), SkinnedPoints(RIG, VERTICES)
    positions, jac = points.posed_with_jacobian(poses)
    np.testing.assert_array_equal(positions, points.posed(poses))
    step = 1e-5 * np.random.default_rng(0).standard_normal((2, NUM_POSE))
    change = points.posed(moved(poses, step)) - points.posed(moved(poses, -step))
    predicted = 2 * np.einsum("npad,nd->npa", jac, step)
    np.testing.assert_allclose(change, predicted, atol=1e-9)
    assert np.abs(change).max() > 1e-5


def test_no_joint_moves_more_than_half_a_radian_at_once() -> None:
    poses = moved(rest_poses(), np.full((1, NUM_POSE), 10.0))
    cosine = (np.trace(poses.rotations, axis1=-2, axis2=-1) - 1) / 2
    np.testing.assert_allclose(np.arccos(cosine), 0.5)
