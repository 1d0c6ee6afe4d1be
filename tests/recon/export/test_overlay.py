"""The overlay sits on the person, keeps the video's times and says what is wrong with its input."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from recon.core.errors import InputError, StaleSceneError
from recon.core.geometry import transform_points
from recon.core.raster import Raster
from recon.core.video import Frame
from recon.export.mp4 import Mp4Writer
from recon.export.overlay import (
    CameraPerson,
    OverlayPainter,
    blend,
    camera_people,
    export,
    open_frames,
    write_overlay,
)
from recon.video import VideoReader
from tests.synthetic import make_scene

TIMES = np.array([0.0, 0.02, 0.1, 0.11, 0.2, 0.35, 0.4])

UP = np.array([0, 0, 0.5])


class Gray:
    """Gray frames of a scene, without a file."""

    def __init__(self, info):
        self.info = info

    def __iter__(self):
        for index, time in enumerate(self.info.times):
            image = np.full((self.info.height, self.info.width, 3), 128, np.uint8)
            yield Frame(index=index, time=float(time), image=image)


def seen(person, frame):
    found = person.at(frame)
    assert found is not None
    return found


def decode(path):
    with av.open(str(path)) as container:
        return [(float(f.time), f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("overlay")
    video = folder / "v.mp4"
    made = make_scene(
        folder / "scene", num_people=2, camera="moving", times=TIMES, video_path=video
    )
    info = VideoReader.open(video).info  # the times as the file rounds them
    assert info.times == pytest.approx(list(TIMES), abs=1e-3)
    made.save("video.npz", [info])
    return made


def test_the_overlay_has_every_frame_at_its_own_time(scene, tmp_path):
    (path,) = export(scene, tmp_path / "new")
    frames = decode(path)
    assert path.name == "overlay.mp4"
    assert [t for t, _ in frames] == pytest.approx(list(TIMES - TIMES[0]), abs=1e-4)
    assert frames[0][1].shape == (240, 320, 3)
    assert [p.name for p in path.parent.iterdir()] == ["overlay.mp4"]


def test_progress_reaches_the_end(scene, tmp_path):
    calls = []
    write_overlay(
        scene, Gray(scene.video), tmp_path / "o.mp4", progress=lambda *done: calls.append(done)
    )
    assert calls == [(k + 1, len(TIMES)) for k in range(len(TIMES))]


def test_the_body_is_drawn_where_its_vertices_project(scene):
    painter = OverlayPainter(scene)
    frame = list(Gray(scene.video))[3]
    ys, xs = np.nonzero(np.abs(painter.draw(frame).astype(int) - 128).sum(axis=2) > 60)
    inside = (ys > 40) & (ys < 235)  # below the labels
    px = np.concatenate([painter.intrinsics.project(seen(p, 3)[0]) for p in painter.people])
    drawn = np.array([xs[inside].min(), xs[inside].max(), ys[inside].max()])
    expected = [px[:, 0].min(), px[:, 0].max(), px[:, 1].max()]
    assert drawn == pytest.approx(expected, abs=4)


def test_the_world_motion_seen_through_the_world_camera_is_the_camera_motion(scene):
    for person, motion, rig in zip(
        camera_people(scene), scene.camera_motions, scene.rigs, strict=True
    ):
        for frame in (1, 4):
            row = int(frame - motion.frame_idx[0])
            vertices, joints = seen(person, frame)
            assert joints == pytest.approx(motion.joints_camera[row], abs=1e-6)
            assert vertices == pytest.approx(rig.vertices(motion.poses_camera)[row], abs=1e-4)


def test_an_error_of_the_world_stage_shows_in_the_overlay(scene, tmp_path):
    broken = make_scene(tmp_path / "s", times=TIMES)
    motions = [
        replace(m, poses_world=replace(m.poses_world, root=m.poses_world.root + UP))
        for m in broken.world_motions
    ]
    before = seen(camera_people(broken)[0], 2)[1]
    broken.save("world.npz", motions)
    after = seen(camera_people(broken)[0], 2)[1]
    turn = np.linalg.inv(broken.placement.Ts_world_camera[2])
    turn[:3, 3] = 0
    lift = transform_points(turn, UP[None])[0]
    assert after - before == pytest.approx(np.tile(lift, (52, 1)), abs=1e-6)


def test_without_the_world_stage_the_camera_motion_is_drawn(tmp_path):
    scene = make_scene(tmp_path / "s", times=TIMES)
    scene.forget("world")
    (person,) = camera_people(scene)
    assert isinstance(person, CameraPerson)
    assert seen(person, 0)[1] == pytest.approx(scene.camera_motions[0].joints_camera[0], abs=1e-9)


def test_people_are_drawn_only_while_they_are_there(scene):
    second = camera_people(scene)[1]
    present = [second.at(k) is not None for k in range(len(TIMES))]
    assert present == [False, True, True, True, True, True, False]


@pytest.mark.parametrize("count", [68, 468])
def test_hands_and_faces_are_drawn_where_they_were_seen(tmp_path, count):
    scene = make_scene(tmp_path / "s", times=TIMES[:2])
    (track,) = scene.tracks
    rng = np.random.default_rng(0)
    boxes = np.array([[20, 20], [60, 20], [100, 20]])  # left hand, right hand, face
    part = [
        corner + rng.uniform(0, 25, (n, 2))
        for corner, n in zip(boxes, (21, 21, count), strict=True)
    ]
    n = len(track.frame_idx)
    hands_px, face_px = np.tile(np.stack(part[:2]), (n, 1, 1, 1)), np.tile(part[2], (n, 1, 1))
    hands_conf = np.tile([0.9, 0.1], (n, 1))
    shown = replace(
        track, hands_px=hands_px, hands_conf=hands_conf, face_px=face_px, face_conf=np.ones(n)
    )
    frame = next(iter(Gray(scene.video)))
    plain = OverlayPainter(scene).draw(frame)
    scene.save("people.npz", [shown])
    drawn = OverlayPainter(scene).draw(frame)
    changed = [(drawn != plain)[y : y + 25, x : x + 25].any() for x, y in boxes]
    assert changed == [True, False, True]


def test_large_and_odd_videos_become_720_high_and_even(tmp_path):
    scene = make_scene(tmp_path / "s", times=TIMES[:2], size=(1451, 1081))
    painter = OverlayPainter(scene)
    assert painter.size == (966, 720)
    full, small = scene.camera.intrinsics, painter.intrinsics
    point = np.array([[0.3, 0.2, 4.0]])
    scale = np.array([966 / 1451, 720 / 1081])
    assert small.project(point) == pytest.approx(full.project(point) * scale)
    write_overlay(scene, Gray(scene.video), tmp_path / "o.mp4")
    assert decode(tmp_path / "o.mp4")[0][1].shape == (720, 966, 3)


def test_a_scene_without_people_is_the_plain_video(tmp_path):
    scene = make_scene(tmp_path / "s", num_people=0, times=TIMES)
    image = OverlayPainter(scene).draw(next(iter(Gray(scene.video))))
    assert (image[60:] == 128).all()


def test_opacity_lets_the_video_through(scene):
    painter = OverlayPainter(scene)
    raster = Raster(painter.intrinsics)
    raster.owner[50:90, 50:90] = 0
    raster.color[50:90, 50:90] = (200, 0, 0)
    image = np.full((240, 320, 3), 100, np.uint8)
    out = blend(image, raster, opacity=0.65)
    assert out[70, 70].tolist() == pytest.approx([165, 35, 35], abs=1)
    assert (out[:48] == 100).all() and (image == 100).all()


def test_another_video_is_refused(scene, tmp_path):
    other = replace(scene.video, times=TIMES[:3])
    with pytest.raises(InputError, match="expected the scene's own video"):
        write_overlay(scene, Gray(other), tmp_path / "o.mp4")


def test_a_missing_video_is_one_clear_error(tmp_path):
    scene = make_scene(tmp_path / "s", times=TIMES)
    with pytest.raises(InputError, match="no such file"):
        export(scene, tmp_path / "out")
    assert not (tmp_path / "out" / "overlay.mp4").exists()


def test_another_video_in_its_place_is_refused(scene, tmp_path):
    video = tmp_path / "v.mp4"
    video.write_bytes(Path(scene.video.path).read_bytes() + b"one byte more")
    other = make_scene(tmp_path / "s", times=TIMES)
    other.save("video.npz", [replace(scene.video, path=str(video))])
    with pytest.raises(InputError, match="got another one"):
        export(other, tmp_path / "out")


def test_a_scene_without_bodies_says_which_stage_is_missing(tmp_path):
    scene = make_scene(tmp_path / "s", times=TIMES)
    scene.forget("body")
    with pytest.raises(StaleSceneError, match="'body'"):
        write_overlay(scene, Gray(scene.video), tmp_path / "o.mp4")


def test_frames_are_reopened_with_the_runs_own_selection(scene):
    assert [f.time for f in open_frames(scene)] == pytest.approx(list(TIMES), abs=1e-3)


def test_the_mp4_starts_at_once_and_is_playable_in_browsers(tmp_path):
    path = tmp_path / "a.mp4"
    with Mp4Writer(path, (64, 48), fps=30) as video:
        for k in range(12):
            video.write(np.full((48, 64, 3), 20 * k, np.uint8), 7.0 + k / 30)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == pytest.approx(Fraction(30), abs=1)
    assert [t for t, _ in decode(path)] == pytest.approx(np.arange(12) / 30, abs=1e-4)


@pytest.mark.parametrize(
    ("size", "shape", "times", "message"),
    [
        ((63, 48), (48, 63, 3), [0.0], "even picture size"),
        ((64, 48), (64, 48, 3), [0.0], "pictures of 64x48"),
        ((64, 48), (48, 64, 3), [0.1, 0.1], "increasing frame times"),
    ],
)
def test_bad_pictures_are_refused_and_leave_no_file(tmp_path, size, shape, times, message):
    with (
        pytest.raises(InputError, match=message),
        Mp4Writer(tmp_path / "a.mp4", size, fps=30) as video,
    ):
        for time in times:
            video.write(np.zeros(shape, np.uint8), time)
    assert list(tmp_path.iterdir()) == []
