"""Few weights instead of many: valid ones, that move a body nearly as all of them do."""

import dataclasses

import numpy as np
import pytest

from body.models.anny import AnnyModel
from recon.core.people import BodyPoses
from recon.export.skinning import fewer_weights
from tests.synthetic import toy_rig, walking_poses


def moved(rig, poses, weights, joints):
    """The mesh (N, V, 3) under other weights."""
    other = dataclasses.replace(rig, weights=weights, indices=joints.astype(int))
    return other.vertices(poses)


def largest(rig, count):
    """The largest weights, scaled to sum to one: the usual way."""
    dense = rig.dense_weights()
    joints = np.argsort(-dense, axis=1, kind="stable")[:, :count]
    weights = np.take_along_axis(dense, joints, axis=1)
    return weights / weights.sum(axis=1, keepdims=True), joints


@pytest.fixture(scope="module")
def walk() -> BodyPoses:
    return walking_poses(40, 30.0)


def test_weights_are_valid_also_where_a_rig_names_a_joint_twice(walk):
    rig = toy_rig()
    repeated = dataclasses.replace(
        rig,
        weights=np.repeat(rig.weights / 2, 2, axis=1),
        indices=np.repeat(rig.indices, 2, axis=1),
    )
    for source in (rig, repeated):
        weights, joints = fewer_weights(source, walk, 4)
        assert weights.shape == joints.shape == (len(rig.weights), 4)
        assert weights.dtype == np.float32 and joints.dtype == np.uint8
        np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
        assert (weights >= 0).all() and not joints[weights == 0].any()
        assert (np.diff(weights, axis=1) <= 0).all(), "largest first"
        own = np.take_along_axis(source.dense_weights(), joints.astype(int), axis=1)
        assert (own[weights > 0] > 0).all(), "only joints that the vertex has"
        used = np.sort(np.where(weights > 0, joints, 255 - np.arange(4)), axis=1)
        assert (np.diff(used, axis=1) > 0).all(), "no joint twice"


def test_vertices_with_few_weights_keep_theirs(walk):
    rig = toy_rig()
    weights, joints = fewer_weights(rig, walk, 4)
    few = (rig.dense_weights() > 0).sum(axis=1) <= 4
    dense = np.zeros((len(weights), 52))
    np.add.at(dense, (np.arange(len(weights))[:, None], joints), weights)
    assert 100 < few.sum() < len(few)
    np.testing.assert_allclose(dense[few], rig.dense_weights()[few], atol=1e-6)


def test_all_weights_are_kept_where_there_is_room(walk):
    rig = toy_rig()
    full, fewer = rig.vertices(walk), moved(rig, walk, *fewer_weights(rig, walk, 8))
    np.testing.assert_allclose(fewer, full, atol=1e-5)


@pytest.mark.parametrize("build", ["toy", "anny"])
def test_bodies_move_more_like_their_own_than_with_the_largest_weights(walk, build):
    """On poses that were looked at, and on a walk turned, faster, with other joints bent."""
    rig = toy_rig() if build == "toy" else AnnyModel().skinning_spec(AnnyModel().param_spec.mean)
    ours, usual = fewer_weights(rig, walk, 4), largest(rig, 4)
    for poses in (walk, walking_poses(40, 22.0, heading=0.9)):
        truth = rig.vertices(poses)
        errors = [
            np.linalg.norm(moved(rig, poses, *w) - truth, axis=-1).max() for w in (ours, usual)
        ]
        assert errors[0] < 0.6 * errors[1], errors


def test_one_frame_is_enough():
    rig, poses = toy_rig(), walking_poses(1, 30.0)
    weights, _ = fewer_weights(rig, poses, 4)
    assert np.isfinite(weights).all()
