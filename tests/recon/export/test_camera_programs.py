"""The After Effects script run against a stand-in for the program; RealEstate10K's text parsed."""

import dataclasses

import numpy as np
import pytest

from recon.core.placed import placed_camera
from recon.export.camera_programs import (
    aftereffects_script,
    export_aftereffects,
    export_realestate10k,
)
from recon.export.options import ExportOptions
from tests.recon.export.readers import after_effects, seen_by_after_effects


def test_after_effects_camera_sees_what_the_video_saw(scene, tmp_path):
    (path,) = export_aftereffects(scene, tmp_path)
    comp, k, times = after_effects(path, tmp_path), scene.camera.intrinsics, scene.video.times
    assert (comp["width"], comp["height"], comp["aspect"]) == (k.width, k.height, 1)
    assert comp["fps"] == pytest.approx(30)
    assert comp["duration"] == pytest.approx(times[-1] - times[0] + 1 / 30)
    camera = next(layer for layer in comp["layers"] if layer["kind"] == "camera")
    assert camera["autoOrient"] == "none"
    np.testing.assert_allclose(
        camera["properties"]["Position"]["times"], times - times[0], atol=1e-6
    )
    for row in (0, 30, 59):
        joints = scene.world_motions[0].joints_world[row]
        T = np.linalg.inv(scene.placement.Ts_world_camera[row])
        expected = k.project(joints @ T[:3, :3].T + T[:3, 3])
        expected += [k.width / 2 - k.cx, k.height / 2 - k.cy]
        np.testing.assert_allclose(seen_by_after_effects(comp, joints, row), expected, atol=0.01)


def test_after_effects_script_takes_any_name_and_another_rate(scene, tmp_path):
    name = 'a "quoted"\n name \\ é'
    placed, times = placed_camera(scene), np.arange(60) / 24
    path = tmp_path / "camera.jsx"
    text = aftereffects_script(name, placed, scene.camera.intrinsics, times, 24.0)
    path.write_text(text, encoding="utf-8")
    comp = after_effects(path, tmp_path)
    assert comp["name"] == name and comp["fps"] == 24
    (path,) = export_aftereffects(scene, tmp_path, ExportOptions(fps=240))
    assert after_effects(path, tmp_path)["fps"] == 99
    (path,) = export_aftereffects(scene, tmp_path, ExportOptions(fps=24))
    comp = after_effects(path, tmp_path)
    camera = next(layer for layer in comp["layers"] if layer["kind"] == "camera")
    np.testing.assert_allclose(
        np.diff(camera["properties"]["Position"]["times"]), 1 / 24, atol=2e-6
    )


def test_realestate10k_lines_are_times_lens_and_world_to_camera(scene, tmp_path):
    (path,) = export_realestate10k(scene, tmp_path)
    lines, k = path.read_text().splitlines(), scene.camera.intrinsics
    rows = np.array([line.split() for line in lines[1:]], dtype=float)
    assert rows.shape == (60, 19) and "world" in lines[0]
    np.testing.assert_allclose(rows[:, 0] / 1e6, scene.video.times, atol=1e-6)
    focal = [k.fx / k.width, k.fy / k.height, k.cx / k.width, k.cy / k.height, 0, 0]
    np.testing.assert_allclose(rows[:, 1:7], np.tile(focal, (60, 1)), rtol=1e-7)
    Ts = np.linalg.inv(scene.placement.Ts_world_camera)[:, :3]
    np.testing.assert_allclose(rows[:, 7:].reshape(60, 3, 4), Ts, atol=1e-6)


def test_without_a_world_both_say_that_they_are_in_the_slam_frame(scene, tmp_path):
    placed = dataclasses.replace(placed_camera(scene), frame="slam")
    text = aftereffects_script("x", placed, scene.camera.intrinsics, scene.video.times, 30.0)
    assert "slam frame" in text.splitlines()[1]
