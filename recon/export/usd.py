"""The whole scene as USD: every person a UsdSkel character, and the camera on its path.

All skinning weights are kept (linear blend skinning, as ours), time codes are seconds times the
frame rate, so that a variable frame rate stays as it is. The camera's principal point is in its
aperture offsets. A person is invisible where absent.
"""

# pyright: reportAttributeAccessIssue=false
# (pxr's modules come without type stubs.)

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import recon
from recon.core.camera import Intrinsics
from recon.core.errors import MissingDependencyError
from recon.core.geometry import (
    R_OPENGL_OPENCV,
    Array,
    invert_transform,
    make_transform,
    matrix_to_quat,
    sign_continuous,
)
from recon.core.palette import person_color
from recon.core.people import BodyPoses
from recon.core.rig import Rig
from recon.core.scene import Scene
from recon.core.skeletons import CANONICAL_JOINTS, CANONICAL_PARENTS
from recon.core.storage import write_by_name
from recon.export.glb import NEAR_PLANE, unit_normals
from recon.export.gltf import srgb_to_linear
from recon.export.motion import (
    ExportPerson,
    axes_of,
    camera_at,
    clip_times,
    export_people,
    poses_in,
    presence,
    rig_in,
)
from recon.export.options import DEFAULTS, METRES_PER_UNIT, ExportOptions, Unit, Up

try:
    from pxr import Gf, Sdf, Usd, UsdGeom, UsdShade, UsdSkel, UsdUtils, Vt
except ImportError as error:
    raise MissingDependencyError("usd-core", "export") from error

ROOT = "/Scene"
_REACH = 0.35
"""Metres that a body may stick out of the box around its joints."""
FILM_WIDTH_MM = 36.0
"""A full-frame camera's: USD states a field of view as focal length over aperture."""


def joint_paths() -> list[str]:
    """The joints as UsdSkel names them: "pelvis", "pelvis/left_hip", …"""
    paths: list[str] = []
    for name, parent in zip(CANONICAL_JOINTS, CANONICAL_PARENTS, strict=True):
        paths.append(name if parent < 0 else f"{paths[parent]}/{name}")
    return paths


def _matrices(Ts: Array) -> Any:
    """Vt.Matrix4dArray of transforms (N, 4, 4); USD multiplies row vectors from the left."""
    return Vt.Matrix4dArray([Gf.Matrix4d(T.T.tolist()) for T in Ts])


def _floats(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, np.float32)


def add_skeleton(stage: Usd.Stage, path: str, rig: Rig) -> UsdSkel.Skeleton:
    """A skeleton whose joints rest in the T-pose and were bound in the rig's own pose."""
    skeleton = UsdSkel.Skeleton.Define(stage, path)
    skeleton.CreateJointsAttr(joint_paths())
    parents = np.maximum(CANONICAL_PARENTS, 0)
    rest = make_transform(np.eye(3), rig.rest_joints - rig.rest_joints[parents])
    skeleton.CreateRestTransformsAttr(_matrices(rest))
    skeleton.CreateBindTransformsAttr(_matrices(invert_transform(rig.Ts_joint_bind)))
    return skeleton


def add_motion(
    stage: Usd.Stage, path: str, rig: Rig, poses: BodyPoses, codes: Array
) -> UsdSkel.Animation:
    """A motion at time codes (N,): every joint's turn, and the pelvis's way."""
    animation = UsdSkel.Animation.Define(stage, path)
    animation.CreateJointsAttr(joint_paths())
    animation.CreateScalesAttr(Vt.Vec3hArray([Gf.Vec3h(1, 1, 1)] * len(CANONICAL_JOINTS)))
    turns, moves = animation.CreateRotationsAttr(), animation.CreateTranslationsAttr()
    quats = sign_continuous(matrix_to_quat(poses.rotations))
    offsets = rig.rest_joints - rig.rest_joints[np.maximum(CANONICAL_PARENTS, 0)]
    for code, quat, root in zip(codes, quats, poses.root, strict=True):
        offsets[0] = root
        moves.Set(Vt.Vec3fArray.FromNumpy(_floats(offsets)), float(code))
        turns.Set(Vt.QuatfArray([Gf.Quatf(*q) for q in quat.tolist()]), float(code))
    return animation


def add_mesh(stage: Usd.Stage, path: str, rig: Rig, color: list[float]) -> UsdGeom.Mesh:
    """The rig's mesh in its bind pose, with all of its weights and a plain material."""
    mesh = UsdGeom.Mesh.Define(stage, path)
    vertices = _floats(rig.bind_vertices)
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(vertices))
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray([3] * len(rig.faces)))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray(rig.faces.ravel().tolist()))
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    normals = _floats(unit_normals(vertices, rig.faces))
    mesh.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(normals))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    mesh.CreateExtentAttr(UsdGeom.PointBased.ComputeExtent(mesh.GetPointsAttr().Get()))
    binding = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
    count = rig.weights.shape[1]
    joints = binding.CreateJointIndicesPrimvar(False, count)
    joints.Set(Vt.IntArray(np.where(rig.weights > 0, rig.indices, 0).ravel().tolist()))
    weights = binding.CreateJointWeightsPrimvar(False, count)
    weights.Set(Vt.FloatArray.FromNumpy(_floats(rig.weights).ravel()))
    binding.CreateGeomBindTransformAttr(Gf.Matrix4d(1.0))
    material = UsdShade.Material.Define(stage, f"{path}/material")
    shader = UsdShade.Shader.Define(stage, f"{path}/material/surface")
    shader.CreateIdAttr("UsdPreviewSurface")
    shader.CreateInput("diffuseColor", Sdf.ValueTypeNames.Color3f).Set(Gf.Vec3f(*color))
    shader.CreateInput("roughness", Sdf.ValueTypeNames.Float).Set(0.7)
    material.CreateSurfaceOutput().ConnectToSource(shader.ConnectableAPI(), "surface")
    UsdShade.MaterialBindingAPI.Apply(mesh.GetPrim()).Bind(material)
    return mesh


def add_person(
    stage: Usd.Stage, person: ExportPerson, times: Array, *, rate: float, up: Up, unit: Unit
) -> None:
    """A person as /Scene/personN: skeleton, body and motion, hidden at times when absent."""
    path, rig = f"{ROOT}/{person.name}", rig_in(person.rig, unit)
    poses = poses_in(person.motion.poses_world, up=up, unit=unit)
    codes = (person.times - times[0]) * rate
    root = UsdSkel.Root.Define(stage, path)
    root.GetPrim().SetCustomData({"bodyModel": rig.model, "licence": rig.licence})
    skeleton = add_skeleton(stage, f"{path}/skeleton", rig)
    motion = add_motion(stage, f"{path}/motion", rig, poses, codes)
    binding = UsdSkel.BindingAPI.Apply(skeleton.GetPrim())
    binding.CreateAnimationSourceRel().SetTargets([motion.GetPath()])
    color = srgb_to_linear(np.array(person_color(person.motion.track_id)) / 255)
    mesh = add_mesh(stage, f"{path}/body", rig, color.tolist())
    UsdSkel.BindingAPI(mesh.GetPrim()).CreateSkeletonRel().SetTargets([skeleton.GetPath()])
    joints, extent = rig.joints(poses)[1], root.CreateExtentAttr()
    reach = _REACH / METRES_PER_UNIT[unit]
    boxes = np.stack([joints.min(axis=1) - reach, joints.max(axis=1) + reach], axis=1)
    for code, box in zip(codes, boxes, strict=True):
        extent.Set(Vt.Vec3fArray.FromNumpy(_floats(box)), float(code))
    visibility = root.CreateVisibilityAttr()
    for time, there in presence(person, times):
        token = UsdGeom.Tokens.inherited if there else UsdGeom.Tokens.invisible
        visibility.Set(token, (time - times[0]) * rate)


def add_camera(
    stage: Usd.Stage, intrinsics: Intrinsics, Ts: Array, codes: Array, *, up: Up, unit: Unit
) -> None:
    """The camera as /Scene/camera; a USD camera looks along -z with y up.

    Apertures and focal length are in tenths of a scene unit, as USD wants them.
    """
    k, metres = intrinsics, METRES_PER_UNIT[unit]
    camera = UsdGeom.Camera.Define(stage, f"{ROOT}/camera")
    pixel = FILM_WIDTH_MM / 1000 / metres * 10 / k.width
    camera.CreateFocalLengthAttr(k.fx * pixel)
    camera.CreateHorizontalApertureAttr(k.width * pixel)
    # Square pixels' focal length is fx: a taller one is a smaller film.
    rows = pixel * k.fx / k.fy
    camera.CreateVerticalApertureAttr(k.height * rows)
    camera.CreateHorizontalApertureOffsetAttr((k.width / 2 - k.cx) * pixel)
    camera.CreateVerticalApertureOffsetAttr((k.cy - k.height / 2) * rows)
    camera.CreateClippingRangeAttr(Gf.Vec2f(NEAR_PLANE / metres, 1000 / metres))
    R = axes_of(up)
    rotations = R @ Ts[:, :3, :3] @ R_OPENGL_OPENCV
    quats = sign_continuous(matrix_to_quat(rotations))
    move, turn = camera.AddTranslateOp(UsdGeom.XformOp.PrecisionDouble), camera.AddOrientOp()
    for code, place, quat in zip(codes, Ts[:, :3, 3] @ R.T / metres, quats, strict=True):
        move.Set(Gf.Vec3d(*place.tolist()), float(code))
        turn.Set(Gf.Quatf(*quat.tolist()), float(code))


def write_stage(scene: Scene, path: Path, options: ExportOptions = DEFAULTS) -> None:
    """Writes the scene as a .usdc file."""
    up, unit, times = options.up or "y", options.unit or "m", clip_times(scene, options.fps)
    rate = options.fps or scene.video.fps
    stage = Usd.Stage.CreateNew(str(path))
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y if up == "y" else UsdGeom.Tokens.z)
    UsdGeom.SetStageMetersPerUnit(stage, METRES_PER_UNIT[unit])
    stage.SetFramesPerSecond(rate)
    stage.SetTimeCodesPerSecond(rate)
    stage.SetStartTimeCode(0)
    stage.SetEndTimeCode(float((times[-1] - times[0]) * rate))
    top = UsdGeom.Xform.Define(stage, ROOT).GetPrim()
    stage.SetDefaultPrim(top)
    top.SetDocumentation(f"recon3d {recon.__version__}; time code 0 is the video's first frame")
    for person in export_people(scene, options.fps):
        add_person(stage, person, times, rate=rate, up=up, unit=unit)
    Ts = camera_at(scene, scene.placement.Ts_world_camera, options.fps)
    codes = (times - times[0]) * rate
    add_camera(stage, scene.camera.intrinsics, Ts, codes, up=up, unit=unit)
    stage.GetRootLayer().Save()


def export(scene: Scene, out: Path, options: ExportOptions = DEFAULTS) -> list[Path]:
    """Writes scene.usdc: all people with skeleton, skin and motion, and the camera."""
    path = out / "scene.usdc"
    write_by_name(path, lambda made: write_stage(scene, made, options))
    return [path]


def export_usdz(scene: Scene, out: Path, options: ExportOptions = DEFAULTS) -> list[Path]:
    """Writes scene.usdz, the same as one uncompressed archive."""

    def write(made: Path) -> None:
        stage = made.with_suffix(".usdc")
        write_stage(scene, stage, options)
        UsdUtils.CreateNewUsdzPackage(Sdf.AssetPath(str(stage)), str(made))

    path = out / "scene.usdz"
    write_by_name(path, write)
    return [path]
