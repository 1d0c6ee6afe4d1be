"""The synthetic world keeps what it promises, so that other tests may hold results against it."""

import av
import numpy as np
import pytest
import trimesh

from recon.core.geometry import invert_transform, transform_points
from recon.core.scene import Scene
from tests.synthetic import make_scene, toy_rig


def test_toy_body_is_closed_and_an_adult_standing_on_its_soles():
    rig = toy_rig()
    mesh = trimesh.Trimesh(rig.bind_vertices, rig.faces, process=False)
    assert mesh.is_watertight and mesh.is_winding_consistent and mesh.volume > 0
    assert np.ptp(rig.bind_vertices[:, 2]) == pytest.approx(1.7, abs=0.03)
    np.testing.assert_allclose(rig.weights.sum(axis=1), 1, atol=1e-6)
    assert (rig.weights[:, 4:] > 0.02).any(), "pruning to four weights must matter"


@pytest.mark.parametrize("camera", ["static", "moving"])
def test_scene_is_consistent_across_its_stages(tmp_path, camera):
    make_scene(tmp_path / "s", num_people=2, num_frames=40, camera=camera)
    scene = Scene.open(tmp_path / "s")
    placement, trajectory = scene.placement, scene.camera
    for track, in_camera, world, rig in zip(
        scene.tracks, scene.camera_motions, scene.world_motions, scene.rigs, strict=True
    ):
        Ts = placement.Ts_world_camera[world.frame_idx]
        back = transform_points(Ts, in_camera.joints_camera)
        np.testing.assert_allclose(back, world.joints_world, atol=1e-9)
        np.testing.assert_allclose(
            rig.joints(in_camera.poses_camera)[1], in_camera.joints_camera, atol=1e-9
        )
        stands = (world.contacts[1:] * world.contacts[:-1]) > 0
        step = np.linalg.norm(np.diff(world.feet_world, axis=0), axis=-1)
        assert step[stands].max() < 1e-9 and step[~stands].max() > 0.02
        np.testing.assert_allclose(world.feet_world[world.contacts > 0][:, 2], 0, atol=1e-9)
        hips = trajectory.intrinsics.project(in_camera.joints_camera[:, 1:3])
        np.testing.assert_allclose(track.keypoints_px[:, 23:25], hips, atol=1e-9)
    eye = transform_points(trajectory.Ts_slam_camera, np.zeros((1, 3)))[:, 0]
    moved = placement.scale * eye @ placement.R_world_slam.T + placement.t_world_slam
    np.testing.assert_allclose(moved, placement.Ts_world_camera[:, :3, 3], atol=1e-9)
    assert (np.ptp(eye, axis=0).max() > 0.1) == (camera == "moving")


def test_video_shows_the_body_where_the_masks_are(tmp_path):
    times = np.array([0.0, 0.04, 0.11, 0.15])
    path = tmp_path / "clip.mp4"
    scene = make_scene(tmp_path / "s", times=times, video_path=path)
    empty = make_scene(tmp_path / "e", times=times, num_people=0, video_path=tmp_path / "e.mp4")
    assert empty.world_motions == []
    pictures = []
    for file in (path, tmp_path / "e.mp4"):
        with av.open(str(file)) as container:
            frames = list(container.decode(video=0))
        np.testing.assert_allclose([f.time for f in frames], times, atol=1e-4)
        pictures.append(np.stack([f.to_ndarray(format="rgb24") for f in frames]).astype(int))
    differs = np.abs(pictures[0] - pictures[1]).max(axis=-1) > 20
    mask = scene.tracks[0].masks.render(2, height=240, width=320)
    overlap = (differs[2] & mask).sum() / (differs[2] | mask).sum()
    assert overlap > 0.55


def test_slam_camera_inverts_to_the_world_camera_axes(tmp_path):
    scene = make_scene(tmp_path / "s", num_frames=10, camera="moving")
    R = scene.placement.R_world_slam @ scene.camera.Ts_slam_camera[:, :3, :3]
    np.testing.assert_allclose(R, scene.placement.Ts_world_camera[:, :3, :3], atol=1e-9)
    up_in_camera = invert_transform(scene.placement.Ts_world_camera)[:, :3, :3] @ [0, 0, 1.0]
    assert (up_in_camera[:, 1] < -0.9).all(), "the camera stands upright: y points down"
