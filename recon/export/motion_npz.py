"""Motion as .npz: AMASS's layouts for other programs, and our own with nothing left out."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from recon.core.geometry import Array, invert_transform, matrix_to_rotvec
from recon.core.people import FOOT_POINTS
from recon.core.scene import CONVENTIONS, Scene
from recon.core.skeletons import CANONICAL_JOINTS, CANONICAL_PARENTS
from recon.core.storage import write_atomic
from recon.export.motion import (
    ExportPerson,
    export_people,
    jaw_at,
    person_at_fixed_rate,
    poses_in,
    require_people,
)
from recon.export.options import DEFAULTS, ExportOptions, Up

logger = logging.getLogger(__name__)

AmassModel = Literal["smplx", "smplh"]

_SMPL_PELVIS: Array = np.array([-0.0018, -0.2233, 0.0282])
MEAN_PELVIS: dict[str, Array] = {
    "smplx": np.array([0.0031, -0.3514, 0.0120]),
    "smplh": _SMPL_PELVIS,
    "smpl": _SMPL_PELVIS,
}
"""Pelvis joint of each neutral mean body (betas 0) in the model's own coordinates, metres."""

NUM_BETAS = 16

POSE_PARAMETERIZATION = (
    "SMPL-X: rotation of each joint relative to its parent, from the T-pose (y up, facing +z) with "
    "all joint axes aligned; hands as full rotations (flat_hand_mean=True, no PCA)"
)


def amass_betas(person: ExportPerson, model: AmassModel) -> tuple[Array, str]:
    """Betas (16,) of a model and where they come from, in words."""
    shape = person.motion.shape
    betas = np.zeros(NUM_BETAS)
    if shape.model != model:
        return betas, (
            f"zeros (mean body): the shape was fitted as '{shape.model}', see shape_names and "
            f"shape_values; for betas: recon convert SCENE --to {model}"
        )
    used = shape.values[:NUM_BETAS]
    betas[: len(used)] = used
    return betas, "fitted"


def rest_pelvis(person: ExportPerson, model: AmassModel) -> tuple[Array, str]:
    """Pelvis joint J0 (3,) of the body that the betas describe, in the model's own coordinates.

    Also says where it comes from: a rig of the model bound in its coordinates holds J0 of its
    betas; otherwise it is the mean body's, exact for betas 0.
    """
    pelvis = invert_transform(person.rig.Ts_joint_bind[0])[:3, 3]
    if person.motion.shape.model != model:
        return MEAN_PELVIS[model], "the mean body's"
    # An imported motion may be shown by another model's body.
    if person.rig.model == model and np.linalg.norm(pelvis) > 0.1:
        return pelvis, "of these betas"
    logger.warning("%s: trans assumes the pelvis of the %s mean body", person.name, model)
    return MEAN_PELVIS[model], "the mean body's, some centimetres off for these betas"


def amass_arrays(
    person: ExportPerson, file_name: str, model: AmassModel = "smplx", *, up: Up = "z"
) -> dict[str, Any]:
    """The keys of an AMASS file (metres, one frame rate), and what they mean; AMASS is z up.

    SMPL-X and SMPL-H turn the body about its pelvis, which lies at J0(betas) before `trans` is
    added: trans = pelvis_world - J0. AMASS's root_orient holds the turn from y-up to z-up.
    Source: Mahmood et al. 2019, AMASS; Pavlakos et al. 2019, SMPL-X; Romero et al. 2017, SMPL-H.
    """
    fixed = person_at_fixed_rate(person, file_name)
    poses = poses_in(fixed.poses, up=up)
    rotvec = matrix_to_rotvec(poses.rotations)
    n = len(rotvec)
    root, body, hand = (rotvec[:, a:b].reshape(n, -1) for a, b in ((0, 1), (1, 22), (22, 52)))
    betas, source = amass_betas(person, model)
    pelvis, pelvis_source = rest_pelvis(person, model)
    if model == "smplx":
        keys = _smplx_keys(root, body, hand, fixed.fps, jaw_at(person, fixed.times))
    else:
        keys = _smplh_keys(root, body, hand, fixed.fps)
    return keys | {
        "trans": poses.root - pelvis,
        "betas": betas,
        "gender": "neutral",
        "times": fixed.times,
        "resampled": fixed.resampled or person.resampled,
        "betas_source": source,
        "pelvis_rest": pelvis,
        "pelvis_rest_source": pelvis_source,
    }


def _smplx_keys(
    root: Array, body: Array, hand: Array, fps: float, jaw_open: Array | None
) -> dict[str, Any]:
    """The pose as AMASS's SMPL-X files name it, from axis-angles (N, 3), (N, 63), (N, 90).

    The jaw opens about the head's x axis, which points to the person's left.
    """
    n = len(root)
    jaw, eye = np.zeros((n, 3)), np.zeros((n, 6))
    missing = ("pose_eye",) if jaw_open is not None else ("pose_jaw", "pose_eye")
    if jaw_open is not None:
        jaw[:, 0] = jaw_open
    return {
        "poses": np.concatenate([root, body, jaw, eye, hand], axis=1),
        "root_orient": root,
        "pose_body": body,
        "pose_hand": hand,
        "pose_jaw": jaw,
        "pose_eye": eye,
        "not_estimated": missing,
        "num_betas": NUM_BETAS,
        "surface_model_type": "smplx",
        "mocap_frame_rate": fps,
        "mocap_time_length": n / fps,
    }


def _smplh_keys(root: Array, body: Array, hand: Array, fps: float) -> dict[str, Any]:
    """The same as AMASS's SMPL-H files name it; the soft-tissue coefficients stay at rest."""
    return {
        "poses": np.concatenate([root, body, hand], axis=1),
        "dmpls": np.zeros((len(root), 8)),
        "not_estimated": ("dmpls",),
        "mocap_framerate": fps,
    }


def native_arrays(person: ExportPerson) -> dict[str, Any]:
    """The motion as the scene holds it, one row per video frame, with joints and contacts."""
    motion = person.motion
    return {
        "track_id": motion.track_id,
        "frame_idx": motion.frame_idx,
        "times": person.times,
        "observed": motion.observed,
        "root_world": motion.poses_world.root,
        "rotations": motion.poses_world.rotations,
        "joints_world": motion.joints_world,
        "feet_world": motion.feet_world,
        "contacts": motion.contacts,
        "rest_joints": person.rig.rest_joints,
        "joint_names": CANONICAL_JOINTS,
        "joint_parents": CANONICAL_PARENTS,
        "foot_point_names": FOOT_POINTS,
    } | _anny_arrays(person)


def _anny_arrays(person: ExportPerson) -> dict[str, Any]:
    """What `anny.Anny()` takes, for bodies of that model; SMPL's own rotations are `rotations`."""
    shape = person.motion.shape
    if shape.model != "anny":
        return {}
    # Here, because the package loads torch.
    from body.models.anny import AnnyModel
    from body.models.anny_native import POSE_PARAMETERIZATION as PARAMETERIZATION

    pose = AnnyModel().native_pose(shape.values, person.motion.poses_world)
    return {"anny_pose": pose.astype(np.float32), "anny_pose_parameterization": PARAMETERIZATION}


def _description(person: ExportPerson) -> dict[str, Any]:
    shape = person.motion.shape
    return {
        "shape_model": shape.model,
        "shape_names": np.array(shape.names, dtype=str),
        "shape_values": shape.values,
        "pose_parameterization": POSE_PARAMETERIZATION,
        "conventions": json.dumps(CONVENTIONS),
        "licence": person.rig.licence,
    }


def export(scene: Scene, out: Path, options: ExportOptions = DEFAULTS) -> list[Path]:
    """Writes personN_smplx.npz, _smplh.npz (AMASS keys) and _motion.npz (everything) of each.

    A frame rate applies to the AMASS files; the motion is of the video's own frames.
    """
    written = []
    own = require_people(scene, "motion files")
    for person, at_rate in zip(own, export_people(scene, options.fps), strict=True):
        smplx, smplh, native = (
            out / f"{person.name}_{kind}.npz" for kind in ("smplx", "smplh", "motion")
        )
        for path, arrays in (
            (smplx, amass_arrays(at_rate, smplx.name)),
            (smplh, amass_arrays(at_rate, smplh.name, "smplh")),
            (native, native_arrays(person)),
        ):
            write_motion(path, person, arrays)
            written.append(path)
    return written


def write_motion(path: Path, person: ExportPerson, arrays: Mapping[str, Any]) -> None:
    """Writes arrays of a person's motion with what is said of everybody, atomically."""
    content = {key: np.asarray(v) for key, v in {**arrays, **_description(person)}.items()}
    write_atomic(path, lambda file: np.savez_compressed(file, **content))  # type: ignore[arg-type]
