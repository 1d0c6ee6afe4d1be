"""The camera as a TUM trajectory and a COLMAP model, and the scene's points as a PLY.

All are in the metric world where the scene was placed in it, else in the slam frame; TUM and PLY
say which in their headers.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pycolmap
import trimesh
from trimesh.exchange.ply import export_ply

from recon.core.camera import Intrinsics
from recon.core.geometry import (
    Array,
    invert_transform,
    matrix_to_quat,
    sign_continuous,
    wxyz_to_xyzw,
)
from recon.core.placed import PlacedCamera, placed_camera
from recon.core.scene import Scene
from recon.core.storage import write_atomic
from recon.export.options import DEFAULTS, ExportOptions


def tum_text(times: Array, placed: PlacedCamera) -> str:
    """TUM lines `t x y z qx qy qz qw`, camera (OpenCV axes) to the frame that the header names."""
    Ts = placed.Ts_frame_camera
    quats = wxyz_to_xyzw(sign_continuous(matrix_to_quat(Ts[:, :3, :3])))
    rows = np.concatenate([times[:, None], Ts[:, :3, 3], quats], axis=1)
    lines = [f"# timestamp tx ty tz qx qy qz qw: OpenCV camera to {placed.frame_words}; seconds"]
    if missing := int((~placed.tracked).sum()):
        lines.append(
            f"# {missing} of {len(times)} poses are not tracked: interpolated, or in a gauge of "
            "their own; see camera.html"
        )
    lines += [" ".join(f"{v:.9f}" for v in row) for row in rows]
    return "\n".join(lines) + "\n"


def export_tum(scene: Scene, out: Path, _: ExportOptions = DEFAULTS) -> list[Path]:
    """Writes camera.tum with every frame's camera at its own time."""
    text = tum_text(scene.video.times, placed_camera(scene))
    path = out / "camera.tum"
    write_atomic(path, lambda file: file.write(text.encode("ascii")))
    return [path]


def colmap_camera(intrinsics: Intrinsics) -> pycolmap.Camera:
    """The PINHOLE camera; COLMAP, too, has the first pixel's centre at (0.5, 0.5)."""
    k = intrinsics
    return pycolmap.Camera(
        model="PINHOLE",
        width=k.width,
        height=k.height,
        params=[k.fx, k.fy, k.cx, k.cy],
        camera_id=1,
    )


def colmap_model(placed: PlacedCamera, intrinsics: Intrinsics) -> pycolmap.Reconstruction:
    """The tracked frames' cameras and the scene points.

    Images are named frame000000.png, … by the video's frames; points carry no observations.
    Frames whose pose nothing ties to the others are left out, unless that is all of them.
    """
    model = pycolmap.Reconstruction()
    model.add_camera_with_trivial_rig(colmap_camera(intrinsics))
    kept = np.flatnonzero(placed.tracked if placed.tracked.any() else ~placed.tracked)
    Ts_camera_frame = invert_transform(placed.Ts_frame_camera)
    for index in kept.tolist():
        image = pycolmap.Image(name=f"frame{index:06d}.png", camera_id=1, image_id=index + 1)
        pose = pycolmap.Rigid3d(Ts_camera_frame[index, :3])
        model.add_image_with_trivial_frame(image, pose)
    for point, color in zip(placed.points, placed.colors, strict=True):
        model.add_point3D(point, pycolmap.Track(), color)
    return model


def export_colmap(scene: Scene, out: Path, _: ExportOptions = DEFAULTS) -> list[Path]:
    """Writes a binary COLMAP model to colmap/ (cameras, images, points3D, rigs, frames)."""
    folder = out / "colmap"
    folder.mkdir(parents=True, exist_ok=True)
    model = colmap_model(placed_camera(scene), scene.camera.intrinsics)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as temporary:
        model.write_binary(temporary)
        names = sorted(path.name for path in Path(temporary).iterdir())
        for name in names:
            os.replace(Path(temporary) / name, folder / name)
    return [folder / name for name in names]


def export_points(scene: Scene, out: Path, _: ExportOptions = DEFAULTS) -> list[Path]:
    """Writes points.ply: the scene's coloured points, dense where the camera moved.

    A camera that stood or only turned measures no depth: no file is written then, and an earlier
    one goes.
    """
    placed, path = placed_camera(scene), out / "points.ply"
    if len(placed.points) == 0:
        path.unlink(missing_ok=True)
        return []
    write_atomic(path, lambda file: file.write(points_ply(placed)))
    return [path]


def points_ply(placed: PlacedCamera) -> bytes:
    """A binary PLY of the points with their colours; a comment names the frame."""
    cloud = trimesh.PointCloud(placed.points, colors=placed.colors)
    comment = f"\ncomment {placed.frame_words}\nelement vertex".encode("ascii")
    return export_ply(cloud, encoding="binary").replace(b"\nelement vertex", comment, 1)
