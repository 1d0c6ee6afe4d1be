"""Turns a .glb into .fbx or .abc, inside Blender: needs bpy and nothing of this project.

Run as `blender --background --python blender_job.py -- KIND SOURCE TARGET FPS FRAMES
WIDTH HEIGHT`, or by a Python that has bpy. The animation begins at frame 0.
"""

import sys
from math import atan, tan

import bpy  # type: ignore[import-not-found]


def load(source: str, *, fps: float, frames: int, width: int, height: int) -> None:
    """An empty scene with the glTF file's content, whose frames are 1 / round(fps) apart.

    Blender's rate is a whole number over a base, which its glTF importer misreads: it imports at
    the whole number, and the base comes after.
    """
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = width, height
    scene.render.fps, scene.render.fps_base = max(1, round(fps)), 1.0
    bpy.ops.import_scene.gltf(filepath=source)
    scene.render.fps_base = max(1, round(fps)) / fps
    scene.frame_start, scene.frame_end = 0, frames - 1
    for camera in bpy.data.cameras:
        # The importer sets the vertical field of view alone, of a film of another shape.
        across = 2 * atan(tan(camera.angle_y / 2) * width / height)
        camera.sensor_fit, camera.sensor_width = "HORIZONTAL", 36.0
        camera.sensor_height = 36.0 * height / width
        camera.angle_x = across
    for item in bpy.data.objects:
        if item.type == "MESH" and item.parent is not None:
            # A mesh below a skeleton of no size (a person who comes later) would keep no size.
            item.parent = None
            item.matrix_world.identity()
    for helper in [o for o in bpy.data.objects if o.name.startswith("Icosphere")]:
        bpy.data.objects.remove(helper)  # the importer's shape of bones


def write_fbx(target: str) -> None:
    """Everything, baked at every frame; metres become FBX's centimetres."""
    armatures = [item for item in bpy.data.objects if item.type == "ARMATURE"]
    if not bpy.data.cameras and len(armatures) == 1:
        # A character alone: Unreal takes an object of any other name for one more bone.
        armatures[0].name = "Armature"
    # The present frame becomes the bind pose: one before the clip, when everybody has a size.
    before = -10
    for item in armatures:
        item.scale = (1.0, 1.0, 1.0)
        item.keyframe_insert(data_path="scale", frame=before)
    bpy.context.scene.frame_set(before)
    bpy.ops.export_scene.fbx(
        filepath=target, add_leaf_bones=False, bake_anim_use_all_actions=False,
        bake_anim_use_nla_strips=False, bake_anim_simplify_factor=0.0,
        apply_scale_options="FBX_SCALE_UNITS", object_types={"ARMATURE", "MESH", "CAMERA", "EMPTY"},
    )  # fmt: skip


def write_abc(target: str) -> None:
    """The moving meshes and the camera."""
    scene = bpy.context.scene
    bpy.ops.wm.alembic_export(
        filepath=target, start=scene.frame_start, end=scene.frame_end, as_background_job=False,
        evaluation_mode="RENDER", uvs=False, face_sets=False, normals=False,
    )  # fmt: skip


if __name__ == "__main__":
    kind, source, target, fps, frames, width, height = sys.argv[-7:]
    size = {"width": int(width), "height": int(height)}
    load(source, fps=float(fps), frames=int(frames), **size)
    {"fbx": write_fbx, "abc": write_abc}[kind](target)
