"""EMDB 1 and 2: one person before a moving phone, poses from body-worn sensors.

Source: Kaufmann et al. 2023; eth-ait/emdb dataset.md. The world's y axis is up; `extrinsics` are
world to camera; pictures are 30 a second.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from recon.core.camera import Intrinsics
from recon.core.errors import InputError
from recon.core.geometry import invert_transform, rotvec_to_matrix
from recon.evaluate.datasets.truth import DatasetTruth, video_times
from recon.imports.base import R_ZUP_YUP, Imported, ImportedPerson, Placed, body_rotations, field
from recon.imports.safe_pickle import read_pickle


def read(place: str) -> DatasetTruth:
    """The sequence in a folder such as P1/14_outdoor_climb, or of its *_data.pkl.

    Raises:
        InputError: it is no sequence of EMDB.
    """
    path = _file(Path(place))
    data = read_pickle(path)
    for part in ("smpl", "camera"):
        if not isinstance(data, dict) or not isinstance(data.get(part), dict):
            raise InputError(f"expected EMDB's data with '{part}' in {path}; give its *_data.pkl")
    smpl, gender = data["smpl"], str(data.get("gender"))
    if gender not in ("female", "male", "neutral"):
        raise InputError(f"expected the sex female, male or neutral in {path}, got {gender!r}")
    root = field(smpl, "poses_root", (None, 3), path)
    n = len(root)
    body = field(smpl, "poses_body", (n, 69), path)
    # SMPL's last two joints, the hands, have no counterpart: ours are the fingers'.
    person = ImportedPerson(
        frame_idx=np.arange(n), betas=field(smpl, "betas", (None,), path),
        body=body_rotations(body[:, :63]),
        world=Placed(
            global_orient=rotvec_to_matrix(root), transl=field(smpl, "trans", (n, 3), path)
        ),
    )  # fmt: skip
    return DatasetTruth(
        name=str(data.get("name", path.stem)),
        times=video_times(n),
        content=Imported(
            source="emdb", model="smpl", people=[person], fps=30.0, R_world_file=R_ZUP_YUP,
            Ts_file_camera=invert_transform(field(data["camera"], "extrinsics", (n, 4, 4), path)),
            intrinsics=_intrinsics(data["camera"], path), notes=(_part(data),),
        ),
        genders=(gender,),  # type: ignore[arg-type]
        valid=(field(data, "good_frames_mask", (n,), path).astype(bool),),
    )  # fmt: skip


def _file(path: Path) -> Path:
    if path.is_file():
        return path
    found = sorted(path.glob("*_data.pkl"))
    if len(found) != 1:
        raise InputError(
            f"expected a folder of EMDB with one *_data.pkl, got {len(found)} in {path}; "
            "give a sequence such as EMDB/P1/14_outdoor_climb"
        )
    return found[0]


def _part(data: dict[str, Any]) -> str:
    parts = [str(k) for k in (1, 2) if bool(data.get(f"emdb{k}", False))]
    return f"part of EMDB {' and '.join(parts)}" if parts else "part of neither EMDB 1 nor EMDB 2"


def _intrinsics(camera: dict[str, Any], path: Path) -> Intrinsics:
    K = field(camera, "intrinsics", (3, 3), path)
    return Intrinsics(
        fx=float(K[0, 0]), fy=float(K[1, 1]), cx=float(K[0, 2]), cy=float(K[1, 2]),
        width=int(field(camera, "width", (), path)), height=int(field(camera, "height", (), path)),
    )  # fmt: skip
