from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from recon.core.errors import InputError
from recon.core.geometry import Array, rotvec_to_matrix
from recon.core.people import NUM_JOINTS, BodyPoses
from recon.core.rig import Rig, forward_kinematics
from recon.core.skeletons import CANONICAL_PARENTS
from tests.synthetic_body import toy_rig

RNG = np.random.default_rng(5)
NUM_POSES = 4


def poses() -> BodyPoses:
    """Poses that all differ, in every joint."""
    rotations = rotvec_to_matrix(0.5 * RNG.normal(size=(NUM_POSES, NUM_JOINTS, 3)))
    return BodyPoses(root=RNG.normal(size=(NUM_POSES, 3)), rotations=rotations)


@pytest.fixture(scope="module")
def rig() -> Rig:
    return toy_rig()


def rows(poses: BodyPoses, n: int) -> BodyPoses:
    return BodyPoses(root=poses.root[n : n + 1], rotations=poses.rotations[n : n + 1])


def turned(poses: BodyPoses, rotation: Array, shift: Array) -> BodyPoses:
    """The poses in another frame of reference: only the root changes."""
    rotations = poses.rotations.copy()
    rotations[:, 0] = rotation @ rotations[:, 0]
    return BodyPoses(root=poses.root @ rotation.T + shift, rotations=rotations)


def test_forward_kinematics_is_a_chain_of_transforms(rig: Rig) -> None:
    """Against 4x4 matrices multiplied from the root, joint by joint."""
    p = poses()
    rotations, positions = forward_kinematics(p.rotations, p.root, rig.rest_joints)
    for n in range(NUM_POSES):
        world: list[Array] = []
        for j, parent in enumerate(CANONICAL_PARENTS):
            local = np.eye(4)
            local[:3, :3] = p.rotations[n, j]
            rest = rig.rest_joints
            local[:3, 3] = p.root[n] if parent < 0 else rest[j] - rest[parent]
            world.append(local if parent < 0 else world[parent] @ local)
        np.testing.assert_allclose(rotations[n], np.stack(world)[:, :3, :3], atol=1e-12)
        np.testing.assert_allclose(positions[n], np.stack(world)[:, :3, 3], atol=1e-12)


def test_the_rest_pose_is_the_rest_pose(rig: Rig) -> None:
    rest = BodyPoses(root=np.zeros((1, 3)), rotations=np.tile(np.eye(3), (1, NUM_JOINTS, 1, 1)))
    np.testing.assert_allclose(rig.joints(rest)[1][0], rig.rest_joints, atol=1e-12)


def test_bones_keep_their_length(rig: Rig) -> None:
    positions = rig.joints(poses())[1]
    child, parent = np.arange(1, NUM_JOINTS), list(CANONICAL_PARENTS[1:])
    lengths = np.linalg.norm(positions[:, child] - positions[:, parent], axis=-1)
    rest = np.linalg.norm(rig.rest_joints[child] - rig.rest_joints[parent], axis=-1)
    np.testing.assert_allclose(lengths, np.tile(rest, (NUM_POSES, 1)), atol=1e-12)


def test_skinning_is_the_formula_of_the_docstring(rig: Rig) -> None:
    p = poses()
    rotations, positions = rig.joints(p)
    some = RNG.choice(len(rig.bind_vertices), 60, replace=False)
    got = rig.vertices(p)[:, some]
    for n in range(NUM_POSES):
        for column, v in enumerate(some):
            bind = np.append(rig.bind_vertices[v], 1.0)
            expected = sum(
                w * (rotations[n, j] @ (rig.Ts_joint_bind[j] @ bind)[:3] + positions[n, j])
                for w, j in zip(rig.weights[v], rig.indices[v], strict=True)
            )
            np.testing.assert_allclose(got[n, column], expected, atol=2e-5)


def test_everything_moves_with_the_frame_of_reference(rig: Rig) -> None:
    p, rotation, shift = poses(), Rotation.random(rng=RNG).as_matrix(), np.array([1.0, -2, 3])
    q = turned(p, rotation, shift)
    for function in (lambda x: rig.joints(x)[1], rig.soles, rig.vertices):
        np.testing.assert_allclose(function(q), function(p) @ rotation.T + shift, atol=1e-5)
    np.testing.assert_allclose(rig.joints(q)[0], rotation @ rig.joints(p)[0], atol=1e-12)


def test_a_batch_is_its_rows(rig: Rig) -> None:
    p = poses()
    for n in range(NUM_POSES):
        one = rows(p, n)
        np.testing.assert_allclose(rig.vertices(one)[0], rig.vertices(p)[n], atol=1e-6)
        np.testing.assert_allclose(rig.soles(one)[0], rig.soles(p)[n], atol=1e-12)
        np.testing.assert_allclose(rig.joints(one)[1][0], rig.joints(p)[1][n], atol=1e-12)


def test_sole_points_are_fixed_to_their_joints(rig: Rig) -> None:
    p = poses()
    rotations, positions = rig.joints(p)
    soles = rig.soles(p)
    for k, (joint, point) in enumerate(zip(rig.sole_joints, rig.sole_points, strict=True)):
        for n in range(NUM_POSES):
            expected = rotations[n, joint] @ point + positions[n, joint]
            np.testing.assert_allclose(soles[n, k], expected, atol=1e-12)


def test_dense_weights_add_repeated_joints(rig: Rig) -> None:
    doubled = replace(
        rig,
        weights=np.concatenate([rig.weights / 2, rig.weights / 2], axis=1),
        indices=np.concatenate([rig.indices, rig.indices], axis=1),
    )
    np.testing.assert_allclose(doubled.dense_weights(), rig.dense_weights(), atol=1e-7)
    np.testing.assert_allclose(rig.dense_weights().sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rest_joints", np.zeros((51, 3))),
        ("weights", np.zeros((3, 4))),
        ("indices", np.zeros((3, 4), int)),
        ("faces", np.zeros((3, 4), int)),
        ("faces", np.zeros((3, 3))),
        ("sole_joints", np.zeros(4)),
    ],
)
def test_wrong_arrays_name_their_field(rig: Rig, field: str, value: np.ndarray) -> None:
    with pytest.raises(InputError, match=field):
        replace(rig, **{field: value})
