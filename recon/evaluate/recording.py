"""What an evaluation needs to know of a clip: people and camera, of a scene or of a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from recon.core.camera import CameraTrajectory, Intrinsics
from recon.core.checks import check_array
from recon.core.errors import InputError
from recon.core.geometry import Array
from recon.core.people import BodyPoses, CameraMotion, WorldMotion, WorldPlacement
from recon.core.rig import Rig
from recon.core.scene import Scene
from recon.core.untrusted import read_json
from recon.motion.clip import Box

NUM_BODY_JOINTS = 22

LICENSED_MODELS = {"smpl", "smplh", "smplx"}
"""Body models with pose blend shapes, which a scene's rigs leave out."""

Skin = Callable[[np.ndarray], np.ndarray]
"""Vertices (n, V, 3) in the camera for some rows of a person's frames."""


@dataclass(frozen=True, kw_only=True)
class RecordedPerson:
    """One person over N frames.

    Args:
        person_id: a number that tells people apart. frame_idx: (N,) int, increasing.
        valid: (N,) bool; of a truth, where it is good and the person is in the picture; of a
            result, where the person was seen.
        joints_world, joints_camera: (N, 22, 3) metres; the latter None without a camera.
        R_world_root: (N, 3, 3).
        feet_world: (N, 4, 3) metres, FOOT_POINTS.
        contacts: (N, 4) probabilities of FOOT_POINTS, or None where nobody knows.
        mesh: name and number of vertices of the body, equal for bodies of one topology.
        skin: its vertices, in the camera (without one, in the world).
    """

    person_id: int
    frame_idx: np.ndarray
    valid: np.ndarray
    joints_world: Array
    joints_camera: Array | None
    R_world_root: Array
    feet_world: Array
    contacts: Array | None
    mesh: tuple[str, int]
    skin: Skin

    def __post_init__(self) -> None:
        n = len(self.frame_idx)
        check_array("frame_idx", self.frame_idx, (n,), np.integer)
        check_array("valid", self.valid, (n,), np.bool_)
        check_array("joints_world", self.joints_world, (n, NUM_BODY_JOINTS, 3))
        if self.joints_camera is not None:
            check_array("joints_camera", self.joints_camera, (n, NUM_BODY_JOINTS, 3))
        check_array("R_world_root", self.R_world_root, (n, 3, 3))
        check_array("feet_world", self.feet_world, (n, 4, 3))
        if self.contacts is not None:
            check_array("contacts", self.contacts, (n, 4))


@dataclass(frozen=True, kw_only=True)
class RecordedCamera:
    """The camera of T frames in the metric world.

    Args:
        Ts_world_camera: (T, 4, 4). tracked: (T,) bool. intrinsics: of the whole clip.
    """

    Ts_world_camera: Array
    tracked: np.ndarray
    intrinsics: Intrinsics


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A clip, found or true.

    Args:
        name: for tables. times: (T,) seconds. camera: None where a data set has none.
        ground: the boxes that stand on the floor z = 0; None where nobody knows the floor.
        notes: what a reader of the numbers must know, in sentences.
    """

    name: str
    times: Array
    people: tuple[RecordedPerson, ...]
    camera: RecordedCamera | None
    ground: tuple[Box, ...] | None = ()
    notes: tuple[str, ...] = ()


def read_recording(scene: Scene, *, body_model_path: Path | None = None) -> Recording:
    """A finished scene's people and camera.

    Args:
        body_model_path: the SMPL, SMPL-H or SMPL-X files, so that bodies of such a model get
            their pose blend shapes; without it they are skinned linearly, which is noted.
    Raises:
        StaleSceneError: the stages body or world have not run.
        InputError: its floor.json is damaged, or the body models' files are not there.
    """
    found = make_recording(
        scene.path.name, scene.video.times, scene.camera, scene.placement,
        in_camera=scene.camera_motions, in_world=scene.world_motions, rigs=scene.rigs,
        ground=_read_ground(scene.path), notes=_import_notes(scene),
    )  # fmt: skip
    licensed = {p.mesh[0] for p in found.people} & LICENSED_MODELS
    if body_model_path is None:
        linear = tuple(
            f"{found.name}: vertices of {model} without its pose blend shapes, which are worth "
            "some mm of PVE (--body-model-path)"
            for model in sorted(licensed)
        )
        return replace(found, notes=found.notes + linear)
    motions = {motion.track_id: motion for motion in scene.camera_motions}
    people = [
        replace(p, skin=_blended(p, motions[p.person_id], body_model_path))
        if p.mesh[0] in licensed
        else p
        for p in found.people
    ]
    return replace(found, people=tuple(people))


def _blended(person: RecordedPerson, motion: CameraMotion, path: Path) -> Skin:
    """The person's vertices by the body model itself."""
    from body.models import load_body_model

    model = load_body_model(motion.shape.model, path)
    betas = np.zeros(len(model.param_spec.names))
    betas[: len(motion.shape.values)] = motion.shape.values[: len(betas)]
    poses, own = motion.poses_camera, np.searchsorted(motion.frame_idx, person.frame_idx)

    def skin(rows: np.ndarray) -> np.ndarray:
        at = own[rows]
        return model.vertices(betas, BodyPoses(root=poses.root[at], rotations=poses.rotations[at]))

    return skin


def make_recording(
    name: str,
    times: Array,
    camera: CameraTrajectory,
    placement: WorldPlacement,
    *,
    in_camera: Sequence[CameraMotion],
    in_world: Sequence[WorldMotion],
    rigs: Sequence[Rig],
    ground: tuple[Box, ...] = (),
    notes: tuple[str, ...] = (),
) -> Recording:
    """The results of the stages, in memory, as a recording.

    Args:
        times: (T,) seconds. in_camera, rigs: of each person; in_world: of those that were placed.
        ground: see `Recording`.
    """
    worlds = {motion.track_id: motion for motion in in_world}
    people = [
        _person(motion, worlds[motion.track_id], rig)
        for motion, rig in zip(in_camera, rigs, strict=True)
        if motion.track_id in worlds
    ]
    return Recording(
        name=name, times=np.asarray(times, dtype=float), people=tuple(people),
        camera=RecordedCamera(
            Ts_world_camera=placement.Ts_world_camera, tracked=camera.tracked,
            intrinsics=camera.intrinsics,
        ),
        ground=ground, notes=notes,
    )  # fmt: skip


def _person(motion: CameraMotion, world: WorldMotion, rig: Rig) -> RecordedPerson:
    """One person over the frames that both motions have."""
    frames, in_camera, in_world = np.intersect1d(
        motion.frame_idx, world.frame_idx, assume_unique=True, return_indices=True
    )
    poses = motion.poses_camera

    def skin(rows: np.ndarray) -> np.ndarray:
        own = in_camera[rows]
        return rig.vertices(BodyPoses(root=poses.root[own], rotations=poses.rotations[own]))

    return RecordedPerson(
        person_id=motion.track_id, frame_idx=frames, valid=world.observed[in_world],
        joints_world=world.joints_world[in_world, :NUM_BODY_JOINTS],
        joints_camera=motion.joints_camera[in_camera, :NUM_BODY_JOINTS],
        R_world_root=world.poses_world.rotations[in_world, 0],
        feet_world=world.feet_world[in_world], contacts=world.contacts[in_world],
        mesh=(rig.model, len(rig.bind_vertices)), skin=skin,
    )  # fmt: skip


def _read_ground(folder: Path) -> tuple[Box, ...]:
    """The boxes of the floor.json that `recon synth` leaves in a scene; none without it."""
    file = folder / "floor.json"
    if not file.is_file():
        return ()
    try:
        props = read_json(file)["props"]
        return tuple(
            Box(
                kind=p["kind"], center=np.array(p["center"], float),
                size=np.array(p["size"], float), yaw=float(p["yaw"]),
            )
            for p in props
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"expected boxes with kind, center, size and yaw in {file}, got: {error}; "
            "make the scene again with: recon synth"
        ) from error


def _import_notes(scene: Scene) -> tuple[str, ...]:
    """What an importer had to invent, since it bears on the numbers."""
    if "imported" not in scene.manifest:
        return ()
    return tuple(f"{scene.path.name}: {text}" for text in scene.report("body").warnings)
