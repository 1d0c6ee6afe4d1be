"""Video files and folders of images as streams of frames with real presentation times."""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from recon.core.camera import Intrinsics
from recon.core.errors import InputError, StaleSceneError
from recon.core.stage import Progress, no_progress
from recon.core.untrusted import check_text
from recon.core.video import Frame, VideoInfo
from recon.pictures import PictureSource

if TYPE_CHECKING:
    from recon.core.scene import Scene

T = TypeVar("T")

_EPS = 1e-6
"""Seconds: `--start 0.1` means the frame at 0.1 whatever its last binary digit."""
_MAX_GAP_STEPS = 100_000
"""Of the usual step between frames: an hour at 25 frames a second."""
_FRAMES_AHEAD = 4
"""Decoded frames that wait for the consumer; 6 MB each at 1080p."""


@dataclass(frozen=True, kw_only=True)
class VideoConfig:
    """Which frames of which video.

    Args:
        path: a video file or a folder of numbered images.
        start, end: seconds on the video's own clock; frames with start <= time < end.
        stride: every stride-th of these frames.
        max_height: px; higher pictures are scaled down to it.
        fps: frame rate of a folder of images or of a file that holds no times.
        playback_speed: how fast the file plays compared to what was filmed; 0.25 for footage
            slowed down four times. Frame times are those of what was filmed.
        k1: radial distortion of the lens, taken out of every frame; see `recon.lens`.
        focal_px, fov_deg: of the lens, one of the two, and only with k1.
    """

    path: str = ""
    start: float | None = None
    end: float | None = None
    stride: int = 1
    max_height: int | None = None
    fps: float | None = None
    playback_speed: float = 1.0
    k1: float = 0.0
    focal_px: float | None = None
    fov_deg: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.playback_speed < math.inf:
            raise InputError(
                f"--playback-speed: expected a positive number, got {self.playback_speed}"
            )
        if self.k1 and (self.focal_px is None) == (self.fov_deg is None):
            raise InputError("expected --focal or --fov beside --k1, which counts in focal lengths")
        if self.stride < 1:
            raise InputError(f"--stride: expected 1 or more, got {self.stride}")
        for flag, value in (("--start", self.start), ("--end", self.end)):
            if value is not None and not math.isfinite(value):
                raise InputError(f"{flag}: expected a number of seconds, got {value}")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise InputError(f"--end: expected more than --start {self.start}, got {self.end}")
        if self.max_height is not None and self.max_height < 16:
            raise InputError(f"--max-height: expected 16 or more pixels, got {self.max_height}")
        if self.fps is not None and not 0 < self.fps < math.inf:
            raise InputError(f"--fps: expected a positive frame rate, got {self.fps}")


class VideoReader:
    """Streams a clip's selected frames, the same ones at every walk (a `FrameSource`).

    `VideoReader.open` decodes the clip once to learn its times; `VideoReader(config, info)`
    trusts the result of an earlier `open`.
    """

    def __init__(self, config: VideoConfig, info: VideoInfo) -> None:
        self.config = config
        self._info = info

    @classmethod
    def open(
        cls,
        path: str | Path,
        config: VideoConfig | None = None,
        *,
        progress: Progress = no_progress,
    ) -> VideoReader:
        """A reader for `path`, after decoding all selected frames once.

        Args:
            config: which frames; its own path is ignored.
            progress: called with parts per thousand of the source.

        Raises:
            InputError: there is no such file, it holds no video, or fewer than two frames of it
                can be read.
        """
        config = replace(config or VideoConfig(), path=str(path))
        source = open_source(config)
        size: tuple[int, int] | None = None
        times: list[float] = []
        num_broken = 0
        since, until = _bounds(config)
        for picture in source.pictures(since=since, until=until):
            progress(round(1000 * source.fraction), 1000)
            if not since <= picture.time < until:
                continue
            if not picture.intact:
                num_broken += 1
                continue
            if size is not None and picture.size_wh != size:
                raise InputError(
                    f"expected one frame size, got {size[0]}x{size[1]} and then "
                    f"{picture.size_wh[0]}x{picture.size_wh[1]} at {picture.time:.2f} s in {path}; "
                    f"cut there with --end {picture.time:.2f} or --start {picture.time:.2f}"
                )
            size = picture.size_wh
            times.append(picture.time)
        progress(1000, 1000)
        selected = times[:: config.stride]
        if size is None or len(selected) < 2:
            raise InputError(_too_few(config, len(selected), num_broken, source.warnings))
        _check_gaps(times, path)
        warnings = list(source.warnings)
        if num_broken:
            warnings.append(f"{num_broken} damaged frame(s) were left out")
        width, height = _output_size(size, config.max_height)
        focal_35mm = source.focal_35mm()
        info = VideoInfo(
            path=str(path),
            width=width,
            height=height,
            times=np.array(selected) * config.playback_speed,
            # 36 mm is the longer side of the 35 mm film frame that the equivalence refers to.
            focal_px=None if focal_35mm is None else focal_35mm / 36 * max(width, height),
            sha256=source.sha256(),
            warnings=tuple(warnings),
        )
        return cls(config, info)

    @property
    def info(self) -> VideoInfo:
        """Size and times of the selected frames."""
        return self._info

    def __iter__(self) -> Iterator[Frame]:
        """The selected frames, decoded in a thread a few frames ahead of the consumer.

        Raises:
            InputError: the source changed since it was opened.
        """
        return _ahead(self._decode(), _FRAMES_AHEAD)

    def _decode(self) -> Iterator[Frame]:
        info = self._info
        wanted = info.times
        index = 0
        # Damage was judged once, when the clip was opened; from then on a frame is its time.
        since, until = _bounds(self.config)
        straighten = _straightener(self.config, info)
        for picture in open_source(self.config).pictures(since=since, until=until):
            time = picture.time * self.config.playback_speed
            if time == wanted[index]:
                image = straighten(_fit(picture.rgb(), info.width, info.height))
                yield Frame(index=index, time=time, image=image)
                index += 1
                if index == len(wanted):
                    return
        raise InputError(
            f"expected the {len(wanted)} frames that {info.path} had when it was opened, got "
            f"{index}; the video changed: run again"
        )


def recorded_clip(scene: Scene) -> VideoConfig:
    """Which frames of which video a scene was made from.

    Raises:
        StaleSceneError: its record cannot be understood.
    """
    record = scene.manifest["stages"].get("video", {}).get("config", {})
    known = {k: v for k, v in record.items() if k in VideoConfig.__dataclass_fields__}
    try:
        return replace(VideoConfig(**known), path=scene.video.path)
    except (TypeError, ValueError, InputError) as error:
        raise StaleSceneError(
            f"expected the settings of stage 'video' in {scene.path}, got {known}: {error}; "
            "make them again with: recon run VIDEO --force video"
        ) from error


def open_source(config: VideoConfig) -> PictureSource:
    """The file or folder that `config.path` names.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    path = Path(config.path)
    check_text(path)
    if not path.exists():
        raise InputError(f"expected a video file or a folder of images, got {path}: no such file")
    if not (path.is_dir() or path.is_file()):
        raise InputError(f"expected a video file or a folder of images, got {path}: a device")
    if path.is_dir():
        from recon.image_folder import ImageFolder

        return ImageFolder(path, fps=config.fps)
    from recon.video_file import VideoFile

    return VideoFile(path, fps=config.fps)


def _bounds(config: VideoConfig) -> tuple[float, float]:
    since = -math.inf if config.start is None else config.start - _EPS
    until = math.inf if config.end is None else config.end - _EPS
    return since, until


def _output_size(size_wh: tuple[int, int], max_height: int | None) -> tuple[int, int]:
    width, height = size_wh
    if max_height is None or height <= max_height:
        return width, height
    return max(1, round(width * max_height / height)), max_height


def _fit(image: np.ndarray, width: int, height: int) -> np.ndarray:
    if image.shape[:2] == (height, width):
        return np.ascontiguousarray(image)
    import cv2

    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _straightener(config: VideoConfig, info: VideoInfo) -> Callable[[np.ndarray], np.ndarray]:
    """What takes the lens's distortion out of a frame; nothing where none is known."""
    if not config.k1:
        return lambda image: image
    from recon.lens import Straightener

    focal = config.focal_px
    if config.fov_deg is not None:
        focal = Intrinsics.from_fov(
            info.width, info.height, fov_deg=config.fov_deg, source="user"
        ).fx
    assert focal is not None, "VideoConfig checked it"
    return Straightener(config.k1, focal_px=focal, width=info.width, height=info.height)


def _check_gaps(times: Sequence[float], path: str | Path) -> None:
    """Refuses a clock that leaps: evenly spaced exports would fill such a gap with frames."""
    steps = np.diff(times)
    gap = int(steps.argmax())
    if steps[gap] > _MAX_GAP_STEPS * np.median(steps):
        raise InputError(
            f"expected frames that follow one another, got nothing for {steps[gap]:.0f} s after "
            f"{times[gap]:.2f} s in {path}; cut there with --end {times[gap + 1]:.2f} or "
            f"--start {times[gap + 1]:.2f}"
        )


def _too_few(config: VideoConfig, num_frames: int, num_broken: int, warnings: Sequence[str]) -> str:
    where = ""
    if config.start is not None or config.end is not None:
        end = "its end" if config.end is None else f"{config.end:g} s"
        where = f" between {config.start or 0:g} s and {end}"
    broken = f" and {num_broken} damaged ones" if num_broken else ""
    because = f" ({'; '.join(warnings)})" if warnings else ""
    return (
        f"expected at least 2 frames{where}, got {num_frames}{broken} from {config.path}{because}; "
        "choose a longer clip or other --start, --end, --stride"
    )


def _ahead(items: Iterator[T], size: int) -> Iterator[T]:
    """The same items, made in a thread that runs at most `size` items ahead.

    The thread has ended when this iterator is exhausted, closed or raises.
    """
    ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(maxsize=size)
    stop = threading.Event()

    def put(item: T | None, error: BaseException | None = None) -> None:
        while not stop.is_set():
            try:
                return ready.put((item, error), timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put(item)
                if stop.is_set():
                    return
            put(None)
        except BaseException as error:  # handed to the consumer, who raises it
            put(None, error)

    thread = threading.Thread(target=work, name="recon-decode", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item
    finally:
        stop.set()
        thread.join()
