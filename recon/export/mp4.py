"""Pictures with their own times into an mp4 that browsers play."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np

from recon.core.errors import InputError

_TICKS = 90_000
"""Time base per second: fine enough that a frame time is off by at most 6 microseconds."""


class Mp4Writer:
    """Writes H.264 (yuv420p, index first) with a real time for every frame; a context manager.

    The file appears under its name when the block ends without an error. The first frame stands
    at 0 s, since players would show nothing before a later start.

    Args:
        size: width, height in px, both even. fps: nominal rate, for players that show one.

    Raises:
        InputError: odd size, a picture of another size, or times that do not increase.
    """

    def __init__(self, path: Path, size: tuple[int, int], *, fps: float) -> None:
        if size[0] % 2 or size[1] % 2 or min(size) < 2:
            raise InputError(f"mp4: expected an even picture size, got {size[0]}x{size[1]}")
        self.path, self.size = Path(path), size
        self._part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        self._fps = Fraction(fps).limit_denominator(1001)
        self._start: float | None = None
        self._last = -1

    def __enter__(self) -> Mp4Writer:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._container = av.open(
            str(self._part), "w", format="mp4", options={"movflags": "+faststart"}
        )
        self._stream = self._container.add_stream("libx264", rate=self._fps)
        self._stream.width, self._stream.height = self.size
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, _TICKS)
        self._stream.options = {"preset": "veryfast", "crf": "21"}
        return self

    def write(self, image: np.ndarray, time: float) -> None:
        """Appends a picture (H, W, 3) uint8 RGB shown from `time`, seconds."""
        if image.shape != (self.size[1], self.size[0], 3):
            raise InputError(
                f"mp4: expected pictures of {self.size[0]}x{self.size[1]}, "
                f"got an array of shape {image.shape}"
            )
        self._start = time if self._start is None else self._start
        pts = round((time - self._start) * _TICKS)
        if pts <= self._last:
            raise InputError(f"mp4: expected increasing frame times, got {time} s again or earlier")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame.pts, frame.time_base = pts, Fraction(1, _TICKS)
        self._last = pts
        self._container.mux(self._stream.encode(frame))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._container.mux(self._stream.encode(None))
            self._container.close()
            if kind is None:
                os.replace(self._part, self.path)
        finally:
            self._part.unlink(missing_ok=True)
