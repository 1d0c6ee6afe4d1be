"""Files that other programs open. Every exporter is loaded on use.

An exporter is `(scene, out, options) -> list[Path]`: it writes to the folder `out`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from recon.core.errors import InputError
from recon.core.scene import Scene
from recon.export.options import DEFAULTS, ExportOptions

Exporter = Callable[[Scene, Path, ExportOptions], list[Path]]


@dataclass(frozen=True, kw_only=True)
class Format:
    """One entry of the table of formats.

    Args:
        target: `module:function`. writes: the files, for people who choose one.
        choices: which of the ExportOptions the format has a choice of.
    """

    target: str
    writes: str
    choices: tuple[str, ...] = ()


EXPORTERS: dict[str, Format] = {
    "npz": Format(
        target="recon.export.motion_npz:export", choices=("fps",),
        writes="AMASS SMPL-X and SMPL-H parameters, and our own motion with nothing left out",
    ),
    "smpl": Format(
        target="recon.export.smpl:export", choices=("fps", "up"),
        writes="SMPL-X parameters of each person as Meshcapade's codec reads them",
    ),
    "bvh": Format(
        target="recon.export.bvh:export", choices=("fps", "up", "unit", "skeleton"),
        writes="skeleton and motion of each person (Blender, MotionBuilder, Maya)",
    ),
    "glb": Format(
        target="recon.export.glb:export", choices=("fps", "skeleton"),
        writes="everybody skinned and animated, and the camera, in one file",
    ),
    "usdc": Format(
        target="recon.export.usd:export", choices=("fps", "up", "unit"),
        writes="everybody as UsdSkel characters with all weights, and the camera",
    ),
    "usdz": Format(
        target="recon.export.usd:export_usdz", choices=("fps", "up", "unit"),
        writes="the same as one archive",
    ),
    "fbx": Format(
        target="recon.export.blender:export_fbx", choices=("fps", "skeleton"),
        writes="everybody skinned and animated, and the camera, through Blender",
    ),
    "abc": Format(
        target="recon.export.blender:export_abc", choices=("fps",),
        writes="the meshes' vertices on every frame, and the camera, through Blender",
    ),
    "obj": Format(
        target="recon.export.meshes:export_obj", choices=("fps", "up", "unit"),
        writes="a mesh for every frame, as text",
    ),
    "ply": Format(
        target="recon.export.meshes:export_ply", choices=("fps", "up", "unit"),
        writes="a mesh for every frame, binary",
    ),
    "trc": Format(
        target="recon.export.markers:export_trc", choices=("fps", "up"),
        writes="marker trajectories of each person for OpenSim",
    ),
    "c3d": Format(
        target="recon.export.markers:export_c3d", choices=("fps", "up"),
        writes="the same markers as biomechanics laboratories store them",
    ),
    "tum": Format(
        target="recon.export.camera_files:export_tum",
        writes="camera trajectory as text (evo)",
    ),
    "colmap": Format(
        target="recon.export.camera_files:export_colmap",
        writes="cameras and points as a COLMAP model",
    ),
    "aftereffects": Format(
        target="recon.export.camera_programs:export_aftereffects", choices=("fps",),
        writes="a script that makes the camera in After Effects",
    ),
    "realestate10k": Format(
        target="recon.export.camera_programs:export_realestate10k", choices=("fps",),
        writes="camera trajectory as text (RealEstate10K, CameraCtrl)",
    ),
    "points": Format(
        target="recon.export.camera_files:export_points", writes="the scene's coloured points"
    ),
    "overlay": Format(
        target="recon.export.overlay:export", writes="the bodies drawn over the video"
    ),
    "topview": Format(
        target="recon.export.topview:export", writes="everybody's way from above, as a video"
    ),
    "controls": Format(
        target="recon.export.controls:export", choices=("camera", "body"),
        writes="skeleton, depth, normals, people and camera path for video generators",
    ),
}  # fmt: skip
"""Format name to what it is and where it is made."""
FORMATS_ON_VIDEO = ("overlay", "topview")


def check_formats(names: Sequence[str]) -> None:
    """Raises InputError for a name that is not a format."""
    for name in names:
        if name not in EXPORTERS:
            raise InputError(f"expected export formats among {', '.join(EXPORTERS)}; got '{name}'")


def load_exporter(name: str) -> Exporter:
    """The exporter of one format.

    Raises:
        InputError: no such format.
    """
    check_formats([name])
    module, function = EXPORTERS[name].target.split(":")
    return getattr(importlib.import_module(module), function)


def check_options(names: Sequence[str], options: ExportOptions) -> None:
    """Raises InputError for an option that one of the formats has no choice of."""
    for option in options.chosen:
        fixed = [name for name in names if option not in EXPORTERS[name].choices]
        if fixed:
            free = [name for name, entry in EXPORTERS.items() if option in entry.choices]
            raise InputError(
                f"--{option}: expected formats that leave it open ({', '.join(free)}), got "
                f"{', '.join(fixed)}; export those apart, without --{option}"
            )


def export_scene(
    scene: Scene, formats: Sequence[str], out: Path, options: ExportOptions = DEFAULTS
) -> dict[str, list[Path]]:
    """Writes a scene in several formats to the folder `out`; the files of each, by format.

    Raises:
        InputError: an unknown format or an option that it has no choice of (before anything is
            written), `out` is a file, or a scene without people for a format that holds only
            people.
    """
    exporters = {name: load_exporter(name) for name in formats}
    check_options(formats, options)
    imported = scene.manifest.get("imported")
    if imported and (drawn := [name for name in formats if name in FORMATS_ON_VIDEO]):
        raise InputError(
            f"expected formats without the video's pictures, got {', '.join(drawn)}: {scene.path} "
            f"was imported from {imported['from']}"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, FileNotFoundError, NotADirectoryError):
        raise InputError(f"expected a folder to write to, got {out}; use --out DIR") from None
    return {name: exporter(scene, out, options) for name, exporter in exporters.items()}
