"""WHAM's wham_output.pkl: people as SMPL, in the camera and each in a y-up world of its own.

Source: Shin et al. 2024 and its demo script: per person pose, trans, pose_world, trans_world,
betas, verts, frame_ids, written with joblib.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from recon.core.errors import InputError
from recon.core.geometry import rotvec_to_matrix
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
    """The people of a WHAM result.

    Raises:
        InputError: it is no such file.
    """
    data = read_pickle(path)
    if not isinstance(data, dict) or not data:
        raise InputError(f"expected people by number in {path}, got {type(data).__name__}")
    people = [_person(data[key], path) for key in data]
    several = (
        "WHAM gives every person a world of their own: their distances from each other mean "
        "nothing, and the camera is that of the person seen longest",
    )
    return Imported(
        source="wham",
        model="smpl",
        people=people,
        fps=None,
        R_world_file=R_ZUP_YUP,
        notes=several if len(people) > 1 else (),
    )


def _person(data: Any, path: Path) -> ImportedPerson:
    pose, pose_world = (field(data, key, (None, 72), path) for key in ("pose", "pose_world"))
    n = len(pose)
    # SMPL's last two joints, the hands, have no counterpart: ours are the fingers'.
    return ImportedPerson(
        frame_idx=field(data, "frame_ids", (n,), path).astype(int),
        betas=field(data, "betas", (n, 10), path).mean(axis=0),
        body=body_rotations(pose[:, 3:66]),
        world=_placed(pose_world, field(data, "trans_world", (n, 3), path)),
        camera=_placed(pose, field(data, "trans", (n, 3), path)),
    )


def _placed(pose: np.ndarray, transl: np.ndarray) -> Placed:
    return Placed(global_orient=rotvec_to_matrix(pose[:, :3]), transl=transl)
