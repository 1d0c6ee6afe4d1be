"""Pictures and videos of what the window shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from recon.core.errors import ReconError
from recon.core.geometry import Array
from recon.core.storage import write_bytes
from viewer.world import World

Say = Callable[[str], None]


class Filmed(Protocol):
    """A scene's view in the window; `picture` gives it (H, W, 3) uint8 RGB when it is drawn."""

    @property
    def world(self) -> World: ...

    @property
    def frame(self) -> int: ...

    def picture(self, done: Callable[[np.ndarray], None]) -> None: ...


class VideoFile(Protocol):
    """Takes pictures (H, W, 3) uint8 RGB at rising seconds."""

    def write(self, image: np.ndarray, time: float) -> None: ...


OpenVideo = Callable[[Path, tuple[int, int], float], AbstractContextManager[VideoFile]]
"""Called with the .mp4, width and height (even, px) and a nominal rate."""


def side_by_side(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures of one height beside one another, cut to even sizes, as videos need them."""
    height = min(picture.shape[0] for picture in pictures) // 2 * 2
    whole = np.concatenate([picture[:height] for picture in pictures], axis=1)
    return np.ascontiguousarray(whole[:, : whole.shape[1] // 2 * 2])


class Recorder:
    """Writes the viewports to files in a folder, drawn for it frame by frame.

    A video has every frame of the clip at its own time, however slowly they were drawn.
    """

    def __init__(self, folder: Path, open_video: OpenVideo) -> None:
        self.folder, self._open_video = folder, open_video
        self._stack: AbstractContextManager[VideoFile] | None = None
        self._file: VideoFile | None = None
        self._path = Path()
        self.busy = False

    def screenshot(self, viewports: Sequence[Filmed], say: Say) -> None:
        """Writes SCENE_000012.png when the viewports have been drawn, and says so."""
        path = self._name(viewports, ".png")

        def write(picture: np.ndarray) -> None:
            data = cv2.imencode(".png", picture[..., ::-1])[1]
            try:
                write_bytes(path, data.tobytes())
            except OSError as error:
                say(str(error))
                return
            say(path.name)

        _together(viewports, write)

    def start(
        self, viewports: Sequence[Filmed], times: Array, go: Callable[[int], None], say: Say
    ) -> None:
        """Shows and writes frame after frame from the present one, to the clip's end or `stop`."""
        self.busy, self._path = True, self._name(viewports, ".mp4")
        fps = 1 / float(np.median(np.diff(times))) if len(times) > 1 else 30.0

        def take(picture: np.ndarray) -> None:
            if not self.busy:
                return
            frame = viewports[0].frame
            try:
                self._write(picture, float(times[frame]), fps)
            except (ReconError, OSError) as error:  # a full disk, a window of another size
                self._end(error)
                say(str(error))
                return
            if frame + 1 >= len(times):
                self.stop(say)
                return
            go(frame + 1)
            _together(viewports, take)

        say("recording: R ends it")
        _together(viewports, take)

    def stop(self, say: Say) -> None:
        """Ends a video and says where it is."""
        if self.busy:
            try:
                self._end(None)
            except OSError as error:
                say(str(error))
                return
            say(self._path.name)

    def _write(self, picture: np.ndarray, time: float, fps: float) -> None:
        if self._file is None:
            size = picture.shape[1], picture.shape[0]
            self._stack = self._open_video(self._path, size, fps)
            self._file = self._stack.__enter__()
        self._file.write(picture, time)

    def _end(self, error: BaseException | None) -> None:
        self.busy = False
        stack, self._stack, self._file = self._stack, None, None
        if stack is not None:
            stack.__exit__(None if error is None else type(error), error, None)

    def _name(self, viewports: Sequence[Filmed], suffix: str) -> Path:
        """A name that is free: scenes' names, the frame, and a number if need be."""
        names = "_".join(viewport.world.name for viewport in viewports)
        stem, number = f"{names}_{viewports[0].frame:06d}", 1
        path = self.folder / f"{stem}{suffix}"
        while path.exists():
            number += 1
            path = self.folder / f"{stem}_{number}{suffix}"
        return path


def _together(viewports: Sequence[Filmed], done: Callable[[np.ndarray], None]) -> None:
    """Calls `done` with the pictures of all viewports beside one another."""
    pictures: dict[int, np.ndarray] = {}

    def came(k: int, picture: np.ndarray) -> None:
        pictures[k] = picture
        if len(pictures) == len(viewports):
            done(side_by_side([pictures[i] for i in range(len(viewports))]))

    for k, viewport in enumerate(viewports):
        viewport.picture(lambda picture, k=k: came(k, picture))
