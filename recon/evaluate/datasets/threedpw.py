"""3DPW: one or two people before a hand-held phone, poses from sensors and video.

Source: von Marcard et al. 2018; the data set's readme.txt. `poses` and `trans` are those at the
pictures' 30 a second; `cam_poses` are world to camera; the world's y axis is up. Its camera and
roots drift, so that papers measure it in the camera only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from recon.core.camera import Intrinsics
from recon.core.errors import InputError
from recon.core.geometry import invert_transform, rotvec_to_matrix
from recon.evaluate.datasets.truth import DatasetTruth, Gender, video_times
from recon.imports.base import R_ZUP_YUP, Imported, ImportedPerson, Placed, body_rotations, field
from recon.imports.safe_pickle import read_pickle

_GENDERS: dict[str, Gender] = {"f": "female", "m": "male"}
_DRIFT = "3DPW's roots and camera drift in its world: its world figures say little"


def read(place: str) -> DatasetTruth:
    """The people of a file sequenceFiles/SPLIT/NAME.pkl.

    Raises:
        InputError: it is no such file.
    """
    path = Path(place)
    if not path.is_file():
        raise InputError(f"expected a .pkl of 3DPW's sequenceFiles, got no file {path}")
    data = read_pickle(path)
    names = ("poses", "trans", "betas", "genders", "campose_valid", "cam_poses", "cam_intrinsics")
    missing = [n for n in names if not isinstance(data, dict) or n not in data]
    if missing:
        raise InputError(
            f"expected 3DPW's {', '.join(names)} in {path}, got none named {', '.join(missing)}; "
            "give a .pkl of its sequenceFiles"
        )
    Ts_camera_world = field(data, "cam_poses", (None, 4, 4), path)
    n = len(Ts_camera_world)
    count = len(data["poses"])
    return DatasetTruth(
        name=str(data.get("sequence", path.stem)),
        times=video_times(n),
        content=Imported(
            source="3dpw", model="smpl", people=[_person(data, k, n, path) for k in range(count)],
            fps=30.0, R_world_file=R_ZUP_YUP, Ts_file_camera=invert_transform(Ts_camera_world),
            intrinsics=_intrinsics(data, path), notes=(_DRIFT,),
        ),
        genders=tuple(_gender(str(data["genders"][k]), path) for k in range(count)),
        valid=tuple(_of(data, "campose_valid", k, (n,), path).astype(bool) for k in range(count)),
    )  # fmt: skip


def _of(
    data: dict[str, Any], name: str, k: int, shape: tuple[int | None, ...], path: Path
) -> np.ndarray:
    """What a list in the file holds of one person."""
    if len(data[name]) <= k:
        raise InputError(f"expected '{name}' of {k + 1} people in {path}, got {len(data[name])}")
    return field({name: data[name][k]}, name, shape, path)


def _person(data: dict[str, Any], k: int, n: int, path: Path) -> ImportedPerson:
    poses = _of(data, "poses", k, (n, 72), path)
    return ImportedPerson(
        frame_idx=np.arange(n), betas=_of(data, "betas", k, (None,), path),
        body=body_rotations(poses[:, 3:66]),
        world=Placed(
            global_orient=rotvec_to_matrix(poses[:, :3]),
            transl=_of(data, "trans", k, (n, 3), path),
        ),
    )  # fmt: skip


def _gender(letter: str, path: Path) -> Gender:
    if letter not in _GENDERS:
        raise InputError(f"expected the sex f or m in {path}, got {letter!r}")
    return _GENDERS[letter]


def _intrinsics(data: dict[str, Any], path: Path) -> Intrinsics:
    """The file has no picture size: its centre is that of the camera, which 3DPW's phones have."""
    K = field(data, "cam_intrinsics", (3, 3), path)
    return Intrinsics(
        fx=float(K[0, 0]), fy=float(K[1, 1]), cx=float(K[0, 2]), cy=float(K[1, 2]),
        width=round(2 * float(K[0, 2])), height=round(2 * float(K[1, 2])),
    )  # fmt: skip
