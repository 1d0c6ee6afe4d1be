"""Regions of faces follow the head and the face; meshes that slid off the head do not count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from body.faces import (
    GOOD,
    Face,
    FaceFollower,
    face_region,
    head_region,
    jaw_opening,
    jaw_track,
    stack_faces,
)
from body.landmarks import Roi
from body.people import PeopleConfig, track_people
from recon.core.geometry import Array
from tests.body.test_hands import body_with_hands
from tests.body.test_people import BLUE, RED, Actor, World, walk

VIDEO = Path(__file__).parents[2] / "../shared/data/videos/dancer_static.mp4"
SIDE = 1.25 * 70.0
HEAD = {0: (0, 0), 2: (9, -12), 5: (-9, -12), 9: (6, 14), 10: (-6, 14)}
"""Nose, eyes and mouth in px around the nose."""


def mesh(nose: Array, *, angle: float = 0.0) -> Array:
    """A face (468, 2): points in an ellipse around its nose, its crown and chin on the axis."""
    rng = np.random.default_rng(1)
    points = rng.uniform(-1, 1, (468, 2)) * [20, 26]
    points[[1, 10, 152]] = [[0, 0], [0, -28], [0, 28]]
    return nose + points @ Roi(centre=np.zeros(2), side=1.0, angle=angle).axes.T


def body_with_face(nose: Array) -> tuple[Array, Array]:
    keypoints, landmarks = body_with_hands(0.0)
    for k, at in HEAD.items():
        keypoints[k] = nose + at
    return keypoints, landmarks


class FakeFaces:
    """Shows one face to whoever looks at it, and `stray` to the first who follows it."""

    num_points = 468

    def __init__(self, nose: Array, *, stray: float = 0.0) -> None:
        self.nose, self.stray = nose, stray
        self.regions: list[Roi] = []

    def face(self, image: np.ndarray, roi: Roi) -> Face:
        self.regions.append(roi)
        off = np.array([0.0, self.stray if len(self.regions) == 2 else 0.0])
        presence = 0.95 if np.hypot(*(roi.centre - self.nose)) < 0.5 * roi.side else 0.05
        return Face(presence=presence, keypoints_px=mesh(self.nose + off))


def look(follower: FaceFollower, keypoints: Array, landmarks: Array, conf: float = 0.9) -> Face:
    image = np.zeros((600, 600, 3), np.uint8)
    body = {"keypoints_px": keypoints, "conf": np.full(33, conf), "landmarks": landmarks}
    return follower.look(image, 0, **body)


@pytest.mark.parametrize("angle", [0.0, 0.5, -2.0])
def test_regions_stand_upright_on_the_face(angle: float):
    nose = np.array([300.0, 200.0])
    axes = Roi(centre=nose, side=1.0, angle=angle).axes
    keypoints = np.zeros((33, 2))
    for k, at in HEAD.items():
        keypoints[k] = nose + axes @ np.array(at, float)
    head, face = head_region(keypoints, SIDE), face_region(mesh(nose, angle=angle), SIDE)
    for roi in (head, face):
        assert roi.angle == pytest.approx(angle, abs=1e-6)
        assert np.hypot(*(roi.centre - nose)) < 5
    assert face.side == pytest.approx(1.5 * 56, rel=0.02)


def test_a_face_is_found_by_the_head_and_then_followed():
    nose = np.array([300.0, 100.0])
    network = FakeFaces(nose)
    follower = FaceFollower(network)
    first, second = (look(follower, *body_with_face(nose)) for _ in range(2))
    assert first.presence == second.presence == 0.95
    assert len(network.regions) == 2  # one look a frame
    assert network.regions[0].side == pytest.approx(SIDE, rel=0.01)
    assert network.regions[1].side == pytest.approx(1.5 * 56, rel=0.02)


def test_a_mesh_that_slid_off_the_nose_is_sought_anew():
    nose = np.array([300.0, 100.0])
    network = FakeFaces(nose, stray=0.25 * SIDE)
    follower = FaceFollower(network)
    look(follower, *body_with_face(nose))
    found = look(follower, *body_with_face(nose))
    assert len(network.regions) == 3 and found.presence == 0.95
    np.testing.assert_allclose(found.keypoints_px[1], nose)


def test_nobody_is_looked_at_from_behind_or_from_afar():
    nose = np.array([300.0, 100.0])
    network = FakeFaces(nose)
    keypoints, landmarks = body_with_face(nose)
    assert look(FaceFollower(network), keypoints, landmarks, conf=0.2).presence == 0
    tiny = look(FaceFollower(network), 0.2 * keypoints, landmarks)
    assert tiny.presence == 0 and not network.regions
    stacked = stack_faces([tiny])
    assert stacked["face_px"].shape == (1, 468, 2) and stacked["face_conf"].tolist() == [0]
    assert stack_faces([]) == {}


class AtTheNose(FaceFollower):
    """Finds a face wherever the body has its nose."""

    def look(
        self, image: np.ndarray, key: int, *, keypoints_px: Array, conf: Array, landmarks: Array
    ) -> Face:
        return Face(presence=0.9, keypoints_px=mesh(keypoints_px[0]))


def test_tracks_hold_the_faces_of_their_own_frames():
    world = World([Actor(RED, walk(100, 60)), Actor(BLUE, walk(500, -20))], 1.5)
    follower = AtTheNose(FakeFaces(np.zeros(2)))
    config = PeopleConfig()
    tracks = track_people(
        world, world.info, config, detector=world, landmarker=world, face=follower
    )
    assert len(tracks) == 2
    for track in tracks:
        assert track.face_px is not None and track.face_conf is not None
        np.testing.assert_allclose(track.face_px[:, 1], track.keypoints_px[:, 0])
        assert track.face_conf.tolist() == [0.9] * len(track.frame_idx)
    plain = track_people(world, world.info, config, detector=world, landmarker=world)
    assert all(t.face_px is None and t.face_conf is None for t in plain)


def open_mouth(count: int, gap: float, turn: float = 0.0) -> Array:
    """A face (1, count, 2) whose lips are `gap` nose heights apart, rotated by `turn`."""
    root, base, upper, lower = {468: (168, 2, 13, 14), 68: (27, 33, 62, 66)}[count]
    points = np.zeros((1, count, 2))
    points[0, [root, base, upper, lower]] = [[0, 0], [0, 30], [0, 45], [0, 45 + 30 * gap]]
    return points @ Roi(centre=np.zeros(2), side=1.0, angle=turn).axes.T


@pytest.mark.parametrize("count", [468, 68])
def test_jaw_opens_with_the_lips_whatever_the_head_does(count: int):
    closed, half, wide = (jaw_opening(open_mouth(count, gap, 0.7))[0] for gap in (0, 0.4, 0.8))
    assert closed == pytest.approx(0, abs=1e-9)
    # 20 mm between the lips, 100 mm from the hinge.
    assert half == pytest.approx(2 * np.arcsin(0.02 / 0.2))
    assert wide > half
    assert jaw_opening(open_mouth(count, 0.4))[0] == pytest.approx(half)
    assert jaw_opening(open_mouth(count, -0.1))[0] == 0


def test_jaw_is_told_only_from_faces_that_were_seen():
    face = np.concatenate([open_mouth(68, gap) for gap in (0.0, 0.8, 0.4)])
    frames = np.array([3, 4, 6])
    told = jaw_track(frames, face, np.array([0.9, 0.1, 0.9]), np.arange(3, 8))
    half = jaw_opening(open_mouth(68, 0.4))[0]
    np.testing.assert_allclose(told, np.interp(np.arange(3, 8), [3, 6], [0, half]), atol=1e-9)
    unseen = jaw_track(frames, face, np.zeros(3), np.arange(3, 8))
    np.testing.assert_array_equal(unseen, np.zeros(5))


@pytest.mark.weights
def test_dancer_shows_his_face():
    if not VIDEO.exists():
        pytest.skip("needs the shared clip dancer_static.mp4")
    from body.backends.blazepose import BlazePoseHeavy
    from body.backends.facemesh import MediaPipeFace
    from body.landmarks import settle
    from recon.video import VideoConfig, VideoReader

    image = next(iter(VideoReader.open(VIDEO, VideoConfig(end=0.1)))).image
    body = settle(BlazePoseHeavy(), image, Roi.from_box(np.array([500, 150, 850, 650.0])))
    face = FaceFollower(MediaPipeFace()).look(
        image, 0, keypoints_px=body.keypoints_px, conf=body.keypoint_conf, landmarks=body.landmarks
    )
    assert face.presence > GOOD
    eyes = np.stack([face.keypoints_px[[33, 133]], face.keypoints_px[[263, 362]]]).mean(axis=1)
    span = np.hypot(*(eyes[0] - eyes[1]))
    assert np.abs(eyes - body.keypoints_px[[5, 2]]).max() < 0.5 * span
    assert jaw_opening(face.keypoints_px[None])[0] < np.radians(10)  # his mouth is shut
