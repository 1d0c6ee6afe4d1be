"""Commands that turn a video into a scene."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import tyro
from tyro.conf import Positional

from recon.options import CameraOptions, RunOptions

if TYPE_CHECKING:
    from recon.core.scene import Scene


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
    resumes: ClassVar[bool] = True

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
    resumes: ClassVar[bool] = True

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
class Demo:
    """Fetch a real clip and run everything on it."""

    scene: Path = Path("demo")
    """Folder to write."""
    json: bool = False
    """Print a summary as JSON on stdout and nothing else."""
    resumes: ClassVar[bool] = True

    def main(self) -> None:
        from recon.console import TerminalWatcher
        from recon.core.weights import demo_video_path
        from recon.pipeline import run

        watcher = TerminalWatcher()
        with watcher.stage("demo clip", "fetching once") as progress:
            video = demo_video_path(progress)
        _show(run(video, self.scene, watcher=watcher), as_json=self.json)


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
