"""Motion as .npz: AMASS's SMPL-X layout for other programs, and our own with nothing left out."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from recon.core.geometry import Array, invert_transform, matrix_to_rotvec
from recon.core.people import FOOT_POINTS
from recon.core.scene import CONVENTIONS, Scene
from recon.core.skeletons import CANONICAL_JOINTS, CANONICAL_PARENTS
from recon.core.storage import write_atomic
from recon.export.motion import ExportPerson, person_at_fixed_rate, require_people

logger = logging.getLogger(__name__)

SMPLX_MEAN_PELVIS: Array = np.array([0.0031, -0.3514, 0.0120])
"""Pelvis joint of the neutral SMPL-X mean body (betas 0) in the model's coordinates, metres."""

NUM_BETAS = 16

POSE_PARAMETERIZATION = (
    "SMPL-X: rotation of each joint relative to its parent, from the T-pose (y up, facing +z) with "
    "all joint axes aligned; hands as full rotations (flat_hand_mean=True, no PCA)"
)


def smplx_betas(person: ExportPerson) -> tuple[Array, str]:
    """SMPL-X betas (16,) and where they come from, in words."""
    shape = person.motion.shape
    betas = np.zeros(NUM_BETAS)
    if shape.model != "smplx":
        return betas, (
            f"zeros (mean body): the shape was fitted as '{shape.model}', "
            "see shape_names and shape_values"
        )
    used = shape.values[:NUM_BETAS]
    betas[: len(used)] = used
    return betas, "fitted"


def smplx_pelvis(person: ExportPerson) -> tuple[Array, str]:
    """Pelvis joint J0 (3,) of the body that the betas describe, in SMPL-X's own coordinates.

    Also says where it comes from: an SMPL-X rig bound in the model's coordinates holds J0 of its
    betas; otherwise it is the mean body's, exact for betas 0.
    """
    pelvis = invert_transform(person.rig.Ts_joint_bind[0])[:3, 3]
    if person.motion.shape.model != "smplx":
        return SMPLX_MEAN_PELVIS, "the mean body's"
    # An imported SMPL-X motion may be shown by another model's body.
    if person.rig.model == "smplx" and np.linalg.norm(pelvis) > 0.1:
        return pelvis, "of these betas"
    logger.warning("%s: trans assumes the pelvis of SMPL-X's mean body", person.name)
    return SMPLX_MEAN_PELVIS, "the mean body's, some centimetres off for these betas"


def amass_arrays(person: ExportPerson, file_name: str) -> dict[str, Any]:
    """The keys of an AMASS SMPL-X file (z-up world, metres, one frame rate), and what they mean.

    SMPL-X turns the body about its pelvis, which lies at J0(betas) before `trans` is added:
    trans = pelvis_world - J0. AMASS's root_orient holds the turn from y-up to z-up.
    Source: Mahmood et al. 2019, AMASS; Pavlakos et al. 2019, SMPL-X.
    """
    fixed = person_at_fixed_rate(person, file_name)
    rotvec = matrix_to_rotvec(fixed.poses.rotations)
    n = len(rotvec)
    root, body, hand = (rotvec[:, a:b].reshape(n, -1) for a, b in ((0, 1), (1, 22), (22, 52)))
    jaw, eye = np.zeros((n, 3)), np.zeros((n, 6))
    betas, source = smplx_betas(person)
    pelvis, pelvis_source = smplx_pelvis(person)
    return {
        "poses": np.concatenate([root, body, jaw, eye, hand], axis=1),
        "root_orient": root,
        "pose_body": body,
        "pose_hand": hand,
        "pose_jaw": jaw,
        "pose_eye": eye,
        "trans": fixed.poses.root - pelvis,
        "betas": betas,
        "num_betas": NUM_BETAS,
        "gender": "neutral",
        "surface_model_type": "smplx",
        "mocap_frame_rate": fixed.fps,
        "mocap_time_length": n / fixed.fps,
        "times": fixed.times,
        "resampled": fixed.resampled,
        "betas_source": source,
        "pelvis_rest": pelvis,
        "pelvis_rest_source": pelvis_source,
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


def export(scene: Scene, out: Path) -> list[Path]:
    """Writes personN_smplx.npz (AMASS keys) and personN_motion.npz (everything) per person."""
    written = []
    for person in require_people(scene, "motion files"):
        smplx, native = out / f"{person.name}_smplx.npz", out / f"{person.name}_motion.npz"
        for path, arrays in (
            (smplx, amass_arrays(person, smplx.name)),
            (native, native_arrays(person)),
        ):
            content = {key: np.asarray(v) for key, v in (arrays | _description(person)).items()}
            write_atomic(path, lambda file, c=content: np.savez_compressed(file, **c))  # type: ignore[arg-type]
            written.append(path)
    return written
