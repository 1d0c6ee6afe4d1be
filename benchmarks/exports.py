"""Every export of finished scenes in programs that are not ours: do they agree, how large is it.

A scene is made by the main job from a real clip. The deviation is the largest over all people,
joints or vertices, and the frames looked at (first, middle, last, or all where reading is cheap),
against the scene's own rigs with all of their weights. A format whose reader is not installed has
no rows, and the program says which.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
import pytest
import trimesh

from benchmarks.common import DATA, Row, main, row
from recon.core.errors import MissingDependencyError
from recon.core.geometry import R_YUP_ZUP, Array, invert_transform, transform_points
from recon.core.people import BodyPoses
from recon.core.scene import Scene
from recon.export import export_scene
from recon.export.markers import marker_positions
from recon.export.motion import export_people
from recon.export.motion_npz import MEAN_PELVIS
from recon.export.options import DEFAULTS, ExportOptions, SkeletonName
from recon.export.skeletons import target_skeleton
from recon.export.skinning import fewer_weights
from recon.options import RunOptions
from recon.pipeline import run
from tests.browser import opened, why_no_browser
from tests.recon.export import readers

EXACT_MM = 0.1
"""Text with six digits and single precision stay well below."""
FOUR_WEIGHTS_MM = 5.0
"""glTF's viewers must read four weights a vertex, our bodies have up to seven."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """A format in a reader: `deviation(scene, files, work)` in `unit`, at most so much."""

    format: str
    reader: str
    deviation: Callable[[Scene, list[Path], Path], float]
    at_most: float = EXACT_MM
    unit: str = "mm"
    options: ExportOptions = DEFAULTS


def measure(quick: bool, pictures: Path | None) -> Iterator[Row]:
    """One clip of one person; without --quick also two people."""
    clips = [("dancer_static.mp4", RunOptions(overlay=False, formats=()))]
    if not quick:
        two = RunOptions(overlay=False, formats=(), people="2", end=6.0)
        clips.append(("pedestrians_static.avi", two))
    with tempfile.TemporaryDirectory() as folder:
        for name, options in clips:
            work = Path(folder) / Path(name).stem
            scene = run(DATA / "videos" / name, work / "scene", options)
            yield from rows(scene, Path(name).stem, work)


def rows(scene: Scene, clip: str, work: Path) -> Iterator[Row]:
    """Deviation and size of every format of a scene."""
    sized: set[str] = set()
    clip = f"{clip} ({len(scene.world_motions)} people, {len(scene.video.times)} frames)"
    for check in CHECKS:
        name = check.format + (f" {check.options.skeleton}" if check.options.skeleton else "")
        out = work / name.replace(" ", "_")
        try:
            files = export_scene(scene, [check.format], out, check.options)[check.format]
            deviation = check.deviation(scene, files, work)
        except (pytest.skip.Exception, MissingDependencyError) as why:
            print(f"{name}: not checked with {check.reader}: {why}")
            continue
        label = f"{clip} {name}, {check.reader}"
        yield row(label, deviation, check.unit, at_most=check.at_most)
        if name not in sized:
            sized.add(name)
            size = sum(path.stat().st_size for path in files)
            yield row(f"{clip} {name}, size", size / 1e6, "MB")


# Readers ---------------------------------------------------------------------------------------


def _largest(got: Array, expected: Array) -> float:
    """The largest distance between points (..., 3), in the thousandth of their unit."""
    return float(np.linalg.norm(np.asarray(got) - expected, axis=-1).max() * 1000)


def _some(count: int) -> list[int]:
    return sorted({0, count // 2, count - 1})


def _amass(scene: Scene, files: list[Path], work: Path) -> float:
    worst = []
    for person in export_people(scene):
        for model in ("smplx", "smplh"):
            path = next(p for p in files if p.name == f"{person.name}_{model}.npz")
            with np.load(path, allow_pickle=False) as data:
                read = {key: data[key] for key in ("poses", "trans", "pelvis_rest")}
            if model == "smplh":  # no jaw and eyes
                gap = np.zeros((len(read["poses"]), 9))
                parts = (read["poses"][:, :66], gap, read["poses"][:, 66:])
                read["poses"] = np.concatenate(parts, axis=1)
            joints = readers.smplx_joints(read, person.rig.rest_joints)
            worst.append(_largest(joints, person.motion.joints_world))
    return max(worst)


def _smpl(scene: Scene, files: list[Path], work: Path) -> float:
    codec = pytest.importorskip("smplcodec")
    worst = []
    for person, path in zip(export_people(scene), files, strict=True):
        read = codec.SMPLCodec.from_file(str(path))
        pose = {"poses": read.full_pose, "trans": read.body_translation}
        pose["pelvis_rest"] = MEAN_PELVIS["smplx"]
        joints = readers.smplx_joints(pose, person.rig.rest_joints)
        worst.append(_largest(joints, person.motion.joints_world @ R_YUP_ZUP.T))
    return max(worst)


def _bvh(scene: Scene, files: list[Path], work: Path, kind: SkeletonName | None = None) -> float:
    worst, names = [], target_skeleton(kind).names
    for person, path in zip(export_people(scene), files, strict=True):
        read = readers.read_joints(path)
        joints = np.stack([read[name] for name in names], axis=1)
        worst.append(_largest(joints, person.motion.joints_world @ R_YUP_ZUP.T))
    return max(worst)


def _glb(scene: Scene, files: list[Path], work: Path, *, pruned: bool) -> float:
    """In three.js, against all weights or against the four that the file has."""
    if (why := why_no_browser()) is not None:
        pytest.skip(why)
    folder, worst = work / "threejs", []
    folder.mkdir(exist_ok=True)
    (folder / "scene.glb").write_bytes(files[0].read_bytes())
    with readers.three_js(folder) as address, opened(f"{address}?file=scene.glb") as page:
        page.wait_for_function("window.ready")
        for person in export_people(scene):
            rig = person.rig
            if pruned:
                weights, joints = fewer_weights(rig, person.motion.poses_world, 4)
                rig = replace(rig, weights=weights, indices=joints.astype(int))
            frames = _some(len(person.times))
            truth = rig.vertices(_rows(person.motion.poses_world, frames)) @ R_YUP_ZUP.T
            for frame, expected in zip(frames, truth, strict=True):
                time = float(person.times[frame] - scene.video.times[0])
                got = page.evaluate(f"vertices('{person.name}_mesh', {time!r})")
                worst.append(_largest(np.reshape(got, (-1, 3)), expected))
    return max(worst)


def _character(scene: Scene, files: list[Path], work: Path, kind: SkeletonName) -> float:
    """The joints of every person alone, evaluated from pygltflib's parse as glTF says."""
    worst, names = [], target_skeleton(kind).names
    for person, path in zip(export_people(scene), files, strict=True):
        reader = readers.GltfReader(path)
        for frame in _some(len(person.times)):
            time = float(person.times[frame] - person.times[0])
            at = [reader.world_matrix(reader.node(name), time)[:3, 3] for name in names]
            expected = person.motion.joints_world[frame] @ R_YUP_ZUP.T
            worst.append(_largest(np.stack(at), expected))
    return max(worst)


def _khronos(scene: Scene, files: list[Path], work: Path) -> float:
    folder = work / "khronos"
    folder.mkdir(exist_ok=True)
    validate = readers.gltf_issues_of(folder)
    reports = [validate(path) for path in files]
    return sum(report["numErrors"] + report["numWarnings"] for report in reports)


def _usd(scene: Scene, files: list[Path], work: Path) -> float:
    usd = pytest.importorskip("pxr.Usd")
    stage, worst = usd.Stage.Open(str(files[0])), []
    for person in export_people(scene):
        reader, frames = readers.SkelReader(stage, person.name), _some(len(person.times))
        truth = person.rig.vertices(_rows(person.motion.poses_world, frames)) @ R_YUP_ZUP.T
        for frame, expected in zip(frames, truth, strict=True):
            got = reader.vertices(person.times[frame] - scene.video.times[0])
            worst.append(_largest(got, expected))
    return max(worst)


def _usd_issues(scene: Scene, files: list[Path], work: Path) -> float:
    pytest.importorskip("pxr")
    return sum(len(readers.usd_issues(path)) for path in files)


def _markers(scene: Scene, files: list[Path], work: Path, *, c3d: bool) -> float:
    worst = []
    for person, path in zip(export_people(scene), files, strict=True):
        points = readers.read_c3d(path)[1] if c3d else readers.read_trc(path)[2]
        truth = marker_positions(person.rig, person.motion.poses_world)
        worst.append(_largest(points / 1000, truth if c3d else truth @ R_YUP_ZUP.T))
    return max(worst)


def _blender(scene: Scene, files: list[Path], work: Path) -> float:
    """Everybody's mesh in Blender, on frames of the file."""
    fps, k, worst = scene.video.fps, scene.camera.intrinsics, []
    people = export_people(scene, None if files[0].suffix == ".usdc" else fps)
    frames = sorted({int(i) for p in people for i in p.motion.frame_idx[_some(len(p.times))]})
    seen = readers.seen_by_blender(files[0], k, fps=fps, frames=frames, work=work)
    meshes = {name: value for name, value in seen.items() if name.endswith(".vertices")}
    for person in people:
        (mesh,) = [v for name, v in meshes.items() if name.startswith(f"{person.name}_mesh")]
        for row_idx, frame in enumerate(frames):
            own = np.flatnonzero(person.motion.frame_idx == frame)
            if len(own):
                truth = person.rig.vertices(_rows(person.motion.poses_world, own.tolist()))[0]
                worst.append(_largest(mesh[row_idx], truth))
    return max(worst)


def _meshes(scene: Scene, files: list[Path], work: Path, *, yup: bool) -> float:
    worst = []
    for person in export_people(scene):
        own = [path for path in files if path.parent.name.startswith(f"{person.name}_")]
        for frame in _some(len(own)):
            mesh: Any = trimesh.load_mesh(own[frame], process=False, maintain_order=True)
            truth = person.rig.vertices(_rows(person.motion.poses_world, [frame]))[0]
            worst.append(_largest(mesh.vertices, truth @ R_YUP_ZUP.T if yup else truth))
    return max(worst)


def _tum(scene: Scene, files: list[Path], work: Path) -> float:
    file_interface = pytest.importorskip("evo.tools.file_interface")
    read = file_interface.read_tum_trajectory_file(files[0])
    return _largest(read.positions_xyz, scene.placement.Ts_world_camera[:, :3, 3])


def _colmap(scene: Scene, files: list[Path], work: Path) -> float:
    model = pycolmap.Reconstruction(str(files[0].parent))
    images = sorted(model.images.values(), key=lambda image: image.name)
    centres = np.stack([image.projection_center() for image in images])
    frames = [int(image.name[len("frame") : -len(".png")]) for image in images]
    return _largest(centres, scene.placement.Ts_world_camera[frames, :3, 3])


def _realestate10k(scene: Scene, files: list[Path], work: Path) -> float:
    lines = files[0].read_text(encoding="utf-8").splitlines()[1:]
    values = np.array([line.split() for line in lines], dtype=float)[:, 7:].reshape(-1, 3, 4)
    centres = -np.einsum("tji,tj->ti", values[:, :, :3], values[:, :, 3])
    return _largest(centres, scene.placement.Ts_world_camera[:, :3, 3])


def _aftereffects(scene: Scene, files: list[Path], work: Path) -> float:
    """Pixels between where the video's lens and After Effects' see the first person's joints."""
    comp, k, worst = readers.after_effects(files[0], work), scene.camera.intrinsics, []
    person = export_people(scene)[0]
    for frame in _some(len(person.times)):
        joints, row_idx = person.motion.joints_world[frame], int(person.motion.frame_idx[frame])
        T = invert_transform(scene.placement.Ts_world_camera[row_idx])
        expected = k.project(transform_points(T, joints))
        seen = readers.seen_by_after_effects(comp, joints, row_idx)
        seen += [k.cx - k.width / 2, k.cy - k.height / 2]
        worst.append(np.abs(seen - expected).max())
    return float(max(worst))


def _rows(poses: BodyPoses, frames: Sequence[int]) -> BodyPoses:
    return BodyPoses(root=poses.root[frames], rotations=poses.rotations[frames])


def _characters() -> Iterator[Check]:
    kinds: tuple[SkeletonName, ...] = ("mixamo", "unreal", "vrm")
    for kind in kinds:
        options = ExportOptions(skeleton=kind)
        joints = partial(_character, kind=kind)
        yield Check(format="glb", reader="joints (pygltflib)", deviation=joints, options=options)
        yield Check(
            format="glb", reader="Khronos validator", deviation=_khronos, options=options,
            unit="errors and warnings", at_most=0,
        )  # fmt: skip
        joints = partial(_bvh, kind=kind)
        yield Check(format="bvh", reader="joints (bvhio)", deviation=joints, options=options)


CHECKS = [
    Check(format="npz", reader="joints (NumPy, SciPy)", deviation=_amass),
    Check(format="smpl", reader="joints (smplcodec)", deviation=_smpl),
    Check(format="bvh", reader="joints (bvhio)", deviation=_bvh),
    Check(format="glb", reader="Khronos validator", deviation=_khronos,
          unit="errors and warnings", at_most=0),
    Check(format="glb", reader="vertices (three.js), same four weights",
          deviation=partial(_glb, pruned=True)),
    Check(format="glb", reader="vertices (three.js), all weights",
          deviation=partial(_glb, pruned=False), at_most=FOUR_WEIGHTS_MM),
    *_characters(),
    Check(format="usdc", reader="pxr.UsdValidation", deviation=_usd_issues, unit="issues",
          at_most=0),
    Check(format="usdc", reader="vertices (pxr)", deviation=_usd),
    Check(format="usdz", reader="pxr.UsdValidation", deviation=_usd_issues, unit="issues",
          at_most=0),
    Check(format="usdz", reader="vertices (pxr)", deviation=_usd),
    Check(format="fbx", reader="vertices (ufbx in Blender)", deviation=_blender),
    Check(format="abc", reader="vertices (Blender)", deviation=_blender),
    Check(format="trc", reader="markers (trc-data-reader)",
          deviation=partial(_markers, c3d=False)),
    Check(format="c3d", reader="markers (c3d)", deviation=partial(_markers, c3d=True)),
    Check(format="obj", reader="vertices (trimesh)", deviation=partial(_meshes, yup=True)),
    Check(format="ply", reader="vertices (trimesh)", deviation=partial(_meshes, yup=False)),
    Check(format="tum", reader="camera (evo)", deviation=_tum),
    Check(format="colmap", reader="camera (pycolmap)", deviation=_colmap),
    Check(format="aftereffects", reader="joints in the picture (script run in Node.js)",
          deviation=_aftereffects, unit="px", at_most=0.01),
    Check(format="realestate10k", reader="camera (NumPy)", deviation=_realestate10k),
]  # fmt: skip


if __name__ == "__main__":
    main("Exports in other programs", measure)
