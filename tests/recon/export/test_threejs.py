"""Our .glb files in three.js, in a real browser: its vertices, its camera, its VRM animation."""

import functools
import json
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from recon.core.geometry import R_YUP_ZUP
from recon.export import glb
from recon.export.options import ExportOptions
from tests.browser import opened, picture
from tests.recon.export.conftest import npm_install
from tests.recon.export.test_glb import GltfReader

pytestmark = pytest.mark.browser

PACKAGES = ("three@0.180.0", "@pixiv/three-vrm-animation@3.4.3")

_PAGE = """<!doctype html><body style="margin:0"><script type="importmap">{"imports": {
  "three": "./node_modules/three/build/three.module.js",
  "three/addons/": "./node_modules/three/examples/jsm/",
  "vrm": "./node_modules/@pixiv/three-vrm-animation/lib/three-vrm-animation.module.js"
}}</script><script type="module">
import * as THREE from 'three';
import { GLTFLoader } from 'three/addons/loaders/GLTFLoader.js';
import { VRMAnimationLoaderPlugin } from 'vrm';

const loader = new GLTFLoader();
loader.register((parser) => new VRMAnimationLoaderPlugin(parser));
const gltf = await loader.loadAsync(new URLSearchParams(location.search).get('file'));
const mixer = new THREE.AnimationMixer(gltf.scene);
for (const clip of gltf.animations) mixer.clipAction(clip).play();

window.at = (time) => {
  mixer.setTime(time);
  gltf.scene.updateMatrixWorld(true);
};
window.vertices = (name, time) => {
  window.at(time);
  const mesh = gltf.scene.getObjectByName(name);
  const point = new THREE.Vector3(), out = [];
  for (let k = 0; k < mesh.geometry.attributes.position.count; k++) {
    mesh.getVertexPosition(k, point);
    point.applyMatrix4(mesh.matrixWorld);
    out.push(point.x, point.y, point.z);
  }
  return out;
};
window.project = (points, time) => {
  window.at(time);
  const camera = gltf.cameras[0];
  return points.map((p) => new THREE.Vector3(...p).project(camera).toArray());
};
window.hips = () => {
  const [animation] = gltf.userData.vrmAnimations;
  const track = animation.humanoidTracks.translation.get('hips');
  return { bones: [...animation.humanoidTracks.rotation.keys()], rest: animation.restHipsPosition
    .toArray(), times: Array.from(track.times), values: Array.from(track.values) };
};
window.draw = (time) => {
  window.at(time);
  const renderer = new THREE.WebGLRenderer();
  renderer.setSize(innerWidth, innerHeight);
  document.body.append(renderer.domElement);
  const scene = new THREE.Scene();
  scene.background = new THREE.Color(0xffffff);
  scene.add(gltf.scene, new THREE.HemisphereLight(0xffffff, 0x888888, 3));
  renderer.render(scene, gltf.cameras[0]);
};
window.ready = true;
</script>"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A folder with three.js and a page, and its address."""
    folder = tmp_path_factory.mktemp("threejs")
    npm_install(folder, PACKAGES)
    (folder / "page.html").write_text(_PAGE, encoding="utf-8")
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}/page.html"
    server.shutdown()
    server.server_close()


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
