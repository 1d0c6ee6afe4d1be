"""What a user may choose about video Gaussians."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated

from tyro.conf import arg

from recon.core.errors import InputError
from recon.options import SplatOptions, check_range

_OF_PLACES = ("strategy", "scale", "refine_poses", "exposure", "preview", "alexnet", "every")
"""Options of `recon splat` that mean nothing to --video."""


@dataclass(frozen=True, kw_only=True)
class VideoSplatOptions(SplatOptions):
    """How Gaussians are trained; on a video without a camera where `video` is set."""

    video: bool = False
    """Gaussians that move before a camera that stands, people and all, for clips where no camera
    can be had: of a video or a scene, with the options below."""
    frames: Annotated[int, arg(metavar="N")] = 60
    """Of --video, how many frames."""
    start: Annotated[float, arg(metavar="SECONDS")] = 0.0
    """Of --video, the first second to use."""
    height: Annotated[int, arg(metavar="PX")] = 240
    """Of --video, the pictures' height; larger ones take longer to train and to draw."""
    stereo: Annotated[float, arg(metavar="METRES")] = 0.065
    """Of --video, the distance of the eyes of stereo.mp4; 0 for none."""
    sway: Annotated[float, arg(metavar="METRES")] = 0.1
    """Of --video, how far the camera of sway.mp4 moves to each side; 0 for none."""
    fps: Annotated[float | None, arg(metavar="HZ")] = None
    """Of --video, also write interpolated.mp4 with so many frames a second."""
    plys: bool = False
    """Of --video, also write each frame's Gaussians as frames/frame000000.ply."""
    seed: int = 0
    """Of --video, of everything random; with --iterations the result can be repeated."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("--frames", self.frames, 4, 600, "frames")
        check_range("--start", self.start, 0, 1e6, "seconds")
        check_range("--height", self.height, 32, 2160, "pixels")
        check_range("--stereo", self.stereo, 0, 10, "metres")
        check_range("--sway", self.sway, 0, 10, "metres")
        check_range("--fps", self.fps, 0.1, 1000, "frames a second")
        self._check_belonging()

    def _check_belonging(self) -> None:
        """Refuses options that would change nothing."""
        given = {f.name for f in fields(self) if getattr(self, f.name) != f.default}
        own = {f.name for f in fields(VideoSplatOptions)} - {f.name for f in fields(SplatOptions)}
        useless = given & (set(_OF_PLACES) if self.video else own)
        if useless:
            flags = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(useless))
            wanted = "no --video beside" if self.video else "--video beside"
            raise InputError(f"expected {wanted} {flags}, which changes nothing so; leave one out")
