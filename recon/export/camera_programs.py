"""The camera for other programs: an After Effects script, and RealEstate10K's text.

Blender, Unreal, Houdini and Maya take the camera from scene.glb, scene.usdc or scene.fbx.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from recon.core.camera import Intrinsics
from recon.core.geometry import Array
from recon.core.placed import PlacedCamera, placed_camera
from recon.core.scene import Scene
from recon.core.storage import write_bytes
from recon.export.motion import camera_at, clip_times
from recon.export.options import DEFAULTS, ExportOptions

PIXELS_PER_METRE = 100.0
R_AFTEREFFECTS_WORLD: Array = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""After Effects' axes are x right, y down, z away: (x, y, z) of our world -> (x, -z, y)."""
_COMPOSITION_FPS = 1.0, 99.0
"""What After Effects allows."""

_SCRIPT = """\
// After Effects: File > Scripts > Run Script File.
// The camera of {name}, from the {frame}.
// {scale:g} pixels are one unit of it, and (x, y, z) of it is (x, -z, y) here.
// The lens, px: fx {fx:.4f}, fy {fy:.4f}, cx {cx:.4f}, cy {cy:.4f} of {width} x {height}; After
// Effects knows square pixels and a centred lens only.
(function () {{
  var times = {times};
  var positions = {positions};
  var orientations = {orientations};
  app.beginUndoGroup("recon3d camera");
  var comp = app.project.items.addComp({name}, {width}, {height}, 1, {duration:.6f}, {fps:.6f});
  var origin = comp.layers.addNull(comp.duration);
  origin.name = "floor origin";
  origin.threeDLayer = true;
  origin.property("Position").setValue([0, 0, 0]);
  var camera = comp.layers.addCamera("camera", [{width} / 2, {height} / 2]);
  camera.autoOrient = AutoOrientType.NO_AUTO_ORIENT;
  camera.property("Zoom").setValue({fx:.6f});
  camera.property("Position").setValuesAtTimes(times, positions);
  camera.property("Orientation").setValuesAtTimes(times, orientations);
  app.endUndoGroup();
}})();
"""


def aftereffects_script(
    name: str, placed: PlacedCamera, intrinsics: Intrinsics, times: Array, fps: float
) -> str:
    """A script that makes a composition of the video's size with the moving camera.

    After Effects turns a layer about its x, then its new y, then its new z: R = Rx Ry Rz.

    Args:
        times: (T,) seconds from the start of the composition.
    """
    k, Ts = intrinsics, placed.Ts_frame_camera
    fps = float(np.clip(fps, *_COMPOSITION_FPS))  # keyframes stand at their times all the same
    turned = Rotation.from_matrix(R_AFTEREFFECTS_WORLD @ Ts[:, :3, :3])
    positions = Ts[:, :3, 3] @ R_AFTEREFFECTS_WORLD.T * PIXELS_PER_METRE
    return _SCRIPT.format(
        name=json.dumps(name), frame=placed.frame_words, scale=PIXELS_PER_METRE,
        fx=k.fx, fy=k.fy, cx=k.cx, cy=k.cy, width=k.width, height=k.height, fps=fps,
        duration=max(float(times[-1]) + 1 / fps, 1 / fps),
        times=_numbers(times), positions=_numbers(positions),
        orientations=_numbers(turned.as_euler("XYZ", degrees=True) % 360),
    )  # fmt: skip


def _numbers(values: Array) -> str:
    return json.dumps(np.round(values, 6).tolist(), separators=(",", ":"))


def _camera(scene: Scene, options: ExportOptions) -> tuple[PlacedCamera, Array, float]:
    """The camera where it is best known, the times of its frames, and frames per second."""
    placed = placed_camera(scene)
    Ts = camera_at(scene, placed.Ts_frame_camera, options.fps)
    fps = options.fps or scene.video.fps
    return replace(placed, Ts_frame_camera=Ts), clip_times(scene, options.fps), fps


def export_aftereffects(scene: Scene, out: Path, options: ExportOptions = DEFAULTS) -> list[Path]:
    """Writes camera_aftereffects.jsx."""
    placed, times, fps = _camera(scene, options)
    name = Path(scene.video.path).stem or "scene"
    text = aftereffects_script(name, placed, scene.camera.intrinsics, times - times[0], fps)
    path = out / "camera_aftereffects.jsx"
    write_bytes(path, text.encode("utf-8"))
    return [path]


def export_realestate10k(scene: Scene, out: Path, options: ExportOptions = DEFAULTS) -> list[Path]:
    """Writes camera_realestate10k.txt, from the frame that camera.tum names."""
    from recon.export.controls.cameras import realestate10k

    placed, times, _ = _camera(scene, options)
    title = f"recon3d: world to OpenCV camera; {placed.frame_words}"
    text = realestate10k(times, scene.camera.intrinsics, placed.Ts_frame_camera, title)
    path = out / "camera_realestate10k.txt"
    write_bytes(path, text.encode("utf-8"))
    return [path]
