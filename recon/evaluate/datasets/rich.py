"""RICH: people before several fixed cameras, SMPL-X bodies frame by frame.

Source: Huang et al. 2022; paulchhuang/rich_toolkit (smplx2images.py, multicam2world.py, utils.py).
Bodies lie in the frame of the calibrated cameras, whose XML files hold world-to-camera matrices;
`c * p @ R + t` of multicam2world takes them to a world whose z axis is up. Pictures are 30 a
second.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from recon.core.camera import Intrinsics
from recon.core.errors import InputError
from recon.core.geometry import Array, invert_transform, make_transform, rotvec_to_matrix
from recon.core.untrusted import read_json
from recon.evaluate.datasets.truth import DatasetTruth, Gender, video_times
from recon.imports.base import Imported, ImportedPerson, Placed, body_rotations, field
from recon.imports.safe_pickle import read_pickle

_HANDS = "hands are flat: RICH's are principal components of the model's own"


def read(place: str) -> DatasetTruth:
    """The people of bodies/SPLIT/SEQUENCE seen by one camera, as "PATH#CAMERA".

    The folders scan_calibration and multicam2world lie beside `bodies`, the toolkit's gender.json
    there or in `resource` one folder above.

    Raises:
        InputError: one of them is missing, or no camera was chosen among several.
    """
    text, _, number = place.partition("#")
    folder = Path(text)
    frames = {int(p.name): p for p in folder.glob("*") if p.is_dir() and p.name.isdigit()}
    if not frames:
        raise InputError(
            f"expected frames such as 00017 in RICH's folder of a sequence, got none in {folder}; "
            "give bodies/SPLIT/SEQUENCE"
        )
    data = folder.parents[2]
    scene = folder.name.split("_")[0]
    first, last = min(frames), max(frames)
    intrinsics, T_camera_file = _camera(data / "scan_calibration" / scene, number)
    numbers = sorted({p.stem for path in frames.values() for p in path.glob("*.pkl")})
    R, shift = _upright(data / "multicam2world", folder.name, scene)
    shift = shift @ R  # in the file's axes: R_world_file turns everything later
    people = [_person(frames, name, first, shift) for name in numbers]
    num_frames = last - first + 1
    T = make_transform(np.eye(3), shift) @ invert_transform(T_camera_file)
    Ts = np.repeat(T[None], num_frames, axis=0)
    return DatasetTruth(
        name=folder.name,
        times=video_times(num_frames),
        content=Imported(
            source="rich", model="smplx", people=people, fps=30.0, R_world_file=R,
            floor_known=True, Ts_file_camera=Ts, intrinsics=intrinsics,
            notes=(_HANDS, f"its first picture is number {first:05d}: that is second 0"),
        ),
        genders=tuple(_gender(data, name) for name in numbers),
        valid=tuple(np.ones(len(p.frame_idx), bool) for p in people),
    )  # fmt: skip


def _person(frames: dict[int, Path], name: str, first: int, shift: Array) -> ImportedPerson:
    """One person over the frames that have a file of theirs, moved by `shift` (3,)."""
    files = {k: path / f"{name}.pkl" for k, path in sorted(frames.items())}
    files = {k: file for k, file in files.items() if file.is_file()}
    wanted = {"transl": 3, "global_orient": 3, "body_pose": 63, "betas": None}
    rows: dict[str, list[Array]] = {key: [] for key in wanted}
    for file in files.values():
        content = read_pickle(file)
        for key, width in wanted.items():
            rows[key].append(field(content, key, (1, width), file)[0])
    values = {key: np.stack(row) for key, row in rows.items() if key != "betas"}
    return ImportedPerson(
        frame_idx=np.array(list(files)) - first,
        betas=np.mean(rows["betas"], axis=0),
        body=body_rotations(values["body_pose"]),
        world=Placed(
            global_orient=rotvec_to_matrix(values["global_orient"]), transl=values["transl"] + shift
        ),
    )  # fmt: skip


def _camera(folder: Path, number: str) -> tuple[Intrinsics, Array]:
    """Intrinsics and T_camera_file (4, 4) of one camera; its size is twice its centre."""
    files = {str(int(p.stem)): p for p in sorted(folder.glob("calibration/*.xml"))}
    if number == "" and len(files) == 1:
        number = next(iter(files))
    if not (number.isdigit() and str(int(number)) in files):
        raise InputError(
            f"expected one of RICH's cameras {', '.join(files) or '(none)'} of {folder}, got "
            f"'{number}'; say which after the sequence, as in rich:SEQUENCE#0"
        )
    file = files[str(int(number))]
    try:
        tree = ElementTree.parse(file)
        M, K = (
            np.array((tree.findtext(f"./{name}/data") or "").split(), float).reshape(3, -1)
            for name in ("CameraMatrix", "Intrinsics")
        )
    except (ElementTree.ParseError, ValueError) as error:
        raise InputError(
            f"expected a calibration with CameraMatrix and Intrinsics, got {file}: {error}"
        ) from error
    intrinsics = Intrinsics(
        fx=float(K[0, 0]), fy=float(K[1, 1]), cx=float(K[0, 2]), cy=float(K[1, 2]),
        width=round(2 * float(K[0, 2])), height=round(2 * float(K[1, 2])),
    )  # fmt: skip
    return intrinsics, make_transform(M[:, :3], M[:, 3])


def _upright(folder: Path, sequence: str, scene: str) -> tuple[Array, Array]:
    """R_world_file (3, 3) and the shift (3,) that follows, metres: its floor is at 0 then."""
    name = scene
    if scene == "LectureHall":
        name += "_chair" if "chair" in sequence else "_yoga"
    file = folder / f"{name}_multicam2world.json"
    try:
        content = read_json(file)
        R = np.asarray(content["R"], float).reshape(3, 3)
        shift = np.asarray(content["t"], float).reshape(3) / float(content["c"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"expected RICH's {file.name} with R, t and c in {folder}, got: {error}; "
            "it tells what is up"
        ) from error
    return R.T, shift


def _gender(data: Path, subject: str) -> Gender:
    for file in (data / "gender.json", data.parent / "resource" / "gender.json"):
        if file.is_file():
            try:
                gender = read_json(file)[str(int(subject))]
            except (OSError, ValueError, KeyError, TypeError) as error:
                gender = repr(error)
            if gender in ("female", "male", "neutral"):
                return gender
            raise InputError(f"expected the sex of subject {int(subject)} in {file}, got {gender}")
    raise InputError(
        f"expected the toolkit's gender.json in {data} or {data.parent / 'resource'}, got none; "
        "take it from github.com/paulchhuang/rich_toolkit"
    )
