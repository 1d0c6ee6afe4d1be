"""The stages in order, from a video to a scene folder."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from recon.core.errors import InputError, StaleSceneError
from recon.core.scene import Scene
from recon.core.stage import Progress, StageReport
from recon.core.video import VideoInfo
from recon.options import RunOptions
from recon.runner import (
    STAGES,
    Output,
    Silent,
    Step,
    Watcher,
    check_stage_names,
    locked_scene,
    make_output,
    run_steps,
)
from recon.video import VideoConfig, VideoReader, open_source

FORMATS_OF_PEOPLE = ("npz", "smpl", "bvh", "obj", "ply", "trc", "c3d")
"""Formats that hold nothing where nobody was seen."""

CAMERA_FORMATS = ("tum", "colmap", "points")
"""What `recon camera` exports."""

PICTURES = ("overlay", "evidence", "report")
"""Outputs that show the result, made unless --no-overlay."""


def run(
    video: str | Path,
    scene: str | Path | None = None,
    options: RunOptions | None = None,
    *,
    stages: Collection[str] | None = None,
    force: Collection[str] = (),
    watcher: Watcher | None = None,
) -> Scene:
    """The finished scene of a video; what an earlier run finished and still holds is kept.

    Args:
        video: a file or a folder of numbered images. scene: default a folder named after it.
        stages: run only these. force: run these even if they are up to date.

    Raises:
        ReconError: the video, an option or the scene folder cannot be used.
    """
    options, watcher = options or RunOptions(), watcher or Silent()
    known = (*STAGES, *(PICTURES if options.overlay else ()), "exports")
    check_stage_names(stages or (), "--stages", known)
    check_stage_names(force, "--force", known)
    with _opened(video, scene, options, watcher) as work:
        run_steps(work.scene, work.steps(), only=stages, force=force, watcher=watcher)
        for output in work.outputs():
            if stages is None or output.name in stages:
                make_output(work.scene, output, force=output.name in force, watcher=watcher)
        return work.scene


def find_camera(
    video: str | Path,
    scene: str | Path | None = None,
    options: RunOptions | None = None,
    *,
    metric: bool = False,
    force: Collection[str] = (),
    watcher: Watcher | None = None,
) -> Scene:
    """The scene with its camera: the stages up to it, its files in `exports` and camera.html.

    The files are in the slam frame, unless the scene's bodies have placed this very path in the
    metric world, in an earlier run or in this one.

    Args:
        video, scene, force: as in `run`. options: its `formats` default to the camera's.
        metric: run all stages, for a path in metres and upright.

    Raises:
        ReconError: the video, an option or the scene folder cannot be used.
    """
    options, watcher = options or RunOptions(formats=CAMERA_FORMATS), watcher or Silent()
    check_stage_names(force, "--force", (*STAGES, "evidence", "exports"))
    with _opened(video, scene, options, watcher) as work:
        steps = work.steps()
        last = len(steps) if metric else STAGES.index("camera") + 1
        run_steps(work.scene, steps[:last], force=force, watcher=watcher)
        for output in work.outputs():
            if output.name in ("evidence", "exports"):
                make_output(work.scene, output, force=output.name in force, watcher=watcher)
        return work.scene


@contextmanager
def _opened(
    video: str | Path, scene: str | Path | None, options: RunOptions, watcher: Watcher
) -> Iterator[Work]:
    """The scene of a video, made or found and locked, ready to be worked on."""
    path = Path(os.path.expanduser(video)).absolute()
    clip = VideoConfig(
        path=str(path),
        start=options.start,
        end=options.end,
        stride=options.stride,
        max_height=options.max_height,
        fps=options.fps,
        playback_speed=options.playback_speed,
        k1=options.k1,
        focal_px=options.focal if options.k1 else None,
        fov_deg=options.fov if options.k1 else None,
    )
    check_backends(options)
    sha256 = open_source(clip).sha256()  # before the folder is made: a bad video leaves none
    with locked_scene(Path(scene) if scene else default_scene(path)) as folder:
        recognise_video(folder, clip, sha256, watcher)
        yield Work(folder, clip, options, watcher)


def check_backends(options: RunOptions) -> None:
    """Refuses names and licensed files that a stage would miss only after minutes of work.

    Raises:
        InputError: an unknown name, or a body model's file is missing.
        MissingDependencyError: a chosen back-end's package is not installed.
    """
    from body.detect import DETECTORS, load_backend
    from body.landmarks import check_landmarker
    from recon.export import check_formats

    check_formats(options.formats)
    load_backend(DETECTORS, options.detector, "--detector")
    check_landmarker(options.keypoints, options.keypoints_model)
    if options.camera_backend != "auto":
        from slam.camera import load_backend as load_camera_backend

        load_camera_backend(options.camera_backend)
    if options.depth_model is not None:
        from slam.depth_networks import check_depth_model

        check_depth_model(options.depth_model)
    if options.body_model != RunOptions.body_model:  # the embedded one lacks nothing
        from body.models import load_body_model

        load_body_model(options.body_model, options.body_model_path)


def default_scene(video: Path) -> Path:
    """The folder named after a video, in the current directory."""
    scene = Path(video.stem)
    return scene if scene.absolute() != video else Path(f"{video.stem}_scene")


def recognise_video(scene: Scene, clip: VideoConfig, sha256: str, watcher: Watcher) -> None:
    """Makes a scene's record of its video agree with the file as it is now.

    Other content makes everything stale; the same content in another place changes nothing.
    """
    if imported := scene.manifest.get("imported"):
        raise InputError(
            f"expected a new folder or the scene of a video, got {scene.path}, which was "
            f"imported from {imported['from']}; use --scene DIR"
        )
    record: dict[str, Any] | None = scene.manifest["stages"].get("video")
    if record is None:
        return
    try:
        info = scene.video
    except StaleSceneError:
        scene.forget("video")
        return
    if info.sha256 != sha256:
        watcher.note("video: its content changed")
        scene.forget("video")
    elif info.path != clip.path:
        # The recorded hash of the result stays: where a video lies is no reason to redo a stage.
        scene.save("video.npz", [replace(info, path=clip.path)])
        record["config"]["path"] = clip.path
        scene.note("video", {**scene.manifest["video"], "path": clip.path})


@dataclass(frozen=True)
class Work:
    """What one run does to a scene."""

    scene: Scene
    clip: VideoConfig
    options: RunOptions
    watcher: Watcher

    def steps(self) -> list[Step]:
        """The stages, in order."""
        # Here, because these modules load torch.
        from body.fit import BodyConfig
        from body.people import PeopleConfig
        from body.world import WorldConfig
        from recon.tracks import chosen_edits, people_step
        from slam.camera import CameraConfig

        options = self.options
        tracking = PeopleConfig(
            people=options.people,
            detector=options.detector,
            keypoints=options.keypoints,
            keypoints_model=options.keypoints_model and str(options.keypoints_model),
            hands=options.hands,
            face=options.face,
        )
        camera = CameraConfig(
            kind=options.camera,
            backend=options.camera_backend,
            focal_px=options.focal,
            fov_deg=options.fov,
        )
        body = BodyConfig(
            body_model=options.body_model,
            body_model_path=options.body_model_path and str(options.body_model_path),
            stature=options.height,
            mass=options.weight,
        )
        world = WorldConfig(
            depth_model=options.depth_model,
            body_model_path=options.body_model_path and str(options.body_model_path),
        )
        return [
            Step(name="video", config=self.clip, work=self._video),
            Step(name="tracking", config=tracking, work=lambda p: self._tracking(tracking, p)),
            people_step(self.scene, chosen_edits(self.scene, options.keep)),
            Step(name="camera", config=camera, work=lambda p: self._camera(camera, p)),
            Step(name="body", config=body, work=lambda p: self._body(body, p)),
            Step(name="world", config=world, work=lambda p: self._world(world, p)),
        ]

    def outputs(self) -> list[Output]:
        """What is made of the finished stages, in order."""
        exports = Output(
            name="exports",
            needs=STAGES,
            settings={"formats": list(self.options.formats)},
            work=self._exports,
        )
        if not self.options.overlay:
            return [exports]
        return [
            Output(name="overlay", needs=STAGES, work=self._overlay),
            Output(name="evidence", needs=STAGES, work=self._evidence),
            Output(name="report", needs=STAGES, work=self._report),
            exports,
        ]

    def _frames(self) -> VideoReader:
        return VideoReader(self.clip, self.scene.video)

    def _video(self, progress: Progress) -> StageReport:
        reader = VideoReader.open(self.clip.path, self.clip, progress=progress)
        self.scene.save("video.npz", [reader.info])
        return video_report(reader.info)

    def _tracking(self, config: Any, progress: Progress) -> StageReport:
        from body import people

        return people.run(self.scene, config, frames=self._frames(), progress=progress)

    def _camera(self, config: Any, progress: Progress) -> StageReport:
        from slam import camera

        return camera.run(self.scene, config, frames=self._frames(), progress=progress)

    def _body(self, config: Any, progress: Progress) -> StageReport:
        from body import fit

        return fit.run(self.scene, config, progress=progress)

    def _world(self, config: Any, progress: Progress) -> StageReport:
        from body import world
        from slam.depth_networks import depth_evidence
        from slam.shot_worlds import place_shots

        depth = depth_evidence(self.scene, self._frames(), config.depth_model)
        place = partial(place_shots, depth=depth)
        return world.run(self.scene, config, place=place, progress=progress)

    def _overlay(self, progress: Progress) -> list[Path]:
        from recon.export.overlay import write_overlay

        path = self.scene.path / "overlay.mp4"
        write_overlay(self.scene, self._frames(), path, progress=progress)
        return [path]

    def _evidence(self, progress: Progress) -> list[Path]:
        from viewer.camera_page import write_camera_page
        from viewer.page import CAMERA_PAGE

        path = self.scene.path / CAMERA_PAGE
        write_camera_page(self.scene, self._frames(), path)
        return [path]

    def _report(self, progress: Progress) -> list[Path]:
        from viewer.report import write_report

        path = self.scene.path / "report.html"
        write_report(self.scene, path)
        return [path]

    def _exports(self, progress: Progress) -> list[Path]:
        from recon.export import export_scene

        formats = self.options.formats
        if not self.scene.is_current("world") or not self.scene.world_motions:
            empty = [name for name in formats if name in FORMATS_OF_PEOPLE]
            formats = [name for name in formats if name not in empty]
            if empty:
                self.watcher.note(f"exports: without people there is no {', '.join(empty)}")
        written = export_scene(self.scene, formats, self.scene.path / "exports")
        return [path for paths in written.values() for path in paths]


def video_report(info: VideoInfo) -> StageReport:
    """What the video stage says about a clip."""
    steps = np.diff(info.times)
    return StageReport(
        backend="pyav",
        warnings=info.warnings,
        numbers={
            "frames": len(info.times),
            "width": info.width,
            "height": info.height,
            "fps": round(info.fps, 3),
            "seconds": round(float(info.times[-1] - info.times[0]), 3),
            "longest_gap_seconds": round(float(steps.max()), 3),
        },
    )
