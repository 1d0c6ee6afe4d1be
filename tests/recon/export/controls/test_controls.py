"""Control videos lie on the video pixel by pixel and moment by moment, and say what is there."""

import json
from typing import Any

import av
import numpy as np
import pytest
import trimesh

from recon.core.geometry import invert_transform, transform_points
from recon.core.raster import Raster, Surface
from recon.core.skeletons import CANONICAL_JOINTS
from recon.export.controls import write_controls
from recon.export.controls.cast import cast
from recon.export.controls.pose import BODY_POINTS, COLORS
from recon.export.options import ExportOptions
from tests.synthetic import make_scene

TIMES = np.array([0.5, 0.52, 0.6, 0.61, 0.7, 0.85, 0.9, 1.0, 1.1, 1.15, 1.2, 1.3])
JOINT_OF = {
    "right_shoulder": "right_shoulder", "left_wrist": "left_wrist", "right_hip": "right_hip",
    "left_knee": "left_knee", "right_ankle": "right_ankle",
}  # fmt: skip
VIDEOS = ("pose", "depth", "normals", "people")


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Two people, the second for part of the time, a moving camera, a variable frame rate."""
    path = tmp_path_factory.mktemp("controls") / "scene"
    return make_scene(path, num_people=2, camera="moving", times=TIMES, size=(321, 240))


@pytest.fixture(scope="module")
def folder(scene, tmp_path_factory):
    from recon.export import export_scene

    out = tmp_path_factory.mktemp("out")
    files = export_scene(scene, ["controls"], out, ExportOptions(camera="original"))["controls"]
    assert all(file.is_file() for file in files)
    assert {file.name for file in files} == {file.name for file in (out / "controls").iterdir()}
    return out / "controls"


def load(folder, name):
    with np.load(folder / f"{name}.npz", allow_pickle=False) as data:
        return {key: data[key] for key in data.files}


def decode(path):
    with av.open(str(path)) as container:
        return [(float(f.time), f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]


def vertices_camera(scene, frame):
    """Everybody's mesh in the camera, through the scene's own numbers, or None."""
    T = invert_transform(scene.placement.Ts_world_camera[frame])
    out = []
    for motion, rig in zip(scene.world_motions, scene.rigs, strict=True):
        rows = np.flatnonzero(motion.frame_idx == frame)
        mesh = rig.vertices(motion.poses_world)[rows]
        out.append(transform_points(T, mesh[0]) if len(rows) else None)
    return out


@pytest.mark.parametrize("name", VIDEOS)
def test_every_frame_of_the_video_has_its_picture_at_its_time(folder, name):
    frames = decode(folder / f"{name}.mp4")
    assert [t for t, _ in frames] == pytest.approx(list(TIMES - TIMES[0]), abs=1e-4)
    assert frames[0][1].shape == (240, 322, 3)  # an odd width is padded
    arrays = load(folder, name)
    assert arrays["times"] == pytest.approx(TIMES)
    assert all(len(a) == len(TIMES) for k, a in arrays.items() if k in (name, "keypoints_px"))


@pytest.mark.parametrize("frame", [0, 6])
def test_the_skeleton_lies_on_the_projected_joints(scene, folder, frame):
    picture = decode(folder / "pose.mp4")[frame][1].astype(int)
    points = load(folder, "pose")["keypoints_px"][frame]
    T = invert_transform(scene.placement.Ts_world_camera[frame])
    for person, motion in enumerate(scene.world_motions):
        rows = np.flatnonzero(motion.frame_idx == frame)
        if len(rows) == 0:
            assert np.isnan(points[person]).all()
            continue
        joints = transform_points(T, motion.joints_world[rows[0]])
        px = scene.camera.intrinsics.project(joints)
        for name, joint in JOINT_OF.items():
            at = px[CANONICAL_JOINTS.index(joint)]
            assert points[person, BODY_POINTS.index(name)] == pytest.approx(at, abs=1e-3)
        if person:
            continue  # the first one may stand before the second
        for name in JOINT_OF:
            k = BODY_POINTS.index(name)
            x, y = np.floor(points[person, k]).astype(int)
            near = picture[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3)
            # Video colours are coarse: hue and brightness, not the exact colour.
            assert np.abs(near - COLORS[k]).sum(axis=1).min() < 260
            assert near.max() > 90


def test_only_what_was_looked_at_is_drawn(folder):
    points = load(folder, "pose")["keypoints_px"]
    assert np.isfinite(points[6, 0, :14]).all()
    assert np.isnan(points[:, :, 18:]).all()  # the scene has no hands and no face


def test_masks_are_the_silhouettes(scene, folder):
    people = load(folder, "people")
    for frame in (0, 6):
        meshes = vertices_camera(scene, frame)
        raster = Raster(scene.camera.intrinsics)
        surfaces = [
            Surface(vertices_camera=v, faces=rig.faces, color=(9, 9, 9))
            for v, rig in zip(meshes, scene.rigs, strict=True)
            if v is not None
        ]
        raster.draw_surfaces(surfaces)
        there = np.array([k for k, v in enumerate(meshes) if v is not None] + [-1])
        expected = there[raster.owner] + 1
        assert (people["people"][frame] != expected).mean() < 2e-4  # pixels on edges
        assert (expected > 0).sum() > 500
    assert people["track_ids"].tolist() == [1, 2]
    picture = decode(folder / "people.mp4")[6][1].astype(int)[:, :321]
    for k, color in enumerate(people["colors"].astype(int)):
        inside = people["people"][6] == k + 1
        assert np.median(np.abs(picture[inside] - color)) < 12


def test_depth_is_what_rays_meet(scene, folder):
    depth = load(folder, "depth")["depth"][6].astype(float)
    k = scene.camera.intrinsics
    meshes = [v for v in vertices_camera(scene, 6) if v is not None]
    both: Any = trimesh.util.concatenate(
        [trimesh.Trimesh(v, rig.faces, process=False) for v, rig in
         zip(meshes, scene.rigs, strict=False)]
    )  # fmt: skip
    ys, xs = np.nonzero(depth > 0)
    chosen = np.random.default_rng(0).choice(len(ys), 150, replace=False)
    px = np.stack([xs, ys], axis=1)[chosen] + 0.5
    rays = k.unproject(px, np.ones(len(px)))
    o3d = pytest.importorskip("open3d", reason="needs the extra viewer")
    tensor, caster = o3d.core.Tensor, o3d.t.geometry.RaycastingScene()
    caster.add_triangles(tensor(both.vertices.astype(np.float32)), tensor(both.faces.astype("u4")))
    lines = np.concatenate([np.zeros_like(rays), rays], axis=1).astype(np.float32)
    first = caster.cast_rays(tensor(lines))["t_hit"].numpy()  # along rays whose z is 1
    met = np.isfinite(first)
    assert met.mean() > 0.98
    error = np.abs(first[met] - depth[ys[chosen], xs[chosen]][met])
    assert np.quantile(error, 0.97) < 0.003  # float16: 1 mm at 3 m


def test_near_is_bright(folder):
    depth, picture = load(folder, "depth")["depth"][6], decode(folder / "depth.mp4")[6][1]
    body = depth > 0
    grey = picture[:, :321].mean(axis=2)
    assert np.corrcoef(1 / depth[body].astype(float), grey[body])[0, 1] > 0.97
    assert grey[body].min() > 30 and np.median(grey[~body]) < 3


def test_normals_are_unit_and_face_the_camera(scene, folder):
    normals = load(folder, "normals")["normals"][6].astype(float) / 127
    body = load(folder, "people")["people"][6] > 0
    assert (np.linalg.norm(normals[body], axis=1) == pytest.approx(1, abs=0.02)) and np.array_equal(
        normals.any(axis=2), body
    )
    ys, xs = np.nonzero(body)
    px = np.stack([xs, ys], axis=1) + 0.5
    rays = scene.camera.intrinsics.unproject(px, np.ones(len(px)))
    toward = -np.einsum("nk,nk->n", rays, normals[body]) / np.linalg.norm(rays, axis=1)
    assert (toward > -0.1).mean() > 0.97 and np.median(toward) > 0.5


def test_the_camera_files_hold_the_scenes_camera(scene, folder):
    camera, words = load(folder, "camera"), json.loads((folder / "controls.json").read_text())
    assert camera["Ts_world_camera"] == pytest.approx(scene.placement.Ts_world_camera)
    assert camera["K"] == pytest.approx(scene.camera.intrinsics.matrix)
    assert camera["plucker"].shape == (len(TIMES), 6, 30, 40)
    assert words["video"]["frames"] == len(TIMES) and words["people"] == [1, 2]


def test_memory_holds_one_frame(scene, tmp_path, monkeypatch):
    """Rows are written as they are made: before the last frame the others are on disk."""
    sizes = []
    write_controls(
        scene, cast(scene), tmp_path / "c",
        progress=lambda done, total: sizes.append(
            sum(f.stat().st_size for f in (tmp_path / "c").glob(".*.part"))
        ),
    )  # fmt: skip
    assert len(sizes) == len(TIMES) and sizes[-1] > sizes[0]
    assert not list((tmp_path / "c").glob(".*"))


def test_without_people_everything_is_empty(tmp_path):
    scene = make_scene(tmp_path / "s", num_people=0, num_frames=3, size=(64, 48))
    write_controls(scene, cast(scene), tmp_path / "c")
    assert not load(tmp_path / "c", "people")["people"].any()
    assert not load(tmp_path / "c", "depth")["depth"].any()
