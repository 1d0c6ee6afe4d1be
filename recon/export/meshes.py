"""Mesh sequences: one file per person and video frame, metres.

Each format has the axes its importers assume, so that all land in the same place in Blender:
OBJ y up (as glTF and BVH), PLY z up (our world, as it is).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import trimesh
from trimesh.exchange.ply import export_ply as export_ply_mesh

from recon.core.scene import Scene
from recon.core.storage import write_bytes
from recon.export.motion import (
    ExportPerson,
    poses_in,
    require_people,
    rig_in,
    vertex_frames,
)
from recon.export.options import DEFAULTS, UNIT_WORDS, ExportOptions

MeshWriter = Callable[[np.ndarray], bytes]


def obj_writer(faces: np.ndarray, axes: str) -> MeshWriter:
    """Writes vertices (V, 3) as OBJ text; the faces' text is made once for a whole sequence.

    `axes` says in words which axes and unit these are.
    """
    tail = "".join(f"f {a} {b} {c}\n" for a, b, c in (faces + 1).tolist())

    def write(vertices: np.ndarray) -> bytes:
        lines = "".join(f"v {x:.6f} {y:.6f} {z:.6f}\n" for x, y, z in vertices.tolist())
        return f"# recon3d: {axes}\n{lines}{tail}".encode("ascii")

    return write


def ply_writer(faces: np.ndarray) -> MeshWriter:
    """Writes vertices (V, 3) as a binary PLY with the same faces every time."""

    def write(vertices: np.ndarray) -> bytes:
        mesh = trimesh.Trimesh(vertices, faces, process=False)
        return export_ply_mesh(mesh, encoding="binary", vertex_normal=False)

    return write


def _write_sequence(
    person: ExportPerson, out: Path, kind: Literal["obj", "ply"], options: ExportOptions
) -> list[Path]:
    folder = out / f"{person.name}_{kind}"
    up, unit = options.up or ("y" if kind == "obj" else "z"), options.unit or "m"
    poses = poses_in(person.motion.poses_world, up=up, unit=unit)
    frames = vertex_frames(rig_in(person.rig, unit), poses)
    faces = person.rig.faces
    words = f"{UNIT_WORDS[unit]}, {up} up"
    write_mesh = obj_writer(faces, words) if kind == "obj" else ply_writer(faces)
    written = []
    for index, vertices in zip(person.motion.frame_idx, frames, strict=True):
        path = folder / f"frame{index:06d}.{kind}"
        write_bytes(path, write_mesh(vertices))
        written.append(path)
    for stale in set(folder.glob(f"frame*.{kind}")) - set(written):
        stale.unlink()  # of an earlier, longer motion
    return written


def export_obj(scene: Scene, out: Path, options: ExportOptions = DEFAULTS) -> list[Path]:
    """Writes personN_obj/frameNNNNNN.obj, numbered as the video's frames; y up, metres."""
    people = require_people(scene, "OBJ meshes", options.fps)
    return [path for person in people for path in _write_sequence(person, out, "obj", options)]


def export_ply(scene: Scene, out: Path, options: ExportOptions = DEFAULTS) -> list[Path]:
    """Writes personN_ply/frameNNNNNN.ply (binary), numbered as the video's frames; z up, metres."""
    people = require_people(scene, "PLY meshes", options.fps)
    return [path for person in people for path in _write_sequence(person, out, "ply", options)]
