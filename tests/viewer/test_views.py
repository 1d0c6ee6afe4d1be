"""Views keep what they follow in sight; the video's picture lies under the bodies it shows."""

import numpy as np
import pytest

from recon.core.camera import Intrinsics
from recon.core.geometry import invert_transform, transform_points
from recon.core.people import BodyPoses
from tests.synthetic import make_scene
from viewer import marks, views
from viewer.recording import Recorder, side_by_side
from viewer.shaded import ShadedBody
from viewer.world import World, look_at


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = tmp_path_factory.mktemp("views") / "scene"
    return make_scene(path, num_people=2, num_frames=24, camera="moving")


@pytest.fixture(scope="module")
def world(scene):
    return World.from_scene(scene)


def test_a_shaded_body_is_the_rigs_mesh(world):
    person = world.people[0]
    body = ShadedBody(person.rig, (200, 100, 50))
    vertices, colors = body.at(person.motion.poses_world, 7)
    assert vertices == pytest.approx(person.vertices(7), abs=1e-5)
    assert colors.shape == vertices.shape and 0 < colors.min() < colors.max() <= 1
    assert colors[:, 0] == pytest.approx(4 * colors[:, 2], rel=1e-3)  # one hue


def test_what_turns_from_the_lamp_gets_darker(world):
    person = world.people[0]
    body, poses = ShadedBody(person.rig, (200, 200, 200)), person.motion.poses_world
    turned = np.diag([-1.0, -1.0, 1.0]) @ poses.rotations[:1, 0]
    around = BodyPoses(
        root=poses.root[:1],
        rotations=np.concatenate([turned[:, None], poses.rotations[:1, 1:]], axis=1),
    )
    before, after = body.at(poses, 0)[1], body.at(around, 0)[1]
    assert np.abs(before - after).max() > 0.2


def test_behind_the_camera_one_sees_the_camera_and_what_it_sees(world):
    T = invert_transform(look_at(*views.behind_camera(world, 5)))
    camera = world.Ts_world_camera[5]
    seen = transform_points(T, np.stack([camera[:3, 3], camera[:3, 3] + 4 * camera[:3, 2]]))
    assert (seen[:, 2] > 0.5).all() and (np.abs(seen[:, :2]) < 0.6 * seen[:, 2:]).all()


def test_a_person_is_in_the_middle_and_nobody_without(world):
    place = views.beside_person(world, 1, 8)
    assert place is not None
    joints = world.people[0].motion.joints_world[8, :22]
    seen = transform_points(invert_transform(look_at(*place)), joints)
    assert (np.abs(seen[:, :2] / seen[:, 2:]) < 0.5).all()
    assert views.beside_person(world, 2, 0) is None  # comes later
    assert views.beside_person(world, 9, 0) is None


def test_steps_go_along_with_what_is_followed(world):
    pelvis = world.people[0].motion.joints_world[:, 0]
    step = views.step_of(world, "person", 1, 3, 9)
    assert step == pytest.approx((pelvis[9] - pelvis[3]) * [1, 1, 0])
    assert views.step_of(world, "camera", None, 3, 9) == pytest.approx(
        world.Ts_world_camera[9, :3, 3] - world.Ts_world_camera[3, :3, 3]
    )
    still: list[tuple[views.View, int | None]] = [("free", 1), ("person", 2), ("person", None)]
    for view, who in still:
        assert not views.step_of(world, view, who, 0, 9).any()


@pytest.mark.parametrize("size", [(300, 500), (900, 200), (64, 48)])
def test_the_letterboxed_camera_lies_on_the_letterboxed_picture(size):
    k = Intrinsics(fx=60, fy=60, cx=30, cy=25, width=64, height=48)
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[10:14, 40:44] = 255
    boxed = views.letterbox(picture, size, (0, 0, 0))
    assert boxed.shape == (size[1], size[0], 3)
    ys, xs = np.nonzero(boxed[..., 0] > 128)
    point = k.unproject(np.array([42.0, 12.0]), np.array(2.0))
    at = views.letterboxed(k, size).project(point)
    assert [xs.mean() + 0.5, ys.mean() + 0.5] == pytest.approx(at, abs=1.0)


def test_the_second_scene_shows_the_same_moment():
    times = np.array([3.0, 3.1, 3.5])
    assert [views.frame_at(times, s) for s in (0, 0.05, 0.1, 0.49, 9, -1)] == [0, 0, 1, 1, 2, 0]


def test_contacts_and_uncertainty_lie_on_the_body(world):
    person = world.people[0]
    dots = marks.contacts(person, 4)
    standing = person.motion.contacts[4] >= 0.5
    assert dots.points[:, :2] == pytest.approx(person.motion.feet_world[4, :, :2])
    assert [tuple(c) == marks.STANDING for c in dots.colors] == standing.tolist()
    std = np.tile([0.01, 0.02, 0.03], (22, 1))
    starts, ends = marks.uncertainty(world, person, 4, std)
    assert len(starts) == 66
    assert (starts + ends)[::3] / 2 == pytest.approx(person.motion.joints_world[4, :22])
    lengths = np.linalg.norm(ends - starts, axis=1).reshape(22, 3)
    assert lengths == pytest.approx(2 * std)
    assert (ends - starts)[2] / 0.06 == pytest.approx(world.Ts_world_camera[4, :3, 2])


def test_rods_lie_about_their_segments_and_face_outwards():
    rng = np.random.default_rng(3)
    starts, ends = rng.normal(size=(2, 5, 3))
    ends[0] = starts[0] + [0, 0, 2]  # upright
    vertices, faces = marks.rods((starts, ends), 0.1)
    assert len(vertices) == 40 and faces.shape == (40, 3) and faces.max() == 39
    for k in range(5):
        along = (ends[k] - starts[k]) / np.linalg.norm(ends[k] - starts[k])
        off = vertices[8 * k : 8 * k + 8] - starts[k]
        across = off - np.outer(off @ along, along)
        assert np.linalg.norm(across, axis=1) == pytest.approx(np.full(8, 0.1))
        own = vertices[faces[8 * k : 8 * k + 8]]
        normal = np.cross(own[:, 1] - own[:, 0], own[:, 2] - own[:, 0])
        centre = own.mean(axis=1) - starts[k]
        outward = centre - np.outer(centre @ along, along)
        sides = np.einsum("fk,fk->f", normal, outward)
        assert (sides > 0).all() or (sides < 0).all()


class FakeViewport:
    """Draws its frame's number at once."""

    def __init__(self, world):
        self.world, self.frame = world, 0

    def picture(self, done):
        done(np.full((5, 7, 3), self.frame, np.uint8))


class FakeFile:
    def __init__(self, log):
        self.log = log

    def __enter__(self):
        return self

    def write(self, image, time):
        self.log.append((image.shape, int(image[0, 0, 0]), time))

    def __exit__(self, *_):
        self.log.append("closed")


def test_a_recording_has_every_frame_at_its_time(world, tmp_path):
    log, said, ports = [], [], [FakeViewport(world), FakeViewport(world)]
    recorder = Recorder(tmp_path, lambda path, size, fps: FakeFile(log))
    times = np.array([0.0, 0.1, 0.4])

    def go(frame):
        for port in ports:
            port.frame = frame

    recorder.start(ports, times, go, said.append)
    assert log == [((4, 14, 3), k, t) for k, t in enumerate(times)] + ["closed"]
    assert said[-1] == "scene_scene_000000.mp4" and not recorder.busy


def test_a_recording_that_fails_says_why(world, tmp_path):
    class Full(FakeFile):
        def write(self, image, time):
            raise OSError("disk full")

    log, said = [], []
    recorder = Recorder(tmp_path, lambda path, size, fps: Full(log))
    recorder.start([FakeViewport(world)], np.arange(3.0), lambda frame: None, said.append)
    assert said[-1] == "disk full" and not recorder.busy and log == ["closed"]


def test_screenshots_do_not_overwrite_one_another(world, tmp_path):
    said = []
    recorder = Recorder(tmp_path, lambda *_: FakeFile([]))
    for _ in range(2):
        recorder.screenshot([FakeViewport(world)], said.append)
    assert said == ["scene_000000.png", "scene_000000_2.png"]
    assert all((tmp_path / name).stat().st_size > 50 for name in said)


def test_what_cannot_be_written_is_said_and_the_window_goes_on(world, tmp_path):
    class Full(FakeFile):
        def __exit__(self, *_):
            raise OSError("disk full")

    (tmp_path / "file").touch()
    said = []
    Recorder(tmp_path / "file", lambda *_: FakeFile([])).screenshot(
        [FakeViewport(world)], said.append
    )
    assert "File exists" in said[-1] or "Not a directory" in said[-1]
    recorder = Recorder(tmp_path, lambda *_: Full([]))
    recorder.start([FakeViewport(world)], np.arange(1.0), lambda frame: None, said.append)
    assert said[-1] == "disk full" and not recorder.busy


def test_pictures_side_by_side_have_even_sizes():
    assert side_by_side([np.zeros((5, 3, 3)), np.zeros((7, 4, 3))]).shape == (4, 6, 3)
