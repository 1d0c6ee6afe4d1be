"""Another frame rate: against the walk at these very times, and against SciPy's slerp."""

import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from recon.core.errors import InputError
from recon.export import EXPORTERS, export_scene
from recon.export.motion import camera_at, clip_times, export_people
from recon.export.options import ExportOptions
from recon.export.resample import frame_times, transforms_at
from tests.synthetic import make_scene, walking_poses


def test_people_at_24_frames_are_the_walk_at_these_times(scene):
    people, times = export_people(scene, 24), clip_times(scene, 24)
    np.testing.assert_allclose(np.diff(times), 1 / 24)
    own = scene.video.times
    assert times[0] == own[0] and own[-1] - 1 / 24 < times[-1] <= own[-1] + 1e-9
    for person, rig in zip(people, scene.rigs, strict=True):
        np.testing.assert_array_equal(person.times, times[person.motion.frame_idx])
        span = own[scene.world_motions[person.motion.track_id - 1].frame_idx[[0, -1]]]
        assert span[0] - 1e-6 <= person.times[0] < span[0] + 1 / 24
        assert span[1] - 1 / 24 < person.times[-1] <= span[1] + 1e-6
        joints = rig.joints(person.motion.poses_world)[1]
        np.testing.assert_allclose(person.motion.joints_world, joints)
        np.testing.assert_allclose(person.motion.feet_world, rig.soles(person.motion.poses_world))
    truth = walking_poses(len(times), 24, times=times)
    error = people[0].motion.joints_world - scene.rigs[0].joints(truth)[1]
    assert np.linalg.norm(error, axis=-1).max() < 0.005


def test_joints_turn_on_the_geodesic(scene):
    person, motion = export_people(scene, 47.0)[0], scene.world_motions[0]
    own = scene.video.times[motion.frame_idx]
    for joint in (0, 4, 18):
        key = Rotation.from_matrix(motion.poses_world.rotations[:, joint])
        expected = Slerp(own, key)(np.clip(person.times, own[0], own[-1])).as_matrix()
        got = person.motion.poses_world.rotations[:, joint]
        np.testing.assert_allclose(got, expected, atol=1e-9)


def test_the_videos_own_rate_changes_nothing(scene):
    for old, new in zip(export_people(scene), export_people(scene, 30), strict=True):
        np.testing.assert_array_equal(new.motion.frame_idx, old.motion.frame_idx)
        np.testing.assert_allclose(new.motion.joints_world, old.motion.joints_world, atol=1e-9)
        np.testing.assert_allclose(new.motion.contacts, old.motion.contacts, atol=1e-9)
        np.testing.assert_array_equal(new.motion.observed, old.motion.observed)


def test_nothing_is_blended_across_a_cut(tmp_path):
    """The second shot lies a hundred metres away: no person and no camera in between."""
    scene = make_scene(tmp_path / "s", num_frames=20, camera="moving")
    camera, placement, motion = scene.camera, scene.placement, scene.world_motions[0]
    far = np.where(np.arange(20) >= 11, 100.0, 0.0)[:, None] * [1.0, 0.0, 0.0]
    Ts = placement.Ts_world_camera.copy()
    Ts[:, :3, 3] += far
    poses = dataclasses.replace(motion.poses_world, root=motion.poses_world.root + far)
    scene.save("camera.npz", [dataclasses.replace(camera, shot_starts=np.array([0, 11]))])
    scene.save("placement.npz", [dataclasses.replace(placement, Ts_world_camera=Ts)])
    scene.save("world.npz", [dataclasses.replace(motion, poses_world=poses)])
    times = clip_times(scene, 97)
    first = times < scene.video.times[11] - 1e-6
    for x in (
        camera_at(scene, Ts, 97)[:, 0, 3],
        export_people(scene, 97)[0].motion.poses_world.root[:, 0],
    ):
        assert (x[first] < 20).all() and (x[~first] > 80).all() and first.any() and not first.all()


def test_camera_between_frames_is_rigid_and_turns_evenly():
    angle = np.array([0.0, 1.0, 3.0])
    Ts = np.tile(np.eye(4), (3, 1, 1))
    Ts[:, :3, :3] = Rotation.from_rotvec(angle[:, None] * [0.0, 0.6, 0.8]).as_matrix()
    Ts[:, 0, 3] = angle
    times = np.linspace(0, 3, 13)
    got = transforms_at(times, angle, Ts, np.zeros(0))
    turned = Rotation.from_rotvec(times[:, None] * [0.0, 0.6, 0.8]).as_matrix()
    np.testing.assert_allclose(got[:, :3, :3], turned, atol=1e-9)
    np.testing.assert_allclose(got[:, 0, 3], times, atol=1e-9)


def test_a_person_between_two_ticks_is_not_lost(scene):
    motion = scene.world_motions[1]
    assert len(motion.frame_idx) < 60
    (_, person) = export_people(scene, 0.5)
    assert len(person.motion.frame_idx) == 1


def test_frame_times_end_with_the_clip():
    np.testing.assert_allclose(frame_times(np.array([2.0, 2.5, 3.0]), 24)[[0, -1]], [2.0, 3.0])
    assert len(frame_times(np.array([2.0]), 24)) == 1
    for end in (1e6, 1e300):
        with pytest.raises(InputError, match="up to 500000 frames"):
            frame_times(np.array([0.0, 0.04, end]), 25)


@pytest.mark.parametrize("fps", [0.0, -24.0, float("nan"), 1e6])
def test_impossible_rates_are_refused(fps):
    with pytest.raises(InputError, match="--fps"):
        ExportOptions(fps=fps)


@pytest.mark.parametrize(
    ("formats", "options", "named"),
    [
        (["bvh", "tum"], ExportOptions(fps=24), "tum"),
        (["glb"], ExportOptions(up="z"), "glb"),
        (["npz"], ExportOptions(unit="cm"), "npz"),
        (["ply"], ExportOptions(skeleton="mixamo"), "ply"),
    ],
)
def test_an_option_that_a_format_has_no_choice_of_is_refused(
    scene, tmp_path, formats, options, named
):
    with pytest.raises(InputError, match=f"got {named}"):
        export_scene(scene, formats, tmp_path / "out", options)
    assert not (tmp_path / "out").exists()


def test_every_format_that_takes_a_rate_writes_that_many_frames(scene, tmp_path):
    """Counted where a file has a frame a line or a frame a file."""
    n = len(export_people(scene, 10)[0].times)
    assert 15 <= n <= 21 and all("fps" in EXPORTERS[name].choices for name in ("obj", "bvh"))
    written = export_scene(scene, ["obj", "bvh", "npz"], tmp_path, ExportOptions(fps=10))
    assert sum("person1_obj" in str(path) for path in written["obj"]) == n
    assert f"Frames: {n}\n" in written["bvh"][0].read_text()
    with np.load(tmp_path / "person1_smplx.npz") as data:
        assert len(data["trans"]) == n and data["mocap_frame_rate"] == pytest.approx(10)
        assert data["resampled"]
