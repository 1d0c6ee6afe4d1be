"""A motion by whatever names it: a scene, a file, or something that people do."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recon.core.errors import InputError
from recon.core.geometry import Array
from recon.core.people import BodyPoses
from recon.core.rig import Rig, forward_kinematics
from recon.core.scene import Scene
from recon.core.untrusted import read_arrays
from recon.motion.clip import MotionClip
from recon.motion.compose import ACTIONS, Action, procedural
from recon.motion.load import load_motion
from recon.motion.retargeting import retarget

_SAME_BODY = 1e-3
"""Metres between rest joints of two bodies that are one."""
_NATIVE = {"root_world", "rotations", "rest_joints", "feet_world", "contacts", "times"}


def find_motion(
    source: str,
    rig: Rig,
    *,
    person: int | None = None,
    seconds: float = 4.0,
    fps: float = 30.0,
    seed: int = 0,
) -> MotionClip:
    """The motion on this body, in a z-up world with the floor at z = 0.

    What was recorded of the same body stays as it is; everything else is retargeted.

    Args:
        source: a scene folder, a .bvh, an AMASS .npz, a personN_motion.npz of `recon export`, or
            one of ACTIONS. person: of a scene; default its first. seconds, fps, seed: of an
            action.
    Raises:
        InputError: none of these, or a damaged file. StaleSceneError: a stage has not run.
    """
    path = Path(source)
    if (path / "scene.json").exists():
        clip = _of_scene(Scene.open(path), person)
    elif source in ACTIONS:
        action: Action = source
        return procedural(action, rig, seconds=seconds, fps=fps, seed=seed)
    elif not path.is_file():
        raise InputError(
            f"expected a motion: a scene, a .bvh or .npz file, or one of {', '.join(ACTIONS)}; "
            f"got {source}"
        )
    elif _is_native(path):
        clip = _of_export(path, rig)
    else:
        return load_motion(path, rig=rig)
    return clip if _same(clip.rig, rig) else retarget(clip, rig)


def _same(a: Rig, b: Rig) -> bool:
    return float(np.abs(a.rest_joints - b.rest_joints).max()) < _SAME_BODY


def _of_scene(scene: Scene, person: int | None) -> MotionClip:
    motions = {motion.track_id: motion for motion in scene.world_motions}
    chosen = next(iter(motions), None) if person is None else person
    if chosen not in motions:
        raise InputError(
            f"expected a person of {scene.path} ({', '.join(map(str, motions)) or 'nobody'}), "
            f"got {chosen}; see: recon tracks {scene.path}"
        )
    rigs = scene.rigs_by_id
    motion = motions[chosen]
    return MotionClip(
        name=f"person {chosen}", times=scene.video.times[motion.frame_idx],
        poses=motion.poses_world, contacts=motion.contacts, rig=rigs[chosen],
    )  # fmt: skip


def _is_native(path: Path) -> bool:
    """Whether it is what `recon export --format npz` writes as personN_motion.npz."""
    if path.suffix.lower() != ".npz":
        return False
    try:
        with np.load(path, allow_pickle=False) as data:
            return set(data.files) >= _NATIVE
    except Exception:  # a damaged archive can raise anything: loading it will tell
        return False


def _of_export(path: Path, rig: Rig) -> MotionClip:
    """The motion of our own export, on the skeleton that it was recorded of."""
    try:
        a = read_arrays(path)
        poses = BodyPoses(root=a["root_world"], rotations=a["rotations"])
        return MotionClip(
            name=path.stem, times=a["times"], poses=poses, contacts=a["contacts"],
            rig=_skeleton(rig, poses, a["rest_joints"], a["feet_world"]),
        )  # fmt: skip
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:  # see _is_native
        raise InputError(
            f"expected a readable motion of `recon export` in {path}, got: "
            f"{type(error).__name__} {error}"
        ) from error


def _skeleton(like: Rig, poses: BodyPoses, rest_joints: Array, feet: Array) -> Rig:
    """A rig with these joints (52, 3) whose soles are where `feet` (N, 4, 3) are; no mesh."""
    turned, places = forward_kinematics(poses.rotations, poses.root, rest_joints)
    at = like.sole_joints
    local = np.einsum("npji,npj->npi", turned[:, at], feet - places[:, at])
    return Rig(
        model=like.model, licence=like.licence, rest_joints=rest_joints,
        bind_vertices=np.zeros((0, 3)), Ts_joint_bind=np.tile(np.eye(4), (len(rest_joints), 1, 1)),
        faces=np.zeros((0, 3), int), weights=np.zeros((0, 1)), indices=np.zeros((0, 1), int),
        sole_joints=at, sole_points=np.median(local, axis=0),
    )  # fmt: skip
