"""GVHMR's hmr4d_results.pt: one person as SMPL-X in the camera and in a y-up world.

Source: Shen et al. 2024 and its demo script: smpl_params_global and smpl_params_incam with
global_orient, body_pose, betas and transl per frame; K_fullimg; the demo resamples to 30 fps.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from recon.core.camera import Intrinsics
from recon.core.geometry import rotvec_to_matrix
from recon.imports.base import (
    R_ZUP_YUP,
    Imported,
    ImportedPerson,
    Placed,
    body_rotations,
    field,
)
from recon.imports.safe_pickle import read_torch


def read(path: Path) -> Imported:
    """The one person of a GVHMR result.

    Raises:
        InputError: it is no such file.
    """
    data = read_torch(path)
    world = _params(data, "smpl_params_global", path)
    camera = _params(data, "smpl_params_incam", path)
    pose = field(world, "body_pose", (None, 63), path)
    n = len(pose)
    K = field(data, "K_fullimg", (None, 3, 3), path)[0]
    person = ImportedPerson(
        frame_idx=np.arange(n),
        betas=field(world, "betas", (n, None), path).mean(axis=0),
        body=body_rotations(pose),
        world=_placed(world, n, path),
        camera=_placed(camera, n, path),
    )
    return Imported(
        source="gvhmr",
        model="smplx",
        people=[person],
        fps=30.0,
        R_world_file=R_ZUP_YUP,
        intrinsics=Intrinsics(
            fx=float(K[0, 0]), fy=float(K[1, 1]), cx=float(K[0, 2]), cy=float(K[1, 2]),
            width=round(2 * K[0, 2]), height=round(2 * K[1, 2]), source="prior",
        ),
    )  # fmt: skip


def _params(data: Any, name: str, path: Path) -> Any:
    if not isinstance(data, dict) or name not in data:
        field({} if not isinstance(data, dict) else data, name, (), path)  # says what is there
    return data[name]


def _placed(params: Any, n: int, path: Path) -> Placed:
    return Placed(
        global_orient=rotvec_to_matrix(field(params, "global_orient", (n, 3), path)),
        transl=field(params, "transl", (n, 3), path),
    )
