"""TRAM's hps_track_*.npy: people as SMPL in the camera; the camera's path in camera.npy.

Source: Wang et al. 2024 and its scripts: pred_rotmat, pred_shape, pred_trans and frame per
track; pred_cam_R, pred_cam_T (camera to world, metric), img_focal and img_center.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from recon.core.camera import Intrinsics
from recon.core.errors import InputError
from recon.core.geometry import make_transform
from recon.core.people import NUM_JOINTS
from recon.imports.base import Imported, ImportedPerson, Placed, field
from recon.imports.safe_pickle import read_object_npy


def read(path: Path) -> Imported:
    """The person of one hps_track file, or everybody in a folder `hps` or a result folder.

    `camera.npy` is looked for beside the tracks and one folder above.

    Raises:
        InputError: it is no such file, or there is no camera.npy.
    """
    tracks = _track_files(path)
    folder = tracks[0].parent
    cameras = [p / "camera.npy" for p in (folder, folder.parent) if (p / "camera.npy").is_file()]
    if not cameras:
        raise InputError(
            f"expected TRAM's camera.npy in {folder} or above, got none; without it there is "
            "no world"
        )
    camera = read_object_npy(cameras[0])
    R = field(camera, "pred_cam_R", (None, 3, 3), cameras[0])
    t = field(camera, "pred_cam_T", (len(R), 3), cameras[0])
    cx, cy = field(camera, "img_center", (2,), cameras[0])
    focal = float(field(camera, "img_focal", (), cameras[0]))
    return Imported(
        source="tram",
        model="smpl",
        people=[_person(file, len(R)) for file in tracks],
        fps=None,
        R_world_file=None,
        Ts_file_camera=make_transform(R, t),
        intrinsics=Intrinsics(
            fx=focal, fy=focal, cx=float(cx), cy=float(cy), width=round(2 * cx),
            height=round(2 * cy), source="estimated",
        ),
    )  # fmt: skip


def _track_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    for folder in (path, path / "hps"):
        if files := sorted(folder.glob("hps_track_*.npy"), key=_number):
            return files
    raise InputError(f"expected hps_track_0.npy, … in {path}, got none")


def _number(file: Path) -> tuple[int, str]:
    text = file.stem.rpartition("_")[2]
    return (int(text) if text.isdigit() else 10**9, file.name)


def _person(path: Path, num_frames: int) -> ImportedPerson:
    data: Any = read_object_npy(path)
    rotations = field(data, "pred_rotmat", (None, 24, 3, 3), path)
    n = len(rotations)
    frames = field(data, "frame", (n,), path).astype(int)
    if n and frames.max() >= num_frames:
        raise InputError(
            f"expected frames below {num_frames} (camera.npy) in {path}, got {frames.max()}"
        )
    transl = field(data, "pred_trans", (n, 1, 3), path)
    # SMPL's last two joints, the hands, have no counterpart: ours are the fingers'.
    fingers = np.broadcast_to(np.eye(3), (n, NUM_JOINTS - 22, 3, 3))
    return ImportedPerson(
        frame_idx=frames,
        betas=field(data, "pred_shape", (n, 10), path).mean(axis=0),
        body=np.concatenate([rotations[:, 1:22], fingers], axis=1),
        camera=Placed(global_orient=rotations[:, 0], transl=transl[:, 0]),
    )
