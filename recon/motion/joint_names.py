"""Which joint of a foreign skeleton is which of ours, by the names that programs give them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from recon.core.skeletons import CANONICAL_JOINTS

_LIMBS = ("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist")

_FAMILIES: dict[str, tuple[tuple[str, ...], ...]] = {
    "SMPL": (
        ("hip",), ("knee",), ("ankle",), ("foot", "toe", "toebase"), ("collar",), ("shoulder",),
        ("elbow",), ("wrist",),
    ),
    "Mixamo, LAFAN1, CMU": (
        ("upleg",), ("leg",), ("foot",), ("toebase", "toe"), ("shoulder",), ("arm",), ("forearm",),
        ("hand",),
    ),
    "3ds Max Biped": (
        ("thigh",), ("calf",), ("foot",), ("toe0", "toe"), ("clavicle",), ("upperarm",),
        ("forearm",), ("hand",),
    ),
    "Unreal": (
        ("thigh",), ("calf",), ("foot",), ("ball",), ("clavicle",), ("upperarm",), ("lowerarm",),
        ("hand",),
    ),
    "VRM, Unity": (
        ("upperleg",), ("lowerleg",), ("foot",), ("toes",), ("shoulder",), ("upperarm",),
        ("lowerarm",), ("hand",),
    ),
    "Biovision": (
        ("upleg",), ("lowleg",), ("foot",), ("toe",), ("collar",), ("uparm",), ("lowarm",),
        ("hand",),
    ),
    "Poser, Daz": (
        ("thigh", "thighbend"), ("shin",), ("foot",), ("toe",), ("collar",),
        ("shldr", "shldrbend"), ("forearm", "forearmbend"), ("hand",),
    ),
}  # fmt: skip
"""What programs call the joints of _LIMBS, without the side."""

_SIDES = {"l": "left", "left": "left", "r": "right", "right": "right"}
_TRUNK = {
    "pelvis": ("hips", "pelvis", "hip", "root", "lowertorso"),
    "neck": ("neck", "neck1", "neck01", "necklower"),
    "head": ("head",),
}
_OPTIONAL = ("foot", "collar")


def joint_map(names: Sequence[str], parents: Sequence[int]) -> tuple[str, dict[str, int]] | None:
    """The family of a skeleton's names and the index of each canonical joint that it has.

    None if no family gives pelvis, head, and both arms and legs. Spines of any length are spread
    over ours.
    """
    keys = [_key(name) for name in names]
    best: tuple[str, dict[str, int]] | None = None
    for family, parts in _FAMILIES.items():
        found = _trunk(keys, names, parents)
        for part, stems in zip(_LIMBS, parts, strict=True):
            for side in ("left", "right"):
                index = _first(keys, [(side, stem) for stem in stems])
                if index is not None:
                    found[f"{side}_{part}"] = index
        needed = {f"{s}_{p}" for s in ("left", "right") for p in _LIMBS if p not in _OPTIONAL}
        whole = needed | {"pelvis", "head"} <= set(found)
        if whole and (best is None or len(found) > len(best[1])):
            best = family, found
    if best is not None:
        best[1].update(_fingers(keys))
    return best


def _key(name: str) -> tuple[str, str]:
    """Side ("left", "right" or "") and the rest of a joint's name, in small letters and digits."""
    name = name.rsplit(":", 1)[-1]
    name = re.sub(r"^(Bip\d+|mixamorig\d*|Character\d+|J_Bip)[\s_]*", "", name)
    words = [w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]
    for at in (0, -1):
        if len(words) > 1 and words[at] in _SIDES:
            side = _SIDES[words.pop(at)]
            return side, "".join(words)
    return "", "".join(words)


def _first(keys: list[tuple[str, str]], wanted: list[tuple[str, str]]) -> int | None:
    return next((keys.index(key) for key in wanted if key in keys), None)


def _trunk(
    keys: list[tuple[str, str]], names: Sequence[str], parents: Sequence[int]
) -> dict[str, int]:
    """Pelvis, neck, head, and three joints of the chain between pelvis and neck."""
    out = {}
    for part, stems in _TRUNK.items():
        index = _first(keys, [("", stem) for stem in stems])
        if index is not None:
            out[part] = index
    if "head" not in out or "pelvis" not in out:
        return out
    chain, joint = [], parents[out.get("neck", out["head"])]
    while joint not in (-1, out["pelvis"]):
        chain.append(joint)
        joint = parents[joint]
    chain = chain[::-1]
    if chain:
        last = len(chain) - 1
        out["spine1"], out["spine2"], out["spine3"] = chain[0], chain[(last + 1) // 2], chain[last]
    return out


def _fingers(keys: list[tuple[str, str]]) -> dict[str, int]:
    """Fingers, where they are called LeftHandIndex1 or left_index1."""
    out = {}
    for joint in CANONICAL_JOINTS[22:]:
        side, stem = joint.split("_")
        index = _first(keys, [(side, stem), (side, f"hand{stem}")])
        if index is not None:
            out[joint] = index
    return out
