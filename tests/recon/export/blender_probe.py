"""What Blender makes of a file: run by a Python that has bpy, which need not have this project.

`blender_probe.py FILE OUT.npz FPS WIDTH HEIGHT FRAME …` writes, for every mesh,
`NAME.vertices` (F, V, 3) in Blender's world (z up, metres), for every armature `NAME.heads`
(F, J, 3) and `NAME.bones`, and the camera's `camera` (F, 4, 4) and `camera.x_fov` (F,) radians.
FPS is the file's.
"""

import sys

import bpy  # type: ignore[import-not-found]
import numpy as np

IMPORTERS = {
    "fbx": lambda file: bpy.ops.wm.fbx_import(filepath=file, anim_offset=0.0),
    "abc": lambda file: bpy.ops.wm.alembic_import(filepath=file, as_background_job=False),
    "glb": lambda file: bpy.ops.import_scene.gltf(filepath=file),
    "usdc": lambda file: bpy.ops.wm.usd_import(filepath=file),
    "usdz": lambda file: bpy.ops.wm.usd_import(filepath=file),
    "bvh": lambda file: bpy.ops.import_anim.bvh(filepath=file, use_fps_scale=True),
}


def main(file: str, out: str, fps: str, width: str, height: str, *frames: str) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    render = bpy.context.scene.render
    render.fps, render.resolution_x, render.resolution_y = 30, int(width), int(height)
    kind = file.rpartition(".")[2]
    IMPORTERS[kind](file)
    # These importers place keys by their seconds, the others one frame after the other.
    pace = 30 / float(fps) if kind in ("glb", "abc") else 1.0
    seen: dict[str, list] = {}
    for frame in map(int, frames):
        at = frame * pace
        bpy.context.scene.frame_set(int(at), subframe=at - int(at))
        for name, value in look(bpy.context.evaluated_depsgraph_get()):
            seen.setdefault(name, []).append(value)
    arrays = {name: np.array(values) for name, values in seen.items()}
    for item in bpy.data.objects:
        if item.type == "ARMATURE":
            arrays[f"{item.name}.bones"] = np.array([bone.name for bone in item.pose.bones])
    np.savez(out, **arrays)  # type: ignore[arg-type]


def look(graph):
    """Names and values of what is in the scene now."""
    for item in bpy.context.scene.objects:
        now = item.evaluated_get(graph)
        world = np.array(now.matrix_world)
        if item.type == "MESH" and not item.name.startswith("Icosphere"):
            mesh = now.to_mesh()
            flat = np.empty(3 * len(mesh.vertices), np.float32)
            mesh.vertices.foreach_get("co", flat)
            yield f"{item.name}.vertices", flat.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3]
            now.to_mesh_clear()
        elif item.type == "ARMATURE":
            heads = np.array([bone.head for bone in now.pose.bones])
            yield f"{item.name}.heads", heads @ world[:3, :3].T + world[:3, 3]
        elif item.type == "CAMERA":
            yield "camera", world
            corner = np.abs(now.data.view_frame(scene=bpy.context.scene)[0])
            yield "camera.x_fov", 2 * np.arctan(corner[0] / corner[2])


if __name__ == "__main__":
    main(*sys.argv[1:])
