"""FBX and Alembic files made by Blender, and every other format that Blender opens, read there.

The reader of FBX is ufbx inside Blender, the writer Blender's Python add-on: not the same code.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

from recon.core.errors import InputError, MissingDependencyError
from recon.core.skeletons import CANONICAL_JOINTS
from recon.export import blender, glb
from recon.export.motion import export_people
from recon.export.options import ExportOptions
from recon.export.skeletons import target_skeleton
from tests.recon.export import readers

FRAMES = (0, 13, 41)
PROBE = Path(__file__).with_name("blender_probe.py")


@pytest.fixture
def seen_by_blender(tmp_path_factory):
    """Reads a file in Blender: arrays of what is there at FRAMES."""
    readers.need_blender()
    work = tmp_path_factory.mktemp("blender")

    def read(path, scene, fps=30.0) -> dict[str, np.ndarray]:
        k = scene.camera.intrinsics
        return readers.seen_by_blender(path, k, fps=fps, frames=FRAMES, work=work)

    return read


def check_camera(seen, scene):
    """The camera is where ours is, looks along its -z, and has the same field of view."""
    k, Ts = scene.camera.intrinsics, scene.placement.Ts_world_camera[list(FRAMES)]
    np.testing.assert_allclose(seen["camera"][:, :3, 3], Ts[:, :3, 3], atol=1e-4)
    turned = Ts[:, :3, :3] @ np.diag([1, -1, -1])
    np.testing.assert_allclose(seen["camera"][:, :3, :3], turned, atol=1e-4)
    np.testing.assert_allclose(seen["camera.x_fov"], 2 * np.arctan(k.width / 2 / k.fx), atol=1e-4)


@pytest.mark.parametrize("kind", ["fbx", "abc"])
def test_blender_sees_our_people_and_camera(scene, tmp_path, seen_by_blender, kind):
    """With all weights kept: to a hundredth of a millimetre, everybody at the same time."""
    export = {"fbx": blender.export_fbx, "abc": blender.export_abc}[kind]
    (path,) = export(scene, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [f"scene.{kind}"] == [path.name]
    seen = seen_by_blender(path, scene)
    truth = scene.rigs[0].vertices(scene.world_motions[0].poses_world)[list(FRAMES)]
    (mesh,) = [name for name in seen if name.startswith("person1") and "vertices" in name]
    np.testing.assert_allclose(seen[mesh], truth, atol=1e-4)
    check_camera(seen, scene)
    motion, rig = scene.world_motions[1], scene.rigs[1]
    row = list(motion.frame_idx).index(FRAMES[1])
    (mesh,) = [name for name in seen if name.startswith("person2") and "vertices" in name]
    truth = rig.vertices(motion.poses_world)[row]
    np.testing.assert_allclose(seen[mesh][1], truth, atol=1e-4)


def test_fbx_takes_a_rate_and_a_skeleton(vfr_scene, tmp_path, seen_by_blender):
    """Also of a variable frame rate: the frames are even then."""
    options = ExportOptions(fps=23.976, skeleton="mixamo")
    (path,) = blender.export_fbx(vfr_scene, tmp_path, options)
    assert path.name == "person1_mixamo.fbx"
    seen = seen_by_blender(path, vfr_scene, 23.976)
    bones, heads = seen["Armature.bones"], seen["Armature.heads"]
    assert set(bones) == set(target_skeleton("mixamo").names)
    joints = export_people(vfr_scene, 23.976)[0].motion.joints_world[list(FRAMES)]
    order = [list(bones).index(name) for name in target_skeleton("mixamo").names]
    np.testing.assert_allclose(heads[:, order], joints, atol=1e-4)


def test_blender_opens_our_glb_with_the_camera(scene, tmp_path, seen_by_blender):
    (path,) = glb.export(scene, tmp_path)
    seen = seen_by_blender(path, scene)
    check_camera(seen, scene)
    heads, bones = seen["person1.heads"], list(seen["person1.bones"])
    joints = scene.world_motions[0].joints_world[list(FRAMES)]
    order = [bones.index(name) for name in CANONICAL_JOINTS]
    np.testing.assert_allclose(heads[:, order], joints, atol=1e-4)


def test_blender_opens_our_usdc_with_the_camera(scene, tmp_path, seen_by_blender):
    pytest.importorskip("pxr", reason="USD files need the package usd-core")
    from recon.export import usd

    (path,) = usd.export(scene, tmp_path)
    seen = seen_by_blender(path, scene)
    check_camera(seen, scene)
    truth = scene.rigs[0].vertices(scene.world_motions[0].poses_world)[list(FRAMES)]
    np.testing.assert_allclose(seen["body.vertices"], truth, atol=1e-4)


def test_without_blender_the_error_says_how_to_get_it(scene, tmp_path, monkeypatch):
    monkeypatch.delenv(blender.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(blender, "own_python", lambda: tmp_path / "none")
    with pytest.raises(MissingDependencyError, match=r"recon\.export\.blender.*RECON_BLENDER"):
        blender.export_fbx(scene, tmp_path / "out")
    assert not (tmp_path / "out" / "scene.fbx").exists()


def test_a_named_program_that_is_not_there_is_refused(scene, tmp_path, monkeypatch):
    monkeypatch.setenv(blender.VARIABLE, str(tmp_path / "no-such-blender"))
    with pytest.raises(InputError, match="RECON_BLENDER"):
        blender.export_abc(scene, tmp_path)


def test_a_failing_blender_leaves_its_words_and_no_file(scene, tmp_path, monkeypatch):
    monkeypatch.setenv(blender.VARIABLE, sys.executable)  # a Python without bpy
    with pytest.raises(InputError, match="No module named 'bpy'"):
        blender.export_fbx(scene, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_installed_blender_runs_the_script_in_the_background(tmp_path, monkeypatch):
    program = tmp_path / "blender"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.delenv(blender.VARIABLE, raising=False)
    monkeypatch.setattr(blender, "own_python", lambda: tmp_path / "none")
    monkeypatch.setenv("PATH", str(tmp_path))
    command = blender.blender_command(PROBE)
    assert command[0] == str(program) and command[-3:] == ["--python", str(PROBE), "--"]
    assert "--background" in command


@pytest.mark.parametrize("fps", [24.0, 29.97, 30.0, 0.4, 119.88])
def test_frames_of_the_glb_lie_at_whole_frames_of_blenders_rate(fps):
    frames = np.arange(100) / fps * blender.tempo_of(fps) * max(1, round(fps))
    np.testing.assert_allclose(frames, np.arange(100), atol=1e-9)
