"""Regions of hands follow the arm and the hand; hands that cannot be the body's do not count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from body.hands import (
    GOOD,
    Hand,
    HandFollower,
    HandPair,
    arm_region,
    confidence,
    hand_region,
    region_side,
)
from body.landmarks import Landmarks, Roi, settle
from body.people import PeopleConfig, track_people
from recon.core.geometry import Array
from tests.body.test_people import BLUE, RED, Actor, World, walk

VIDEO = Path(__file__).parents[2] / "../shared/data/videos/dancer_static.mp4"
LEFT_ARM, RIGHT_ARM = (13, 15, 19, 17), (14, 16, 20, 18)
SIDE = 70.0

# An open hand, fingers up, thumb to the right (a left palm or a right back), unit: region side.
OPEN = np.array(
    [(0.0, 0.0)]
    + [(x, -y) for x, ys in ((0.2, (0.1, 0.2, 0.27, 0.33)), (0.1, (0.4, 0.5, 0.57, 0.63)),
       (0.0, (0.42, 0.55, 0.63, 0.7)), (-0.08, (0.4, 0.5, 0.58, 0.64)),
       (-0.16, (0.36, 0.44, 0.49, 0.54))) for y in ys]
)  # fmt: skip


def turned(points: Array, angle: float) -> Array:
    return points @ Roi(centre=np.zeros(2), side=1.0, angle=angle).axes.T


def body_with_hands(angle: float, *, size: float = SIDE) -> tuple[Array, Array]:
    """Keypoints (33, 2) px and landmarks (33, 3) of a body whose two hands point to `angle`."""
    rng = np.random.default_rng(0)
    landmarks = np.zeros((33, 3))
    landmarks[:] = rng.uniform(-0.6, 0.6, (33, 3))
    keypoints = 300 + landmarks[:, :2] * size / 0.22
    for arm, x in ((LEFT_ARM, 420.0), (RIGHT_ARM, 180.0)):
        elbow, wrist, index, pinky = arm
        keypoints[wrist] = x, 300
        keypoints[index] = keypoints[wrist] + turned(size * np.array([0.05, -0.28]), angle)
        keypoints[pinky] = keypoints[wrist] + turned(size * np.array([-0.08, -0.26]), angle)
        keypoints[elbow] = keypoints[wrist] + turned(size * np.array([0.0, 1.2]), angle)
        landmarks[elbow, :2] = (keypoints[elbow] - 300) * 0.22 / size
    return keypoints, landmarks


class FakeHands:
    """Shows a hand at each of the body's wrists to whoever looks at one; counts the looks."""

    def __init__(self, wrists: Array, *, presence: float = 0.9) -> None:
        self.wrists, self.presence = wrists, presence
        self.regions: list[Roi] = []

    def hand(self, image: np.ndarray, roi: Roi) -> Hand:
        self.regions.append(roi)
        which = int(np.argmin(np.hypot(*(self.wrists - roi.centre).T)))
        return Hand(
            presence=self.presence,
            right=float(which),
            keypoints_px=self.wrists[which] + SIDE * OPEN,
            points=np.ones((21, 3)) * which,
        )


def look(follower: HandFollower, keypoints: Array, landmarks: Array, conf: Array) -> HandPair:
    image = np.zeros((600, 600, 3), np.uint8)
    return follower.look(image, 0, keypoints_px=keypoints, conf=conf, landmarks=landmarks)


@pytest.mark.parametrize("angle", [-2.5, -0.7, 0.0, 1.2, 3.0])
def test_the_arm_leads_to_the_whole_hand_with_its_fingers_up(angle: float):
    keypoints, landmarks = body_with_hands(angle)
    side = region_side(keypoints, landmarks)
    assert side == pytest.approx(SIDE, rel=0.05)
    roi = arm_region(keypoints, LEFT_ARM, side)
    in_region = (keypoints[15] + SIDE * turned(OPEN, angle) - roi.centre) @ roi.axes / roi.side
    assert np.abs(in_region).max() < 0.5
    assert in_region[12, 1] < in_region[9, 1] < in_region[0, 1] - 0.2
    assert abs(in_region[12, 0] - in_region[0, 0]) < 0.15


@pytest.mark.parametrize("angle", [-2.0, 0.4, 2.9])
def test_the_region_of_a_hand_turns_and_moves_with_it(angle: float):
    still = hand_region(SIDE * OPEN, SIDE)
    moved = hand_region(SIDE * turned(OPEN, angle) + [400, 90], SIDE)
    np.testing.assert_allclose(moved.centre - [400, 90], turned(still.centre, angle))
    assert moved.side == pytest.approx(still.side)
    np.testing.assert_allclose(
        moved.axes, still.axes @ Roi(centre=still.centre, side=1.0, angle=angle).axes
    )


def test_a_palm_seen_end_on_keeps_a_region_of_the_hands_size():
    flat = SIDE * OPEN * [1.0, 0.1]
    assert hand_region(flat, SIDE).side >= 0.8 * SIDE
    keypoints, landmarks = body_with_hands(0.0)
    keypoints[[17, 19]] = keypoints[15]
    roi = arm_region(keypoints, LEFT_ARM, region_side(keypoints, landmarks))
    assert roi.side >= 0.75 * SIDE
    np.testing.assert_allclose(roi.angle, 0.0, atol=1e-6)  # the forearm's direction


@pytest.mark.parametrize(
    ("right", "shift", "scale", "counts"),
    [(0.02, 0, 1, True), (0.5, 0, 1, True), (0.99, 0, 1, False), (0.02, 0.6, 1, False),
     (0.02, 0, 2, False)],
    ids=["left", "edge-on", "the other hand", "elsewhere", "too large"],
)  # fmt: skip
def test_what_counts_as_the_left_hand(right: float, shift: float, scale: float, counts: bool):
    px = SIDE * (scale * OPEN + [shift, 0])
    hand = Hand(presence=0.95, right=right, keypoints_px=px, points=np.zeros((21, 3)))
    assert (confidence(hand, 0, np.zeros(2), SIDE) >= GOOD) == counts


def test_both_hands_are_found_once_each_and_followed():
    keypoints, landmarks = body_with_hands(0.3)
    network = FakeHands(keypoints[[15, 16]])
    follower = HandFollower(network)
    pair = look(follower, keypoints, landmarks, np.ones(33))
    np.testing.assert_allclose(pair.keypoints_px[:, 0], keypoints[[15, 16]])
    np.testing.assert_allclose(pair.conf, 0.9)
    assert len(network.regions) == 2
    look(follower, keypoints, landmarks, np.ones(33))
    assert len(network.regions) == 4
    expected = hand_region(pair.keypoints_px[0], region_side(keypoints, landmarks))
    np.testing.assert_allclose(network.regions[2].centre, expected.centre)


def test_a_hand_that_is_lost_is_sought_where_the_arm_leads():
    keypoints, landmarks = body_with_hands(0.3)
    follower = HandFollower(FakeHands(keypoints[[15, 16]]))
    look(follower, keypoints, landmarks, np.ones(33))
    follower.landmarker = gone = FakeHands(keypoints[[15, 16]], presence=0.1)
    pair = look(follower, keypoints, landmarks, np.ones(33))
    assert len(gone.regions) == 4 and (pair.conf < GOOD).all()
    look(follower, keypoints, landmarks, np.ones(33))
    assert len(gone.regions) == 6


def test_hidden_and_tiny_hands_are_not_looked_at():
    keypoints, landmarks = body_with_hands(0.0)
    network = FakeHands(keypoints[[15, 16]])
    conf = np.ones(33)
    conf[15] = 0.1
    pair = look(HandFollower(network), keypoints, landmarks, conf)
    assert len(network.regions) == 1 and pair.conf[0] == 0 and pair.conf[1] > GOOD
    np.testing.assert_array_equal(pair.keypoints_px[0], np.tile(keypoints[15], (21, 1)))
    tiny = FakeHands(keypoints[[15, 16]])
    look(HandFollower(tiny), *body_with_hands(0.0, size=20.0), np.ones(33))
    assert not tiny.regions


def test_one_hand_is_not_both():
    keypoints, landmarks = body_with_hands(0.0)
    keypoints[[14, 16, 18, 20]] = keypoints[[13, 15, 17, 19]] + 3

    class Ambiguous(FakeHands):
        def hand(self, image: np.ndarray, roi: Roi) -> Hand:
            return replace(super().hand(image, roi), right=0.4)

    network = Ambiguous(keypoints[[15, 15]])
    pair = look(HandFollower(network), keypoints, landmarks, np.ones(33))
    assert (pair.conf > 0).sum() == 1


def test_tracks_hold_the_hands_of_their_own_frames():
    class Anywhere(FakeHands):
        def hand(self, image: np.ndarray, roi: Roi) -> Hand:
            found = super().hand(image, roi)
            return replace(found, keypoints_px=np.tile(roi.centre, (21, 1)))

    class SizedWorld(World):
        def landmarks(self, image: np.ndarray, roi: Roi) -> Landmarks:
            found = super().landmarks(image, roi)
            metric = (found.keypoints_px - found.keypoints_px.mean(axis=0)) / 60
            return replace(found, landmarks=np.pad(metric, ((0, 0), (0, 1))))

    actors = [Actor(RED, walk(100, 60), height=300), Actor(BLUE, walk(500, -20), height=280)]
    world = SizedWorld(actors, 1.5)
    hands = HandFollower(Anywhere(np.zeros((2, 2))))
    config = PeopleConfig()
    tracks = track_people(world, world.info, config, detector=world, landmarker=world, hands=hands)
    assert len(tracks) == 2
    for track in tracks:
        assert track.hands_px is not None and track.hands_3d is not None
        assert len(track.hands_px) == len(track.frame_idx)
        # Whatever the network said, it lies near the wrists of the same person and frame.
        off = np.abs(track.hands_px[:, :, 0] - track.keypoints_px[:, [15, 16]])
        assert off.max() < 60
    plain = track_people(world, world.info, config, detector=world, landmarker=world)
    assert all(t.hands_px is None and t.hands_conf is None for t in plain)


@pytest.mark.weights
@pytest.mark.skipif(not VIDEO.exists(), reason="needs the shared clip dancer_static.mp4")
def test_the_network_sees_the_dancers_hands_and_their_mirror_image():
    from body.backends.blazepose import BlazePoseHeavy
    from body.backends.handpose import MediaPipeHands
    from body.backends.ssd import SsdDetector

    capture = cv2.VideoCapture(str(VIDEO))
    image = [capture.read()[1] for _ in range(19)][-1][..., ::-1].copy()
    body, network = BlazePoseHeavy(threads=1), MediaPipeHands(threads=1)
    box = SsdDetector(threads=1).detect(image).boxes[0]
    pairs = []
    for picture, start in (
        (image, box),
        (
            image[:, ::-1].copy(),
            image.shape[1] * np.array([1, 0, 1, 0]) + box[[2, 1, 0, 3]] * [-1, 1, -1, 1],
        ),
    ):
        found = settle(body, picture, Roi.from_box(start))
        pair = HandFollower(network).look(
            picture, 0, keypoints_px=found.keypoints_px, conf=found.keypoint_conf,
            landmarks=found.landmarks,
        )  # fmt: skip
        assert (pair.conf > 0.8).all()  # left and right are told apart in both pictures
        pairs.append((pair, region_side(found.keypoints_px, found.landmarks)))
    (plain, side), (mirrored, _) = pairs
    back = mirrored.keypoints_px[::-1] * [-1, 1] + [image.shape[1], 0]
    assert np.median(np.abs(back - plain.keypoints_px)) < 0.06 * side
    lengths = np.linalg.norm(plain.points[:, 9], axis=-1)
    assert ((lengths > 0.06) & (lengths < 0.13)).all()
