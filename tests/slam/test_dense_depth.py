"""Dense depth along a known path: the rendered room's true depth, people left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recon.core.camera import CameraTrajectory
from recon.core.depth import KeyframeDepth
from recon.core.errors import InputError
from recon.core.geometry import Array, invert_transform
from recon.core.scene import Scene
from recon.core.stage import StageReport
from slam.camera import CameraConfig, run
from slam.dense_ba import cell_centers
from slam.dense_depth import (
    MAX_POINTS,
    DenseScene,
    dense_depth,
    triangulate,
    with_dense_points,
)
from slam.tracks import BackgroundTracks, track_background
from tests.slam.clips import INTRINSICS, RenderedClip, standing, travelling
from tests.synthetic_images import WALL_Y

CELLS = cell_centers(INTRINSICS.width, INTRINSICS.height, 8)


def true_inverse_depth(T_world_camera: Array) -> Array:
    """(30, 40) of the room: floor z = 0 and wall y = WALL_Y; 0 in the sky."""
    rays = INTRINSICS.unproject(CELLS, np.ones(len(CELLS))) @ T_world_camera[:3, :3].T
    eye = T_world_camera[:3, 3]
    floor, wall = -rays[:, 2] / eye[2], rays[:, 1] / (WALL_Y - eye[1])
    return np.maximum(np.maximum(floor, wall), 0).reshape(30, 40)


def tracked(clip: RenderedClip) -> BackgroundTracks:
    return track_background(clip, clip.masks, INTRINSICS, num_frames=len(clip.Ts_world_camera))


def known_path(clip: RenderedClip, **changes: object) -> CameraTrajectory:
    """The true path; the slam frame is the world."""
    count = len(clip.Ts_world_camera)
    path = CameraTrajectory(
        kind="moving", backend="truth", intrinsics=INTRINSICS,
        Ts_slam_camera=clip.Ts_world_camera, tracked=np.ones(count, bool),
        points_slam=np.zeros((0, 3)), point_colors=np.zeros((0, 3), np.uint8),
    )  # fmt: skip
    return replace(path, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=[False, True], ids=["empty room", "a person walks across"])
def case(request: pytest.FixtureRequest) -> tuple[RenderedClip, BackgroundTracks, DenseScene]:
    clip = RenderedClip(travelling(45, metres=1.2), person=request.param)
    tracks = tracked(clip)
    return clip, tracks, dense_depth(tracks, known_path(clip))


def test_measured_cells_have_the_rooms_depth(case) -> None:
    clip, tracks, scene = case
    depth = scene.depth
    assert depth.frame_idx.tolist() == [k.index for k in tracks.keyframes]
    assert depth.inverse_depth.dtype == depth.weights.dtype == np.float16
    errors = []
    for frame, found, weight in zip(
        depth.frame_idx, depth.inverse_depth, depth.weights, strict=True
    ):
        truth = true_inverse_depth(clip.Ts_world_camera[frame])
        sure = (weight > 0.4) & (truth > 0)
        assert sure.mean() > 0.15
        errors.append(np.abs(found[sure].astype(float) / truth[sure] - 1))
    assert np.median(np.concatenate(errors)) < 0.03
    assert np.quantile(np.concatenate(errors), 0.9) < 0.12


def test_people_have_no_weight_but_a_filled_in_depth(case) -> None:
    clip, _, scene = case
    if not clip.person:
        pytest.skip("nobody in this clip")
    for frame, found, weight in zip(
        scene.depth.frame_idx, scene.depth.inverse_depth, scene.depth.weights, strict=True
    ):
        person = clip.masks(int(frame), INTRINSICS.height, INTRINSICS.width)
        assert person is not None
        inside = person.reshape(30, 8, 40, 8).mean(axis=(1, 3)) > 0.99
        assert inside.any()
        assert np.all(weight[inside] == 0)
        assert np.all(found > 0)


def test_points_lie_on_the_floor_and_the_wall(case) -> None:
    _, _, scene = case
    points = scene.points_slam
    off = np.minimum(np.abs(points[:, 2]), np.abs(points[:, 1] - WALL_Y))
    assert 1000 < len(points) <= MAX_POINTS
    assert len(scene.point_colors) == len(points)
    assert np.median(off) < 0.1
    assert scene.numbers["depth_points"] == len(points)


def test_a_standing_camera_and_untracked_frames_have_no_depth() -> None:
    clip = RenderedClip(standing(3))
    tracks = tracked(clip)
    for path in (known_path(clip, kind="static"), known_path(clip, tracked=np.zeros(3, bool))):
        scene = dense_depth(tracks, path)
        assert len(scene.depth.frame_idx) == len(scene.points_slam) == 0


def test_views_across_a_cut_are_not_compared() -> None:
    clip = RenderedClip(travelling(20, metres=0.6))
    tracks = tracked(clip)
    keys = [k.index for k in tracks.keyframes]
    scene = dense_depth(tracks, known_path(clip, shot_starts=np.array(keys)))
    assert np.all(scene.depth.weights == 0)
    assert len(scene.points_slam) == 0


def test_the_stage_keeps_depth_of_a_moving_camera_only(tmp_path: Path) -> None:
    scene = Scene.create(tmp_path / "scene")
    clips = (RenderedClip(travelling(40, metres=1.0)), RenderedClip(standing(12)))
    for clip, expected in zip(clips, (True, False), strict=True):
        scene.save("video.npz", [clip.info])
        scene.save("people.npz", [])
        for stage in ("video", "people"):
            scene.record(stage, CameraConfig(), StageReport(backend=""), seconds=0, code_version="")
        config = CameraConfig(focal_px=INTRINSICS.fx)
        scene.forget("camera")  # as the runner does; it takes the other clip's depth away
        report = run(scene, config, frames=clip)
        scene.record("camera", config, report, seconds=0, code_version="")
        depth = Scene.open(scene.path).keyframe_depth
        assert (depth is not None) == ("depth_keyframes" in report.numbers) == expected
        assert (len(scene.camera.points_slam) > 2000) == expected
        if depth is not None:
            assert depth.inverse_depth.shape[1:] == (30, 40)


def test_triangulation_of_exact_rays_is_exact() -> None:
    rng = np.random.default_rng(0)
    d = rng.uniform(0.2, 1.0, len(CELLS))
    T = invert_transform(travelling(30, metres=1.0)[[0, 10, 29]])
    T = T[1:] @ invert_transform(T[0])
    points = INTRINSICS.unproject(CELLS, 1 / d)
    seen = np.stack([INTRINSICS.project(points @ t[:3, :3].T + t[:3, 3]).T for t in T])
    ones = np.ones((2, len(CELLS)))
    found = triangulate(T, seen, ones, cells_px=CELLS, intrinsics=INTRINSICS)
    assert np.mean(np.isclose(found, d, rtol=1e-6)) > 0.8  # the rest has hardly any parallax


def test_dense_points_join_sparse_ones_up_to_the_cap() -> None:
    clip = RenderedClip(standing(1))
    sparse = known_path(
        clip, points_slam=np.ones((7, 3)), point_colors=np.full((7, 3), 9, np.uint8)
    )
    none = KeyframeDepth(
        frame_idx=np.zeros(0, int), inverse_depth=np.zeros((0, 1, 1)), weights=np.zeros((0, 1, 1))
    )
    for count, total in ((0, 7), (10, 17), (MAX_POINTS, MAX_POINTS)):
        dense = DenseScene(
            depth=none, points_slam=np.zeros((count, 3)), numbers={},
            point_colors=np.zeros((count, 3), np.uint8),
        )  # fmt: skip
        joined = with_dense_points(sparse, dense)
        assert len(joined.points_slam) == len(joined.point_colors) == total
        np.testing.assert_array_equal(joined.points_slam[:7], 1)


def test_depth_maps_must_match_their_frames() -> None:
    with pytest.raises(InputError, match="inverse_depth"):
        KeyframeDepth(
            frame_idx=np.arange(2), inverse_depth=np.ones((1, 3, 4)), weights=np.ones((1, 3, 4))
        )
