"""The camera in the world as a TUM trajectory and as a COLMAP model."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pycolmap

from recon.core.camera import CameraTrajectory, Intrinsics
from recon.core.geometry import (
    Array,
    invert_transform,
    matrix_to_quat,
    sign_continuous,
    wxyz_to_xyzw,
)
from recon.core.people import WorldPlacement
from recon.core.scene import Scene
from recon.core.storage import write_atomic


def tum_text(times: Array, Ts_world_camera: Array) -> str:
    """TUM lines `t x y z qx qy qz qw`, camera (OpenCV axes) to world (z up), seconds and metres."""
    quats = wxyz_to_xyzw(sign_continuous(matrix_to_quat(Ts_world_camera[:, :3, :3])))
    rows = np.concatenate([times[:, None], Ts_world_camera[:, :3, 3], quats], axis=1)
    lines = ["# timestamp tx ty tz qx qy qz qw: OpenCV camera to world, metres, z up"]
    lines += [" ".join(f"{v:.9f}" for v in row) for row in rows]
    return "\n".join(lines) + "\n"


def export_tum(scene: Scene, out: Path) -> list[Path]:
    """Writes camera.tum with every frame's camera at its own time."""
    text = tum_text(scene.video.times, scene.placement.Ts_world_camera)
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


def colmap_model(
    trajectory: CameraTrajectory, placement: WorldPlacement
) -> pycolmap.Reconstruction:
    """Every frame's camera and the sparse scene points in the world frame.

    Images are named frame000000.png, … by the video's frames; points carry no observations.
    """
    model = pycolmap.Reconstruction()
    model.add_camera_with_trivial_rig(colmap_camera(trajectory.intrinsics))
    for index, T_camera_world in enumerate(invert_transform(placement.Ts_world_camera)):
        image = pycolmap.Image(name=f"frame{index:06d}.png", camera_id=1, image_id=index + 1)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(T_camera_world[:3]))
    rotated = trajectory.points_slam @ placement.R_world_slam.T
    points_world = placement.scale * rotated + placement.t_world_slam
    for point, color in zip(points_world, trajectory.point_colors, strict=True):
        model.add_point3D(point, pycolmap.Track(), color)
    return model


def export_colmap(scene: Scene, out: Path) -> list[Path]:
    """Writes a binary COLMAP model to colmap/ (cameras, images, points3D, rigs, frames)."""
    folder = out / "colmap"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as temporary:
        colmap_model(scene.camera, scene.placement).write_binary(temporary)
        names = sorted(path.name for path in Path(temporary).iterdir())
        for name in names:
            os.replace(Path(temporary) / name, folder / name)
    return [folder / name for name in names]
