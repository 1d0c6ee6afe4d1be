"""The lens, the ground and statures from people who stand on one floor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recon.core.camera import CameraTrajectory, Intrinsics
from recon.core.geometry import Array, invert_transform, transform_points
from recon.core.people import PersonTrack
from recon.core.skeletons import BLAZEPOSE_KEYPOINTS
from recon.core.stage import Decision, StageReport
from recon.synth.cameras import look_at
from recon.synth.sensor import no_masks
from slam.standing_people import see_standing_people, with_ground

FOCAL, WIDTH, HEIGHT = 1150.0, 768, 576
STATURES = (1.60, 1.70, 1.82, 1.68, 1.75, 1.64, 1.77, 1.58, 1.73, 1.66, 1.85, 1.69)
TIMES = np.arange(240) / 10


def _lens(focal: float, source: str = "prior") -> Intrinsics:
    return Intrinsics(
        fx=focal, fy=focal, cx=WIDTH / 2, cy=HEIGHT / 2, width=WIDTH, height=HEIGHT,
        source=source,  # pyright: ignore[reportArgumentType]
    )  # fmt: skip


def _camera(focal: float, source: str = "prior", kind: str = "static") -> CameraTrajectory:
    return CameraTrajectory(
        kind=kind,  # pyright: ignore[reportArgumentType]
        backend="static",
        intrinsics=_lens(focal, source),
        Ts_slam_camera=np.repeat(np.eye(4)[None], len(TIMES), axis=0),
        tracked=np.ones(len(TIMES), bool),
        points_slam=np.zeros((0, 3)),
        point_colors=np.zeros((0, 3), np.uint8),
    )


def _crowd(height: float, *, seed: int = 0, noise: float = 0.02) -> tuple[list[PersonTrack], Array]:
    """People who cross a square before a camera at this height, and the vertical it sees."""
    rng = np.random.default_rng(seed)
    T = look_at(np.array([0.0, 0.0, height]), np.array([0.0, 24.0, 0.5]))
    tracks = []
    for k, stature in enumerate(STATURES):
        ends = rng.uniform([-4, 14], [4, 36], (2, 2))
        ground = ends[0] + (TIMES / TIMES[-1])[:, None] * (ends[1] - ends[0])
        points = np.zeros((len(TIMES), 33, 3))
        for i, name in enumerate(BLAZEPOSE_KEYPOINTS):
            share = {"ankle": 0.06, "hip": 0.50, "shoulder": 0.795}.get(name.split("_")[-1], 0.6)
            points[:, i, :2] = ground
            points[:, i, 2] = share * stature
        seen = transform_points(invert_transform(T), points.reshape(-1, 3)).reshape(points.shape)
        px = _lens(FOCAL).project(seen)
        tall = np.ptp(px[..., 1], axis=1)
        px = px + noise * tall[:, None, None] * rng.standard_normal(px.shape)
        box = np.concatenate([px.min(axis=1), px.max(axis=1)], axis=1)
        tracks.append(
            PersonTrack(
                track_id=k + 1, frame_idx=np.arange(len(TIMES)), boxes=box,
                scores=np.ones(len(TIMES)), keypoints_px=px,
                keypoint_conf=np.ones(px.shape[:2]), landmarks=np.zeros((len(TIMES), 33, 3)),
                masks=no_masks(len(TIMES)),
            )
        )  # fmt: skip
    return tracks, T[2, :3]


@pytest.mark.parametrize("seed", range(3))
def test_a_crowd_seen_from_above_tells_lens_vertical_and_statures(seed: int) -> None:
    tracks, up = _crowd(7.0, seed=seed)
    found = see_standing_people(tracks, _camera(700.0), TIMES, focal_log_std=0.15)
    assert found is not None
    assert abs(np.log(found.focal_px / FOCAL)) < max(0.06, 2.5 * found.focal_log_std)
    assert found.focal_log_std < 0.14
    assert np.degrees(np.arccos(found.ground.up_slam @ up)) < 1.5
    error = found.ground.statures - STATURES
    assert np.abs(error - error.mean()).max() < 0.06
    assert abs(error.mean()) < 0.1  # all of them larger looks the same


def test_at_eye_level_the_lens_stays_unknown() -> None:
    tracks, _ = _crowd(1.6)
    found = see_standing_people(tracks, _camera(900.0), TIMES, focal_log_std=0.15)
    assert found is not None
    assert found.focal_log_std > 0.1


def test_too_few_sightings_say_nothing() -> None:
    tracks, _ = _crowd(7.0)
    short = replace(tracks[0], keypoint_conf=np.zeros((len(TIMES), 33)))
    assert see_standing_people([short], _camera(700.0), TIMES, focal_log_std=0.15) is None
    assert see_standing_people([], _camera(700.0), TIMES, focal_log_std=0.15) is None


def test_only_an_assumed_lens_is_replaced() -> None:
    tracks, _ = _crowd(10.0)
    said = StageReport(
        backend="static", decisions=(Decision(name="focal length", value="x", why="assumed"),)
    )
    camera, report, ground = with_ground(tracks, _camera(700.0), said, TIMES)
    assert camera.intrinsics.source == "estimated"
    assert camera.intrinsics.fx == pytest.approx(FOCAL, rel=0.1)
    assert "people" in report.decisions[0].why
    assert ground is not None
    told = _camera(FOCAL, "user")
    camera, report, ground = with_ground(tracks, told, said, TIMES)
    assert camera is told and report.decisions == said.decisions
    assert ground is not None
    assert report.numbers["camera_height"] == round(ground.camera_height, 3)
    assert report.numbers["statures"]["person1"] == round(float(ground.statures[0]), 3)
    assert ground.camera_height == pytest.approx(10.0, rel=0.08)


def test_a_walking_camera_is_left_alone() -> None:
    tracks, _ = _crowd(7.0)
    moving = _camera(700.0, kind="moving")
    said = StageReport(backend="tracks")
    assert with_ground(tracks, moving, said, TIMES) == (moving, said, None)
