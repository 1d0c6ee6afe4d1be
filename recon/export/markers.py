"""Marker trajectories for biomechanics programs: TRC (OpenSim) and C3D.

The markers are points of the fitted body, not of the skin's landmarks that a laboratory would
tape: joint centres and the foot's points under the names of HALPE_26, which Pose2Sim's OpenSim
models know, and joints of spine and knuckles besides. MARKERS says what each one is. Millimetres;
TRC is y up as OpenSim's ground is, C3D z up as most laboratories are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recon.core.errors import MissingDependencyError
from recon.core.geometry import Array
from recon.core.people import FOOT_POINTS, BodyPoses
from recon.core.rig import Rig
from recon.core.scene import Scene
from recon.core.skeletons import CANONICAL_JOINTS
from recon.core.storage import write_by_name, write_bytes
from recon.export.bvh import end_sites
from recon.export.motion import (
    ExportPerson,
    axes_of,
    clip_times,
    person_at_fixed_rate,
    require_people,
)
from recon.export.options import DEFAULTS, ExportOptions, Up

_SIDES = (("R", "right"), ("L", "left"))
_OF_A_SIDE = {
    "Hip": "hip", "Knee": "knee", "Ankle": "ankle", "Heel": "heel", "BigToe": "toe",
    "Shoulder": "shoulder", "Elbow": "elbow", "Wrist": "wrist", "Index": "index1",
    "Pinky": "pinky1",
}  # fmt: skip

MARKERS: dict[str, str] = {
    "Hip": "middle of the hip joints",
    "Spine1": "joint spine1",
    "Spine2": "joint spine2",
    "Spine3": "joint spine3",
    "Neck": "joint neck",
    "Head": "top of the head",
} | {
    f"{letter}{name}": f"{'sole point' if part in ('heel', 'toe') else 'joint'} {side}_{part}"
    for letter, side in _SIDES
    for name, part in _OF_A_SIDE.items()
}
"""Every marker's name, and the point of the body that it is (joints as in SMPL-X)."""


def marker_positions(rig: Rig, poses: BodyPoses) -> Array:
    """Positions (N, M, 3) of MARKERS in the poses' own frame and unit."""
    rotations, joints = rig.joints(poses)
    soles, head = rig.soles(poses), CANONICAL_JOINTS.index("head")
    places = {f"joint {name}": joints[:, j] for j, name in enumerate(CANONICAL_JOINTS)}
    places |= {f"sole point {name}": soles[:, k] for k, name in enumerate(FOOT_POINTS)}
    places["middle of the hip joints"] = joints[:, 1:3].mean(axis=1)
    places["top of the head"] = joints[:, head] + rotations[:, head] @ end_sites(rig)[head]
    return np.stack([places[what] for what in MARKERS.values()], axis=1)


def _trajectories(person: ExportPerson, file_name: str, up: Up) -> tuple[Array, Array, float]:
    """Markers (N, M, 3) in millimetres, their times (N,), and frames per second."""
    fixed = person_at_fixed_rate(person, file_name)
    positions = marker_positions(person.rig, fixed.poses) @ axes_of(up).T
    return positions * 1000, fixed.times, fixed.fps


def trc_text(name: str, positions: Array, times: Array, fps: float) -> str:
    """A TRC file of markers (N, M, 3), millimetres, at times (N,) seconds."""
    n, m = positions.shape[:2]
    head = [
        f"PathFileType\t4\t(X/Y/Z)\t{name}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame"
        "\tOrigNumFrames",
        f"{fps:.6f}\t{fps:.6f}\t{n}\t{m}\tmm\t{fps:.6f}\t1\t{n}",
        "Frame#\tTime\t" + "\t\t\t".join(MARKERS) + "\t\t",
        "\t\t" + "\t".join(f"{axis}{k}" for k in range(1, m + 1) for axis in "XYZ"),
        "",
    ]
    rows = np.concatenate([times[:, None], positions.reshape(n, -1)], axis=1)
    lines = ["\t".join([str(k), *(f"{v:.6f}" for v in row)]) for k, row in enumerate(rows, 1)]
    return "\n".join([*head, *lines]) + "\n"


def export_trc(scene: Scene, out: Path, options: ExportOptions = DEFAULTS) -> list[Path]:
    """Writes personN.trc; its times count from the video's first frame."""
    written, start = [], clip_times(scene, None)[0]
    for person in require_people(scene, "marker files", options.fps):
        path = out / f"{person.name}.trc"
        positions, times, fps = _trajectories(person, path.name, options.up or "y")
        text = trc_text(path.name, positions, times - start, fps)
        write_bytes(path, text.encode("ascii"))
        written.append(path)
    return written


def export_c3d(scene: Scene, out: Path, options: ExportOptions = DEFAULTS) -> list[Path]:
    """Writes personN.c3d, from the person's first frame on; it names the axes it has.

    Raises:
        MissingDependencyError: ezc3d is not installed.
    """
    try:
        import ezc3d
    except ImportError as error:
        raise MissingDependencyError("ezc3d", "export") from error
    written, up = [], options.up or "z"
    for person in require_people(scene, "marker files", options.fps):
        path = out / f"{person.name}.c3d"
        positions, _, fps = _trajectories(person, path.name, up)
        file = ezc3d.c3d()
        point = file["parameters"]["POINT"]
        for name, value in {
            "RATE": [fps], "UNITS": ["mm"], "LABELS": [*MARKERS],
            "DESCRIPTIONS": [*MARKERS.values()],
        }.items():  # fmt: skip
            point[name]["value"] = value
        file.add_parameter("POINT", "X_SCREEN", ["+X"])
        file.add_parameter("POINT", "Y_SCREEN", [f"+{up.upper()}"])
        ones = np.ones((*positions.shape[:2], 1))
        file["data"]["points"] = np.concatenate([positions, ones], axis=-1).T
        write_by_name(path, lambda made, f=file: f.write(str(made)))
        written.append(path)
    return written
