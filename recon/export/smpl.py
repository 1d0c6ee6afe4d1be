"""Motion as .smpl, the file format of Meshcapade's codec: an .npz with fixed names and types.

Version 2 of the codec; single precision; SMPL-X, gender neutral. The format does not say which
axis points up: as the body models do, we write y up by default.
Source: the package smplcodec, which the tests read these files with.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recon.core.scene import Scene
from recon.core.storage import write_atomic
from recon.export.motion import ExportPerson, require_people
from recon.export.motion_npz import amass_arrays
from recon.export.options import DEFAULTS, ExportOptions, Up

_CODEC_VERSION = 2
_SMPLX = 2
_NEUTRAL = 0


def smpl_arrays(person: ExportPerson, file_name: str, up: Up) -> dict[str, np.ndarray]:
    """What a .smpl file of the person holds; see `amass_arrays` for betas and translation."""
    amass = amass_arrays(person, file_name, up=up)
    n = len(amass["trans"])
    head = np.concatenate([amass["pose_jaw"], amass["pose_eye"]], axis=1)
    body = np.concatenate([amass["root_orient"], amass["pose_body"]], axis=1)
    hands = amass["pose_hand"].reshape(n, 2, 15, 3)
    floats = {
        "shapeParameters": amass["betas"], "frameRate": amass["mocap_frame_rate"],
        "bodyTranslation": amass["trans"], "bodyPose": body.reshape(n, 22, 3),
        "headPose": head.reshape(n, 3, 3), "leftHandPose": hands[:, 0],
        "rightHandPose": hands[:, 1],
    }  # fmt: skip
    numbers = {
        "codecVersion": _CODEC_VERSION, "smplVersion": _SMPLX, "gender": _NEUTRAL, "frameCount": n
    }  # fmt: skip
    return {key: np.asarray(value, np.int32) for key, value in numbers.items()} | {
        key: np.asarray(value, np.float32) for key, value in floats.items()
    }


def export(scene: Scene, out: Path, options: ExportOptions = DEFAULTS) -> list[Path]:
    """Writes personN.smpl for everybody, at the video's (median) frame rate or another."""
    written = []
    for person in require_people(scene, "SMPL files", options.fps):
        path = out / f"{person.name}.smpl"
        arrays = smpl_arrays(person, path.name, options.up or "y")
        write_atomic(path, lambda file, a=arrays: np.savez_compressed(file, **a))  # type: ignore[arg-type]
        written.append(path)
    return written
