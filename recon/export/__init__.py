"""Files that other programs open. Every exporter is `(scene, out) -> list[Path]`, loaded on use."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path

from recon.core.errors import InputError
from recon.core.scene import Scene

Exporter = Callable[[Scene, Path], list[Path]]

EXPORTERS: dict[str, str] = {
    "npz": "recon.export.motion_npz:export",
    "bvh": "recon.export.bvh:export",
    "glb": "recon.export.glb:export",
    "obj": "recon.export.meshes:export_obj",
    "ply": "recon.export.meshes:export_ply",
    "tum": "recon.export.camera_files:export_tum",
    "colmap": "recon.export.camera_files:export_colmap",
    "points": "recon.export.camera_files:export_points",
    "overlay": "recon.export.overlay:export",
    "topview": "recon.export.topview:export",
}
"""Format name to `module:function`."""
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
    module, function = EXPORTERS[name].split(":")
    return getattr(importlib.import_module(module), function)


def export_scene(scene: Scene, formats: Sequence[str], out: Path) -> dict[str, list[Path]]:
    """Writes a scene in several formats to the folder `out`; the files of each, by format.

    Raises:
        InputError: an unknown format (before anything is written), `out` is a file, or a scene
            without people for a format that holds only people.
    """
    exporters = {name: load_exporter(name) for name in formats}
    imported = scene.manifest.get("imported")
    if imported and (drawn := [name for name in formats if name in FORMATS_ON_VIDEO]):
        raise InputError(
            f"expected formats without the video's pictures, got {', '.join(drawn)}: {scene.path} "
            f"was imported from {imported['from']}"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"expected a folder to write to, got {out}; use --out DIR") from None
    return {name: exporter(scene, out) for name, exporter in exporters.items()}
