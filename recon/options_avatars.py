"""What a user may choose about moving avatars and the scenes that they stand in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import arg

from recon.core.errors import InputError
from recon.options import Seconds, check_held_out, check_range

Size = Annotated[tuple[int, int] | None, arg(metavar="W H")]


@dataclass(frozen=True, kw_only=True)
class AvatarOptions:
    """Which person, and how long and on what to train."""

    person: Annotated[int, arg(metavar="ID")] = 1
    """Number of the person, as in `recon tracks`."""
    mode: Literal["fast", "network"] = "fast"
    """fast: Gaussians on the body's surface, minutes on a CPU; network: a decoder with looks that
    depend on the pose, as in GaussianAvatar, much slower."""
    minutes: Annotated[float | None, arg(metavar="M")] = None
    """How long to train at most; by default 10, with a network 60."""
    iterations: int | None = None
    """Pictures to look at at most; by default 3000, with a network 30000, on CUDA 20000."""
    resolution: Annotated[int | None, arg(metavar="R")] = None
    """Texels along each side of the body's texture, of which about 0.6 R² show the body; by default
    192, with a network on CUDA 512."""
    size: Annotated[int, arg(metavar="PX")] = 384
    """Side of the crops around the person, at most; less where they are smaller in the video."""
    frames: int = 100
    """How many frames of the video to look at, evenly over those that show the person."""
    held_out: Annotated[int, arg(metavar="N")] = 8
    """Keep every Nth of them for measuring; 0: none."""
    masks: Annotated[str | None, arg(metavar="MODEL")] = None
    """A SAM-family network that draws the masks: folder or name; by default the tracks' masks,
    refined."""

    def __post_init__(self) -> None:
        check_range("--minutes", self.minutes, 1e-3, 1e5, "minutes")
        check_range("--iterations", self.iterations, 1, 1e8, "steps")
        check_range("--resolution", self.resolution, 32, 1024, "texels")
        check_range("--size", self.size, 64, 2048, "pixels")
        check_range("--frames", self.frames, 8, 1e5, "frames")
        check_held_out(self.held_out)


@dataclass(frozen=True, kw_only=True)
class AnimateOptions:
    """How an avatar's motion is shown or written."""

    person: Annotated[int | None, arg(metavar="ID")] = None
    """Of a scene, whose avatar; by default the first that there is."""
    motion_person: Annotated[int | None, arg(metavar="ID")] = None
    """Of a scene, whose motion; by default the avatar's own, or in another scene its first
    person's."""
    path: Literal["follow", "fixed", "turntable"] = "follow"
    """The video's camera: follow goes along, fixed sees the whole motion from one place,
    turntable circles around the person."""
    fps: Annotated[float | None, arg(metavar="HZ")] = None
    """Frames a second; by default 30, and the motion's own in an .npz."""
    size: Size = None
    """Width and height of the video; by default 512 640."""
    start: Seconds = None
    """First second of the motion to use."""
    end: Seconds = None
    """Last second of the motion to use."""
    seconds: Annotated[float, arg(metavar="SECONDS")] = 4.0
    """How long a procedural action takes."""
    seed: int = 0
    """Another one for another variant of a procedural action."""
    frame: Annotated[int, arg(metavar="N")] = 0
    """Frame that a .glb shows."""
    no_floor: bool = False
    """Draw no lines on the floor."""
    backend: str = "auto"
    """Rasteriser: auto, numba (CPU), gsplat (CUDA) or torch (slow)."""

    def __post_init__(self) -> None:
        check_range("--fps", self.fps, 0.1, 1000, "frames a second")
        check_range("--seconds", self.seconds, 0.1, 3600, "seconds")
        _check_size(self.size)


@dataclass(frozen=True, kw_only=True)
class ComposeOptions:
    """Which camera looks at the scene and its people, and when."""

    path: Literal["original", "smoothed", "orbit", "spline", "turntable", "bullet-time"] = (
        "original"
    )
    """original: the camera's own path; smoothed: calmed; spline: a smooth one through a few of
    its places; orbit: around the people, or what the cameras look at, as far as the camera went;
    turntable: all around the people, who fill the picture; bullet-time: time stops while the
    camera swings around the people."""
    at: Seconds = None
    """Of bullet-time, the second at which time stops; by default the middle."""
    freeze: Annotated[float, arg(metavar="SECONDS")] = 4.0
    """Of bullet-time, how long the swing takes."""
    slow: Annotated[float, arg(metavar="X")] = 0.0
    """Of bullet-time, the share of its speed that time keeps; 0 stops it."""
    arc: Annotated[float, arg(metavar="DEG")] = 90.0
    """Of bullet-time, how far around: to one side, to the other and back; 360 goes all around,
    also where the place was never filmed."""
    person: Annotated[int | None, arg(metavar="ID")] = None
    """Only this person's avatar; by default all."""
    background: bool = True
    """Show the place that `recon splat` trained; else the people alone."""
    fps: Annotated[float | None, arg(metavar="HZ")] = None
    """Frames a second; by default the video's own."""
    size: Size = None
    """Width and height of the pictures; by default those that the place was trained on."""
    start: Seconds = None
    """First second of the scene to show."""
    end: Seconds = None
    """Last second of the scene to show."""
    depth: bool = False
    """Write depth and alpha too."""
    backend: str = "auto"
    """Rasteriser: auto, numba (CPU), gsplat (CUDA) or torch (slow)."""

    def __post_init__(self) -> None:
        check_range("--fps", self.fps, 0.1, 1000, "frames a second")
        check_range("--freeze", self.freeze, 0.1, 600, "seconds")
        check_range("--slow", self.slow, 0, 1, "times")
        check_range("--arc", self.arc, 1, 360, "degrees")
        _check_size(self.size)
        chosen = {"--at": self.at is not None, "--freeze": self.freeze != 4.0,
                  "--slow": self.slow != 0.0, "--arc": self.arc != 90.0}  # fmt: skip
        if self.path != "bullet-time" and any(chosen.values()):
            names = ", ".join(name for name, given in chosen.items() if given)
            raise InputError(f"{names}: expected only with --path bullet-time, got {self.path}")


def _check_size(size: tuple[int, int] | None) -> None:
    for side in size or ():
        check_range("--size", side, 16, 8192, "pixels")
