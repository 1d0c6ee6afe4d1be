"""Odd videos, made by codec, clock, size and content; each is a function of a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from benchmarks.common import DATA
from recon.video import VideoConfig, VideoReader
from tests.recon.clips import write_clip

NUM_FRAMES = 6
Images = Sequence[np.ndarray]
Make = Callable[[Path], list[str | Path]]


@dataclass(frozen=True, kw_only=True)
class Odd:
    """An input and the arguments that give it to `recon`.

    Args:
        make: makes it inside a folder that is also the working directory, returns the arguments.
        full_after: bytes after which no file can grow, as on a full disk; None for no limit.
    """

    name: str
    group: str
    make: Make
    full_after: int | None = None


def media_cases() -> Iterator[Odd]:
    """All odd videos."""
    for name, make in {**_codecs(), **_clocks(), **_sizes(), **_contents()}.items():
        yield Odd(name=name, make=make, group="videos")


@cache
def person(source: str = "dancer_static", height: int = 240, count: int = NUM_FRAMES) -> Images:
    """Frames of one or many people, (height, W, 3) uint8 RGB with even sides."""
    (path,) = (DATA / "videos").glob(f"{source}.*")
    config = VideoConfig(path=str(path), start=1, end=2, max_height=height)
    images = [frame.image for frame in VideoReader.open(path, config)][:count]
    return [image[:, : image.shape[1] // 2 * 2] for image in images]


def run(path: Path, *flags: str) -> list[str | Path]:
    """The arguments of a small run."""
    return ["run", path, "--no-overlay", "--formats", "npz", "tum", *flags]


def encode(
    path: Path,
    images: Images,
    codec: str,
    pixel_format: str,
    *,
    rate: int | Fraction = 25,
    options: dict[str, str] | None = None,
    container: str | None = None,
) -> Path:
    """A file of constant frame rate in any codec."""
    with av.open(str(path), "w", format=container) as file:
        stream: Any = file.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pixel_format
        if codec in ("prores_ks", "libx265") and pixel_format.endswith("10le"):
            stream.codec_context.color_trc, stream.codec_context.color_primaries = 16, 9  # HDR10
        for image in images:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode())
    return path


def _clip(file: str, codec: str, pixel_format: str, folder: Path, **more: Any) -> list[str | Path]:
    size = more.pop("size", None)
    images = [cv2.resize(i, size) for i in person()] if size else person()
    return run(encode(folder / file, images, codec, pixel_format, **more))


def _codecs() -> dict[str, Make]:
    quiet = {"x265-params": "log-level=none"}
    table: dict[str, tuple[Any, ...]] = {
        "H.264 in mkv": ("a.mkv", "libx264", "yuv420p", {}),
        "H.264 in mov": ("a.mov", "libx264", "yuv420p", {}),
        "H.264 in avi": ("a.avi", "libx264", "yuv420p", {}),
        "H.264 in ts": ("a.ts", "libx264", "yuv420p", {}),
        "H.264 in flv": ("a.flv", "libx264", "yuv420p", {}),
        "H.264 without container": ("a.h264", "libx264", "yuv420p", {"container": "h264"}),
        "H.264 4:4:4": ("a.mp4", "libx264", "yuv444p", {}),
        "H.264 10 bit 4:2:2": ("a.mp4", "libx264", "yuv422p10le", {}),
        "H.264 gray": ("a.mp4", "libx264", "gray", {}),
        "H.264 lossless": ("a.mp4", "libx264", "yuv420p", {"options": {"qp": "0"}}),
        "H.264 interlaced": (
            "a.mp4", "libx264", "yuv420p", {"options": {"flags": "+ildct+ilme"}},
        ),
        "H.265": ("a.mp4", "libx265", "yuv420p", {"options": quiet}),
        "H.265 10 bit HDR": ("a.mp4", "libx265", "yuv420p10le", {"options": quiet}),
        "VP8": ("a.webm", "libvpx", "yuv420p", {}),
        "VP9 with alpha": ("a.webm", "libvpx-vp9", "yuva420p", {}),
        "AV1": ("a.mp4", "libsvtav1", "yuv420p", {"options": {"svtav1-params": "lp=1"}}),
        "MPEG-4 part 2": ("a.avi", "mpeg4", "yuv420p", {}),
        "MPEG-2 interlaced": (
            "a.mpg", "mpeg2video", "yuv420p", {"options": {"flags": "+ildct+ilme"}},
        ),
        "MPEG-1": ("a.mpg", "mpeg1video", "yuv420p", {}),
        "motion JPEG": ("a.avi", "mjpeg", "yuvj420p", {}),
        "ProRes HDR": ("a.mov", "prores_ks", "yuv422p10le", {}),
        "FFV1": ("a.mkv", "ffv1", "yuv444p", {}),
        "uncompressed": ("a.avi", "rawvideo", "bgr24", {}),
        "PNG in mov": ("a.mov", "png", "rgba", {}),
        "GIF": ("a.gif", "gif", "rgb8", {}),
        "animated PNG": ("a.apng", "apng", "rgb24", {}),
        "H.263 in 3gp": ("a.3gp", "h263", "yuv420p", {"size": (352, 288)}),
        "WMV": ("a.wmv", "wmv2", "yuv420p", {}),
        "DV": ("a.avi", "dvvideo", "yuv420p", {"size": (720, 576)}),
        "QuickTime animation": ("a.mov", "qtrle", "rgb24", {}),
    }  # fmt: skip
    return {
        name: partial(_clip, file, codec, pixel_format, **more)
        for name, (file, codec, pixel_format, more) in table.items()
    }


def _times(times_ms: Sequence[int], folder: Path, **more: Any) -> list[str | Path]:
    images = (list(person()) * 3)[: len(times_ms)]
    return run(write_clip(folder / "a.mp4", images=images, times_ms=times_ms, **more))


def _packets(folder: Path, keep: Callable[[int, Any], bool], file: str = "cut.ts") -> Path:
    """The packets of a clip that `keep` chooses, without decoding."""
    source = write_clip(folder / "whole.mp4", images=list(person()) * 4)
    with av.open(str(source)) as whole, av.open(str(folder / file), "w") as out:
        stream = whole.streams.video[0]
        copied = out.add_stream_from_template(stream)
        packets = [p for p in whole.demux(stream) if p.size]
        for k, packet in enumerate(packets):
            if keep(k, packet):
                packet.stream = copied
                out.mux(packet)
    return folder / file


def _joined(folder: Path, *sizes: tuple[int, int]) -> list[str | Path]:
    """Transport streams glued together as cameras and recorders do."""
    parts = []
    for k, size in enumerate(sizes):
        images = [cv2.resize(i, size) for i in person()]
        parts.append(encode(folder / f"{k}.ts", images, "libx264", "yuv420p").read_bytes())
    (folder / "joined.ts").write_bytes(b"".join(parts))
    return run(folder / "joined.ts")


def _clocks() -> dict[str, Make]:
    steady = [40 * k for k in range(NUM_FRAMES)]
    clocks: dict[str, Make] = {
        f"turned by {angle} degrees": partial(_times, steady, rotation=angle)
        for angle in (90, 180, 270)
    }
    return clocks | {
        "variable frame rate": partial(_times, (0, 20, 70, 100, 180, 200)),
        "two frames": partial(_times, (0, 40)),
        "one frame": partial(_times, (0,)),
        "1000 frames a second": partial(_times, range(6)),
        "one frame in ten seconds": partial(_times, range(0, 60_000, 10_000)),
        "a gap of an hour": partial(_times, (0, 40, 80, 3_600_000, 3_600_040, 3_600_080)),
        "a late start": partial(_times, [100_000 + t for t in steady]),
        "a clock near its end": partial(_times, [2**31 - 1000 + t for t in steady]),
        "no keyframe at first": lambda f: run(_packets(f, lambda k, _: k >= 3)),
        "no keyframe at all": lambda f: run(_packets(f, lambda _, p: not p.is_keyframe)),
        "only keyframes": lambda f: run(_packets(f, lambda _, p: p.is_keyframe, "cut.mkv")),
        "every third packet": lambda f: run(_packets(f, lambda k, _: k % 3 == 0, "cut.mkv")),
        "a clock that restarts": lambda f: _joined(f, (426, 240), (426, 240)),
        "a size that changes": lambda f: _joined(f, (426, 240), (320, 180)),
        "--start beyond the end": lambda f: [*_times(steady, f), "--start", "99"],
        "--end before the second frame": lambda f: [*_times(steady, f), "--end", "0.01"],
        "--stride of all": lambda f: [*_times(steady, f), "--stride", "6"],
        "--playback-speed 1e-9": lambda f: [*_times(steady, f), "--playback-speed", "1e-9"],
        "--playback-speed 1e9": lambda f: [*_times(steady, f), "--playback-speed", "1e9"],
    }


def _resized(size: tuple[int, int], folder: Path, *flags: str) -> list[str | Path]:
    images = [cv2.resize(i, size) for i in person()[:3]]
    return run(encode(folder / "a.mov", images, "png", "rgb24"), *flags)


def _sizes() -> dict[str, Make]:
    sizes = [
        (1, 1),
        (2, 2),
        (16, 16),
        (64, 64),
        (1, 500),
        (500, 2),
        (3000, 20),
        (321, 241),
        (240, 426),
    ]
    cases: dict[str, Make] = {f"{w} x {h} pixels": partial(_resized, (w, h)) for w, h in sizes}

    def aspect(ratio: Fraction, folder: Path) -> list[str | Path]:
        return run(write_clip(folder / "a.mp4", images=person(), pixel_aspect=ratio))

    def wide(size: tuple[int, int], folder: Path, *flags: str) -> list[str | Path]:
        images = [cv2.resize(i, size) for i in person()[:2]]
        fast = {"preset": "ultrafast"}
        return run(encode(folder / "a.mp4", images, "libx264", "yuv420p", options=fast), *flags)

    return cases | {
        "8K": partial(wide, (7680, 4320)),
        "8K upright, scaled down": lambda f: wide((4320, 7680), f, "--max-height", "480"),
        "pixels 4:3": partial(aspect, Fraction(4, 3)),
        "pixels 1:20": partial(aspect, Fraction(1, 20)),
        "pixels 1000:1": partial(aspect, Fraction(1000, 1)),
        "1x1 with overlay": lambda f: [a for a in _resized((1, 1), f) if a != "--no-overlay"],
        "321x241 with overlay": lambda f: [
            *(a for a in _resized((321, 241), f) if a != "--no-overlay"), "--camera", "static",
        ],
    }  # fmt: skip


def _drawn(draw: Callable[[], Images], folder: Path, *flags: str) -> list[str | Path]:
    return run(write_clip(folder / "a.mp4", images=draw()), *flags)


def _contents() -> dict[str, Make]:
    rng = np.random.default_rng(0)
    size = (240, 426, 3)

    def filled(value: int) -> Images:
        return [np.full(size, value, np.uint8)] * NUM_FRAMES

    def noise() -> Images:
        return [rng.integers(0, 256, size, np.uint8) for _ in range(NUM_FRAMES)]

    def cut_out(rows: slice, columns: slice) -> Images:
        return [np.ascontiguousarray(i[rows, columns]) for i in person()]

    def small(factor: float) -> Images:
        out = []
        for image in person():
            little = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
            out.append(np.full_like(image, 90))
            out[-1][: little.shape[0], : little.shape[1]] = little
        return out

    def board() -> Images:
        square = np.indices(size[:2]).sum(0) // 20 % 2 * 255
        return [np.repeat(np.roll(square, 7 * k, 1)[..., None], 3, 2).astype(np.uint8)
                for k in range(NUM_FRAMES)]  # fmt: skip

    def shots() -> Images:
        return [*person()[:4], *[i[:, :426] for i in person("walker_moving")[:4]]]

    def blinking() -> Images:
        return [image if k % 2 else np.zeros_like(image) for k, image in enumerate(person())]

    def blurred() -> Images:
        return [cv2.blur(image, (61, 3)) for image in person()]

    half_h, half_w = slice(120, None), slice(None, 212)
    everything, turn = slice(None), np.ascontiguousarray
    draws: dict[str, tuple[Callable[[], Images], tuple[str, ...]]] = {
        "black": (partial(filled, 0), ()),
        "black, static": (partial(filled, 0), ("--camera", "static")),
        "white": (partial(filled, 255), ("--camera", "static")),
        "noise": (noise, ()),
        "noise, moving": (noise, ("--camera", "moving")),
        "a still": (lambda: [person()[0]] * NUM_FRAMES, ()),
        "a crowd": (lambda: person("pedestrians_static", 360, 3), ()),
        "a crowd, one kept": (lambda: person("pedestrians_static", 360, 3), ("--people", "1")),
        "nobody asked for": (person, ("--people", "none")),
        "the lower half": (partial(cut_out, half_h, everything), ()),
        "the upper half": (partial(cut_out, slice(None, 120), everything), ()),
        "the left half": (partial(cut_out, everything, half_w), ()),
        "a strip": (partial(cut_out, slice(100, 140), everything), ()),
        "a person of 60 pixels": (partial(small, 0.25), ()),
        "a person of 20 pixels": (partial(small, 0.08), ()),
        "upside down": (lambda: [turn(i[::-1]) for i in person()], ()),
        "twins": (lambda: [np.hstack([i, i[:, ::-1]]) for i in person()], ()),
        "a checkerboard that moves": (board, ()),
        "two shots": (shots, ()),
        "every second frame black": (blinking, ()),
        "blurred": (blurred, ()),
        "dark": (lambda: [i // 16 for i in person()], ()),
        "negative": (lambda: [255 - i for i in person()], ()),
        "hands and face": (person, ("--hands", "--face")),
        "a lens of 1 pixel": (person, ("--focal", "1")),
        "a lens of 1e6 pixels": (person, ("--focal", "1e6")),
        "a bent lens": (person, ("--fov", "120", "--k1", "-0.9")),
        "a giant": (person, ("--height", "2.6", "--weight", "2")),
        "a rotating camera that stands": (person, ("--camera", "rotating")),
        "a moving camera that stands": (person, ("--camera", "moving")),
        "dense bundle adjustment of a still": (
            lambda: [person()[0]] * NUM_FRAMES,
            ("--camera", "moving", "--camera-backend", "dense_ba"),
        ),
    }  # fmt: skip
    return {name: partial(_flagged, draw, flags) for name, (draw, flags) in draws.items()}


def _flagged(draw: Callable[[], Images], flags: tuple[str, ...], folder: Path) -> list[str | Path]:
    return _drawn(draw, folder, *flags)
