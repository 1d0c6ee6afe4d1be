"""The camera read back with evo and pycolmap."""

from dataclasses import replace

import numpy as np
import pycolmap
import pytest
import trimesh
from evo.tools import file_interface

from recon.export.camera_files import export_colmap, export_points, export_tum
from tests.synthetic import make_scene


@pytest.mark.parametrize("which", ["scene", "vfr_scene", "empty_scene"])
def test_tum_is_the_camera_to_world_at_the_videos_times(which, request, tmp_path):
    scene = request.getfixturevalue(which)
    (path,) = export_tum(scene, tmp_path)
    assert path.name == "camera.tum"
    trajectory = file_interface.read_tum_trajectory_file(path)
    np.testing.assert_allclose(trajectory.timestamps, scene.video.times, atol=1e-8)
    np.testing.assert_allclose(
        np.array(trajectory.poses_se3), scene.placement.Ts_world_camera, atol=1e-7
    )


def test_colmap_model_projects_like_our_camera(scene, tmp_path):
    paths = export_colmap(scene, tmp_path)
    assert {p.name for p in paths} >= {"cameras.bin", "images.bin", "points3D.bin"}
    model = pycolmap.Reconstruction(str(tmp_path / "colmap"))
    Ts, camera = scene.placement.Ts_world_camera, scene.camera
    assert model.num_reg_images() == len(Ts) and model.num_cameras() == 1
    points = np.array([point.xyz for _, point in sorted(model.points3D.items())])
    colors = np.array([point.color for _, point in sorted(model.points3D.items())])
    np.testing.assert_array_equal(colors, camera.point_colors)
    (k,) = model.cameras.values()
    assert (k.width, k.height) == (camera.intrinsics.width, camera.intrinsics.height)
    for image in model.images.values():
        index = int(image.name.removeprefix("frame").removesuffix(".png"))
        # What the tracker saw of its own points, in its own frame, is the reference.
        T_camera_slam = np.linalg.inv(camera.Ts_slam_camera[index])
        seen = camera.points_slam @ T_camera_slam[:3, :3].T + T_camera_slam[:3, 3]
        ahead = seen[:, 2] > 0.1
        px = camera.intrinsics.project(seen[ahead])
        in_camera = np.array([image.cam_from_world() * p for p in points[ahead]])
        np.testing.assert_allclose(k.img_from_cam(in_camera), px, atol=1e-6)
        np.testing.assert_allclose(image.projection_center(), Ts[index, :3, 3], atol=1e-9)


def test_colmap_pixel_centres_are_ours():
    """COLMAP's documentation: the upper left pixel's centre is (0.5, 0.5); a resize is a scale."""
    camera = pycolmap.Camera(
        model="PINHOLE", width=320, height=240, params=[300, 310, 150, 130], camera_id=1
    )
    camera.rescale(0.5)
    np.testing.assert_allclose(camera.params, [150, 155, 75, 65])


def test_without_a_current_world_everything_is_in_the_slam_frame_and_says_so(tmp_path):
    scene = make_scene(tmp_path / "s", num_frames=12, camera="moving")
    out = tmp_path / "out"
    (world,) = export_tum(scene, out)
    assert "metres" in world.read_text().splitlines()[0]
    scene.forget("body")  # the world was placed from bodies that are gone
    (path,) = export_tum(scene, out)
    assert "slam frame" in path.read_text().splitlines()[0]
    poses = np.array(file_interface.read_tum_trajectory_file(path).poses_se3)
    np.testing.assert_allclose(poses, scene.camera.Ts_slam_camera, atol=1e-7)
    export_colmap(scene, out)
    model = pycolmap.Reconstruction(str(out / "colmap"))
    centres = [i.projection_center() for _, i in sorted(model.images.items())]
    np.testing.assert_allclose(centres, scene.camera.Ts_slam_camera[:, :3, 3], atol=1e-9)
    (path,) = export_points(scene, out)
    cloud = trimesh.load(path)
    assert isinstance(cloud, trimesh.PointCloud)
    np.testing.assert_allclose(cloud.vertices, scene.camera.points_slam, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(cloud.colors[:, :3], scene.camera.point_colors)
    assert b"slam frame" in path.read_bytes()[:300]


def test_poses_that_nothing_ties_to_the_rest_are_told_and_not_in_the_model(tmp_path):
    scene = make_scene(tmp_path / "s", num_frames=10, camera="moving")
    tracked = np.ones(10, bool)
    tracked[[0, 7]] = False
    scene.save("camera.npz", [replace(scene.camera, tracked=tracked)])
    (path,) = export_tum(scene, tmp_path)
    assert "2 of 10 poses are not tracked" in path.read_text()
    assert len(file_interface.read_tum_trajectory_file(path).timestamps) == 10
    export_colmap(scene, tmp_path)
    model = pycolmap.Reconstruction(str(tmp_path / "colmap"))
    names = {image.name for image in model.images.values()}
    assert len(names) == 8 and names.isdisjoint({"frame000000.png", "frame000007.png"})


def test_a_camera_without_points_leaves_no_empty_cloud(tmp_path):
    scene = make_scene(tmp_path / "s", num_frames=4)
    nothing = replace(
        scene.camera, points_slam=np.zeros((0, 3)), point_colors=np.zeros((0, 3), np.uint8)
    )
    scene.save("camera.npz", [nothing])
    out = tmp_path / "out"
    out.mkdir()
    (out / "points.ply").write_text("of an earlier run")
    assert export_points(scene, out) == [] and not any(out.iterdir())
