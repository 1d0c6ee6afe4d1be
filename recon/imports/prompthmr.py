"""PromptHMR's results.pkl: people as SMPL-X in one y-up world with the floor at 0, and the camera.

Source: Wang et al. 2025 and its pipeline scripts: per person frames and smplx_world (pose of 55
joints, shape, trans); camera_world with Rwc, Twc (camera to world), img_focal and img_center;
written with joblib.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recon.core.camera import Intrinsics
from recon.core.errors import InputError
from recon.core.geometry import make_transform, rotvec_to_matrix
from recon.imports.base import (
    R_ZUP_YUP,
    Imported,
    ImportedPerson,
    Placed,
    body_rotations,
    field,
)
from recon.imports.safe_pickle import read_pickle


def read(path: Path) -> Imported:
    """The people of a PromptHMR result.

    Raises:
        InputError: it is no such file, or nobody is in it.
    """
    data = read_pickle(path)
    parts = [data.get(k) if isinstance(data, dict) else None for k in ("people", "camera_world")]
    if not all(isinstance(part, dict) and part for part in parts):
        raise InputError(
            f"expected 'people' and 'camera_world' in {path}, got none; give PromptHMR's "
            "results.pkl of a video with people"
        )
    people, camera = parts
    assert people is not None and camera is not None
    R = field(camera, "Rwc", (None, 3, 3), path)
    cx, cy = field(camera, "img_center", (2,), path)
    focal = float(field(camera, "img_focal", (), path))
    return Imported(
        source="prompthmr",
        model="smplx",
        people=[_person(person, path, len(R)) for person in people.values()],
        fps=None,
        R_world_file=R_ZUP_YUP,
        floor_known=True,
        Ts_file_camera=make_transform(R, field(camera, "Twc", (len(R), 3), path)),
        intrinsics=Intrinsics(
            fx=focal, fy=focal, cx=float(cx), cy=float(cy), width=round(2 * cx),
            height=round(2 * cy), source="estimated",
        ),
    )  # fmt: skip


def _person(data: Any, path: Path, num_frames: int) -> ImportedPerson:
    frames = field(data, "frames", (None,), path).astype(int)
    n = len(frames)
    if n and frames.max() >= num_frames:
        raise InputError(f"expected frames below {num_frames} in {path}, got {frames.max()}")
    world = data.get("smplx_world")
    pose = field(world, "pose", (n, 165), path)
    return ImportedPerson(
        frame_idx=frames,
        betas=field(world, "shape", (n, None), path).mean(axis=0),
        body=body_rotations(pose[:, 3:66], pose[:, 75:]),
        world=Placed(
            global_orient=rotvec_to_matrix(pose[:, :3]),
            transl=field(world, "trans", (n, 3), path),
        ),
    )
