"""scene.glb held against the Khronos validator and against an own evaluation of the format."""

import dataclasses

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from recon.core.geometry import R_YUP_ZUP, rotvec_to_matrix
from recon.core.skeletons import CANONICAL_JOINTS
from recon.export.glb import export, gltf_quats, unit_normals
from recon.export.skinning import fewer_weights
from tests.recon.export.readers import GltfReader
from tests.synthetic import make_scene


@pytest.fixture(scope="module")
def glb(scene, tmp_path_factory):
    (path,) = export(scene, tmp_path_factory.mktemp("glb"))
    return path


@pytest.mark.parametrize("which", ["scene", "vfr_scene", "empty_scene", "single"])
def test_khronos_validator_finds_nothing(which, request, gltf_issues, tmp_path):
    if which == "single":
        made = make_scene(tmp_path / "s", num_frames=1)
    else:
        made = request.getfixturevalue(which)
    (path,) = export(made, tmp_path)
    issues = gltf_issues(path)
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), issues["messages"]


def test_meshes_move_as_the_rig_does(scene, glb):
    """Exactly so with four weights, which move the widely blended toy body a little."""
    reader = GltfReader(glb)
    for motion, rig in zip(scene.world_motions, scene.rigs, strict=True):
        weights, joints = fewer_weights(rig, motion.poses_world, 4)
        pruned = dataclasses.replace(rig, weights=weights, indices=joints.astype(int))
        four = pruned.vertices(motion.poses_world) @ R_YUP_ZUP.T
        full = rig.vertices(motion.poses_world) @ R_YUP_ZUP.T
        for row in (0, 13, 27, len(four) - 1):
            time = scene.video.times[motion.frame_idx[row]] - scene.video.times[0]
            got = reader.vertices(f"person{motion.track_id}", time)
            np.testing.assert_allclose(got, four[row], atol=5e-6)
            assert 1e-5 < np.linalg.norm(got - full[row], axis=1).max() < 0.02


def test_joint_nodes_follow_the_motion_at_the_videos_own_times(vfr_scene, tmp_path):
    reader = GltfReader(export(vfr_scene, tmp_path)[0])
    motion, times = vfr_scene.world_motions[0], vfr_scene.video.times
    nodes = [reader.node(name) for name in CANONICAL_JOINTS]
    for row in (0, 20, 59):
        at = np.stack([reader.world_matrix(n, times[row] - times[0])[:3, 3] for n in nodes])
        np.testing.assert_allclose(at, motion.joints_world[row] @ R_YUP_ZUP.T, atol=1e-5)


def test_person_is_hidden_where_absent(scene, glb):
    reader, idx = GltfReader(glb), scene.world_motions[1].frame_idx
    times = scene.video.times - scene.video.times[0]
    scales = {k: [reader.channel(reader.node(f"person{k}"), "scale", t) for t in times]
              for k in (1, 2)}  # fmt: skip
    present = np.isin(np.arange(len(times)), idx)
    np.testing.assert_array_equal(scales[2], np.repeat(present[:, None], 3, axis=1))
    np.testing.assert_array_equal(scales[1], np.ones((len(times), 3)))
    assert not np.ptp(reader.vertices("person2", times[idx[0] - 1]), axis=0).any()


def test_camera_sees_what_the_video_saw(scene, glb):
    reader, k = GltfReader(glb), scene.camera.intrinsics
    lens = reader.gltf.cameras[0].perspective
    node = reader.node("camera")
    for row in (0, 30, 59):
        time = scene.video.times[row] - scene.video.times[0]
        points = scene.world_motions[0].joints_world[row] @ R_YUP_ZUP.T
        view = np.linalg.inv(reader.world_matrix(node, time))
        p = points @ view[:3, :3].T + view[:3, 3]
        assert (p[:, 2] < 0).all(), "a glTF camera looks along -z"
        tan = np.tan(lens.yfov / 2)
        ndc = p[:, :2] / -p[:, 2:] / [tan * lens.aspectRatio, tan]
        px = (ndc * [1, -1] + 1) / 2 * [k.width, k.height]
        truth = k.project(scene.camera_motions[0].joints_camera[row])
        np.testing.assert_allclose(px, truth, atol=0.01)


def test_quaternions_are_unit_and_continuous_and_times_have_bounds(glb):
    reader = GltfReader(glb)
    for animation in reader.gltf.animations:
        for channel in animation.channels:
            sampler = animation.samplers[channel.sampler]
            accessor = reader.gltf.accessors[sampler.input]
            keys, values = reader.accessor(sampler.input), reader.accessor(sampler.output)
            assert accessor.min == [keys.min()] and accessor.max == [keys.max()]
            assert (np.diff(keys) > 0).all()
            if channel.target.path == "rotation":
                np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1, atol=1e-6)
                assert (np.sum(values[1:] * values[:-1], axis=1) > 0).all()


def test_quaternions_of_a_spin_keep_their_sign_through_whole_turns():
    angle = np.linspace(0, 4 * np.pi, 100)
    turns = rotvec_to_matrix(angle[:, None] * np.array([0.0, 0.6, 0.8]))
    quats = gltf_quats(turns)
    np.testing.assert_allclose(Rotation.from_quat(quats).as_matrix(), turns, atol=1e-12)
    assert (np.sum(quats[1:] * quats[:-1], axis=1) > 0.99).all()


def test_trimesh_opens_it_with_both_people_and_the_colours_apart(glb):
    loaded = trimesh.load_scene(glb)
    assert len(loaded.geometry) == 2
    colors = [tuple(m.visual.material.baseColorFactor) for m in loaded.geometry.values()]
    assert len(set(colors)) == 2
    for mesh in loaded.geometry.values():
        np.testing.assert_allclose(np.linalg.norm(mesh.vertex_normals, axis=1), 1, atol=1e-5)


def test_normals_point_outwards_and_loose_vertices_have_one_too():
    ball = trimesh.creation.icosphere(subdivisions=2)
    loose = np.concatenate([ball.vertices, [[5.0, 5.0, 5.0]]])
    normals = unit_normals(loose, ball.faces)
    assert (np.sum(normals[:-1] * ball.vertices, axis=1) > 0.99).all()
    np.testing.assert_array_equal(normals[-1], [0, 1, 0])
