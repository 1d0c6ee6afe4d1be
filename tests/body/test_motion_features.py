"""Features know neither place, heading, size nor frame rate, and lead back to the poses."""

from __future__ import annotations

import numpy as np
import pytest

from body.motion_features import (
    CONTACTS,
    NUM_BODY,
    RATES,
    decode,
    encode,
    from_6d,
    grid_times,
    leg_length,
    mirrored,
    resample,
    to_6d,
)
from body.motion_prior import fill
from recon.core.errors import InputError
from recon.core.geometry import rotvec_to_matrix
from recon.core.people import BodyPoses
from recon.core.rig import forward_kinematics
from recon.core.skeletons import SMPLX_BODY_JOINTS
from tests.synthetic_body import rest_joints, toy_rig, walking_contacts, walking_poses

LEG = leg_length(toy_rig())


def tumbling(count: int = 50) -> BodyPoses:
    """All joints turned at random, smoothly, the body leaning up to 60 degrees."""
    rng = np.random.default_rng(0)
    t = np.linspace(0, 2, count)[:, None, None]
    waves = 0.5 * np.sin(3 * t + rng.uniform(0, 6, (52, 3)))
    poses = walking_poses(count, 30.0)
    rotations = poses.rotations @ rotvec_to_matrix(waves)
    root = poses.root + np.cumsum(0.02 * rng.standard_normal((count, 3)), axis=0)
    return BodyPoses(root=root, rotations=rotations)


@pytest.mark.parametrize("poses", [walking_poses(40, 30.0, heading=2.0), tumbling()])
def test_features_lead_back_to_the_poses(poses: BodyPoses) -> None:
    features, start = encode(poses, leg=LEG)
    back = decode(features, start, leg=LEG)
    np.testing.assert_allclose(back.root, poses.root, atol=1e-12)
    np.testing.assert_allclose(
        back.rotations[:, :NUM_BODY], poses.rotations[:, :NUM_BODY], atol=1e-12
    )


def test_place_and_heading_do_not_matter() -> None:
    poses = tumbling()
    turn = rotvec_to_matrix(np.array([0.0, 0.0, 2.4]))
    rotations = poses.rotations.copy()
    rotations[:, 0] = turn @ rotations[:, 0]
    moved = BodyPoses(root=poses.root @ turn.T + [3.0, -7.0, 0.0], rotations=rotations)
    np.testing.assert_allclose(encode(moved, leg=1)[0], encode(poses, leg=1)[0], atol=1e-9)


def test_size_does_not_matter() -> None:
    poses = tumbling()
    larger = BodyPoses(root=1.3 * poses.root, rotations=poses.rotations)
    np.testing.assert_allclose(encode(larger, leg=1.3)[0], encode(poses, leg=1.0)[0], atol=1e-12)


@pytest.mark.parametrize("fps", [23.976, 60.0, 119.88])
def test_frame_rate_hardly_matters(fps: float) -> None:
    times = np.arange(round(2 * fps)) / fps
    poses = walking_poses(len(times), fps, times=times)
    grid = grid_times(times)
    features, _ = encode(resample(poses, times, grid), leg=LEG)
    exact, _ = encode(walking_poses(len(grid), 30.0, times=grid), leg=LEG)
    assert np.abs(features - exact)[:, :136].mean() < 0.01


def test_a_mirrored_motion_is_its_mirror_image() -> None:
    """Joints decoded from mirrored features are the mirror image of the joints."""
    features, start = encode(tumbling(), leg=LEG, contacts=walking_contacts(np.arange(50) / 30))
    rest = rest_joints()

    def joints(rows: np.ndarray) -> np.ndarray:
        level = type(start)(position=np.zeros(2), heading=0.0)
        poses = decode(rows, level, leg=LEG)
        return forward_kinematics(poses.rotations, poses.root, rest)[1][:, :NUM_BODY]

    sides = [n.replace("left", "L").replace("right", "left").replace("L", "right")
             for n in SMPLX_BODY_JOINTS]  # fmt: skip
    swapped = [SMPLX_BODY_JOINTS.index(name) for name in sides]
    expected = joints(features)[:, swapped] * [-1.0, 1.0, 1.0]
    np.testing.assert_allclose(joints(mirrored(features)), expected, atol=1e-9)
    np.testing.assert_array_equal(
        mirrored(features)[:, CONTACTS], features[:, [138, 139, 136, 137]]
    )
    np.testing.assert_array_equal(mirrored(mirrored(features)), features)


def test_six_numbers_are_a_rotation_even_when_disturbed() -> None:
    rng = np.random.default_rng(1)
    rotations = rotvec_to_matrix(rng.standard_normal((20, 3)))
    np.testing.assert_allclose(from_6d(to_6d(rotations)), rotations, atol=1e-12)
    wild = from_6d(rng.standard_normal((20, 6)))
    np.testing.assert_allclose(wild @ np.swapaxes(wild, -1, -2), np.tile(np.eye(3), (20, 1, 1)),
                               atol=1e-9)  # fmt: skip
    np.testing.assert_allclose(np.linalg.det(wild), 1)


def test_filling_keeps_what_was_seen_and_the_way_travelled() -> None:
    features, start = encode(walking_poses(60, 30.0), leg=LEG)
    seen = np.ones(60, bool)
    seen[20:40] = False
    filled = fill(np.where(seen[:, None], features, 1e3), seen)
    kept = np.delete(np.arange(60), np.arange(19, 40))
    np.testing.assert_allclose(filled[kept], features[kept], atol=1e-9)
    bridged = fill(features, seen)
    np.testing.assert_allclose(
        bridged[:, RATES].sum(axis=0), features[:, RATES].sum(axis=0), atol=1e-9
    )
    decoded = decode(bridged, start, leg=LEG)
    np.testing.assert_allclose(
        decoded.root[40], decode(features, start, leg=LEG).root[40], atol=0.02
    )


def test_one_frame_is_no_motion() -> None:
    with pytest.raises(InputError, match="at least 2"):
        grid_times(np.zeros(1))
