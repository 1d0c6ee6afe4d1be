"""What a browser is told: read back from the messages and held against the scene."""

from collections.abc import Set

import cv2
import numpy as np
import pytest

from recon.core.geometry import (
    invert_transform,
    make_transform,
    quat_to_matrix,
    transform_points,
)
from recon.core.splat_view import SplatCloud
from tests.synthetic import make_scene
from viewer.web_world import WebContent, WebWorld, most_seen
from viewer.world import World

viser = pytest.importorskip("viser")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    return World.from_scene(
        make_scene(folder / "two", num_people=2, num_frames=24, camera="moving")
    )


@pytest.fixture
def server():
    server = viser.ViserServer(host="127.0.0.1", port=8300, verbose=False)
    yield server
    server.stop()


def messages(server, kind):
    """The last messages of a kind that a browser which comes now is sent."""
    buffer = server._websock_server._broadcast_buffer
    return [m for m in buffer.message_from_id.values() if type(m).__name__ == kind]


def skinned(server, name):
    """A mesh's vertices (V, 3) as a browser skins them: bind pose, bones, weights."""
    (props,) = [m.props for m in messages(server, "SkinnedMeshMessage") if m.name == name]
    bind = make_transform(quat_to_matrix(props.bone_wxyzs), props.bone_positions)
    Ts = bind.copy()
    for m in messages(server, "SetBoneOrientationMessage"):
        if m.name == name:
            Ts[m.bone_index, :3, :3] = quat_to_matrix(np.array(m.wxyz))
    for m in messages(server, "SetBonePositionMessage"):
        if m.name == name:
            Ts[m.bone_index, :3, 3] = m.position
    moved = transform_points(Ts @ invert_transform(bind), props.vertices)
    rows = np.arange(len(props.vertices))[:, None]
    assert props.skin_weights.shape[1] == 4
    np.testing.assert_allclose(props.skin_weights.sum(axis=1), 1, rtol=1e-6)
    return np.sum(props.skin_weights[..., None] * moved[props.skin_indices, rows], axis=1)


def visible(server, name):
    (message,) = [m for m in messages(server, "SetSceneNodeVisibilityMessage") if m.name == name]
    return message.visible


@pytest.mark.parametrize("grain", [0, 2.0**-13])
def test_the_browser_skins_the_scenes_bodies(world, server, grain):
    web = WebWorld(server.scene, WebContent(world=world), grain=grain)
    for frame in (5, 17, 0):
        web.show(frame)
        for person in world.people:
            row = person.row(frame)
            if row is None:
                continue
            found = skinned(server, f"/person {person.motion.track_id}/body/mesh")
            distance = np.linalg.norm(found - person.vertices(row), axis=1)
            # The toy has up to six weights a vertex; four are kept.
            assert np.median(distance) < 2e-4 and distance.max() < 0.02


def test_who_is_not_there_is_hidden_and_switches_work(world, server):
    web = WebWorld(server.scene, WebContent(world=world))
    assert not visible(server, "/person 2/body"), "comes in later"
    web.show(10)
    assert visible(server, "/person 2/body")
    web.set_person(2, False)
    assert not visible(server, "/person 2")
    web.set_shown("meshes", False)
    assert not visible(server, "/person 1/body/mesh")
    assert set(web.kinds) == {
        "meshes", "skeletons", "paths", "contacts", "points", "floor", "camera"
    }  # fmt: skip


def test_standing_soles_are_green_where_they_stand(world, server):
    web = WebWorld(server.scene, WebContent(world=world))
    motion = world.people[0].motion
    colors = {}
    for frame in range(24):
        web.show(frame)
        node = server.scene.get_handle_by_name("/person 1/body/contacts")
        np.testing.assert_allclose(node.points, motion.feet_world[frame], atol=0.011)
        for color, contact in zip(node.colors, motion.contacts[frame], strict=True):
            colors.setdefault(bool(contact > 0.5), set()).add(tuple(color))
    assert len(colors[True]) == len(colors[False]) == 1 and colors[True] != colors[False]


def flat(level):
    return cv2.imencode(".jpg", np.full((24, 32, 3), level, np.uint8))[1].tobytes()


def test_the_camera_shows_the_latest_picture_and_stands_where_it_stood(world, server):
    web = WebWorld(server.scene, WebContent(world=world, pictures={0: flat(40), 10: flat(200)}))
    node = server.scene.get_handle_by_name("/camera")
    for frame, level in ((3, 40), (10, 200), (23, 200), (9, 40)):
        web.show(frame)
        assert abs(int(node.image.mean()) - level) < 4
        T = world.Ts_world_camera[frame]
        np.testing.assert_allclose(node.position, T[:3, 3], atol=1e-6)
        np.testing.assert_allclose(quat_to_matrix(node.wxyz), T[:3, :3], atol=1e-6)


def test_the_backdrop_lies_behind_everybody(world, server):
    web = WebWorld(server.scene, WebContent(world=world))
    web.set_backdrop(True)
    props = server.scene.get_handle_by_name("/camera")
    # The picture's distance in viser: its pyramid's volume is the cube of its scale.
    half = np.tan(props.fov / 2)
    depth = props.scale / np.cbrt(half * half * props.aspect / 3)
    for person in world.people:
        Ts = invert_transform(world.Ts_world_camera[person.motion.frame_idx])
        assert transform_points(Ts, person.motion.joints_world)[..., 2].max() < depth
    assert not visible(server, "/camera path")


class Actors:
    """A place of three Gaussians, and person 1 as one Gaussian that is there up to frame 11."""

    people = frozenset({1})

    def cloud(self, means):
        count = len(means)
        return SplatCloud(
            means=np.asarray(means, float), covariances=np.tile(0.01 * np.eye(3), (count, 1, 1)),
            colors=np.full((count, 3), 0.5), opacities=np.full(count, 0.9),
        )  # fmt: skip

    def place(self):
        return self.cloud(np.eye(3))

    def cast(self, frame, without: Set[int] = frozenset()):
        return self.cloud([[frame, 0, 1]]) if frame < 12 and 1 not in without else None

    def picture(self, frame, T_world_camera, K, size):
        raise AssertionError("a browser draws for itself")


def test_avatars_take_the_place_of_their_people(world, server):
    web = WebWorld(server.scene, WebContent(world=world, splats=Actors()))
    web.show(5)
    assert not visible(server, "/person 1/body/mesh")
    np.testing.assert_allclose(
        server.scene.get_handle_by_name("/avatars").centers, [[5.0, 0.0, 1.0]]
    )
    web.set_person(1, False)
    assert not visible(server, "/avatars")
    web.set_person(1, True)
    assert visible(server, "/avatars")
    web.set_shown("avatars", False)
    assert visible(server, "/person 1/body/mesh") and not visible(server, "/avatars")
    web.set_shown("avatars", True)
    web.show(15)
    assert not visible(server, "/avatars")
    assert len(server.scene.get_handle_by_name("/splats").centers) == 3


def test_in_recordings_avatars_are_sent_once_and_carried(world, server):
    web = WebWorld(
        server.scene, WebContent(world=world, splats=Actors()), grain=2.0**-13, avatars="carried"
    )
    for frame in (5, 11):
        web.show(frame)
        assert not visible(server, "/person 1/body/mesh") and visible(server, "/avatar 1")
        part = server.scene.get_handle_by_name("/avatar 1/0")
        np.testing.assert_allclose(part.centers, [[0.0, 0.0, 0.0]])
        np.testing.assert_allclose(part.position, [frame, 0.0, 1.0])
    web.show(15)
    assert not visible(server, "/avatar 1")
    web.show(5)
    web.set_person(1, False)
    assert not visible(server, "/avatar 1")


def test_of_too_many_gaussians_those_that_cover_most_are_kept():
    sizes, opacities = np.array([1.0, 3.0, 2.0, 3.0]), np.array([0.9, 0.9, 0.9, 0.01])
    cloud = SplatCloud(
        means=np.arange(12.0).reshape(4, 3), covariances=sizes[:, None, None] ** 2 * np.eye(3),
        colors=np.zeros((4, 3)), opacities=opacities,
    )  # fmt: skip
    np.testing.assert_array_equal(most_seen(cloud, 2).means, cloud.means[[1, 2]])
    assert most_seen(cloud, 4) is cloud


def test_a_removed_world_leaves_nothing(world, server):
    empty = server.scene._handle_from_node_name.keys()
    before = set(empty)
    WebWorld(server.scene, WebContent(world=world, splats=Actors())).remove()
    assert set(server.scene._handle_from_node_name) == before
