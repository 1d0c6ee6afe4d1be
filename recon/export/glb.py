"""The whole scene as one animated .glb: every person skinned and moving, and the camera's path.

Axes y up, metres; time 0 is the video's first frame. A person who is not in the whole clip is
scaled to zero where absent, which the glTF specification names as the way to animate visibility.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from recon.core.camera import Intrinsics
from recon.core.geometry import (
    R_OPENGL_OPENCV,
    R_YUP_ZUP,
    Array,
    matrix_to_quat,
    sign_continuous,
    wxyz_to_xyzw,
)
from recon.core.palette import person_color
from recon.core.rig import Rig
from recon.core.scene import Scene
from recon.core.skeletons import CANONICAL_JOINTS, CANONICAL_PARENTS
from recon.core.storage import write_atomic
from recon.export.gltf import GltfDocument
from recon.export.motion import ExportPerson, export_people, poses_yup

NUM_INFLUENCES = 4
NEAR_PLANE = 0.05


def prune_weights(rig: Rig, count: int = NUM_INFLUENCES) -> tuple[np.ndarray, np.ndarray]:
    """The `count` largest weights (V, count) of every vertex, summing to 1, and their joints.

    Joints are uint8, and 0 where the weight is 0, as glTF wants them.
    """
    dense = rig.dense_weights().astype(np.float64)
    joints = np.argsort(-dense, axis=1, kind="stable")[:, :count]
    weights = np.take_along_axis(dense, joints, axis=1)
    weights /= weights.sum(axis=1, keepdims=True)
    weights = weights.astype(np.float32)
    return weights, np.where(weights > 0, joints, 0).astype(np.uint8)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> Array:
    """Unit normals (V, 3), the triangles' weighted by their area; up where there is none."""
    corners = np.asarray(vertices, float)[faces]
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros((len(vertices), 3))
    for corner in range(3):
        np.add.at(normals, faces[:, corner], face_normals)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(length > 1e-12, normals / np.maximum(length, 1e-12), [0.0, 1.0, 0.0])


def gltf_quats(rotations: Array) -> Array:
    """Quaternions xyzw (T, 4), continuous in sign, of rotations (T, 3, 3)."""
    return wxyz_to_xyzw(sign_continuous(matrix_to_quat(rotations)))


def _linear_color(track_id: int) -> list[float]:
    """The person's colour as glTF wants it: linear light, not sRGB."""
    srgb = np.array(person_color(track_id)) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return [*(round(float(c), 6) for c in linear), 1.0]


def _add_mesh(document: GltfDocument, person: ExportPerson) -> int:
    """The person's mesh in its bind pose, with weights and a plain material."""
    rig = person.rig
    weights, joints = prune_weights(rig)
    index_type = np.uint16 if len(rig.bind_vertices) < 65535 else np.uint32
    material = document.add(
        "materials",
        {
            "name": person.name,
            "pbrMetallicRoughness": {
                "baseColorFactor": _linear_color(person.motion.track_id),
                "metallicFactor": 0.0,
                "roughnessFactor": 0.7,
            },
        },
    )
    normals = vertex_normals(rig.bind_vertices, rig.faces)
    primitive = {
        "attributes": {
            "POSITION": document.add_accessor(rig.bind_vertices, target="vertices", bounds=True),
            "NORMAL": document.add_accessor(normals, target="vertices"),
            "JOINTS_0": document.add_accessor(joints, target="vertices"),
            "WEIGHTS_0": document.add_accessor(weights, target="vertices"),
        },
        "indices": document.add_accessor(
            rig.faces.reshape(-1).astype(index_type), target="indices"
        ),
        "material": material,
    }
    return document.add("meshes", {"name": person.name, "primitives": [primitive]})


def _add_skeleton(document: GltfDocument, rig: Rig) -> list[int]:
    """The joints' node indices; each joint at its rest offset from its parent."""
    nodes: list[int] = []
    for j, parent in enumerate(CANONICAL_PARENTS):
        offset = rig.rest_joints[j] - rig.rest_joints[max(parent, 0)]
        node = {"name": CANONICAL_JOINTS[j], "translation": offset.tolist()}
        nodes.append(document.add("nodes", node))
        if parent >= 0:
            document.content["nodes"][nodes[parent]].setdefault("children", []).append(nodes[j])
    return nodes


def _animate_presence(
    document: GltfDocument, node: int, person: ExportPerson, clip_times: Array
) -> None:
    """Scales the person to zero before the first and after the last of its frames."""
    start = clip_times[0]
    keys = [(0.0, 0.0)] if person.times[0] > start else []
    keys.append((person.times[0] - start, 1.0))
    after = clip_times[clip_times > person.times[-1]]
    if len(after):
        keys.append((after[0] - start, 0.0))
    times, scales = np.array(keys).T
    document.animate(
        node, "scale", times=times, values=np.repeat(scales[:, None], 3, axis=1), held=True
    )


def add_person(document: GltfDocument, person: ExportPerson, clip_times: Array) -> None:
    """Adds a person: mesh, skeleton, skin, and the motion at the times of its frames."""
    nodes = _add_skeleton(document, person.rig)
    armature = document.add_root({"name": person.name, "children": [nodes[0]]})
    skin = document.add(
        "skins",
        {
            "name": person.name,
            "joints": nodes,
            "skeleton": armature,
            "inverseBindMatrices": document.add_accessor(person.rig.Ts_joint_bind),
        },
    )
    # At the top of the scene, because a skinned mesh ignores the transforms above it.
    mesh = _add_mesh(document, person)
    document.add_root({"name": f"{person.name}_mesh", "mesh": mesh, "skin": skin})
    poses = poses_yup(person.motion.poses_world)
    times = person.times - clip_times[0]
    document.animate(nodes[0], "translation", times=times, values=poses.root)
    for j, node in enumerate(nodes):
        quats = gltf_quats(poses.rotations[:, j])
        document.animate(node, "rotation", times=times, values=quats)
    _animate_presence(document, armature, person, clip_times)


def add_camera(
    document: GltfDocument, intrinsics: Intrinsics, Ts_world_camera: Array, clip_times: Array
) -> None:
    """Adds the video's camera on its path; a glTF camera looks along -z with y up.

    glTF has no principal point: the picture's centre stands for it, the exact values are in
    the camera's extras.
    """
    k = intrinsics
    camera = document.add(
        "cameras",
        {
            "name": "camera",
            "type": "perspective",
            "perspective": {
                "yfov": 2 * math.atan(0.5 * k.height / k.fy),
                "aspectRatio": (k.width / k.fx) / (k.height / k.fy),
                "znear": NEAR_PLANE,
            },
            "extras": {"fx": k.fx, "fy": k.fy, "cx": k.cx, "cy": k.cy, "width": k.width,
                       "height": k.height},
        },
    )  # fmt: skip
    node = document.add_root({"name": "camera", "camera": camera})
    rotations = R_YUP_ZUP @ Ts_world_camera[:, :3, :3] @ R_OPENGL_OPENCV
    positions = Ts_world_camera[:, :3, 3] @ R_YUP_ZUP.T
    times = clip_times - clip_times[0]
    document.animate(node, "translation", times=times, values=positions)
    document.animate(node, "rotation", times=times, values=gltf_quats(rotations))


def scene_glb(scene: Scene) -> bytes:
    """The scene as the content of a .glb file."""
    document, times = GltfDocument(), scene.video.times
    people = export_people(scene)
    licences = sorted({f"{p.rig.model}: {p.rig.licence}" for p in people})
    if licences:
        document.content["asset"]["copyright"] = f"body models {'; '.join(licences)}"
    document.content["asset"]["extras"] = {"video_time_of_zero": float(times[0]), "units": "metres"}
    for person in people:
        add_person(document, person, times)
    add_camera(document, scene.camera.intrinsics, scene.placement.Ts_world_camera, times)
    return document.to_glb()


def export(scene: Scene, out: Path) -> list[Path]:
    """Writes scene.glb: all people with skeleton, skin and motion, and the camera."""
    content = scene_glb(scene)
    path = out / "scene.glb"
    write_atomic(path, lambda file: file.write(content))
    return [path]
