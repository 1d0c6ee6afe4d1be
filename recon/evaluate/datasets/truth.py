"""The truth of one sequence, typed, and its bodies from the user's model files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from recon.core.checks import check_array
from recon.core.errors import InputError
from recon.core.geometry import Array, invert_transform, make_transform, transform_points
from recon.core.people import BodyPoses
from recon.evaluate.recording import NUM_BODY_JOINTS, RecordedCamera, RecordedPerson, Recording
from recon.imports.assemble import moved_poses, placed_poses
from recon.imports.base import Imported, ImportedPerson

if TYPE_CHECKING:
    from body.models.smplx import SmplFamily

Gender = Literal["female", "male", "neutral"]

NUM_BETAS = 10
_LETTER = {"female": "f", "male": "m", "neutral": "neutral"}


@dataclass(frozen=True, kw_only=True)
class DatasetTruth:
    """One sequence.

    Args:
        name: of the sequence. times: (T,) seconds of the pictures.
        content: people, camera and axes; its people are in the file's world.
        genders: of each person. valid: of each person (N,) bool, where the truth is good.
    """

    name: str
    times: Array
    content: Imported
    genders: tuple[Gender, ...]
    valid: tuple[np.ndarray, ...]

    def __post_init__(self) -> None:
        check_array("times", self.times, (None,))
        people = self.content.people
        if not len(people) == len(self.genders) == len(self.valid):
            raise InputError(
                f"expected a sex and a mask for each of {len(people)} people, got "
                f"{len(self.genders)} and {len(self.valid)}"
            )
        for person, valid in zip(people, self.valid, strict=True):
            check_array("valid", valid, person.frame_idx.shape, np.bool_)


def truth_recording(truth: DatasetTruth, *, body_model_path: Path | None) -> Recording:
    """The sequence with bodies, its world turned so that z is up.

    Raises:
        InputError: a model's file is missing. MissingDependencyError: smplx is not installed.
    """
    content = truth.content
    R = content.R_world_file if content.R_world_file is not None else np.eye(3)
    T_world_file = make_transform(R, np.zeros(3))
    Ts = None if content.Ts_file_camera is None else T_world_file @ content.Ts_file_camera
    models = {g: gendered_model(content.model, g, body_model_path) for g in set(truth.genders)}
    people = [
        _person(person, models[gender], T_world_file, Ts, person_id=k + 1, valid=valid)
        for k, (person, gender, valid) in enumerate(
            zip(content.people, truth.genders, truth.valid, strict=True)
        )
    ]
    camera = None
    if Ts is not None and content.intrinsics is not None:
        camera = RecordedCamera(
            Ts_world_camera=Ts, tracked=np.ones(len(Ts), bool), intrinsics=content.intrinsics
        )
    notes = content.notes
    if content.R_world_file is None:
        notes = (*notes, f"{truth.name} does not tell what is up: gravity means nothing here")
    return Recording(
        name=truth.name, times=truth.times, people=tuple(people), camera=camera,
        ground=() if content.floor_known else None, notes=notes,
    )  # fmt: skip


def gendered_model(model: str, gender: Gender, path: Path | None) -> SmplFamily:
    """The body model of one sex from the user's files.

    Args:
        model: smpl, smplh or smplx. path: the folder with the files, or its parent.
    Raises:
        InputError: the file is missing. MissingDependencyError: smplx is not installed.
    """
    from body.models import load_body_model
    from body.models.smpl_files import find_model_file

    letter, stem = _LETTER[gender], f"{model.upper()}_{gender.upper()}"
    names = [f"{stem}.npz", f"{stem}.pkl"]
    if model == "smpl":
        names += [
            f"{base}_{letter}_lbs_10_207_0_v{version}.pkl"
            for base in ("basicmodel", "basicModel")
            for version in ("1.1.0", "1.0.0")
        ]
    if model == "smplh":
        names.append(f"{gender}/model.npz")
    site = {"smpl": "smpl", "smplh": "mano", "smplx": "smpl-x"}[model]
    file = find_model_file(path, names, folder=model, website=f"{site}.is.tue.mpg.de")
    return load_body_model(model, file)  # type: ignore[return-value]


def _person(
    person: ImportedPerson, model: SmplFamily, T_world_file: Array,
    Ts_world_camera: Array | None, *, person_id: int, valid: np.ndarray,
) -> RecordedPerson:  # fmt: skip
    assert person.world is not None
    betas = np.zeros(NUM_BETAS)
    betas[: len(person.betas)] = person.betas[:NUM_BETAS]
    poses = moved_poses(
        placed_poses(person, person.world, model.pelvis_offset(betas)), T_world_file
    )
    rig = model.skinning_spec(betas)
    joints = rig.joints(poses)[1][:, :NUM_BODY_JOINTS]
    seen, joints_camera = poses, None
    if Ts_world_camera is not None:
        Ts_camera_world = invert_transform(Ts_world_camera[person.frame_idx])
        seen = moved_poses(poses, Ts_camera_world)
        joints_camera = transform_points(Ts_camera_world, joints)

    def skin(rows: np.ndarray) -> np.ndarray:
        some = BodyPoses(root=seen.root[rows], rotations=seen.rotations[rows])
        return model.vertices(betas, some)

    return RecordedPerson(
        person_id=person_id, frame_idx=person.frame_idx, valid=valid, joints_world=joints,
        joints_camera=joints_camera, R_world_root=poses.rotations[:, 0],
        feet_world=rig.soles(poses), contacts=None, mesh=(model.name, model.num_vertices),
        skin=skin,
    )  # fmt: skip


def video_times(num_frames: int, fps: float = 30.0) -> Array:
    """Seconds (T,) of a video that starts at 0."""
    return np.arange(num_frames) / fps
