"""Cuts are found, flashes and fast pans are none, and joined shots say what ties them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from recon.core.geometry import Array
from recon.core.video import Frame, VideoInfo
from slam.camera import CameraConfig, estimate_camera
from slam.shots import blurred_frames, find_shots
from slam.tracks import match_exposure
from tests.slam.clips import INTRINSICS, RenderedClip, standing, travelling

TIMES = np.arange(60) / 30


def looks(**changes: tuple[int, float]) -> Array:
    """A calm clip of 60 frames with single values replaced: name=(frame, value)."""
    table = np.tile([0.97, 0.03, 0.5], (60, 1))
    for name, (frame, value) in changes.items():
        table[frame, {"survival": 0, "distance": 1, "sharpness": 2}[name.split("_")[0]]] = value
    return table


def test_a_calm_clip_is_one_shot() -> None:
    assert find_shots(looks(), TIMES) == [(0, 60)]


def test_a_cut_loses_points_and_changes_colours() -> None:
    assert find_shots(looks(survival=(25, 0.02), distance=(25, 0.4)), TIMES) == [(0, 25), (25, 60)]


@pytest.mark.parametrize(
    "table",
    [looks(survival=(25, 0.02)), looks(distance=(25, 0.4))],
    ids=["points lost in one blurred frame", "colours change, points stay"],
)
def test_what_is_not_a_cut(table: Array) -> None:
    assert find_shots(table, TIMES) == [(0, 60)]


def test_a_flash_is_no_shot_of_its_own() -> None:
    table = looks()
    table[[25, 27], 0], table[[25, 27], 1] = 0.0, 0.9
    assert find_shots(table, TIMES) == [(0, 27), (27, 60)]


def test_a_fast_pan_loses_points_for_many_frames_and_is_no_cut() -> None:
    table = looks()
    table[20:30, 0], table[20:30, 1] = 0.1, 0.2
    assert find_shots(table, TIMES) == [(0, 60)]


def test_only_the_unsharp_frame_is_called_blurred() -> None:
    np.testing.assert_array_equal(blurred_frames(looks(sharpness=(30, 0.05))).nonzero()[0], [30])


def test_exposure_is_matched_but_new_content_is_not() -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(40, 150, (120, 160), np.uint8)
    brighter = np.clip(1.4 * picture, 0, 255).astype(np.uint8)
    matched = match_exposure(picture, brighter, None)
    assert abs(float(matched.mean()) - float(brighter.mean())) < 2
    half = picture.copy()
    half[:, 80:] //= 2
    np.testing.assert_array_equal(match_exposure(picture, half, None), picture)


class Cut:
    """A tripod shot, then a carried camera in the room seen upside down and in other colours."""

    def __init__(self) -> None:
        self.first = RenderedClip(standing(20))
        self.second = RenderedClip(travelling(40, metres=1.2))
        self.info = VideoInfo(
            path="cut", width=INTRINSICS.width, height=INTRINSICS.height,
            times=np.arange(60) / 30, focal_px=None, sha256="cut",
        )  # fmt: skip

    def __iter__(self) -> Iterator[Frame]:
        yield from self.first
        for frame in self.second:
            image = 255 - frame.image[::-1]
            yield Frame(index=20 + frame.index, time=(20 + frame.index) / 30, image=image)


def test_each_shot_is_solved_and_only_the_longest_is_tied_to_the_world() -> None:
    clip = Cut()
    config = CameraConfig(focal_px=INTRINSICS.fx)
    trajectory, report = estimate_camera(clip, clip.info, lambda *_: None, config)
    assert trajectory.shot_starts.tolist() == [0, 20]
    assert [shot["kind"] for shot in report.numbers["shots"]] == ["static", "moving"]
    assert trajectory.kind == "moving"
    assert not trajectory.tracked[:20].any()
    assert trajectory.tracked[20:].mean() > 0.9
    assert any("2 shots" in warning for warning in report.warnings)
