"""KLT tracks: they follow a known motion, keep their ids, and never stand on a person."""

from __future__ import annotations

import cv2
import numpy as np

from recon.core.camera import Intrinsics
from recon.core.video import Frame
from slam.tracks import track_background

WIDTH, HEIGHT = 320, 240
INTRINSICS = Intrinsics.from_fov(WIDTH, HEIGHT, fov_deg=60, source="user")


def sliding(num_frames: int, step: float) -> list[Frame]:
    """A blurred random picture that moves right by `step` pixels a frame."""
    rng = np.random.default_rng(0)
    wide = cv2.GaussianBlur(rng.integers(0, 255, (HEIGHT, 2 * WIDTH), np.uint8), (0, 0), 2.5)
    wide = cv2.normalize(wide, None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]
    frames = []
    for i in range(num_frames):
        shift = np.array([[1, 0, step * i - 150], [0, 1, 0]], float)
        image = cv2.warpAffine(wide, shift, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC)
        frames.append(Frame(index=i, time=i / 30, image=np.repeat(image[..., None], 3, axis=2)))
    return frames


def nobody(frame_idx: int, height: int, width: int) -> None:
    return None


def test_points_follow_the_picture_and_keep_their_ids() -> None:
    tracks = track_background(sliding(12, 1.7), nobody, INTRINSICS, num_frames=12)
    a, b = tracks.common(2, 10)
    assert len(a) > 150
    np.testing.assert_allclose(np.median(b - a, axis=0), [8 * 1.7, 0], atol=0.05)
    assert np.quantile(np.abs(b - a - [8 * 1.7, 0]), 0.9) < 0.2
    for ids in tracks.ids:
        assert np.all(np.diff(ids) > 0)


def test_points_live_in_small_pictures_with_our_pixel_centres() -> None:
    """Corners found on small dots sit, on average, on half the dots' own positions."""
    rng = np.random.default_rng(0)
    centres = (np.mgrid[1:16, 1:9].reshape(2, -1).T * 76 + rng.uniform(0, 8, (120, 2))).astype(
        float
    )
    ys, xs = np.mgrid[:720, :1280] + 0.5
    image = np.full((720, 1280), 250.0)
    for x, y in centres:
        image -= 200 * np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * 2.5**2))
    rgb = np.repeat(image.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    large = Intrinsics.from_fov(1280, 720, fov_deg=60, source="user")
    tracks = track_background([Frame(index=0, time=0.0, image=rgb)], nobody, large, num_frames=1)
    assert (tracks.width, tracks.height) == (640, 360)
    offsets = tracks.points[0][:, None] - centres / 2
    nearest = offsets[np.arange(len(offsets)), np.linalg.norm(offsets, axis=2).argmin(axis=1)]
    assert len(nearest) > 100
    np.testing.assert_allclose(nearest.mean(axis=0), 0, atol=0.15)


def test_no_point_ever_stands_on_a_person() -> None:
    def walker(frame_idx: int, height: int, width: int) -> np.ndarray:
        mask = np.zeros((height, width), bool)
        mask[60:, 40 + 9 * frame_idx : 120 + 9 * frame_idx] = True
        return mask

    tracks = track_background(sliding(15, 0.4), walker, INTRINSICS, num_frames=15)
    for i, points in enumerate(tracks.points):
        x, y = points.astype(int).T
        assert len(points) > 100
        assert not walker(i, HEIGHT, WIDTH)[y, x].any()
    keyframe = tracks.keyframes[-1]
    expected = ~walker(keyframe.index, HEIGHT, WIDTH)
    np.testing.assert_array_equal(keyframe.background(HEIGHT, WIDTH), expected)
    assert tracks.people.mean() == 180 * 80 / (240 * 320)


def test_keyframes_hold_the_picture_of_their_frame() -> None:
    frames = sliding(40, 2.0)
    tracks = track_background(frames, nobody, INTRINSICS, num_frames=40)
    assert tracks.keyframes[0].index == 0
    assert tracks.keyframes[-1].index == 39
    for keyframe in tracks.keyframes:
        difference = np.abs(keyframe.image().astype(int) - frames[keyframe.index].image)
        assert difference.mean() < 3
