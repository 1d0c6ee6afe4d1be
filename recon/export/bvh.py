"""Skeleton motion as BVH: y up and metres by default, rotations relative to the T-pose.

Metres and y up are what Blender's importer takes as they are (scale 1, "-Z forward, Y up"); for
programs that expect centimetres there is `--unit cm`. Every joint's channels are in the order
Z, X, Y: R = Rz Rx Ry, as in most motion libraries. The file starts at the person's first frame.
BVH has no joint axes: other programs' skeletons differ in names, and in a joint above the pelvis.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from recon.core.geometry import Array
from recon.core.people import BodyPoses
from recon.core.rig import Rig
from recon.core.scene import Scene
from recon.core.skeletons import CANONICAL_PARENTS
from recon.core.storage import write_bytes
from recon.export.motion import person_at_fixed_rate, poses_in, require_people, rig_in
from recon.export.options import DEFAULTS, ExportOptions
from recon.export.skeletons import TargetSkeleton, target_skeleton

EULER_ORDER = "ZXY"
_CHILDREN = {
    p: [j for j, q in enumerate(CANONICAL_PARENTS) if q == p] for p in range(len(CANONICAL_PARENTS))
}


def depth_first() -> list[int]:
    """The canonical joints in the order in which a BVH file lists them."""
    order, stack = [], [0]
    while stack:
        joint = stack.pop()
        order.append(joint)
        stack.extend(reversed(_CHILDREN[joint]))
    return order


def continuous_euler(rotations: Array) -> Array:
    """Angles (N, J, 3) in degrees, order EULER_ORDER, of (N, J, 3, 3), without jumps in time.

    Each rotation has two triples, (z, x, y) and (z + 180, 180 - x, y + 180), each up to full
    turns; the one nearest the frame before is taken, so that programs may interpolate.
    """
    n, j = rotations.shape[:2]
    flat = Rotation.from_matrix(rotations.reshape(-1, 3, 3))
    angles = flat.as_euler(EULER_ORDER, degrees=True).reshape(n, j, 3)
    other = angles * [1, -1, 1] + 180
    for k in range(1, n):
        near = [a + 360 * np.round((angles[k - 1] - a) / 360) for a in (angles[k], other[k])]
        far = [np.abs(a - angles[k - 1]).sum(axis=-1, keepdims=True) for a in near]
        angles[k] = np.where(far[0] <= far[1], near[0], near[1])
    return angles


def end_sites(rig: Rig) -> dict[int, Array]:
    """Offsets (3,) from each leaf joint to the tip of its part of the mesh, in the rest pose."""
    num_joints = len(CANONICAL_PARENTS)
    rest = BodyPoses(root=np.zeros((1, 3)), rotations=np.tile(np.eye(3), (1, num_joints, 1, 1)))
    vertices, owner = rig.vertices(rest)[0], rig.dense_weights().argmax(axis=1)
    tips = {}
    for joint in (j for j in range(num_joints) if not _CHILDREN[j]):
        along = rig.rest_joints[joint] - rig.rest_joints[CANONICAL_PARENTS[joint]]
        length = np.linalg.norm(along)
        own = (vertices[owner == joint] - rig.rest_joints[joint]) @ along / length
        tips[joint] = along / length * (own.max() if len(own) and own.max() > 0 else length)
    return tips


def bvh_text(
    rig: Rig, poses: BodyPoses, *, fps: float, skeleton: TargetSkeleton | None = None
) -> str:
    """The BVH file of poses in the axes and unit that it is to have, at a fixed rate.

    The root's offset is zero and its position channels hold the pelvis. A joint above the pelvis
    stands on the origin, and the pelvis has position channels then.
    """
    skeleton = skeleton or target_skeleton(None)
    offsets = rig.rest_joints - rig.rest_joints[np.maximum(CANONICAL_PARENTS, 0)]
    tips = end_sites(rig)
    turns = " ".join(f"{axis}rotation" for axis in EULER_ORDER)
    lines = ["HIERARCHY"]

    def opened(depth: int, name: str, xyz: Array, positions: bool) -> None:
        lines.append("\t" * depth + f"{'JOINT' if depth else 'ROOT'} {name}")
        channels = f"6 Xposition Yposition Zposition {turns}" if positions else f"3 {turns}"
        lines.append("\t" * depth + "{")
        lines.append("\t" * (depth + 1) + _offset(xyz))
        lines.append("\t" * (depth + 1) + f"CHANNELS {channels}")

    def joint(j: int, depth: int) -> None:
        opened(depth, skeleton.names[j], offsets[j], j == 0)
        for child in _CHILDREN[j]:
            joint(child, depth + 1)
        if j in tips:
            lines.extend("\t" * (depth + 1) + text for text in ("End Site", "{"))
            lines.append("\t" * (depth + 2) + _offset(tips[j]))
            lines.append("\t" * (depth + 1) + "}")
        lines.append("\t" * depth + "}")

    angles = continuous_euler(poses.rotations)[:, depth_first()]
    rows = np.concatenate([poses.root, angles.reshape(len(angles), -1)], axis=1)
    if skeleton.root is None:
        joint(0, 0)
    else:
        opened(0, skeleton.root, np.zeros(3), True)
        joint(0, 1)
        lines.append("}")
        rows = np.concatenate([np.zeros((len(rows), 6)), rows], axis=1)
    lines += ["MOTION", f"Frames: {len(rows)}", f"Frame Time: {1 / fps:.8f}"]
    lines += [" ".join(f"{v:.6f}" for v in row) for row in rows]
    return "\n".join(lines) + "\n"


def _offset(xyz: Array) -> str:
    return "OFFSET " + " ".join(f"{v:.6f}" for v in xyz)


def export(scene: Scene, out: Path, options: ExportOptions = DEFAULTS) -> list[Path]:
    """Writes personN.bvh (or personN_mixamo.bvh, …) for everybody.

    The frame rate is the video's (median) one unless another is chosen.
    """
    skeleton = target_skeleton(options.skeleton)
    suffix = f"_{skeleton.kind}" if skeleton.kind else ""
    up, unit = options.up or "y", options.unit or "m"
    written = []
    for person in require_people(scene, "BVH files", options.fps):
        path = out / f"{person.name}{suffix}.bvh"
        fixed = person_at_fixed_rate(person, path.name)
        poses = poses_in(fixed.poses, up=up, unit=unit)
        text = bvh_text(rig_in(person.rig, unit), poses, fps=fixed.fps, skeleton=skeleton)
        write_bytes(path, text.encode("ascii"))
        written.append(path)
    return written
