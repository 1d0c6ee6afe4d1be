"""What an importer hands over: other programs' bodies, renamed, in the axes of their file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recon.core.camera import Intrinsics
from recon.core.checks import check_array, check_rotations
from recon.core.errors import InputError
from recon.core.geometry import R_YUP_ZUP, Array, rotvec_to_matrix
from recon.core.people import NUM_JOINTS

R_ZUP_YUP: Array = R_YUP_ZUP.T
"""Maps y-up coordinates to our z-up world."""
MOST_GAPS = 100_000
"""An hour; poses are made for frames in which nobody was seen, in memory."""


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Where a body is in some frame, as SMPL states it.

    Args:
        global_orient: (N, 3, 3). transl: (N, 3) metres; the pelvis lies at transl + J0(betas).
    """

    global_orient: Array
    transl: Array

    def __post_init__(self) -> None:
        check_array("global_orient", self.global_orient, (len(self.transl), 3, 3))
        check_rotations("global_orient", self.global_orient)
        check_array("transl", self.transl, (None, 3))


@dataclass(frozen=True, kw_only=True)
class ImportedPerson:
    """One person of a file.

    Args:
        frame_idx: (N,) int, increasing. betas: (S,). body: (N, 51, 3, 3) rotations of the
            canonical joints but the pelvis. world: in the file's world. camera: in the camera.
    """

    frame_idx: np.ndarray
    betas: Array
    body: Array
    world: Placed | None = None
    camera: Placed | None = None

    def __post_init__(self) -> None:
        n = len(self.frame_idx)
        check_array("frame_idx", self.frame_idx, (n,), np.integer)
        check_array("body", self.body, (n, NUM_JOINTS - 1, 3, 3))
        check_rotations("body", self.body)
        check_array("betas", self.betas, (None,))
        if n == 0 or np.any(np.diff(self.frame_idx) <= 0) or self.frame_idx.min() < 0:
            raise InputError("expected frames in increasing order, got none or others")
        if self.frame_idx[-1] - n >= MOST_GAPS:
            raise InputError(
                f"expected a person in all but {MOST_GAPS} frames at most, got {n} frames up to "
                f"number {self.frame_idx[-1]}"
            )


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A file's content.

    Args:
        model: smplx, smplh or smpl. fps: None where the file does not tell.
        R_world_file: (3, 3) from the axes of the file's world to z up; None where the file
            does not tell what is up. floor_known: z = 0 of the file is the floor.
        Ts_file_camera: (T, 4, 4) or None. intrinsics: or None.
        notes: what the user must know, in sentences.
    """

    source: str
    model: str
    people: Sequence[ImportedPerson]
    fps: float | None
    R_world_file: Array | None
    floor_known: bool = False
    Ts_file_camera: Array | None = None
    intrinsics: Intrinsics | None = None
    notes: tuple[str, ...] = ()


def field(data: Mapping[str, Any], name: str, shape: tuple[int | None, ...], path: Path) -> Array:
    """One numeric array of a file as float64, checked; None in `shape` matches any length.

    Raises:
        InputError: it is missing, or has another shape, or holds no numbers.
    """
    if not isinstance(data, Mapping) or name not in data:
        names = ", ".join(map(str, data)) if isinstance(data, Mapping) else type(data).__name__
        raise InputError(
            f"expected '{name}' in {path}, got: {names[:200]}; is it a file of the program "
            "named with --from?"
        )
    try:
        array = np.asarray(data[name]).astype(float, casting="same_kind", copy=False)
        check_array(name, array, shape)
    except (InputError, TypeError, ValueError) as error:
        raise InputError(f"{path}: {error}; give the file that the program wrote") from error
    return array


def body_rotations(body_pose: Array, hand_pose: Array | None = None) -> Array:
    """Canonical rotations (N, 51, 3, 3) from axis-angles of 21 body joints and 30 of the hands.

    Args:
        body_pose: (N, 63). hand_pose: (N, 90) left and right, or None for flat hands.
    """
    n = len(body_pose)
    hands = np.zeros((n, 90)) if hand_pose is None else hand_pose
    return rotvec_to_matrix(np.concatenate([body_pose, hands], axis=1).reshape(n, -1, 3))
