"""What a user may choose about a run: the command line's flags and `recon.run`'s keywords."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from tyro.conf import arg

from recon.core.errors import InputError

Seconds = Annotated[float | None, arg(metavar="SECONDS")]
CameraChoice = Literal["auto", "static", "rotating", "zooming", "moving"]


@dataclass(frozen=True, kw_only=True)
class ClipOptions:
    """Which part of the video, and how large."""

    start: Seconds = None
    """First second of the video to use."""
    end: Seconds = None
    """Second of the video before which to stop."""
    stride: Annotated[int, arg(metavar="N")] = 1
    """Use every N-th frame."""
    max_height: Annotated[int | None, arg(metavar="PX")] = None
    """Scale higher pictures down to this many pixels."""
    fps: Annotated[float | None, arg(metavar="HZ")] = None
    """Frame rate of a folder of images (a video has its own times)."""
    playback_speed: Annotated[float, arg(metavar="X")] = 1.0
    """How fast the file plays compared to what was filmed: 0.25 for four times slow motion."""


@dataclass(frozen=True, kw_only=True)
class CameraOptions(ClipOptions):
    """The clip, who is in it, and the camera."""

    people: Annotated[str, arg(metavar="WHO")] = "all"
    """Whom to follow: all, largest, a number of people, or none."""
    detector: Annotated[str, arg(metavar="NAME")] = "ssd"
    """Person detector."""
    keypoints: Annotated[str, arg(metavar="NAME")] = "blazepose-heavy"
    """Keypoint network: blazepose-heavy, blazepose-full (faster, less accurate), or your own
    rtmpose or vitpose (2D only)."""
    keypoints_model: Annotated[Path | None, arg(metavar="PATH")] = None
    """Your network: the .onnx file of rtmpose or rtmw, or the folder of vitpose."""
    camera: CameraChoice = "auto"
    """What the camera does; auto finds out."""
    camera_backend: Annotated[str, arg(metavar="NAME")] = "auto"
    """How its path is found: tracks (the default when it moves), colmap, colmap_incremental,
    dense_ba, rotation, static."""
    focal: Annotated[float | None, arg(metavar="PX")] = None
    """Focal length in pixels of the video, if you know it."""
    fov: Annotated[float | None, arg(metavar="DEG")] = None
    """Field of view in degrees across the longer side, if you know it."""
    k1: Annotated[float, arg(metavar="K1")] = 0.0
    """Radial distortion of the lens as OpenCV and COLMAP count it (wide lenses: about -0.3 to 0);
    frames are straightened as they are read. Needs --focal or --fov."""
    device: Literal["cpu"] = "cpu"
    """Where networks and fits run; no stage has a GPU back-end yet."""

    def __post_init__(self) -> None:
        check_range("--playback-speed", self.playback_speed, 1e-3, 1e3, "times")
        check_range("--focal", self.focal, 1, 1e6, "pixels")
        check_range("--fov", self.fov, 1, 170, "degrees")
        if self.focal is not None and self.fov is not None:
            raise InputError("expected --focal or --fov, got both; give one of them")
        check_range("--k1", self.k1, -1, 1, "(no unit)")


@dataclass(frozen=True, kw_only=True)
class RunOptions(CameraOptions):
    """Everything about a run."""

    hands: bool = False
    """Look for the hands too, and bend the fingers as they do."""
    face: bool = False
    """Look for the face too: its keypoints, and how far the mouth is open."""
    body_model: Annotated[str, arg(metavar="NAME")] = "anny"
    """Body model: anny (built in); smplx, smplh, smpl or mhr (from your own files)."""
    body_model_path: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder with the files of smplx, smplh, smpl or mhr."""
    height: Annotated[float | None, arg(metavar="METRES")] = None
    """Stature in metres of the person, if you know it."""
    weight: Annotated[float | None, arg(metavar="KG")] = None
    """Weight in kilograms of the person, if you know it."""
    depth_model: Annotated[str | None, arg(metavar="NAME_OR_DIR")] = None
    """Metric depth network that helps with the scale (extra `depth`): a folder or hub name."""
    keep: Annotated[str | None, arg(metavar="IDS")] = None
    """Only these of the people who were found, for example 1,3; see `recon tracks`."""
    overlay: bool = True
    """Write the overlay video and the report."""
    formats: Annotated[tuple[str, ...], arg(metavar="NAME ...")] = ("npz", "bvh", "glb", "tum")
    """Formats to export into the scene's folder `exports`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("--height", self.height, 0.4, 2.6, "metres")
        check_range("--weight", self.weight, 2, 400, "kilograms")
        if self.keep is not None:
            person_ids("--keep", self.keep)

    def to_json(self) -> dict[str, Any]:
        """The options as JSON-native values, paths absolute, for another process or machine."""
        values = {f.name: getattr(self, f.name) for f in fields(RunOptions)}
        for name in (*_PATH_OPTIONS, "depth_model"):  # a depth model may also be a hub's name
            path = values[name]
            if path is not None and (name in _PATH_OPTIONS or Path(path).exists()):
                values[name] = str(Path(os.path.expanduser(path)).absolute())
        return {**values, "formats": list(self.formats)}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> RunOptions:
        """The inverse of `to_json`."""
        paths = {k: Path(values[k]) for k in _PATH_OPTIONS if values[k] is not None}
        return RunOptions(**{**values, **paths, "formats": tuple(values["formats"])})


_PATH_OPTIONS = ("keypoints_model", "body_model_path")


@dataclass(frozen=True, kw_only=True)
class SplatOptions:
    """How Gaussians are trained."""

    minutes: float | None = None
    """Stop after so long; by default 5, unless --iterations says when."""
    iterations: int | None = None
    """Stop after so many pictures have been looked at."""
    gaussians: int = 40_000
    """Number of Gaussians at the end."""
    strategy: Literal["mcmc", "classic"] = "mcmc"
    """Where Gaussians are added and removed: mcmc, or classic (clone, split and prune)."""
    scale: float | None = None
    """Size of the pictures; by default a video's are at most 640 px wide, photographs whole."""
    held_out: int = 8
    """Each so-manieth picture is not trained on but measured with; 0 for none."""
    backend: str = "auto"
    """Rasteriser: auto, numba (CPU), gsplat (CUDA) or torch (slow)."""
    refine_poses: bool = False
    """Let the cameras' poses move too."""
    exposure: bool = False
    """Give each picture its own brightness and tint."""
    preview: bool = False
    """Show the Gaussians in a browser while they are trained (extra "viewer")."""
    alexnet: Annotated[Path | None, arg(metavar="FILE")] = None
    """torchvision's alexnet-owt-7be5be79.pth, to measure LPIPS with; by default where torch.hub
    puts it."""
    every: int | None = None
    """Of a video, take the sharpest of every so many frames; by default about 150 in all."""

    default_minutes: ClassVar[float] = 5.0

    def __post_init__(self) -> None:
        check_range("--minutes", self.minutes, 1e-3, 1e5, "minutes")
        check_range("--iterations", self.iterations, 1, 1e8, "steps")
        check_range("--gaussians", self.gaussians, 100, 1e7, "Gaussians")
        check_range("--scale", self.scale, 0.01, 1, "times the size")
        check_held_out(self.held_out)
        check_range("--every", self.every, 1, 1e6, "frames")


@dataclass(frozen=True, kw_only=True)
class RenderOptions:
    """Which new views to render."""

    path: Literal["original", "spline", "orbit", "orbits", "circles", "spiral", "stereo"] = (
        "original"
    )
    """original: the camera's own path, calmed; spline: a smooth one through a few of its places;
    orbit: around the people, or what the cameras look at; orbits: several, nearer, farther and
    higher; circles: about the middle of the cameras; spiral: into the scene and out again;
    stereo: original for two eyes."""
    baseline: float = 0.065
    """Of stereo, the distance of the eyes, in metres."""
    frames: int | None = None
    """Number of frames; by default as many as were trained on, 120 for an orbit, and 240 for
    several orbits, circles and a spiral."""
    size: Annotated[tuple[int, int] | None, arg(metavar="W H")] = None
    """Width and height of the pictures, for example 640 480; by default those that were trained
    on. A video's are made even."""
    depth: bool = False
    """Write depth and alpha too."""
    backend: str = "auto"
    """Rasteriser: auto, numba (CPU), gsplat (CUDA) or torch (slow)."""

    def __post_init__(self) -> None:
        check_range("--baseline", self.baseline, 1e-6, 1e3, "metres")
        check_range("--frames", self.frames, 1, 1e6, "frames")
        for side in self.size or ():
            check_range("--size", side, 16, 8192, "pixels")


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """How to measure, and where to write."""

    protocol: Literal["wham", "gvhmr", "tram"] = "wham"
    """Whose evaluation script to follow where they differ (last chunk, Accel, smoothed root)."""
    tolerance: float | None = None
    """Seconds between frames of the same moment; by default half a frame of the truth."""
    gaps: Literal["skip", "close"] = "skip"
    """Changes from frame to frame across frames without truth: left out, or taken as if the gap
    were not there, as the papers' scripts do."""
    joints: Literal[22, 24] = 22
    """Body joints; 24 puts SMPL's hands beyond the wrists."""
    regressor: Annotated[Path | None, arg(metavar="FILE")] = None
    """J_regressor_h36m.npy, for 3DPW's 14 joints; both bodies must be SMPL's."""
    body_model_path: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder with the files of SMPL, SMPL-H or SMPL-X, which data sets need."""
    fps: float | None = None
    """Frame rate of other programs' results that do not tell it."""
    html: Path | None = None
    """Also write a page with plots here."""
    json: bool = False
    """Print all figures as JSON on stdout and nothing else."""

    def __post_init__(self) -> None:
        check_range("--tolerance", self.tolerance, 0, 1e3, "seconds")
        check_range("--fps", self.fps, 1e-3, 1e3, "frames a second")


@dataclass(frozen=True, kw_only=True)
class TrainPriorOptions:
    """What a motion prior is trained on and for how long."""

    out: Annotated[Path, arg(aliases=["-o"], metavar="FILE")]
    """The .npz to write."""
    procedural: Annotated[int | None, arg(metavar="N")] = None
    """Procedural clips to train on besides; by default 600 if no folder is given."""
    steps: int = 2500
    """Optimiser steps; the default takes about six minutes of one core."""
    seed: int = 0
    """Of everything random."""

    def __post_init__(self) -> None:
        check_range("--procedural", self.procedural, 0, 1e6, "clips")
        check_range("--steps", self.steps, 1, 1e7, "steps")
        if self.out.suffix != ".npz":
            raise InputError(f"--out: expected a file that ends with .npz, got {self.out}")


@dataclass(frozen=True, kw_only=True)
class SynthOptions:
    """A world to render."""

    people: Annotated[int, arg(metavar="N")] = 1
    """One to four people."""
    camera: Literal["static", "panning", "swaying", "orbiting", "forward", "following"] = (
        "following"
    )
    """What the camera does."""
    action: Annotated[tuple[str, ...], arg(metavar="ACTION ...")] = ()
    """What each person does: stand, walk, run, turn, squat, jump, reach, sit, climb, dance, or
    several joined by +; by default what suits the camera."""
    motion: Annotated[Path | None, arg(metavar="FILE_OR_FOLDER")] = None
    """Recorded motion instead: a .bvh or AMASS .npz file, or a folder of them."""
    place: Literal["room", "street"] = "room"
    """Where it happens."""
    frames: Annotated[int, arg(metavar="N")] = 240
    """Number of frames."""
    fps: Annotated[float, arg(metavar="HZ")] = 30.0
    """Frames a second."""
    size: Annotated[tuple[int, int], arg(metavar="W H")] = (960, 540)
    """Width and height of the pictures in pixels."""
    fov: Annotated[float | None, arg(metavar="DEG")] = None
    """Field of view across the longer side; by default 50 to 70 degrees, from the seed."""
    seed: int = 0
    """Chooses bodies, clothes, paths and the place."""
    keypoints_only: bool = False
    """Write the truth without pictures, depth and masks; much faster."""
    json: bool = False
    """Print what was made as JSON on stdout and nothing else."""


def person_ids(flag: str, text: str) -> tuple[int, ...]:
    """The people's numbers in a text such as "1,3".

    Raises:
        InputError: anything else is in it.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise InputError(f"{flag}: expected people's numbers such as 1,3; got {text!r}")
    return tuple(sorted({int(part) for part in parts}))


def check_range(flag: str, value: float | None, low: float, high: float, unit: str) -> None:
    """Refuses now what a stage would refuse, or believe, after minutes of work."""
    if value is not None and not low <= value <= high:
        raise InputError(f"{flag}: expected {low:g} to {high:g} {unit}, got {value:g}")


def check_held_out(every: int) -> None:
    """Refuses an `--held-out N` that leaves no picture to train on."""
    check_range("--held-out", every, 0, 1e6, "pictures")
    if every == 1:
        raise InputError("--held-out: expected 0, or 2 or more, got 1: nothing would be left")
