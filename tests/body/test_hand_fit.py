"""The fit bends the fingers as the landmarks show them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from body.hand_fit import fit_hands, lifted, second_difference
from body.hand_model import NUM_ANGLES, HandModel, finger_rotations, hand_model
from body.hands import SIDES
from body.models import load_body_model
from body.models.base import BodyModel
from recon.core.camera import Intrinsics
from recon.core.geometry import Array, matrix_to_rotvec, rotvec_to_matrix
from recon.core.people import NUM_JOINTS, BodyPoses, PersonTrack, RoiMasks
from recon.core.rig import Rig
from recon.core.skeletons import CANONICAL_JOINTS
from tests.synthetic_body import toy_rig

K = Intrinsics.from_fov(1280, 720, fov_deg=60, source="user")
STARTS = (5, 9, 17, 13, 1)
MIRROR = np.diag([-1.0, 1.0, 1.0])
SWAP = [
    CANONICAL_JOINTS.index(n.replace("left", "#").replace("right", "left").replace("#", "right"))
    for n in CANONICAL_JOINTS
]


@pytest.fixture(scope="module")
def model() -> BodyModel:
    return load_body_model("anny")


@pytest.fixture(scope="module")
def rig(model: BodyModel) -> Rig:
    return model.skinning_spec(model.param_spec.mean)


def swinging_angles(hand: HandModel, times: Array, seed: int) -> Array:
    """Angles (M, A) that swing slowly around the middle of what is possible."""
    phase = np.random.default_rng(seed).uniform(0, 6, NUM_ANGLES)
    swing = 0.8 * hand.std * np.sin(2 * np.pi * 0.5 * times[:, None] + phase)
    return np.clip(hand.mean + swing, hand.low, hand.high)


def body_with_hands(rig: Rig, times: Array) -> tuple[BodyPoses, BodyPoses]:
    """A body before the camera whose hands move, and the same with hands at rest."""
    rotations = np.tile(np.eye(3), (len(times), NUM_JOINTS, 1, 1))
    rotations[:, 0] = rotvec_to_matrix(np.array([np.pi, 0, 0]))  # y is down in the camera
    rotations[:, CANONICAL_JOINTS.index("left_shoulder")] = rotvec_to_matrix(
        np.array([0.3, -0.5, -0.6])
    )
    rotations[:, CANONICAL_JOINTS.index("right_elbow")] = rotvec_to_matrix(
        np.array([0.2, 1.0, 0.0])
    )
    root = np.tile([0.2, 0.1, 3.0], (len(times), 1))
    still = BodyPoses(root=root, rotations=rotations)
    moved = rotations.copy()
    for seed, side in enumerate(SIDES):
        hand = hand_model(rig, side)
        moved[:, hand.fingers] = finger_rotations(hand, swinging_angles(hand, times, seed))
        turn = 0.4 * np.sin(2 * times + seed)[:, None] * [0.6, 0.3, 0.7]
        moved[:, hand.wrist] = rotvec_to_matrix(turn)
    return BodyPoses(root=root, rotations=moved), still


def hand_points(rig: Rig, poses: BodyPoses, side: str) -> Array:
    """The 21 keypoints (M, 21, 3) of a hand in the camera."""
    hand = hand_model(rig, side)
    turned, positions = rig.joints(poses)
    out = np.empty((len(positions), 21, 3))
    out[:, 0] = positions[:, hand.wrist]
    for f, start in enumerate(STARTS):
        chain = hand.fingers[3 * f : 3 * f + 3]
        out[:, start : start + 3] = positions[:, chain]
        out[:, start + 3] = positions[:, chain[2]] + 0.022 * (
            turned[:, chain[2]] @ hand.bones[5 + 3 * f + 2]
        )
    return out


def track_of(rig: Rig, poses: BodyPoses, *, noise_px: float = 0.0) -> PersonTrack:
    """What a perfect network, or one with noise, sees of the hands."""
    rng = np.random.default_rng(1)
    num = len(poses.root)
    points = np.stack([hand_points(rig, poses, side) for side in SIDES], axis=1)
    px = K.project(points) + rng.normal(0, noise_px, (*points.shape[:3], 2))
    metric = np.stack([_in_sight(px[:, w], points[:, w]) for w in (0, 1)], axis=1)
    metric += rng.normal(0, 0.004 * (noise_px > 0), metric.shape)
    return PersonTrack(
        track_id=1,
        frame_idx=np.arange(num),
        boxes=np.tile([0.0, 0, 100, 200], (num, 1)),
        scores=np.ones(num),
        keypoints_px=np.zeros((num, 33, 2)),
        keypoint_conf=np.ones((num, 33)),
        landmarks=np.zeros((num, 33, 3)),
        masks=RoiMasks(
            bits=np.zeros((num, 8), np.uint8), Ts_image_roi=np.zeros((num, 2, 3)), size=8
        ),
        hands_px=px,
        hands_3d=metric - metric[:, :, :1],
        hands_conf=np.full((num, 2), 0.95),
    )


def _in_sight(px: Array, points: Array) -> Array:
    _, R_sight_camera = lifted(px, np.zeros_like(points), K)
    return (points - points[:, :1]) @ np.swapaxes(R_sight_camera, -1, -2)


def fitted(model: BodyModel, track: PersonTrack, still: BodyPoses, times: Array) -> BodyPoses:
    return fit_hands(
        track, np.arange(len(times)), still,
        times=times, intrinsics=K, model=model, shape=model.param_spec.mean,
    )  # fmt: skip


def errors_deg(a: BodyPoses, b: BodyPoses, joints: np.ndarray) -> Array:
    relative = a.rotations[:, joints] @ np.swapaxes(b.rotations[:, joints], -1, -2)
    return np.rad2deg(np.linalg.norm(matrix_to_rotvec(relative), axis=-1))


HANDS = np.arange(20, NUM_JOINTS)
TIMES = np.arange(40) / 30


def test_known_hands_are_recovered(model: BodyModel, rig: Rig):
    truth, still = body_with_hands(rig, TIMES)
    found = fitted(model, track_of(rig, truth), still, TIMES)
    error = errors_deg(found, truth, HANDS)
    assert np.median(errors_deg(still, truth, HANDS)) > 15
    assert np.median(error) < 4 and np.quantile(error, 0.95) < 12
    np.testing.assert_array_equal(found.rotations[:, :20], still.rotations[:, :20])
    np.testing.assert_array_equal(found.root, still.root)


def test_noise_is_smoothed_in_real_time(model: BodyModel, rig: Rig):
    truth, still = body_with_hands(rig, TIMES)
    found = fitted(model, track_of(rig, truth, noise_px=1.5), still, TIMES)
    assert np.median(errors_deg(found, truth, HANDS)) < 8

    def jerkiness(times: Array, noisy: BodyPoses) -> float:
        stencil, _ = second_difference(times)
        points = hand_points(rig, noisy, "left").reshape(len(times), -1)
        return float(np.sqrt(np.mean((stencil @ points) ** 2)))

    # Were the same frames a tenth as dense, hardly anything would be smoothed away.
    slow = fitted(model, track_of(rig, truth, noise_px=1.5), still, 10 * TIMES)
    assert jerkiness(TIMES, found) < 0.25 * jerkiness(TIMES, slow)


def test_mirrored_hands_give_mirrored_poses(model: BodyModel, rig: Rig):
    truth, still = body_with_hands(rig, TIMES[:12])
    track = track_of(rig, truth)
    assert track.hands_px is not None and track.hands_3d is not None
    mirrored_track = replace(
        track,
        hands_px=track.hands_px[:, ::-1] * [-1, 1] + [K.width, 0],
        hands_3d=track.hands_3d[:, ::-1] * [-1, 1, 1],
    )
    found = fitted(model, track, still, TIMES[:12])
    mirrored = fitted(model, mirrored_track, mirror(still), TIMES[:12])
    assert errors_deg(mirror(found), mirrored, HANDS).max() < 1.0


def mirror(poses: BodyPoses) -> BodyPoses:
    rotations = MIRROR @ poses.rotations[:, SWAP] @ MIRROR
    return BodyPoses(root=poses.root * [-1, 1, 1], rotations=rotations)


def test_a_hand_out_of_sight_relaxes_and_keeps_its_wrist(model: BodyModel, rig: Rig):
    truth, still = body_with_hands(rig, TIMES)
    track = track_of(rig, truth)
    unseen = replace(track, hands_conf=np.tile([0.0, 0.95], (len(TIMES), 1)))
    found = fitted(model, unseen, still, TIMES)
    left = hand_model(rig, "left")
    relaxed = finger_rotations(left, np.tile(left.mean, (len(TIMES), 1)))
    np.testing.assert_allclose(found.rotations[:, left.fingers], relaxed, atol=1e-6)
    np.testing.assert_allclose(
        found.rotations[:, left.wrist], still.rotations[:, left.wrist], atol=1e-6
    )
    assert np.median(errors_deg(found, truth, HANDS[HANDS >= 37])) < 4


def test_a_gap_is_bridged_without_a_jump(model: BodyModel, rig: Rig):
    truth, still = body_with_hands(rig, TIMES)
    track = track_of(rig, truth)
    conf = np.full((len(TIMES), 2), 0.95)
    conf[15:22] = 0.1
    found = fitted(model, replace(track, hands_conf=conf), still, TIMES)
    step = np.linalg.norm(
        matrix_to_rotvec(found.rotations[1:, 20:] @ np.swapaxes(found.rotations[:-1, 20:], -1, -2)),
        axis=-1,
    )
    assert step.max() < 0.25
    assert np.median(errors_deg(found, truth, HANDS)[15:22]) < 10


def test_tracks_without_hands_change_nothing(model: BodyModel, rig: Rig):
    truth, still = body_with_hands(rig, TIMES[:5])
    bare = replace(track_of(rig, truth), hands_px=None, hands_conf=None, hands_3d=None)
    assert fitted(model, bare, still, TIMES[:5]) is still


def test_windows_meet_without_a_seam(model: BodyModel, rig: Rig, monkeypatch: pytest.MonkeyPatch):
    times = np.arange(100) / 30
    truth, still = body_with_hands(rig, times)
    track = track_of(rig, truth, noise_px=1.0)
    whole = fitted(model, track, still, times)
    monkeypatch.setattr("body.hand_fit._WINDOW", 35)
    parts = fitted(model, track, still, times)
    assert 0 < errors_deg(whole, parts, HANDS).max() < 1.5


@pytest.mark.parametrize("num", [1, 2, 3])
def test_short_tracks_can_be_fitted(model: BodyModel, rig: Rig, num: int):
    truth, still = body_with_hands(rig, TIMES[:num])
    found = fitted(model, track_of(rig, truth), still, TIMES[:num])
    assert np.median(errors_deg(found, truth, HANDS)) < 5


# The hand model ----------------------------------------------------------------------------------


@pytest.mark.parametrize("side", SIDES)
def test_bones_move_as_their_derivatives_and_the_skeleton_say(rig: Rig, side: str):
    hand = hand_model(rig, side)
    rng = np.random.default_rng(2)
    angles = rng.normal(0, 0.4, (4, NUM_ANGLES))
    bones, jac = hand.posed_bones(angles)
    step = 1e-6 * rng.normal(size=angles.shape)
    change = hand.posed_bones(angles + step)[0] - bones
    np.testing.assert_allclose(change, np.einsum("mkad,md->mka", jac, step), atol=1e-9)
    rotations = np.tile(np.eye(3), (4, NUM_JOINTS, 1, 1))
    rotations[:, hand.fingers] = finger_rotations(hand, angles)
    poses = BodyPoses(root=np.zeros((4, 3)), rotations=rotations)
    seen = hand.observed_bones(hand_points(rig, poses, side))
    np.testing.assert_allclose(bones, seen, atol=1e-9)


@pytest.mark.parametrize("which", ["anny", "straight"])
def test_flexions_count_from_the_straight_finger_however_the_mesh_rests(rig: Rig, which: str):
    hand = hand_model(rig if which == "anny" else toy_rig(), "left")
    bones, _ = hand.posed_bones(hand.mean[None])
    first, second = bones[0, 5], bones[0, 6]  # of the index
    assert np.arccos(first @ second) == pytest.approx(0.4, abs=0.08)


@pytest.mark.parametrize("side", SIDES)
def test_positive_flexion_closes_the_hand(rig: Rig, side: str):
    hand = hand_model(rig, side)
    points = []
    for bend in (0.0, 0.5):
        angles = np.zeros((1, NUM_ANGLES))
        angles[0, [1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15]] = bend
        rotations = np.tile(np.eye(3), (1, NUM_JOINTS, 1, 1))
        rotations[:, hand.fingers] = finger_rotations(hand, angles)
        poses = BodyPoses(root=np.zeros((1, 3)), rotations=rotations)
        points.append(hand_points(rig, poses, side)[0])
    tips = [8, 12, 16, 20]
    assert (points[1][tips, 1] < points[0][tips, 1] - 0.01).all()  # palms look down
    reach = [np.linalg.norm(p[tips] - p[0], axis=1) for p in points]
    assert (reach[1] < 0.9 * reach[0]).all()


def test_second_differences_are_exact_for_parabolas_at_uneven_times():
    times = np.cumsum(np.random.default_rng(3).uniform(0.01, 0.08, 20))
    stencil, span = second_difference(times)
    np.testing.assert_allclose(stencil @ (1.5 * times**2 - times + 4), 3.0)
    assert span.sum() == pytest.approx(times[-1] - times[0], rel=0.2)
