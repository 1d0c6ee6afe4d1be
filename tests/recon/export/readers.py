"""Readers of what we export, none of them ours: what the tests and the benchmark hold it against.

Where a reader's program is missing the test is skipped.
"""

# pyright: reportAttributeAccessIssue=false
# (pxr's modules come without type stubs.)

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from recon.core.camera import Intrinsics
from recon.core.errors import ReconError
from recon.core.skeletons import CANONICAL_PARENTS
from recon.export import blender

# Skeletons -------------------------------------------------------------------------------------


def smplx_joints(data, rest_joints: np.ndarray) -> np.ndarray:
    """Joints (N, 52, 3) as SMPL-X poses them: turned about the pelvis J0, then moved by trans."""
    n = len(data["poses"])
    rotvec = data["poses"].reshape(n, 55, 3)
    rotvec = np.concatenate([rotvec[:, :22], rotvec[:, 25:]], axis=1)  # without jaw and eyes
    local = Rotation.from_rotvec(rotvec.reshape(-1, 3)).as_matrix().reshape(n, 52, 3, 3)
    rest = rest_joints + data["pelvis_rest"]
    turned, joints = [local[:, 0]], [np.tile(rest[0], (n, 1))]
    for j, p in enumerate(CANONICAL_PARENTS[1:], start=1):
        turned.append(turned[p] @ local[:, j])
        joints.append(joints[p] + turned[p] @ (rest[j] - rest[p]))
    return np.stack(joints, axis=1) + data["trans"][:, None]


def read_joints(path) -> dict[str, np.ndarray]:
    """World positions (N, 3) of every joint over all frames."""
    import bvhio

    root = bvhio.readAsHierarchy(str(path))
    first, last = root.getKeyframeRange()
    joints = [joint for joint, _, _ in root.layout()]
    positions = {joint.Name: [] for joint in joints}
    for frame in range(first, last + 1):
        root.loadPose(frame)
        for joint in joints:
            positions[joint.Name].append(np.array(joint.PositionWorld))
    return {name: np.array(p, dtype=float) for name, p in positions.items()}


# Scenes ----------------------------------------------------------------------------------------

TYPES = {5126: "<f4", 5121: "u1", 5123: "<u2", 5125: "<u4"}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class GltfReader:
    """Evaluates a .glb as the specification says, from pygltflib's parse of it."""

    def __init__(self, path):
        from pygltflib import GLTF2

        self.gltf: Any = GLTF2().load(str(path))
        self.blob: bytes = self.gltf.binary_blob()
        self.parents = {c: i for i, n in enumerate(self.gltf.nodes) for c in n.children or []}
        self.worlds: dict[tuple[int, float], np.ndarray] = {}
        self.channels = {
            (channel.target.node, channel.target.path): animation.samplers[channel.sampler]
            for animation in self.gltf.animations
            for channel in animation.channels
        }

    def accessor(self, index):
        a = self.gltf.accessors[index]
        view = self.gltf.bufferViews[a.bufferView]
        start, width = (view.byteOffset or 0) + (a.byteOffset or 0), WIDTHS[a.type]
        values = np.frombuffer(self.blob, TYPES[a.componentType], a.count * width, start)
        if a.type == "MAT4":
            return values.reshape(-1, 4, 4).transpose(0, 2, 1)
        return values if width == 1 else values.reshape(-1, width)

    def node(self, name):
        return next(i for i, n in enumerate(self.gltf.nodes) if n.name == name)

    def channel(self, node, path, time):
        """A node's translation, rotation or scale at a time."""
        static = {"translation": [0, 0, 0], "rotation": [0, 0, 0, 1], "scale": [1, 1, 1]}[path]
        value = getattr(self.gltf.nodes[node], path)
        sampler = self.channels.get((node, path))
        if sampler is None:
            return static if value is None else value
        keys, values = self.accessor(sampler.input), self.accessor(sampler.output)
        t = np.clip(time, keys[0], keys[-1])
        if sampler.interpolation == "STEP":
            return values[np.searchsorted(keys, t + 1e-6, side="right") - 1]
        if path == "rotation":
            return Slerp(keys, Rotation.from_quat(values))(t).as_quat()
        return [np.interp(t, keys, column) for column in values.T]

    def world_matrix(self, node, time):
        """A node's transform (4, 4) at a time, remembered for its children."""
        if (node, time) not in self.worlds:
            matrix = np.eye(4)
            turned = Rotation.from_quat(self.channel(node, "rotation", time)).as_matrix()
            matrix[:3, :3] = turned * np.asarray(self.channel(node, "scale", time))
            matrix[:3, 3] = self.channel(node, "translation", time)
            above = self.parents.get(node)
            own = matrix if above is None else self.world_matrix(above, time) @ matrix
            self.worlds[node, time] = own
        return self.worlds[node, time]

    def vertices(self, person, time):
        """The skinned mesh (V, 3) of a person at a time."""
        node = self.gltf.nodes[self.node(f"{person}_mesh")]
        skin = self.gltf.skins[node.skin]
        attributes = self.gltf.meshes[node.mesh].primitives[0].attributes
        binds = self.accessor(skin.inverseBindMatrices)
        joints = np.stack([self.world_matrix(j, time) for j in skin.joints]) @ binds
        weights, indices = self.accessor(attributes.WEIGHTS_0), self.accessor(attributes.JOINTS_0)
        blended = np.einsum("vk,vkab->vab", weights, joints[indices])
        bind = self.accessor(attributes.POSITION)
        return np.einsum("vab,vb->va", blended[..., :3], bind)[:, :3] + blended[:, :3, 3]


def usd_issues(path) -> list[str]:
    """What pxr's own validators say of a file, all of them."""
    from pxr import Usd, UsdValidation

    stage = Usd.Stage.Open(str(path))
    known = UsdValidation.ValidationRegistry().GetAllValidatorMetadata()
    validators = UsdValidation.ValidationRegistry().GetOrLoadValidatorsByName(
        [entry.name for entry in known]
    )
    context = UsdValidation.ValidationContext(validators)
    return [error.GetErrorAsString() for error in context.Validate(stage)]


class SkelReader:
    """A person of a stage, skinned by pxr."""

    def __init__(self, stage, name):
        from pxr import Usd, UsdGeom, UsdSkel

        self.usd = Usd
        self.rate = stage.GetTimeCodesPerSecond()
        self.root = UsdSkel.Root.Get(stage, f"/Scene/{name}")
        self.cache = UsdSkel.Cache()
        self.cache.Populate(self.root, Usd.TraverseInstanceProxies())
        self.query = self.cache.GetSkelQuery(UsdSkel.Skeleton.Get(stage, f"/Scene/{name}/skeleton"))
        self.body = UsdGeom.Mesh.Get(stage, f"/Scene/{name}/body")
        self.skinning = self.cache.GetSkinningQuery(self.body.GetPrim())

    def vertices(self, seconds):
        time = self.usd.TimeCode(seconds * self.rate)
        points = self.body.GetPointsAttr().Get(time)
        transforms = self.query.ComputeSkinningTransforms(time)
        assert self.skinning.ComputeSkinnedPoints(transforms, points, time)
        return np.array(points)

    def joints(self, seconds):
        transforms = self.query.ComputeJointSkelTransforms(self.usd.TimeCode(seconds * self.rate))
        return np.array([np.array(m)[3, :3] for m in transforms])

    def visible(self, seconds):
        return self.root.ComputeVisibility(self.usd.TimeCode(seconds * self.rate)) != "invisible"


# Markers ---------------------------------------------------------------------------------------


def read_trc(path):
    """Labels, times (N,), positions (N, M, 3) and the header of a TRC file."""
    trc = pytest.importorskip("trc", reason="TRC files are read with trc-data-reader")
    data = trc.TRCData()
    data.load(str(path))
    rows = [data[k] for k in range(1, data["NumFrames"] + 1)]
    points = np.array([row[1] for row in rows])
    return data["Markers"], np.array([row[0] for row in rows]), points, data


def read_c3d(path):
    """Labels, positions (N, M, 3), residuals (N, M) and the reader of a C3D file."""
    c3d = pytest.importorskip("c3d", reason="C3D files are read with the package c3d")
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no analog data, padding at the end
        reader = c3d.Reader(file)
        points = np.array([points for _, points, _ in reader.read_frames()])
    labels = [label.strip() for label in reader.point_labels]
    return labels, points[..., :3], points[..., 3], reader


# Blender ---------------------------------------------------------------------------------------

_PROBE = Path(__file__).with_name("blender_probe.py")


def need_blender() -> list[str]:
    """How to run the probe in Blender; skips where there is none."""
    try:
        return blender.blender_command(_PROBE)
    except ReconError as error:
        pytest.skip(f"needs Blender: {error}")


def seen_by_blender(
    path: Path, intrinsics: Intrinsics, *, fps: float, frames: Sequence[int], work: Path
) -> dict[str, np.ndarray]:
    """What Blender sees in a file at some of its frames; `blender_probe.py` names the arrays."""
    command = need_blender()
    out, k = work / "seen.npz", intrinsics
    told = [path, out, fps, k.width, k.height, *frames]
    done = subprocess.run(
        [*command, *map(str, told)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    with np.load(out, allow_pickle=False) as data:
        return dict(data)


# JavaScript ------------------------------------------------------------------------------------

GLTF_VALIDATOR = "gltf-validator@2.0.0-dev.3.10"

_VALIDATE = """
const validator = require('gltf-validator');
const bytes = new Uint8Array(require('fs').readFileSync(process.argv[2]));
validator.validateBytes(bytes).then(report => console.log(JSON.stringify(report.issues)));
"""


def npm_install(folder: Path, packages: tuple[str, ...]) -> str:
    """Installs npm packages to a folder, or skips; the program node."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip(f"{packages[0]} needs node and npm, which are not on this machine")
    install = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), *packages]
    try:
        done = subprocess.run(install, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not install {packages[0]} within a minute")
    if done.returncode != 0:
        pytest.skip(f"npm could not install {packages[0]}: {done.stderr[-300:]}")
    return node


def gltf_issues_of(folder: Path) -> Any:
    """The Khronos validator, installed to a folder: a function from a .glb file to its issues."""
    node = npm_install(folder, (GLTF_VALIDATOR,))
    script = folder / "validate.js"
    script.write_text(_VALIDATE, encoding="utf-8")

    def issues(path: Path) -> dict:
        command = [node, str(script), str(path)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return json.loads(result.stdout)

    return issues


THREE_JS = ("three@0.180.0", "@pixiv/three-vrm-animation@3.4.3")

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
  const end = Math.max(...gltf.animations.map((clip) => clip.duration));
  mixer.setTime(Math.min(time, end - 1e-6));  // at its end it would begin again
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


@contextmanager
def three_js(folder: Path) -> Iterator[str]:
    """The address of a page in a folder, which shows the .glb file in it that `?file=` names."""
    npm_install(folder, THREE_JS)
    (folder / "page.html").write_text(_PAGE, encoding="utf-8")
    handler = functools.partial(_Quiet, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/page.html"
    finally:
        server.shutdown()
        server.server_close()


# After Effects ---------------------------------------------------------------------------------

# What the script touches of After Effects' object model; layers record what they are told.
_AFTER_EFFECTS = """
const made = {};
function layer(kind, name) {
  const told = { kind, name, properties: {} };
  const property = (title) => ({
    setValue: (value) => { told.properties[title] = { value }; },
    setValuesAtTimes: (times, values) => { told.properties[title] = { times, values }; },
  });
  return Object.assign(told, { property });
}
const AutoOrientType = { NO_AUTO_ORIENT: 'none' };
const app = {
  beginUndoGroup() {}, endUndoGroup() {},
  project: { items: { addComp(name, width, height, aspect, duration, fps) {
    Object.assign(made, { name, width, height, aspect, duration, fps, layers: [] });
    const add = (kind, name) => { const l = layer(kind, name); made.layers.push(l); return l; };
    return { duration, layers: { addNull: () => add('null'), addCamera: (n) => add('camera', n) } };
  } } },
};
require('vm').runInNewContext(require('fs').readFileSync(process.argv[2], 'utf8'),
  { app, AutoOrientType });
console.log(JSON.stringify(made));
"""


def after_effects(path: Path, work: Path) -> dict:
    """What a script makes in a stand-in for After Effects, run by Node.js."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("After Effects scripts are run in node, which is not on this machine")
    stand_in = work / "stand_in.js"
    stand_in.write_text(_AFTER_EFFECTS, encoding="utf-8")
    command = [node, str(stand_in), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def seen_by_after_effects(comp, points_world, row):
    """Pixels (P, 2) of world points: y down, z away, R = Rx Ry Rz, zoom in pixels, centred."""
    camera = next(layer for layer in comp["layers"] if layer["kind"] == "camera")
    values = camera["properties"]
    turn = Rotation.from_euler("XYZ", values["Orientation"]["values"][row], degrees=True)
    there = points_world @ np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]).T * 100
    local = (there - values["Position"]["values"][row]) @ turn.as_matrix()
    zoom, centre = values["Zoom"]["value"], [comp["width"] / 2, comp["height"] / 2]
    return local[:, :2] / local[:, 2:] * zoom + centre
