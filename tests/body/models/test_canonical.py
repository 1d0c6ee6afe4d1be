"""Laws of the one conversion from another skeleton's bind pose to the canonical rest pose."""

from __future__ import annotations

import numpy as np
import pytest

from body.models.canonical import rest_transforms
from recon.core.geometry import R_YUP_ZUP, Array, matrix_to_rotvec, rotvec_to_matrix
from recon.core.people import NUM_JOINTS
from recon.core.rig import forward_kinematics
from recon.core.skeletons import CANONICAL_JOINTS, CANONICAL_PARENTS
from tests.body.models.bodies import J
from tests.synthetic_body import rest_joints


def descendants(joint: str) -> list[int]:
    """Indices of a joint and of all below it."""
    found = [J[joint]]
    for j, p in enumerate(CANONICAL_PARENTS):
        if p in found:
            found.append(j)
    return found


def a_pose(bend: float = 0.3) -> Array:
    """Joints (52, 3) of an A-pose, z up, facing -y: arms lowered, elbows bent, legs apart."""
    return bound(bend)[1]


def bound(bend: float) -> tuple[Array, Array]:
    """Global canonical rotations (52, 3, 3) and joints (52, 3) of the A-pose."""
    turns = np.tile(np.eye(3), (1, NUM_JOINTS, 1, 1))
    turns[0, 0] = R_YUP_ZUP.T
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for joint, rotvec in (
            ("shoulder", [0.0, 0.0, -sign * 0.7]),
            ("elbow", [0.0, -sign * bend, 0.0]),
            ("hip", [0.0, 0.0, sign * 0.1]),
        ):
            turns[0, J[f"{side}_{joint}"]] = rotvec_to_matrix(np.array(rotvec))
    rotations, joints = forward_kinematics(turns, np.array([[0.0, 0.0, 0.93]]), rest_joints())
    return rotations[0], joints[0]


def turned_limb(heads: Array, joint: str, rotation: Array) -> Array:
    """The skeleton with everything below a joint turned about it."""
    out, below = heads.copy(), descendants(joint)
    out[below] = heads[J[joint]] + (heads[below] - heads[J[joint]]) @ rotation.T
    return out


def direction(points: Array, start: str, end: str) -> Array:
    step = points[J[end]] - points[J[start]]
    return step / np.linalg.norm(step)


def test_an_a_pose_becomes_a_t_pose() -> None:
    joints, _ = rest_transforms(a_pose())
    for side, x in (("left", 1.0), ("right", -1.0)):
        for start, end in (("shoulder", "elbow"), ("elbow", "wrist"), ("wrist", "middle1")):
            assert direction(joints, f"{side}_{start}", f"{side}_{end}")[0] * x > 0.98
        for start, end in (("hip", "knee"), ("knee", "ankle")):
            assert direction(joints, f"{side}_{start}", f"{side}_{end}")[1] < -0.98
        assert direction(joints, f"{side}_pinky1", f"{side}_index1")[2] > 0.9
    np.testing.assert_array_equal(joints[0], 0)


def test_bones_keep_their_lengths() -> None:
    heads = a_pose()
    joints, _ = rest_transforms(heads)
    children, parents = np.arange(1, NUM_JOINTS), np.array(CANONICAL_PARENTS[1:])
    for points in (joints, heads):
        assert points.shape == (NUM_JOINTS, 3)
    np.testing.assert_allclose(
        np.linalg.norm(joints[children] - joints[parents], axis=1),
        np.linalg.norm(heads[children] - heads[parents], axis=1),
    )


def test_transforms_are_rigid_and_put_every_joint_at_its_own_origin() -> None:
    heads = a_pose()
    joints, transforms = rest_transforms(heads)
    linear, shift = transforms[:, :3, :3], transforms[:, :3, 3]
    np.testing.assert_allclose(linear @ np.swapaxes(linear, 1, 2), np.tile(np.eye(3), (52, 1, 1)),
                               atol=1e-12)  # fmt: skip
    np.testing.assert_allclose(np.linalg.det(linear), 1)
    own = np.einsum("jab,jb->ja", linear, heads) + shift
    np.testing.assert_allclose(own, 0, atol=1e-12)
    for j, p in enumerate(CANONICAL_PARENTS[1:], start=1):  # a child sits where its parent says
        child = linear[p] @ heads[j] + shift[p]
        np.testing.assert_allclose(child, joints[j] - joints[p], atol=1e-12)


def test_a_skeleton_bound_in_a_canonical_pose_gets_that_pose_back() -> None:
    """Limbs' rolls too, which their directions do not show."""
    rotations, heads = bound(bend=0.8)
    _, transforms = rest_transforms(heads)
    difference = matrix_to_rotvec(transforms[:, :3, :3] @ rotations)
    # The toy's rest pose is not exactly SMPL's: its limbs differ by a few degrees.
    assert np.linalg.norm(difference, axis=1).max() < 0.15


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("rotvec", [[0.0, 0.6, 0.0], [0.3, -0.5, 0.4]])
def test_the_rest_pose_does_not_depend_on_how_the_arm_was_bound(
    side: str, rotvec: list[float]
) -> None:
    heads, turn = a_pose(), rotvec_to_matrix(np.array(rotvec))
    joints, transforms = rest_transforms(heads)
    again, transforms_again = rest_transforms(turned_limb(heads, f"{side}_shoulder", turn))
    np.testing.assert_allclose(again, joints, atol=1e-9)
    for j in descendants(f"{side}_shoulder"):  # the turn is taken out of the bind pose again
        np.testing.assert_allclose(
            transforms_again[j, :3, :3], transforms[j, :3, :3] @ turn.T, atol=1e-9
        )


@pytest.mark.parametrize("bend", [0.1, 0.3, 0.8])
def test_the_rest_pose_does_not_depend_on_how_far_the_elbows_were_bent(bend: float) -> None:
    joints, _ = rest_transforms(a_pose(bend=0.3))
    again, _ = rest_transforms(a_pose(bend=bend))
    for side in ("left", "right"):
        for name in ("elbow", "wrist"):
            j = J[f"{side}_{name}"]
            np.testing.assert_allclose(again[j], joints[j], atol=1e-9)


def test_where_the_skeleton_stands_does_not_matter() -> None:
    heads = a_pose()
    shift = np.array([1.0, -2.0, 0.3])
    np.testing.assert_allclose(rest_transforms(heads + shift)[0], rest_transforms(heads)[0],
                               atol=1e-12)  # fmt: skip


def test_left_and_right_are_mirror_images() -> None:
    joints, _ = rest_transforms(a_pose())
    for name in CANONICAL_JOINTS:
        if name.startswith("left_"):
            other = joints[J[name.replace("left_", "right_")]] * [-1, 1, 1]
            np.testing.assert_allclose(joints[J[name]], other, atol=1e-9)


def test_a_straight_arm_bends_forward_all_the_same() -> None:
    """A T-pose's own bend, seven degrees, does not say where the elbow's axis is."""
    heads, _ = rest_transforms(a_pose())
    bind = heads @ R_YUP_ZUP  # the T-pose itself, z up
    joints, transforms = rest_transforms(bind)
    np.testing.assert_allclose(joints, heads - heads[0], atol=1e-9)
    for joint in ("left_shoulder", "right_elbow", "left_wrist"):
        turn = transforms[J[joint], :3, :3] @ R_YUP_ZUP.T
        assert np.linalg.norm(matrix_to_rotvec(turn)) < 0.05
