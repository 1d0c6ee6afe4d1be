"""AMASS motion files (SMPL-X or SMPL-H), and those that our own npz export writes.

Source: Mahmood et al. 2019; keys of the published files: poses, trans, betas,
mocap_frame_rate (SMPL-X) or mocap_framerate (SMPL-H); the world is z up with the floor at 0.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from recon.core.errors import InputError
from recon.core.geometry import rotvec_to_matrix
from recon.core.untrusted import read_arrays
from recon.imports.base import Imported, ImportedPerson, Placed, body_rotations, field

_WIDTHS = {165: "smplx", 156: "smplh"}
_USED = re.compile("poses|trans|betas|gender|mocap_frame_?rate")


def read(path: Path) -> Imported:
    """The one person of an AMASS file.

    Raises:
        InputError: it is no such file.
    """
    try:
        data = read_arrays(path, _USED)  # others hold objects of Python
    except Exception as error:  # a damaged archive can raise anything
        raise InputError(f"expected an AMASS .npz file, got {path}: {error}") from error
    poses = field(data, "poses", (None, None), path)
    if poses.shape[1] not in _WIDTHS:
        raise InputError(
            f"expected poses of 165 (SMPL-X) or 156 (SMPL-H) numbers a frame in {path}, got "
            f"{poses.shape[1]}"
        )
    model, hands = _WIDTHS[poses.shape[1]], poses[:, -90:]
    rate = "mocap_frame_rate" if "mocap_frame_rate" in data else "mocap_framerate"
    person = ImportedPerson(
        frame_idx=np.arange(len(poses)),
        betas=field(data, "betas", (None,), path),
        body=body_rotations(poses[:, 3:66], hands),
        world=Placed(
            global_orient=rotvec_to_matrix(poses[:, :3]),
            transl=field(data, "trans", (len(poses), 3), path),
        ),
    )
    return Imported(
        source="amass",
        model=model,
        people=[person],
        fps=float(field(data, rate, (), path)),
        R_world_file=np.eye(3),
        floor_known=True,
        notes=_notes(str(data.get("gender", "neutral")), model),
    )


def _notes(gender: str, model: str) -> tuple[str, ...]:
    """What to say about betas of a body of one sex (some files hold the text as b'male')."""
    sex = next((sex for sex in ("female", "male") if sex in gender), None)
    if sex is None:
        return ()
    return (
        f"the betas are those of {model}'s {sex} body: they fit only where --body-model-path is "
        "that model's own file",
    )
