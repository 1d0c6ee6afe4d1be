"""The whole scene as one animated .glb: every person skinned and moving, and the camera's path.

Axes y up, metres; time 0 is the video's first frame. A person who is not in the whole clip is
scaled to zero where absent, which the glTF specification names as the way to animate visibility.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
from recon.core.people import BodyPoses
from recon.core.raster import vertex_normals
from recon.core.rig import Rig
from recon.core.scene import Scene
from recon.core.skeletons import CANONICAL_PARENTS
from recon.core.storage import write_bytes
from recon.export.gltf import GltfDocument, srgb_to_linear
from recon.export.motion import (
    ExportPerson,
    camera_at,
    clip_times,
    export_people,
    poses_yup,
    presence,
    require_people,
)
from recon.export.options import DEFAULTS, ExportOptions
from recon.export.skeletons import TargetSkeleton, target_skeleton
from recon.export.skinning import fewer_weights

NUM_INFLUENCES = 4
NEAR_PLANE = 0.05


def unit_normals(vertices: np.ndarray, faces: np.ndarray) -> Array:
    """Unit normals (V, 3) of a mesh, y up where there is none: formats allow no others."""
    normals = vertex_normals(np.asarray(vertices, float), faces)
    unit = np.linalg.norm(normals, axis=1, keepdims=True) > 0.5
    return np.where(unit, normals, [0.0, 1.0, 0.0])


def gltf_quats(rotations: Array) -> Array:
    """Quaternions xyzw (T, 4), continuous in sign, of rotations (T, 3, 3)."""
    return wxyz_to_xyzw(sign_continuous(matrix_to_quat(rotations)))


def _linear_color(track_id: int) -> list[float]:
    """The person's colour as glTF wants it: linear light, not sRGB."""
    linear = srgb_to_linear(np.array(person_color(track_id)) / 255)
    return [*(round(float(c), 6) for c in linear), 1.0]


def _add_mesh(document: GltfDocument, person: ExportPerson, influences: int) -> int:
    """The person's mesh in its bind pose, with weights and a plain material."""
    rig = person.rig
    weights, joints = fewer_weights(rig, person.motion.poses_world, influences)
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
    normals = unit_normals(rig.bind_vertices, rig.faces)
    attributes = {
        "POSITION": document.add_accessor(rig.bind_vertices, target="vertices", bounds=True),
        "NORMAL": document.add_accessor(normals, target="vertices"),
    }
    for k in range(influences // 4):
        four = slice(4 * k, 4 * k + 4)
        for name, values in (("JOINTS", joints), ("WEIGHTS", weights)):
            attributes[f"{name}_{k}"] = document.add_accessor(values[:, four], target="vertices")
    primitive = {
        "attributes": attributes,
        "indices": document.add_accessor(
            rig.faces.reshape(-1).astype(index_type), target="indices"
        ),
        "material": material,
    }
    return document.add("meshes", {"name": person.name, "primitives": [primitive]})


def _add_skeleton(
    document: GltfDocument, rig: Rig, names: Sequence[str], axes: Array
) -> tuple[list[int], Array]:
    """The joints' node indices, each joint at its rest offset from its parent; and the rests.

    The rests (52, 3, 3) are the rotations of the T-pose: a joint's axes in its parent's.
    """
    nodes: list[int] = []
    rests = axes.copy()
    for j, parent in enumerate(CANONICAL_PARENTS):
        node: dict[str, Any] = {"name": names[j]}
        if parent >= 0:
            rests[j] = axes[parent].T @ axes[j]
            offset = axes[parent].T @ (rig.rest_joints[j] - rig.rest_joints[parent])
            node["translation"] = offset.tolist()
        nodes.append(document.add("nodes", node))
        if parent >= 0:
            document.content["nodes"][nodes[parent]].setdefault("children", []).append(nodes[j])
    return nodes, rests


def _animate_joints(
    document: GltfDocument, nodes: list[int], poses: BodyPoses, *, times: Array, axes: Array,
    rests: Array | None,
) -> None:  # fmt: skip
    """Turns the joints, whose axes (52, 3, 3) in the T-pose are given.

    `rests`: rotations that the nodes keep as their own; None: those of the first frame.
    """
    for j, (node, parent) in enumerate(zip(nodes, CANONICAL_PARENTS, strict=True)):
        above = axes[parent] if parent >= 0 else np.eye(3)
        quats = gltf_quats(above.T @ poses.rotations[:, j] @ axes[j])
        rest = None if rests is None else gltf_quats(rests[j][None])[0]
        document.animate(node, "rotation", times=times, values=quats, rest=rest)


def standing_height(rig: Rig) -> float:
    """How high the pelvis lies above the lowest vertex in the T-pose."""
    num_joints = len(CANONICAL_PARENTS)
    rest = BodyPoses(root=np.zeros((1, 3)), rotations=np.tile(np.eye(3), (1, num_joints, 1, 1)))
    return -float(rig.vertices(rest)[0, :, 1].min())


def _animate_presence(
    document: GltfDocument, node: int, person: ExportPerson, clip_times: Array
) -> None:
    """Scales the person to zero before the first and after the last of its frames."""
    keys, there = np.array(presence(person, clip_times)).T
    scales = np.repeat(there[:, None], 3, axis=1)
    # The node itself stays whole: Blender cannot import a skeleton of no size.
    document.animate(
        node, "scale", times=keys - clip_times[0], values=scales, held=True,
        rest=np.ones(3),
    )  # fmt: skip


def add_person(
    document: GltfDocument, person: ExportPerson, clip_times: Array, *,
    influences: int = NUM_INFLUENCES, skeleton: TargetSkeleton | None = None,
) -> list[int]:  # fmt: skip
    """Adds a person: mesh, skeleton, skin, and the motion at the times of its frames.

    Args:
        influences: weights of a vertex, a multiple of 4. skeleton: another program's; its nodes
            rest in the T-pose on the floor, and the person is not hidden where absent.

    Returns:
        The nodes of the 52 joints.
    """
    names = (skeleton or target_skeleton(None)).names
    axes = (skeleton or target_skeleton(None)).axes(person.rig.rest_joints)
    nodes, rests = _add_skeleton(document, person.rig, names, axes)
    top = nodes[0]
    if skeleton and skeleton.root:
        top = document.add("nodes", {"name": skeleton.root, "children": [top]})
    armature = document.add_root({"name": person.name, "children": [top]})
    binds = person.rig.Ts_joint_bind.copy()
    binds[:, :3] = np.swapaxes(axes, -1, -2) @ binds[:, :3]
    skin = document.add(
        "skins",
        {
            "name": person.name,
            "joints": nodes,
            "skeleton": armature,
            "inverseBindMatrices": document.add_accessor(binds),
        },
    )
    # At the top of the scene, because a skinned mesh ignores the transforms above it.
    mesh = _add_mesh(document, person, influences)
    document.add_root({"name": f"{person.name}_mesh", "mesh": mesh, "skin": skin})
    poses, times = poses_yup(person.motion.poses_world), person.times - clip_times[0]
    rest = np.array([0.0, standing_height(person.rig), 0.0]) if skeleton else None
    document.animate(nodes[0], "translation", times=times, values=poses.root, rest=rest)
    _animate_joints(
        document, nodes, poses, times=times, axes=axes, rests=rests if skeleton else None
    )
    if skeleton is None:
        _animate_presence(document, armature, person, clip_times)
    return nodes


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


def _document(people: Sequence[ExportPerson], time_of_zero: float, tempo: float) -> GltfDocument:
    document = GltfDocument(tempo=tempo)
    licences = sorted({f"{p.rig.model}: {p.rig.licence}" for p in people})
    if licences:
        document.content["asset"]["copyright"] = f"body models {'; '.join(licences)}"
    document.content["asset"]["extras"] = {"video_time_of_zero": time_of_zero, "units": "metres"}
    return document


def scene_glb(
    scene: Scene, *, fps: float | None = None, influences: int = NUM_INFLUENCES,
    tempo: float = 1.0,
) -> bytes:  # fmt: skip
    """The scene as the content of a .glb file.

    Args:
        influences: weights of a vertex. tempo: seconds of the file for each of the video's.
    """
    people, times = export_people(scene, fps), clip_times(scene, fps)
    document = _document(people, float(times[0]), tempo)
    for person in people:
        add_person(document, person, times, influences=influences)
    Ts = camera_at(scene, scene.placement.Ts_world_camera, fps)
    add_camera(document, scene.camera.intrinsics, Ts, times)
    return document.to_glb()


def character_glb(
    person: ExportPerson, skeleton: TargetSkeleton, *, influences: int = NUM_INFLUENCES,
    tempo: float = 1.0,
) -> bytes:  # fmt: skip
    """One person alone on another program's skeleton; time 0 is the person's first frame.

    Args:
        influences, tempo: as in `scene_glb`.
    """
    document = _document([person], float(person.times[0]), tempo)
    nodes = add_person(document, person, person.times, influences=influences, skeleton=skeleton)
    if skeleton.kind == "vrm":
        bones = {n: {"node": i} for n, i in zip(skeleton.names, nodes, strict=True)}
        extension = {"specVersion": "1.0", "humanoid": {"humanBones": bones}}
        document.content["extensions"] = {"VRMC_vrm_animation": extension}
        document.content["extensionsUsed"] = ["VRMC_vrm_animation"]
    return document.to_glb()


def export(scene: Scene, out: Path, options: ExportOptions = DEFAULTS) -> list[Path]:
    """Writes scene.glb: all people with skeleton, skin and motion, and the camera.

    With another program's skeleton, personN_mixamo.glb and so on, each person alone instead;
    personN_vrm.glb is a VRM animation too (rename it to .vrma).
    """
    if options.skeleton is None:
        path = out / "scene.glb"
        write_bytes(path, scene_glb(scene, fps=options.fps))
        return [path]
    skeleton, written = target_skeleton(options.skeleton), []
    for person in require_people(scene, "characters", options.fps):
        path = out / f"{person.name}_{options.skeleton}.glb"
        write_bytes(path, character_glb(person, skeleton))
        written.append(path)
    return written
