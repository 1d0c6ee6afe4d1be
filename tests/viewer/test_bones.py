"""What a browser skins with four weights on few bones is the body that the scene holds."""

from dataclasses import replace

import numpy as np
import pytest

from recon.core.errors import ReconError
from recon.core.geometry import rotvec_to_matrix
from recon.core.people import NUM_JOINTS
from recon.core.rig import largest_weights
from tests.synthetic import toy_rig, walking_poses
from viewer.bones import NUM_INFLUENCES, BoneMesh

FINGERS = range(22, NUM_JOINTS)


def pruned(rig):
    """The rig with no more weights than a browser takes."""
    weights, indices = largest_weights(rig.dense_weights(), NUM_INFLUENCES)
    return replace(rig, weights=weights.astype(np.float32), indices=indices)


def walk_with_fists(num_frames=9):
    """A walk with bent fingers that never move; the bind pose has them straight."""
    poses = walking_poses(num_frames, 30.0)
    rotations = poses.rotations.copy()
    bends = np.random.default_rng(0).normal(0, 0.5, (len(FINGERS), 3))
    rotations[:, list(FINGERS)] = rotvec_to_matrix(bends)
    return replace(poses, rotations=rotations)


def deviation(rig, poses):
    mesh = BoneMesh.of(rig, poses)
    rotations, positions = rig.joints(poses)
    wanted = rig.vertices(poses)
    posed = np.stack([mesh.posed(r, p) for r, p in zip(rotations, positions, strict=True)])
    return mesh, np.linalg.norm(posed - wanted, axis=-1)


def with_own_hands(rig):
    """The rig whose fingers share no vertex with the forearm."""
    dense = rig.dense_weights()
    finger = dense[:, list(FINGERS)].sum(axis=1) > 0
    dense[finger, :20] = 0
    weights, indices = largest_weights(dense, NUM_INFLUENCES)
    return replace(rig, weights=weights.astype(np.float32), indices=indices)


def test_stiff_fingers_ride_on_the_arms_without_a_change():
    mesh, distance = deviation(with_own_hands(pruned(toy_rig())), walk_with_fists())
    assert distance.max() < 1e-5
    assert 1 < len(mesh.joints) <= 22 and set(mesh.joints).isdisjoint(FINGERS)


def test_fingers_that_move_are_bones():
    poses = walk_with_fists()
    rotations = poses.rotations.copy()
    rotations[:, list(FINGERS)] = np.eye(3)
    rotations[4:, 30] = rotvec_to_matrix(np.array([0.0, 0.3, 0.0]))
    mesh, distance = deviation(pruned(toy_rig()), replace(poses, rotations=rotations))
    assert distance.max() < 1e-5
    assert 30 in mesh.joints and 29 not in mesh.joints and 31 not in mesh.joints


def test_fists_that_would_pull_at_the_forearm_keep_their_bones():
    mesh, distance = deviation(pruned(toy_rig()), walk_with_fists())
    assert distance.max() < 1e-5 and len(mesh.joints) == NUM_JOINTS


def test_pruning_leaves_four_weights_that_sum_to_one_and_moves_little():
    rig = toy_rig()
    rng = np.random.default_rng(1)
    blur = rig.dense_weights() + 0.02 * rng.random((len(rig.bind_vertices), NUM_JOINTS))
    indices = np.tile(np.arange(NUM_JOINTS), (len(blur), 1))
    blurred = replace(rig, weights=blur / blur.sum(axis=1, keepdims=True), indices=indices)
    mesh, distance = deviation(blurred, walk_with_fists())
    assert (mesh.weights > 0).sum(axis=1).max() == NUM_INFLUENCES
    np.testing.assert_allclose(mesh.weights.sum(axis=1), 1)
    assert 0 < np.median(distance) < 0.3


def test_a_simpler_mesh_is_the_same_body():
    rig, poses = pruned(toy_rig()), walk_with_fists()
    mesh = BoneMesh.of(rig, poses)
    try:
        simple = mesh.simplified(len(mesh.faces) // 3)
    except ReconError as error:
        pytest.skip(str(error))
    assert 0 < len(simple.faces) <= len(mesh.faces) // 3
    assert mesh.simplified(len(mesh.faces)) is mesh
    rotations, positions = rig.joints(poses)
    for frame in (0, -1):
        full = mesh.posed(rotations[frame], positions[frame])
        small = simple.posed(rotations[frame], positions[frame])
        gaps = np.linalg.norm(small[:, None] - full, axis=-1).min(axis=1)
        assert gaps.max() < 0.05
        np.testing.assert_allclose(np.ptp(small, axis=0), np.ptp(full, axis=0), atol=0.03)
