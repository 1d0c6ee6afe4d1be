"""Mesh sequences read back with trimesh and Open3D."""

import numpy as np
import pytest
import trimesh

from recon.core.geometry import R_YUP_ZUP
from recon.export.meshes import export_obj, export_ply


def check_sequence(scene, paths, read, axes):
    """The files hold every person's mesh on every frame of theirs, in these axes."""
    kind = paths[0].suffix[1:]
    names = [
        f"person{m.track_id}_{kind}/frame{i:06d}.{kind}"
        for m in scene.world_motions for i in m.frame_idx
    ]  # fmt: skip
    assert [f"{path.parent.name}/{path.name}" for path in paths] == names
    for motion, rig in zip(scene.world_motions, scene.rigs, strict=True):
        truth = rig.vertices(motion.poses_world) @ axes.T
        for row in (0, len(truth) // 2, len(truth) - 1):
            name = f"person{motion.track_id}_{kind}/frame{motion.frame_idx[row]:06d}.{kind}"
            vertices, faces = read(paths[names.index(name)])
            np.testing.assert_array_equal(faces, rig.faces)
            np.testing.assert_allclose(vertices, truth[row], atol=2e-6)


def read_trimesh(path):
    mesh = trimesh.load_mesh(path, process=False, maintain_order=True)
    return mesh.vertices, mesh.faces


def test_obj_sequence_is_the_mesh_with_y_up(scene, tmp_path):
    check_sequence(scene, export_obj(scene, tmp_path), read_trimesh, R_YUP_ZUP)


def test_ply_sequence_is_the_mesh_in_the_world(scene, tmp_path):
    o3d = pytest.importorskip("open3d", reason="Open3D is the independent reader of PLY")

    def read(path):
        mesh = o3d.io.read_triangle_mesh(str(path))
        return np.asarray(mesh.vertices), np.asarray(mesh.triangles)

    check_sequence(scene, export_ply(scene, tmp_path), read, np.eye(3))


def test_frames_of_an_earlier_longer_motion_are_removed(scene, tmp_path):
    stale = tmp_path / "person2_ply" / "frame000000.ply"
    stale.parent.mkdir()
    stale.write_bytes(b"old")
    other = tmp_path / "person2_ply" / "notes.txt"
    other.write_text("mine")
    paths = export_ply(scene, tmp_path)
    assert not stale.exists() and other.exists()
    assert set(stale.parent.glob("*.ply")) <= set(paths)
