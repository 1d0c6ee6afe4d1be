"""Our .glb files in three.js, in a real browser: its vertices, its camera, its VRM animation."""

import json

import numpy as np
import pytest

from recon.core.geometry import R_YUP_ZUP
from recon.export import glb
from recon.export.options import ExportOptions
from tests.browser import opened, picture
from tests.recon.export.readers import GltfReader, three_js

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A folder with three.js and a page, and its address."""
    folder = tmp_path_factory.mktemp("threejs")
    with three_js(folder) as address:
        yield folder, address


def test_three_js_agrees_with_our_vertices_and_camera(scene, served, tmp_path):
    folder, address = served
    (path,) = glb.export(scene, tmp_path)
    (folder / "scene.glb").write_bytes(path.read_bytes())
    times, k = scene.video.times - scene.video.times[0], scene.camera.intrinsics
    four = GltfReader(path)
    with opened(f"{address}?file=scene.glb", size=(k.width, k.height)) as page:
        page.wait_for_function("window.ready")
        for motion in scene.world_motions:
            name = f"person{motion.track_id}"
            for row in (0, 17, len(motion.frame_idx) - 1):
                time = float(times[motion.frame_idx[row]])
                got = page.evaluate(f"vertices('{name}_mesh', {time!r})")
                expected = four.vertices(name, time)
                np.testing.assert_allclose(np.reshape(got, (-1, 3)), expected, atol=1e-5)
        joints, time = scene.world_motions[0].joints_world[30], float(times[30])
        seen = page.evaluate(f"project({json.dumps((joints @ R_YUP_ZUP.T).tolist())}, {time!r})")
        px = (np.array(seen)[:, :2] * [1, -1] + 1) / 2 * [k.width, k.height]
        T = np.linalg.inv(scene.placement.Ts_world_camera[30])
        expected = k.project(joints @ T[:3, :3].T + T[:3, 3])
        centre = np.array([k.width / 2 - k.cx, k.height / 2 - k.cy])
        np.testing.assert_allclose(px, expected + centre, atol=0.05)
        page.evaluate(f"draw({time!r})")
        shown = picture(page)
        coloured = np.ptp(shown.astype(int), axis=2) > 40
        inside = np.round(px[:22] - 0.5).astype(int)
        hit = [coloured[y, x] for x, y in inside if 0 <= y < k.height and 0 <= x < k.width]
        assert np.mean(hit) > 0.9, "the body is drawn where its joints are"
        assert coloured.mean() < 0.5


def test_three_vrm_reads_the_vrm_animation(scene, served, tmp_path):
    folder, address = served
    path = glb.export(scene, tmp_path, ExportOptions(skeleton="vrm"))[0]
    (folder / "person.vrma").write_bytes(path.read_bytes())
    motion = scene.world_motions[0]
    with opened(f"{address}?file=person.vrma") as page:
        page.wait_for_function("window.ready")
        hips = page.evaluate("hips()")
    assert {"hips", "upperChest", "leftLowerArm", "rightThumbMetacarpal"} <= set(hips["bones"])
    height = glb.standing_height(scene.rigs[0])
    np.testing.assert_allclose(hips["rest"], [0, height, 0], atol=1e-5)
    np.testing.assert_allclose(hips["times"], scene.video.times - scene.video.times[0], atol=1e-5)
    root = motion.poses_world.root @ R_YUP_ZUP.T
    np.testing.assert_allclose(np.reshape(hips["values"], (-1, 3)), root, atol=1e-5)
