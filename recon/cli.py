"""The command `recon`. Imports nothing heavy before a command has been chosen."""

from __future__ import annotations

import errno
import json
import os
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from tyro.conf import Positional

from recon import __version__
from recon.core.errors import InputError, ReconError
from recon.options import (
    CameraOptions,
    EvaluateOptions,
    RenderOptions,
    RunOptions,
    SplatOptions,
    SynthOptions,
    TrainPriorOptions,
)

if TYPE_CHECKING:
    from recon.core.scene import Scene

EXIT_KNOWN_ERROR = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141
_USER_OS_ERRORS = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS,
    errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Run(RunOptions):
    """Turn a video into a scene: people, camera, overlay, report and exports."""

    video: Positional[Path]
    """A video file, or a folder of numbered images (with --fps)."""
    scene: Path | None = None
    """Folder to write; by default named after the video."""
    stages: str | None = None
    """Only these stages, separated by commas: video, tracking, people, camera, body, world,
    overlay, evidence, report, exports."""
    force: str | None = None
    """Repeat these stages even if they are up to date, separated by commas."""
    json: bool = False
    """Print a summary as JSON on stdout and nothing else."""

    def main(self) -> None:
        from recon.console import TerminalWatcher
        from recon.pipeline import run

        options = RunOptions(**{f.name: getattr(self, f.name) for f in fields(RunOptions)})
        scene = run(
            self.video,
            self.scene,
            options,
            stages=self.stages.split(",") if self.stages else None,
            force=self.force.split(",") if self.force else (),
            watcher=TerminalWatcher(),
        )
        _show(scene, as_json=self.json)


@dataclass(frozen=True, kw_only=True)
class Camera(CameraOptions):
    """Find the camera alone: camera.tum, a COLMAP model, points.ply and camera.html.

    People are found first and masked, so that their motion is not taken for the camera's; for
    clips without people, --people none saves that time. Lengths are in the tracker's own unit
    unless bodies give metres (--metric, or an earlier `recon run` on the scene); every file says.
    """

    video: Positional[Path]
    """A video file, or a folder of numbered images (with --fps)."""
    scene: Path | None = None
    """Folder to write; by default named after the video."""
    metric: bool = False
    """Fit the people's bodies too, and put the camera into the metric, upright world."""
    force: str | None = None
    """Repeat these stages even if they are up to date, separated by commas."""
    json: bool = False
    """Print a summary as JSON on stdout and nothing else."""

    def main(self) -> None:
        from recon.console import TerminalWatcher
        from recon.pipeline import CAMERA_FORMATS, find_camera

        chosen = {f.name: getattr(self, f.name) for f in fields(CameraOptions)}
        scene = find_camera(
            self.video,
            self.scene,
            RunOptions(**chosen, formats=CAMERA_FORMATS),
            metric=self.metric,
            force=self.force.split(",") if self.force else (),
            watcher=TerminalWatcher(),
        )
        _show(scene, as_json=self.json, stage="camera")


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a finished scene in other formats."""

    scene: Positional[Path]
    """A scene folder."""
    format: tuple[str, ...]
    """One or more of npz, bvh, glb, obj, ply, tum, colmap, points, overlay, topview."""
    out: Path | None = None
    """Folder to write; by default SCENE/exports."""

    def main(self) -> None:
        from recon.core.scene import Scene
        from recon.export import EXPORTERS, export_scene

        if not self.format:
            raise InputError(f"--format: expected some of {', '.join(EXPORTERS)}; got none")
        scene = Scene.open(self.scene)
        written = export_scene(scene, self.format, self.out or self.scene / "exports")
        for paths in written.values():
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


@dataclass(frozen=True, kw_only=True)
class Evaluate(EvaluateOptions):
    """Measure a scene against the truth: another scene, or a sequence of a data set.

    Figures as the field's papers compute them: MPJPE, PA-MPJPE, PVE, Accel, W- and WA-MPJPE100,
    RTE, ERVE, jitter, foot sliding, ATE, MOT figures, contacts, scale and gravity.
    """

    pred: Annotated[Positional[str], tyro.conf.arg(metavar="PRED")]
    """A scene folder, or a result that `recon import` reads, as wham:FILE, gvhmr:FILE, tram:DIR."""
    truth: Annotated[Positional[str], tyro.conf.arg(metavar="TRUTH")]
    """A scene folder, or emdb:DIR, 3dpw:FILE, rich:DIR#CAMERA or amass:FILE."""

    def main(self) -> None:
        from recon.evaluate.command import evaluate

        evaluate(self.pred, self.truth, self)


@dataclass(frozen=True, kw_only=True)
class Splat(SplatOptions):
    """Train 3D Gaussians on a scene's video without its people, or on posed photographs.

    Writes splats.ply, splats.json (PSNR, SSIM, LPIPS on held-out pictures), held_out.jpg and a
    checkpoint: the same command goes on from there, further with more --minutes.
    """

    source: Positional[Path]
    """A scene, a folder with transforms.json, or a COLMAP folder."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="DIR")] = None
    """Folder to write; by default SCENE/splats, or FOLDER_splats here."""
    json: bool = False
    """Print the metrics as JSON on stdout and nothing else."""

    def main(self) -> None:
        from recon.console import TerminalWatcher
        from recon.splat import splat
        from recon.splat_results import figures

        options = SplatOptions(**{f.name: getattr(self, f.name) for f in fields(SplatOptions)})
        watcher = TerminalWatcher(quiet=self.json)
        result = splat(self.source, self.out, options, watcher=watcher)
        if self.json:
            print(json.dumps({k: v for k, v in result.items() if k != "cameras"}, indent=1))
            return
        print(f"splats   {result['folder']}: {result['gaussians']} Gaussians")
        if result["psnr"] is not None:
            print(f"held out {len(result['held_out'])} pictures: {figures(result)}")
        if result["fitted"] is not None:
            print(f"         their own poses or exposure found first: {figures(result['fitted'])}")


@dataclass(frozen=True, kw_only=True)
class Render(RenderOptions):
    """Render new views of trained Gaussians, along a camera path."""

    source: Positional[Path]
    """A scene or folder that `recon splat` worked on, or a file of Gaussians."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE_OR_DIR")]
    """A video if it ends with .mp4, else a folder for PNGs."""

    def main(self) -> None:
        from recon.console import TerminalWatcher
        from recon.render import render

        options = RenderOptions(**{f.name: getattr(self, f.name) for f in fields(RenderOptions)})
        for path in render(self.source, self.out, options, watcher=TerminalWatcher()):
            print(path)


@dataclass(frozen=True, kw_only=True)
class View:
    """Look at a scene in a window, or render a picture of it without a display."""

    scene: Positional[Path]
    """A scene folder."""
    screenshot: Path | None = None
    """Write this PNG instead of opening a window."""
    frame: int = 0
    """Frame of the screenshot."""

    def main(self) -> None:
        from recon.core.scene import Scene

        scene = Scene.open(self.scene)
        if self.screenshot is None:
            from viewer.app import view

            view(scene)
        else:
            from viewer.screenshot import screenshot

            screenshot(scene, self.screenshot, frame=self.frame)
            print(self.screenshot)


@dataclass(frozen=True, kw_only=True)
class Tracks:
    """Show who was found (tracks.jpg, tracks.json), and choose, merge or drop people."""

    scene: Positional[Path]
    """A scene folder."""
    keep: Annotated[str | None, tyro.conf.arg(metavar="IDS")] = None
    """Only these people, for example 1,3."""
    drop: Annotated[str | None, tyro.conf.arg(metavar="IDS")] = None
    """Without these people, for example 2."""
    merge: Annotated[tuple[str, ...], tyro.conf.arg(metavar="ID:ID ...")] = ()
    """The first is the same person as the second, for example 4:1."""
    reset: bool = False
    """Forget all earlier choices."""

    def main(self) -> None:
        from recon.console import TerminalWatcher
        from recon.tracks import Choice, show_tracks

        choice = Choice(keep=self.keep, drop=self.drop, merge=self.merge, reset=self.reset)
        for path in show_tracks(self.scene, choice, watcher=TerminalWatcher()):
            print(path)


@dataclass(frozen=True, kw_only=True)
class Weights:
    """List the open networks, or fetch some into the cache."""

    action: Positional[Literal["list", "add"]] = "list"
    """What to do."""
    names: Positional[tuple[str, ...]] = ()
    """Networks to add."""

    def main(self) -> None:
        from recon.console import TerminalWatcher
        from recon.core.weights import add_network, list_networks

        if self.action == "add":
            if not self.names:
                raise InputError("expected the name of a network, got none; see: recon weights")
            for name in self.names:
                with TerminalWatcher().stage(name, "fetching") as progress:
                    print(add_network(name, progress))
            return
        if self.names:
            raise InputError(f"expected no names after 'list', got {' '.join(self.names)}")
        for status in list_networks():
            network = status.network
            print(
                f"{network.name:22} {network.size / 1e6:6.1f} MB  {network.licence:13} "
                f"{'present' if status.path else 'absent ':8} {network.package.spec}\n"
                f"{'':22} {network.purpose}"
            )


@dataclass(frozen=True, kw_only=True)
class TrainPrior(TrainPriorOptions):
    """Train a motion prior on mocap (AMASS .npz, .bvh), or on procedural motion without folders."""

    folders: Positional[tuple[Path, ...]] = ()
    """Folders of motion files, searched with all below."""

    def main(self) -> None:
        from recon.console import TerminalWatcher
        from recon.train_prior import train_prior

        print(train_prior(self.folders, self, watcher=TerminalWatcher()))


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Fetch a real clip and run everything on it."""

    scene: Path = Path("demo")
    """Folder to write."""
    json: bool = False
    """Print a summary as JSON on stdout and nothing else."""

    def main(self) -> None:
        from recon.console import TerminalWatcher
        from recon.core.weights import demo_video_path
        from recon.pipeline import run

        watcher = TerminalWatcher()
        with watcher.stage("demo clip", "fetching once") as progress:
            video = demo_video_path(progress)
        _show(run(video, self.scene, watcher=watcher), as_json=self.json)


@dataclass(frozen=True, kw_only=True)
class Synth(SynthOptions):
    """Render a world whose truth is known: video.mp4 and a scene folder with everything in it."""

    out: Positional[Path]
    """Folder to write, new or empty."""

    def main(self) -> None:
        from recon.synth.command import synth

        synth(self.out, self)


Command = (
    Annotated[Run, tyro.conf.subcommand("run")]
    | Annotated[Camera, tyro.conf.subcommand("camera")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Import, tyro.conf.subcommand("import")]
    | Annotated[Convert, tyro.conf.subcommand("convert")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Splat, tyro.conf.subcommand("splat")]
    | Annotated[Render, tyro.conf.subcommand("render")]
    | Annotated[View, tyro.conf.subcommand("view")]
    | Annotated[Tracks, tyro.conf.subcommand("tracks")]
    | Annotated[Weights, tyro.conf.subcommand("weights")]
    | Annotated[TrainPrior, tyro.conf.subcommand("train-prior")]
    | Annotated[Synth, tyro.conf.subcommand("synth")]
    | Annotated[Demo, tyro.conf.subcommand("demo")]
)


def main(args: list[str] | None = None) -> None:
    """Runs the command line `args` (default: the process's own) and exits."""
    args = sys.argv[1:] if args is None else args
    if args == ["--version"]:
        print(__version__)
        return
    try:
        command: Any = tyro.cli(Command, prog="recon", description=_DESCRIPTION, args=args)  # type: ignore[arg-type]
        command.main()
    except ReconError as error:
        sys.exit(_fail(str(error), EXIT_KNOWN_ERROR))
    except KeyboardInterrupt:
        sys.exit(_fail("interrupted; the same command goes on from here", EXIT_INTERRUPTED))
    except BrokenPipeError:  # `recon … | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_BROKEN_PIPE)
    except OSError as error:
        if error.errno not in _USER_OS_ERRORS:
            raise
        place = error.filename or "the folder that it works in"
        message = f"expected to use {place}, got: {error.strerror}; make room or choose another"
        sys.exit(_fail(message, EXIT_KNOWN_ERROR))


_DESCRIPTION = "An ordinary video into 3D people and a camera in one metric world."


def _fail(message: str, code: int) -> int:
    print(f"recon: {' '.join(message.split())}", file=sys.stderr)
    return code


def _show(scene: Scene, *, as_json: bool, stage: str | None = None) -> None:
    """Prints what a run made, and what `stage` decided; or all of it as JSON."""
    from recon.summary import summary

    result = summary(scene)
    if as_json:
        print(json.dumps(result, indent=1))
        return
    print(f"scene    {result['scene']}")
    if stage is not None:
        for decision in result["stages"][stage]["decisions"]:
            print(f"{stage:8} {decision['name']}: {decision['value']}")
        print(f"{stage:8} {result['frame']}")
    for name, files in result["outputs"].items():
        for file in dict.fromkeys(_folder_of_many(Path(f), scene.path) for f in files):
            print(f"{name:8} {file}")


def _folder_of_many(file: Path, scene: Path) -> Path:
    """A file, or the folder that one export fills with many, as COLMAP's or a mesh sequence's."""
    inside = file.relative_to(scene) if file.is_relative_to(scene) else file
    return file.parent if len(inside.parts) > 2 else file


if __name__ == "__main__":
    main()
