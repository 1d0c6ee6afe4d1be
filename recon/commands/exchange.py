"""Commands that take scenes to other formats, body models and programs, and back."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a finished scene in other formats."""

    scene: Positional[Path]
    """A scene folder."""
    format: Annotated[tuple[str, ...], tyro.conf.arg(metavar="FORMAT …")] = ()
    """One or more formats; --format alone lists them."""
    out: Path | None = None
    """Folder to write; by default SCENE/exports."""
    fps: float | None = None
    """Frames per second, between the video's own (joints turn on the shortest arc)."""
    up: Literal["y", "z"] | None = None
    """The axis that points up, where a format leaves it open."""
    unit: Literal["m", "cm"] | None = None
    """The unit of length, where a format leaves it open."""
    skeleton: Literal["mixamo", "unreal", "vrm"] | None = None
    """Names, hierarchy and joint axes of another program, for bvh, glb and fbx."""
    camera: Annotated[str | None, tyro.conf.arg(metavar="original|orbit|FILE")] = None
    """Of controls: the original camera, one that circles the people, or a path as controls'
    camera.txt or recon render's cameras.json."""
    body: Annotated[str | None, tyro.conf.arg(metavar="NAME=VALUE …")] = None
    """Of controls: shape of everybody's body, as "stature=1.95 weight=0.8" (metres; Anny's
    phenotypes 0 to 1)."""

    def main(self) -> None:
        from recon.core.scene import Scene
        from recon.export import EXPORTERS, export_scene
        from recon.export.options import ExportOptions

        if not self.format:
            for name, entry in EXPORTERS.items():
                choices = "".join(f" --{choice}" for choice in entry.choices)
                print(f"{name:13} {entry.writes}{';' if choices else ''}{choices}")
            return
        options = ExportOptions(
            fps=self.fps, up=self.up, unit=self.unit, skeleton=self.skeleton, camera=self.camera,
            body=self.body,
        )  # fmt: skip
        scene = Scene.open(self.scene)
        written = export_scene(scene, self.format, self.out or self.scene / "exports", options)
        for name, paths in written.items():
            if not paths:
                print(f"{name}: this scene has none, no file is written", file=sys.stderr)
            for path in paths:
                print(path)


@dataclass(frozen=True, kw_only=True)
class Import:
    """Make a scene of another program's result."""

    file: Positional[Path]
    """An AMASS .npz, hmr4d_results.pt, wham_output.pkl, hps_track_0.npy (or TRAM's folder), or
    PromptHMR's results.pkl."""
    source: Annotated[
        Literal["amass", "gvhmr", "wham", "tram", "prompthmr"], tyro.conf.arg(name="from")
    ]
    """The program that wrote it."""
    scene: Path
    """Folder to write."""
    fps: float | None = None
    """Frame rate, for files that do not tell (WHAM, TRAM, PromptHMR)."""
    body_model_path: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Folder with the files of SMPL-X, SMPL-H or SMPL; without them a mean Anny body is shown."""

    def main(self) -> None:
        from recon.imports import import_scene

        scene = import_scene(
            self.file, self.source, self.scene,
            fps=self.fps, body_model_path=self.body_model_path,
        )  # fmt: skip
        for warning in scene.report("body").warnings:
            print(f"warning: {warning}", file=sys.stderr)
        print(scene.path)


@dataclass(frozen=True, kw_only=True)
class Convert:
    """Make a scene like another one, its people as bodies of another model."""

    scene: Positional[Path]
    """A scene folder; it stays as it is."""
    to: Literal["anny", "smplx", "smplh", "smpl", "mhr"]
    """The body model to convert to."""
    body_model_path: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Folder with that model's files (anny needs none)."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="DIR")] = None
    """Folder to write; by default SCENE_MODEL."""
    json: bool = False
    """Print the residuals as JSON on stdout and nothing else."""

    def main(self) -> None:
        from recon.console import TerminalWatcher
        from recon.convert import convert_scene, residuals

        scene = convert_scene(
            self.scene, self.to, self.out,
            body_model_path=self.body_model_path, watcher=TerminalWatcher(),
        )  # fmt: skip
        people = residuals(scene)
        if self.json:
            print(json.dumps({"scene": str(scene.path), "people": people}, indent=1))
            return
        print(f"scene    {scene.path}")
        for name, r in people.items():
            where = "same vertex" if r["same_mesh"] else "old surface"
            print(
                f"{name:8} joints {r['joints_mm']:.1f} mm (limbs {r['limb_joints_mm']:.1f}), "
                f"vertices to {where} {r['vertices_mean_mm']:.1f} mm mean, "
                f"{r['vertices_max_mm']:.1f} max"
            )
