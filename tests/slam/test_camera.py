"""The camera stage on rendered clips of every class, and on a real hand-held one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from recon.core.camera import CameraTrajectory
from recon.core.errors import CameraError, InputError
from recon.core.geometry import Array, invert_transform, matrix_to_rotvec, umeyama
from recon.core.scene import Scene
from recon.core.stage import StageReport
from recon.core.video import Frame, VideoInfo
from slam.camera import CameraConfig, estimate_camera, load_backend, run
from tests.slam.clips import INTRINSICS, RenderedClip, panning, standing, travelling

HANDHELD = Path(__file__).parents[2] / "../shared/data/handheld_rgb"
KNOWN = INTRINSICS.fx


def solve(clip: RenderedClip, **options: object) -> tuple[CameraTrajectory, StageReport]:
    config = CameraConfig(**options)  # type: ignore[arg-type]
    return estimate_camera(clip, clip.info, clip.masks, config)


def rotation_errors_deg(found: Array, truth: Array) -> Array:
    """Angles between found and true rotations relative to the first frame, degrees."""
    a = invert_transform(found[0]) @ found
    b = invert_transform(truth[0]) @ truth
    turns = matrix_to_rotvec(np.swapaxes(a[:, :3, :3], -1, -2) @ b[:, :3, :3])
    return np.degrees(np.linalg.norm(turns, axis=1))


def position_error(found: Array, truth: Array) -> float:
    """Root mean square distance of camera centres after the best similarity."""
    scale, rotation, offset = umeyama(found[:, :3, 3], truth[:, :3, 3])
    mapped = scale * found[:, :3, 3] @ rotation.T + offset
    return float(np.sqrt(np.mean(np.sum((mapped - truth[:, :3, 3]) ** 2, axis=1))))


@pytest.mark.parametrize("person", [False, True], ids=["empty room", "a person walks across"])
def test_a_tripod_with_noise_is_static(person: bool) -> None:
    trajectory, report = solve(RenderedClip(standing(40), person=person, noise=5))
    assert trajectory.kind == report.backend == "static"
    np.testing.assert_array_equal(trajectory.Ts_slam_camera, np.repeat(np.eye(4)[None], 40, axis=0))
    assert trajectory.intrinsics.source == "prior"
    assert {d.name for d in report.decisions} == {"camera", "focal length"}


@pytest.mark.parametrize("person", [False, True], ids=["empty room", "a person walks across"])
def test_a_pan_is_rotating_and_its_angles_and_lens_are_found(person: bool) -> None:
    clip = RenderedClip(panning(60, degrees=30), person=person)
    trajectory, report = solve(clip)
    assert trajectory.kind == "rotating"
    assert report.backend == "rotation"
    np.testing.assert_array_equal(trajectory.Ts_slam_camera[:, :3, 3], 0)
    assert trajectory.intrinsics.fx == pytest.approx(KNOWN, rel=0.04)
    assert trajectory.intrinsics.source == "estimated"
    stated = report.numbers["focal_relative_std"]
    assert abs(trajectory.intrinsics.fx / KNOWN - 1) <= 2 * stated
    assert stated < 0.1
    errors = rotation_errors_deg(trajectory.Ts_slam_camera, clip.Ts_world_camera)
    assert np.median(errors) < 0.3 + 0.04 * 15  # the lens is good to 4 %, and so is the angle
    known, told = solve(clip, focal_px=KNOWN)
    assert known.kind == "rotating"
    assert "focal_relative_std" not in told.numbers
    assert known.intrinsics.source == "user"
    assert rotation_errors_deg(known.Ts_slam_camera, clip.Ts_world_camera).max() < 0.3


@pytest.mark.parametrize("person", [False, True], ids=["empty room", "a person walks across"])
def test_a_carried_camera_is_moving_and_its_path_is_found(person: bool) -> None:
    clip = RenderedClip(travelling(60, metres=1.5), person=person)
    trajectory, report = solve(clip, focal_px=KNOWN)
    assert trajectory.kind == "moving"
    assert trajectory.tracked.mean() > 0.9
    assert position_error(trajectory.Ts_slam_camera, clip.Ts_world_camera) < 0.03
    errors = rotation_errors_deg(trajectory.Ts_slam_camera, clip.Ts_world_camera)
    assert np.median(errors) < 0.3
    assert len(trajectory.points_slam) > 100
    assert report.numbers["reprojection_px"] < 1
    assert len(report.numbers["windows_long"]["flow_px"]) == len(
        report.numbers["windows_long"]["frame"]
    )


def test_a_forced_class_is_obeyed_and_the_contradiction_is_said() -> None:
    clip = RenderedClip(travelling(35, metres=1.0))
    trajectory, report = solve(clip, kind="static")
    assert trajectory.kind == "static"
    assert "--camera static was given, but it looks moving" in report.warnings[0]
    _, agreed = solve(RenderedClip(standing(35)), kind="static")
    assert agreed.warnings == ()


def test_an_untrackable_path_is_never_invented() -> None:
    """A pan forced to be solved as moving has no baseline: turning only, flagged, and said."""
    clip = RenderedClip(panning(40, degrees=15))
    trajectory, report = solve(clip, kind="moving", focal_px=KNOWN)
    assert (trajectory.kind, report.backend) == ("moving", "rotation")
    assert not trajectory.tracked.any()
    np.testing.assert_array_equal(trajectory.Ts_slam_camera[:, :3, 3], 0)
    assert "its path is not known" in report.warnings[0]
    assert {d.name: d.value for d in report.decisions}["camera path"] == "only its turning is used"
    with pytest.raises(CameraError, match="--camera static or --camera rotating"):
        solve(clip, kind="moving", focal_px=KNOWN, backend="tracks")


class Blank:
    """A grey wall: nothing to follow."""

    info = VideoInfo(
        path="x", width=320, height=240, times=np.arange(20) / 30, focal_px=None, sha256="x"
    )

    def __iter__(self) -> Iterator[Frame]:
        for i in range(20):
            yield Frame(index=i, time=i / 30, image=np.full((240, 320, 3), 120, np.uint8))


def test_a_blank_wall_is_an_error_unless_the_user_knows_better() -> None:
    with pytest.raises(CameraError, match="--camera static"):
        estimate_camera(Blank(), Blank.info, lambda *_: None, CameraConfig())
    told = CameraConfig(kind="static")
    trajectory, report = estimate_camera(Blank(), Blank.info, lambda *_: None, told)
    assert trajectory.kind == "static"
    assert len(report.warnings) == 1


def test_one_frame_is_static() -> None:
    trajectory, _ = solve(RenderedClip(standing(1)))
    assert trajectory.kind == "static"
    assert trajectory.Ts_slam_camera.shape == (1, 4, 4)


def test_fewer_frames_than_announced_are_refused() -> None:
    clip = RenderedClip(standing(5))
    longer = RenderedClip(standing(6)).info
    with pytest.raises(InputError, match="expected 6 frames, got 5"):
        estimate_camera(clip, longer, clip.masks, CameraConfig())


def test_an_unknown_backend_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(InputError, match="static, rotation, zoom, tracks, colmap"):
        load_backend("orbslam9")


def test_the_stage_writes_a_trajectory_that_reads_back(tmp_path: Path) -> None:
    clip = RenderedClip(panning(12, degrees=6))
    scene = Scene.create(tmp_path / "scene")
    scene.save("video.npz", [clip.info])
    scene.save("people.npz", [])
    for stage in ("video", "people"):
        scene.record(stage, CameraConfig(), StageReport(backend=""), seconds=0, code_version="0")
    config = CameraConfig(focal_px=KNOWN)
    report = run(scene, config, frames=clip)
    scene.record("camera", config, report, seconds=0, code_version="0")
    again = Scene.open(scene.path)
    assert again.camera.kind == "rotating"
    assert len(again.camera.Ts_slam_camera) == 12
    assert again.report("camera").numbers == report.numbers


class Handheld:
    """Every second of the first 120 pictures of a hand-held indoor scan, 60 of them."""

    def __init__(self) -> None:
        self.paths = sorted(HANDHELD.glob("*.jpg"))[:120:2]
        self.info = VideoInfo(
            path="handheld", width=640, height=480, times=np.arange(len(self.paths)) / 15,
            focal_px=None, sha256="x",
        )  # fmt: skip

    def __iter__(self) -> Iterator[Frame]:
        for i, path in enumerate(self.paths):
            image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
            assert image is not None
            yield Frame(index=i, time=i / 15, image=np.asarray(image, np.uint8))


@pytest.mark.skipif(not HANDHELD.exists(), reason="the hand-held sample is not on this machine")
def test_a_real_hand_held_scan_is_followed_to_three_centimetres() -> None:
    with np.load(HANDHELD / "truth.npz") as truth:
        Ts_world_camera, focal = truth["Ts_world_camera"][:120:2], float(truth["K"][0, 0])
    clip = Handheld()
    config = CameraConfig(focal_px=focal)
    trajectory, _ = estimate_camera(clip, clip.info, lambda *_: None, config)
    assert trajectory.kind == "moving"
    assert trajectory.tracked.all()
    assert position_error(trajectory.Ts_slam_camera, Ts_world_camera) < 0.03
