"""Tiny clips that tests make for themselves; frame i is gray, brighter with i, red top-left."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.stream import VideoStream

from recon.video import VideoConfig

RED_PX = 16


def picture(index: int, *, width: int, height: int) -> np.ndarray:
    """The picture of frame `index`."""
    image = np.full((height, width, 3), 40 + 4 * (index % 50), np.uint8)
    image[:RED_PX, :RED_PX] = [255, 0, 0]
    return image


def write_clip(
    path: Path,
    num_frames: int = 20,
    *,
    images: Sequence[np.ndarray] | None = None,
    size_wh: tuple[int, int] = (64, 48),
    times_ms: Sequence[int] | None = None,
    rotation: int = 0,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    faststart: bool = False,
    metadata: dict[str, str] | None = None,
    pixel_aspect: Fraction | None = None,
) -> Path:
    """A video file; 30 fps in whole milliseconds unless `times_ms` says otherwise.

    Its frames are `images` (RGB, uint8), else `picture`s of `size_wh`.
    """
    if images is None:
        count = num_frames if times_ms is None else len(times_ms)
        images = [picture(i, width=size_wh[0], height=size_wh[1]) for i in range(count)]
    num_frames, size_wh = len(images), images[0].shape[1::-1]
    times_ms = times_ms or [1000 * i // 30 for i in range(num_frames)]
    flags = "+faststart" if faststart else ""
    options = {"movflags": flags + "+use_metadata_tags"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        container.metadata.update(metadata or {})
        stream = container.add_stream(codec, rate=30)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = size_wh
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.gop_size = 10
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        if rotation:
            stream.set_display_rotation(rotation)
        for image, time in zip(images, times_ms, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_sound(path: Path) -> Path:
    """An audio-only file."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        silence = np.zeros((2, 1024), np.float32)
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="stereo")
        frame.rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_images(folder: Path, names: list[str], *, size_wh: tuple[int, int] = (64, 48)) -> Path:
    folder.mkdir(exist_ok=True)
    for i, name in enumerate(names):
        image = picture(i, width=size_wh[0], height=size_wh[1])
        cv2.imwrite(str(folder / name), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return folder


def bad_inputs(folder: Path) -> dict[str, tuple[Path, VideoConfig, str]]:
    """What the user gave, and a word that the message must hold."""
    clip = write_clip(folder / "good.mp4")
    cut = folder / "no_header.mp4"
    cut.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("this is no video\n" * 50)
    (folder / "text.txt").write_text("this is no video\n" * 50)
    (folder / "nothing").mkdir()
    images = write_images(folder / "images", ["1.png", "2.png"])
    mixed = write_images(folder / "mixed", ["1.png", "2.png"])
    write_images(folder / "mixed", ["3.png"], size_wh=(32, 48))
    plain = VideoConfig()
    return {
        "absent": (folder / "absent.mp4", plain, "no such file"),
        "empty": (folder / "empty.mp4", plain, "empty"),
        "text named mp4": (folder / "text.mp4", plain, "readable"),
        "text": (folder / "text.txt", plain, "video"),
        "sound only": (write_sound(folder / "sound.mp4"), plain, "audio"),
        "header lost": (cut, plain, "complete"),
        "one frame": (write_clip(folder / "one.mp4", 1), plain, "2 frames"),
        "empty folder": (folder / "nothing", VideoConfig(fps=30), "images"),
        "folder without fps": (images, plain, "--fps"),
        "images of two sizes": (mixed, VideoConfig(fps=30), "one frame size"),
        "start beyond the end": (clip, VideoConfig(start=99), "--start"),
        "stride beyond the end": (clip, VideoConfig(stride=99), "--stride"),
    }
