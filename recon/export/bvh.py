"""Skeleton motion as BVH: y up, metres, rotations relative to the T-pose.

Metres and y up are what Blender's importer takes as they are (scale 1, "-Z forward, Y up"); a
program that expects centimetres imports with scale 100. Every joint's channels are in the order
Z, X, Y: R = Rz Rx Ry, as in most motion libraries. The file starts at the person's first frame.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from recon.core.geometry import Array
from recon.core.people import BodyPoses
from recon.core.rig import Rig
from recon.core.scene import Scene
from recon.core.skeletons import CANONICAL_JOINTS, CANONICAL_PARENTS
from recon.core.storage import write_atomic
from recon.export.motion import person_at_fixed_rate, poses_yup, require_people

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


def bvh_text(rig: Rig, poses: BodyPoses, *, fps: float) -> str:
    """The BVH file of poses in y-up axes at a fixed rate.

    The root's offset is zero and its position channels hold the pelvis, metres.
    """
    offsets = rig.rest_joints - rig.rest_joints[np.maximum(CANONICAL_PARENTS, 0)]
    tips = end_sites(rig)
    turns = " ".join(f"{axis}rotation" for axis in EULER_ORDER)
    lines = ["HIERARCHY"]

    def line(depth: int, text: str) -> None:
        lines.append("\t" * depth + text)

    def offset(depth: int, xyz: Array) -> None:
        line(depth, "OFFSET " + " ".join(f"{v:.6f}" for v in xyz))

    def joint(j: int, depth: int) -> None:
        line(depth, f"{'JOINT' if depth else 'ROOT'} {CANONICAL_JOINTS[j]}")
        line(depth, "{")
        offset(depth + 1, offsets[j])
        positions = "" if depth else "Xposition Yposition Zposition "
        line(depth + 1, f"CHANNELS {3 if depth else 6} {positions}{turns}")
        for child in _CHILDREN[j]:
            joint(child, depth + 1)
        if j in tips:
            line(depth + 1, "End Site")
            line(depth + 1, "{")
            offset(depth + 2, tips[j])
            line(depth + 1, "}")
        line(depth, "}")

    joint(0, 0)
    angles = continuous_euler(poses.rotations)[:, depth_first()]
    rows = np.concatenate([poses.root, angles.reshape(len(angles), -1)], axis=1)
    lines += ["MOTION", f"Frames: {len(rows)}", f"Frame Time: {1 / fps:.8f}"]
    lines += [" ".join(f"{v:.6f}" for v in row) for row in rows]
    return "\n".join(lines) + "\n"


def export(scene: Scene, out: Path) -> list[Path]:
    """Writes personN.bvh for every person, at the video's (median) frame rate."""
    written = []
    for person in require_people(scene, "BVH files"):
        path = out / f"{person.name}.bvh"
        fixed = person_at_fixed_rate(person, path.name)
        text = bvh_text(person.rig, poses_yup(fixed.poses), fps=fixed.fps).encode("ascii")
        write_atomic(path, lambda file, t=text: file.write(t))
        written.append(path)
    return written
