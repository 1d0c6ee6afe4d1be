"""Motion files on our bodies: BVH of common skeletons, and AMASS."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recon.core.contacts import contact_probabilities, local_velocity
from recon.core.errors import InputError
from recon.core.geometry import R_YUP_ZUP, Array, rotation_between
from recon.core.people import NUM_JOINTS, BodyPoses
from recon.core.rig import Rig
from recon.core.skeletons import CANONICAL_JOINTS, CANONICAL_PARENTS
from recon.export.motion_npz import MEAN_PELVIS
from recon.imports import amass
from recon.imports.assemble import FLOOR_QUANTILE, placed_poses
from recon.motion.bvh import Skeleton, read_bvh
from recon.motion.clip import MotionClip
from recon.motion.joint_names import joint_map
from recon.motion.legs import leg_length
from recon.motion.retargeting import plant
from recon.motion.score import LEGS

logger = logging.getLogger(__name__)

_J = {name: i for i, name in enumerate(CANONICAL_JOINTS)}
_UP = np.array([0.0, 0.0, 1.0])
_LEG = 0.82
"""Metres from hip to ankle of a middling adult."""
_STILL = 0.2
"""Metres a second above which a foot of a mocap file does not stand."""
_UNITS = {"metres": 1.0, "centimetres": 0.01, "millimetres": 0.001, "inches": 0.0254,
          "decimetres": 0.1, "CMU's units (0.45 inches to one)": 0.0254 / 0.45}  # fmt: skip
_TIPS = {
    _J[f"{side}_{a}"]: _J[f"{side}_{b}"]
    for side in ("left", "right")
    for a, b in (
        ("hip", "knee"), ("knee", "ankle"), ("ankle", "foot"),
        ("shoulder", "elbow"), ("elbow", "wrist"), ("wrist", "middle1"),
    )
}  # fmt: skip
"""Joints whose bone's direction is taken over from the skeleton, with its other end."""
_LEVEL = (_J["left_ankle"], _J["right_ankle"])
_SAME = np.radians(20)
"""Radians between the bones of two rest poses that are the same but for proportions."""
_STANDS = 0.9
"""Cosine of legs and trunk to the vertical above which a pose is one of standing."""


def load_motion(path: Path, *, rig: Rig | None = None, lock: bool = True) -> MotionClip:
    """The motion of a .bvh or AMASS .npz file on a body.

    A BVH file's skeleton is recognised by its joints' names (ours, SMPL, Mixamo, LAFAN1, CMU,
    Biped, Unreal, VRM, Daz); y or z up and the unit are seen from the skeleton. Its floor is where
    the feet are lowest; AMASS files have theirs at z = 0.

    Args:
        rig: the body; None is a middling Anny adult. lock: feet in contact are made to stand
            still; otherwise the motion stays as it is.
    Raises:
        InputError: another kind of file, a damaged one, or a skeleton that is no person's.
    """
    path = Path(path)
    if rig is None:
        rig = _middling()
    suffix = path.suffix.lower()
    if suffix == ".bvh":
        times, poses = _from_bvh(path, rig)
    elif suffix == ".npz":
        times, poses = _from_amass(path, rig)
    else:
        raise InputError(f"expected a motion file .bvh or .npz (AMASS), got {path}")
    contacts = _contacts(rig.soles(poses), times)
    if lock:
        poses = plant(rig, poses, times, contacts)
    return MotionClip(name=path.stem, times=times, poses=poses, contacts=contacts, rig=rig)


def _contacts(soles: Array, times: Array) -> Array:
    """Contact probabilities (N, 4), stricter than for what a camera saw: mocap is not noisy."""
    speed = np.linalg.norm(local_velocity(soles, times, window=0.03), axis=-1)
    return contact_probabilities(soles, times, up=_UP) * (speed < _STILL)


def motion_files(folders: Iterable[Path]) -> list[Path]:
    """All motion files in folders and below, in order: .bvh, and .npz that hold poses.

    Raises:
        InputError: a folder that does not exist or holds no motion file.
    """
    found: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"expected a folder of motion files, got {folder}")
        inside = [p for p in folder.rglob("*") if p.suffix.lower() == ".bvh" or _has_poses(p)]
        if not inside:
            raise InputError(f"expected .bvh or AMASS .npz files in {folder}, got none")
        found += inside
    return sorted(found)


def _has_poses(path: Path) -> bool:
    """AMASS's folders also hold shape.npz and neutral_stagei.npz, which have no poses."""
    if path.suffix.lower() != ".npz":
        return False
    try:
        with np.load(path, allow_pickle=False) as file:
            return "poses" in file.files
    except Exception:  # a damaged archive can raise anything: loading it will tell
        return True


def _middling() -> Rig:
    from body.models import load_body_model

    model = load_body_model("anny")
    return model.skinning_spec(model.param_spec.mean)


# AMASS ------------------------------------------------------------------------------------------


def _from_amass(path: Path, rig: Rig) -> tuple[Array, BodyPoses]:
    """Times and poses: rotations as they are, the root fitted to the body's legs."""
    imported = amass.read(path)
    person = imported.people[0]
    assert person.world is not None and imported.fps is not None
    if imported.fps <= 0:
        raise InputError(f"{path}: expected a positive frame rate, got {imported.fps}")
    poses = placed_poses(person, person.world, MEAN_PELVIS[imported.model])
    times = np.arange(len(poses.root)) / imported.fps
    return times, BodyPoses(root=poses.root * _size(poses, rig), rotations=poses.rotations)


def _size(poses: BodyPoses, rig: Rig) -> float:
    """How much larger the rig is than the person, by the height of the pelvis over the feet.

    The file's betas are of a body that is not ours; where its feet were on the floor z = 0, ours
    are too if the height of the pelvis is scaled by this.
    """
    over = poses.root[:, 2] - rig.soles(poses)[..., 2].min(axis=1)
    ratio = over / np.maximum(poses.root[:, 2], 0.05)
    upright = over > 0.8 * over.max()
    return float(np.clip(np.quantile(ratio[upright], 1 - FLOOR_QUANTILE), 0.5, 2.0))


# BVH --------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Reference:
    """A pose of a file's skeleton in which a person stands upright on flat feet.

    `zero` tells whether it is that of no rotation; `turned` (J, 3, 3) and `places` (J, 3) are its
    joints; `facing` (3, 3) maps our rest pose's axes (x to the left, y up) to the file's.
    """

    zero: bool
    turned: Array
    places: Array
    facing: Array


def _from_bvh(path: Path, rig: Rig) -> tuple[Array, BodyPoses]:
    """Times and poses of the rig from a file's skeleton."""
    skeleton = read_bvh(path)
    found = joint_map(skeleton.names, skeleton.parents)
    if found is None:
        raise InputError(
            f"{path}: expected a person's skeleton with joints named as Mixamo, LAFAN1, CMU, SMPL, "
            f"Biped, Unreal, VRM or Daz name them, got: {', '.join(skeleton.names)[:200]}"
        )
    family, joints = found
    turned, places = _posed(skeleton.rotations, skeleton.positions, skeleton.parents)
    leg = sum(
        float(np.median(np.linalg.norm(places[:, joints[a]] - places[:, joints[b]], axis=1)))
        for a, b in (("left_hip", "left_knee"), ("left_knee", "left_ankle"))
    )
    if leg <= 0:
        raise InputError(f"{path}: expected legs of some length, got {leg}")
    unit = min(_UNITS, key=lambda name: abs(np.log(_UNITS[name] * leg / _LEG)))
    up = _up_axis(places, joints)
    logger.info("%s: %s skeleton, %s up, in %s", path.name, family, "yz"[int(up[2])], unit)
    reference = _reference(skeleton, joints, turned, places, up)
    rotations = _canonical(turned, reference, joints, rig, as_is=family == "SMPL")
    upright = np.eye(3) if up[2] else R_YUP_ZUP.T
    rotations[:, 0] = upright @ rotations[:, 0]
    root = places[:, joints["pelvis"]] @ upright.T
    poses = BodyPoses(root=root * leg_length(rig, LEGS[0]) / leg, rotations=rotations)
    floor = float(np.quantile(rig.soles(poses)[..., 2].min(axis=1), FLOOR_QUANTILE))
    times = skeleton.step * np.arange(len(root), dtype=np.float64)
    return times, BodyPoses(root=poses.root - np.array([0.0, 0.0, floor]), rotations=rotations)


def _posed(rotations: Array, positions: Array, parents: Sequence[int]) -> tuple[Array, Array]:
    """World rotations (N, J, 3, 3) and positions (N, J, 3) of joints given to their parents."""
    turned, places = rotations.copy(), positions.copy()
    for j, p in enumerate(parents):
        if p >= 0:
            turned[:, j] = turned[:, p] @ rotations[:, j]
            places[:, j] = places[:, p] + np.einsum("nab,nb->na", turned[:, p], positions[:, j])
    return turned, places


def _up_axis(places: Array, joints: dict[str, int]) -> Array:
    """The file's vertical (3,), y or z: that along which heads are above feet."""
    feet = 0.5 * (places[:, joints["left_ankle"]] + places[:, joints["right_ankle"]])
    rise = (places[:, joints["head"]] - feet).mean(axis=0)
    return np.array([0.0, 0.0, 1.0]) if rise[2] > rise[1] else np.array([0.0, 1.0, 0.0])


def _upright(places: Array, joints: dict[str, int], up: Array) -> Array:
    """How upright poses (N, J, 3) are: the least cosine of legs and trunk to the vertical."""

    def rise(a: str, b: str) -> Array:
        bone = places[:, joints[b]] - places[:, joints[a]]
        return bone @ up / np.maximum(np.linalg.norm(bone, axis=1), 1e-9)

    bones = [("pelvis", "head")]
    bones += [(f"{s}_{b}", f"{s}_{a}") for s in ("left", "right") for a, b in
              (("hip", "knee"), ("knee", "ankle"))]  # fmt: skip
    return np.min([rise(a, b) for a, b in bones], axis=0)


def _reference(
    skeleton: Skeleton, joints: dict[str, int], turned: Array, places: Array, up: Array
) -> _Reference:
    """The pose without rotations if somebody stands in it, else the most upright frame.

    (In LAFAN1 all bones of the pose without rotations point along one axis.)
    """
    identity = np.tile(np.eye(3), (1, len(skeleton.names), 1, 1))
    _, rest = _posed(identity, skeleton.offsets[None], skeleton.parents)
    for axis in (np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])):
        if _upright(rest, joints, axis)[0] > _STANDS:
            facing = _facing(rest[0], joints, axis)
            return _Reference(zero=True, turned=identity[0], places=rest[0], facing=facing)
    best = int(np.argmax(_upright(places, joints, up)))
    facing = _facing(places[best], joints, up)
    return _Reference(zero=False, turned=turned[best], places=places[best], facing=facing)


def _facing(places: Array, joints: dict[str, int], up: Array) -> Array:
    """Axes (3, 3) of somebody upright: to the left, up, ahead, as columns."""
    left = places[joints["left_hip"]] - places[joints["right_hip"]]
    left = left - (left @ up) * up
    left = left / max(float(np.linalg.norm(left)), 1e-9)
    return np.stack([left, up, np.cross(left, up)], axis=1).astype(float)


def _canonical(
    turned: Array, reference: _Reference, joints: dict[str, int], rig: Rig, *, as_is: bool
) -> Array:
    """Rotations (N, 52, 3, 3) relative to the parent, of the rig's joints, in the file's axes.

    In the reference pose the rig stands as the skeleton does: limbs along the same directions,
    trunk, head and feet upright. From there its joints turn as the skeleton's.

    Args:
        turned: (N, J, 3, 3) the skeleton's joints. as_is: its rest pose is ours but for a body's
            own proportions, if it looks like that.
    """
    stance = _stance(reference, joints, rig)
    if as_is and reference.zero and _apart(stance, reference.facing) < _SAME:
        stance = np.repeat(reference.facing[None], NUM_JOINTS, axis=0)
    n = len(turned)
    world = np.empty((n, NUM_JOINTS, 3, 3))
    out = np.tile(np.eye(3), (n, NUM_JOINTS, 1, 1))
    for j, (name, parent) in enumerate(zip(CANONICAL_JOINTS, CANONICAL_PARENTS, strict=True)):
        if name in joints:
            k = joints[name]
            world[:, j] = turned[:, k] @ reference.turned[k].T @ stance[j]
        else:
            still = stance[j] if parent < 0 else stance[parent].T @ stance[j]
            world[:, j] = world[:, parent] @ still
        out[:, j] = world[:, j] if parent < 0 else np.swapaxes(world[:, parent], 1, 2) @ world[:, j]
    return out


def _apart(rotations: Array, other: Array) -> float:
    """The largest angle (radians) of rotations (K, 3, 3) to another (3, 3)."""
    trace = np.einsum("kab,ab->k", rotations, other)
    return float(np.arccos(np.clip((trace - 1) / 2, -1, 1)).max())


def _stance(reference: _Reference, joints: dict[str, int], rig: Rig) -> Array:
    """World rotations (52, 3, 3) of the rig's joints in the reference pose, in the file's axes."""
    out = np.repeat(reference.facing[None], NUM_JOINTS, axis=0)
    up = reference.facing[:, 1]
    for j, parent in enumerate(CANONICAL_PARENTS):
        if parent > 0 and parent not in _LEVEL:
            out[j] = out[parent]  # a limb follows what it hangs on, until its own bone tells
        tip = _TIPS.get(j)
        names = (CANONICAL_JOINTS[j], CANONICAL_JOINTS[tip] if tip else "")
        if tip is None or any(name not in joints for name in names):
            continue
        start = reference.facing if j in _LEVEL else out[j]
        ours = start @ (rig.rest_joints[tip] - rig.rest_joints[j])
        theirs = reference.places[joints[names[1]]] - reference.places[joints[names[0]]]
        if j in _LEVEL:  # feet are flat, whatever their joints' heights
            ours, theirs = ours - (ours @ up) * up, theirs - (theirs @ up) * up
        if min(np.linalg.norm(ours), np.linalg.norm(theirs)) > 1e-6:
            out[j] = rotation_between(ours, theirs) @ start
    return out
