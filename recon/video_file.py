"""A video file as a source of pictures: PyAV decoding, clock, rotation and pixel format."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.stream import Disposition

from recon.core.errors import InputError
from recon.pictures import Picture

_DISCONTINUITY = 1.0
"""Seconds: a larger step back is a restarted clock, a smaller one a duplicated frame."""
_SEEK_FROM = 5.0
"""Seconds: earlier starts are reached about as fast by decoding from the beginning."""
_UNSPECIFIED = 2
"""AVCOL_SPC_UNSPECIFIED: the file does not say which YUV it holds."""
_TEXT_CODECS = frozenset({"ansi", "bintext", "idf", "xbin"})
"""FFmpeg renders text files as pictures."""
_FOCAL_KEY = "com.apple.quicktime.camera.focal_length.35mm_equivalent"


class VideoFile:
    """The best video stream of a file.

    Raises:
        InputError: the file cannot be opened or holds no video.
    """

    def __init__(self, path: Path, *, fps: float | None) -> None:
        self.path = path
        self.fps = fps
        self.warnings: list[str] = []
        self.fraction = 0.0
        with self._open() as container:
            stream = _video_stream(container, path)
            self._metadata = {**container.metadata, **stream.metadata}

    def _open(self) -> Any:
        try:
            # A file may be a playlist, which must not reach for the network.
            options = {"protocol_whitelist": "file,crypto,data"}
            return av.open(str(self.path), metadata_errors="replace", options=options)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            if self.path.is_file() and self.path.stat().st_size == 0:
                reason = "the file is empty"
            raise InputError(
                f"expected a readable video, got {self.path}: {reason}; "
                "check that it is complete and plays, or convert it to mp4"
            ) from error

    def focal_35mm(self) -> float | None:
        """The 35 mm equivalent focal length that a phone wrote."""
        try:
            return float(self._metadata[_FOCAL_KEY]) or None
        except (KeyError, ValueError):
            return None

    def sha256(self) -> str:
        """Hash of the file's bytes."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def pictures(self, *, since: float, until: float) -> Iterator[Picture]:
        """Every frame at its presentation time, counted from the start of the container."""
        seek = since > _SEEK_FROM and self._can_seek(since)
        with self._open() as container:
            stream = _video_stream(container, self.path)
            stream.thread_type = "AUTO"
            clock = _Clock(container, stream, self.fps)
            if seek:
                container.seek(clock.container_time(since))
            frames = _Frames(container, stream)
            declared = _declared_end(container, stream, clock.origin)
            end, tail = 0.0, []
            for frame in frames:
                time = clock.tick(frame)
                if time is None:
                    continue
                if time >= until:
                    break
                self.fraction = min(max(time / declared, 0.0), 1.0) if declared else 0.0
                end = time + float((frame.duration or 0) * (frame.time_base or 0))
                yield _picture(frame, time, stream.sample_aspect_ratio)
            else:
                if declared is not None and end < declared - max(0.1, 2 * clock.step):
                    tail = [f"of {declared:.2f} s declared, all after {end:.2f} s is missing"]
            self.warnings = [*clock.warnings(), *frames.warnings(), *tail]

    def _can_seek(self, since: float) -> bool:
        """Whether a seek to `since` seconds lands on a frame with a time before it."""
        with self._open() as container:
            stream = _video_stream(container, self.path)
            clock = _Clock(container, stream, self.fps)
            try:
                container.seek(clock.container_time(since))
            except av.error.FFmpegError:
                return False
            first = next(iter(_Frames(container, stream)), None)
            time = None if first is None else clock.stamp(first)
            return time is not None and time <= since


class _Frames:
    """The decoded frames of a stream; damage is counted and stepped over."""

    def __init__(self, container: Any, stream: Any) -> None:
        self.container = container
        self.stream = stream
        self.num_undecodable = 0
        self.broken_off: str | None = None

    def __iter__(self) -> Iterator[Any]:
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError) as error:
                self.broken_off = getattr(error, "strerror", None) or str(error)
                packet = None
            try:
                # After the last packet, None flushes the frames that still wait for reordering.
                yield from self.stream.codec_context.decode(packet)
            except av.error.EOFError:
                return  # the demuxer's own last packet has flushed already
            except av.error.FFmpegError:
                self.num_undecodable += 1
            if packet is None:
                return

    def warnings(self) -> list[str]:
        out = []
        if self.num_undecodable:
            out.append(f"{self.num_undecodable} piece(s) of the video could not be decoded")
        if self.broken_off is not None:
            out.append(f"the file breaks off before its end ({self.broken_off})")
        return out


class _Clock:
    """Strictly increasing presentation times in seconds from the start of the container."""

    def __init__(self, container: Any, stream: Any, fps: float | None) -> None:
        starts = (s.start_time * s.time_base for s in container.streams if s.start_time is not None)
        self.origin: Fraction = min(starts, default=Fraction(0))
        self.step = float(1 / (stream.average_rate or stream.guessed_rate or 30))
        self.given_step = None if fps is None else 1 / fps
        self.last: float | None = None
        self.offset = 0.0
        self.num_repeated = self.num_restarted = self.num_untimed = 0

    def container_time(self, seconds: float) -> int:
        """Our seconds as microseconds on the container's own clock."""
        return int((Fraction(seconds) + self.origin) * 1_000_000)

    def stamp(self, frame: Any) -> float | None:
        """The frame's own time, or None if the file holds none."""
        if frame.pts is None or frame.time_base is None:
            return None
        return float(frame.pts * frame.time_base - self.origin)

    def tick(self, frame: Any) -> float | None:
        """The next frame's time, repaired if need be; None for a frame to drop."""
        time = self.stamp(frame)
        if time is None:
            self.num_untimed += 1
            step = self.given_step or self.step
            time = 0.0 if self.last is None else self.last + step
        else:
            time += self.offset
        if self.last is not None and time <= self.last:
            if self.last - time < _DISCONTINUITY:
                self.num_repeated += 1
                return None
            self.num_restarted += 1
            self.offset += self.last + self.step - time
            time = self.last + self.step
        self.last = time
        return time

    def warnings(self) -> list[str]:
        out = []
        if self.num_repeated:
            out.append(f"{self.num_repeated} frame(s) that repeat an earlier time were left out")
        if self.num_restarted:
            out.append(f"the clock restarts {self.num_restarted} time(s); times were joined up")
        if self.num_untimed:
            fps = 1 / (self.given_step or self.step)
            source = "--fps" if self.given_step else "the header; correct it with --fps"
            out.append(f"{self.num_untimed} frame(s) carry no time: {fps:.3f} fps from {source}")
        return out


def _video_stream(container: Any, path: Path) -> Any:
    """The stream that a player would show; a song's cover and text art do not count."""
    pictures = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    decoded = [s for s in pictures if s.codec_context is not None]
    streams = [s for s in decoded if s.codec_context.name not in _TEXT_CODECS]
    if not streams:
        kinds = sorted({s.type for s in container.streams if s.type != "video"})
        kinds += ["pictures of an unknown codec"] if len(decoded) < len(pictures) else []
        raise InputError(
            f"expected a video stream, got {' and '.join(kinds) or 'nothing readable'} in {path}; "
            "check that it plays and is complete, or convert it to mp4"
        )
    best = container.streams.best("video")
    return best if best in streams else streams[0]


def _declared_end(container: Any, stream: Any, origin: Fraction) -> float | None:
    """Seconds after `origin` at which the header says that the last picture ends, or None."""
    if stream.duration is not None and stream.time_base is not None:
        return float((stream.duration + (stream.start_time or 0)) * stream.time_base - origin)
    if container.duration is not None and len(container.streams) == 1:
        return container.duration / 1e6
    return None


def _picture(frame: Any, time: float, pixel_aspect: Fraction | None) -> Picture:
    turns = round(frame.rotation / 90) % 4
    width = round(frame.width * (pixel_aspect or 1))
    size = (frame.height, width) if turns % 2 else (width, frame.height)
    return Picture(time, not frame.is_corrupt, size, lambda: _rgb(frame, turns))


def _rgb(frame: Any, quarter_turns: int) -> np.ndarray:
    """The frame as (H, W, 3) RGB, turned counter-clockwise by quarters."""
    # Players read untagged high-definition YUV as BT.709; swscale would take BT.601.
    untagged_hd = frame.colorspace == _UNSPECIFIED and max(frame.width, frame.height) >= 1280
    image = frame.to_ndarray(format="rgb24", src_colorspace="ITU709" if untagged_hd else None)
    return np.rot90(image, quarter_turns)
