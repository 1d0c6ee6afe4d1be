"""What a stage sees of a video: its frames, one at a time, and their times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from recon.core.checks import MAX_SIDE_PX, check_array, check_range
from recon.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One picture: index into the scene's times, seconds, (H, W, 3) uint8 RGB."""

    index: int
    time: float
    image: np.ndarray


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """A decoded clip's size and frame times.

    Args:
        width, height: px, after rotation and resizing.
        times: (T,) increasing seconds, the first selected frame at its own presentation time.
        focal_px: focal length for this size from the container or EXIF, or None.
        sha256: of the source file's bytes (of names and contents for a folder).
        warnings: what the reader had to leave out, in words.
    """

    path: str
    width: int
    height: int
    times: np.ndarray
    focal_px: float | None
    sha256: str
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_array("times", self.times, (len(self.times),))
        if len(self.times) == 0:
            raise InputError(f"expected at least one frame, got none from {self.path}")
        if np.any(np.diff(self.times) <= 0):
            raise InputError("times: expected strictly increasing seconds")
        check_range("width", self.width, 1, MAX_SIDE_PX)
        check_range("height", self.height, 1, MAX_SIDE_PX)

    @property
    def fps(self) -> float:
        """Median frame rate, for files that can hold only one; never to compute times."""
        return float(1 / np.median(np.diff(self.times))) if len(self.times) > 1 else 30.0


class FrameSource(Protocol):
    """Frames that can be walked through again and again, streaming from the start each time."""

    @property
    def info(self) -> VideoInfo: ...

    def __iter__(self) -> Iterator[Frame]: ...
