"""Odd files and folders: broken bytes, odd paths, folders of images, places to write."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from PIL import Image

from benchmarks.fuzz_media import Make, Odd, encode, person, run
from tests.recon.clips import write_clip, write_sound

FPS = ("--fps", "25")
NUM_FLIPPED = 100


def file_cases() -> Iterator[Odd]:
    """All odd files, folders and paths."""
    tables = (_broken(), _flipped(), _paths(), _folders(), _places())
    for table in tables:
        for name, make in table.items():
            yield Odd(name=name, make=make, group="files, folders and paths")
    for limit in (2_000, 30_000, 300_000):
        yield Odd(
            name=f"a disk full after {limit} bytes", make=_plain, full_after=limit,
            group="files, folders and paths",
        )  # fmt: skip


@cache
def clip_bytes(container: str = "mp4") -> bytes:
    """A good clip."""
    with TemporaryDirectory() as name:
        path = Path(name) / f"a.{container}"
        if container == "mp4":
            return write_clip(path, images=person(), faststart=True).read_bytes()
        return encode(path, person(), "libx264", "yuv420p").read_bytes()


def _plain(folder: Path) -> list[str | Path]:
    (folder / "clip.mp4").write_bytes(clip_bytes())
    return run(folder / "clip.mp4")


def _bytes(content: Callable[[], bytes], file: str, folder: Path) -> list[str | Path]:
    (folder / file).write_bytes(content())
    return run(folder / file)


def _broken() -> dict[str, Make]:
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n%b\n#EXT-X-ENDLIST\n"
    contents: dict[str, tuple[str, bytes]] = {
        "an empty file": ("a.mp4", b""),
        "text": ("a.mp4", b"this is no video\n" * 50),
        "zeros": ("a.mp4", bytes(100_000)),
        "random bytes": ("a.mp4", np.random.default_rng(0).bytes(100_000)),
        "a page": ("a.mp4", b"<!doctype html><title>404</title>" * 20),
        "a zip": ("a.mov", b"PK\x03\x04" + bytes(2000)),
        "a playlist of the network": ("a.mp4", playlist % b"http://127.0.0.1:9/a.ts"),
        "a playlist of a file": ("a.m3u8", playlist % b"/etc/hostname"),
        "a list for concat": ("a.mp4", b"ffconcat version 1.0\nfile /etc/hostname\n"),
        "a session description": (
            "a.sdp",
            b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
        ),
        "subtitles": ("a.srt", b"1\n00:00:00,000 --> 00:00:01,000\nhello\n"),
        "an index of nothing": ("a.mp4", struct.pack(">I4s", 8, b"moov")),
        "an endless box": ("a.mp4", struct.pack(">I4sQ", 1, b"moov", 2**62)),
    }
    cases: dict[str, Make] = {
        name: partial(_bytes, lambda data=data: data, file)
        for name, (file, data) in contents.items()
    }
    cases["sound only"] = lambda f: run(write_sound(f / "a.mp4"))
    cases["ts named mp4"] = partial(_bytes, lambda: clip_bytes("ts"), "a.mp4")
    cases["mp4 named jpg"] = partial(_bytes, clip_bytes, "a.jpg")
    cases["mp4 named txt"] = partial(_bytes, clip_bytes, "a.txt")
    cases["mp4 without a suffix"] = partial(_bytes, clip_bytes, "clip")
    for percent in (1, 5, 20, 50, 80, 95, 99):
        cases[f"mp4 cut at {percent} %"] = partial(_bytes, partial(_cut, "mp4", percent), "a.mp4")
    for percent in (10, 60, 97):
        cases[f"ts cut at {percent} %"] = partial(_bytes, partial(_cut, "ts", percent), "a.ts")
    return cases


def _cut(container: str, percent: int) -> bytes:
    data = clip_bytes(container)
    return data[: len(data) * percent // 100]


def _flipped() -> dict[str, Make]:
    """Clips of damaged bytes."""
    kinds = ("mp4", "ts", "mkv")
    return {
        f"damage {seed} in {kinds[seed % 3]}": partial(
            _bytes, partial(_damaged_clip, kinds[seed % 3], seed), f"a.{kinds[seed % 3]}"
        )
        for seed in range(NUM_FLIPPED)
    }


def _damaged_clip(container: str, seed: int) -> bytes:
    return damaged(clip_bytes(container), seed)


def damaged(content: bytes, seed: int) -> bytes:
    """The bytes with some turned over, lost, doubled or cut off at the front, by seed."""
    rng = np.random.default_rng(seed)
    data = bytearray(content)
    for _ in range(int(2 ** rng.integers(0, 8))):
        at = int(rng.integers(0, len(data)))
        data[at] ^= 1 << int(rng.integers(0, 8))
    if seed % 4 == 1:
        at = int(rng.integers(0, len(data)))
        del data[at : at + int(rng.integers(1, 2000))]
    if seed % 4 == 2:
        at = int(rng.integers(0, len(data)))
        data[at:at] = data[at : at + int(rng.integers(1, 2000))]
    if seed % 4 == 3:
        data[: int(rng.integers(1, 400))] = b""
    return bytes(data)


def _named(name: str | bytes, folder: Path) -> list[str | Path]:
    path = folder / os.fsdecode(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(clip_bytes())
    return run(path)


def _paths() -> dict[str, Make]:
    names: dict[str, str | bytes] = {
        "spaces and brackets": "my clip (1) [final].mp4",
        "Unicode": "ünï cödé 空白/мой клип.mp4",
        "emoji": "💃🕺.mp4",
        "quotes": 'it\'s "mine".mp4',
        "a line break": "two\nlines.mp4",
        "markup": "<b>&[bold].mp4",
        "printf": "%d%s%n%05d.mp4",
        "a leading dash": "-rf.mp4",
        "a leading dot": ".hidden.mp4",
        "a long name": "a" * 250 + ".mp4",
        "bytes that are no text": b"caf\xe9\xff.mp4",
        "capitals": "CLIP.MP4",
        "a protocol": "concat:a|b.mp4",
        "only a suffix": ".mp4",
    }
    cases: dict[str, Make] = {f"path: {k}": partial(_named, v) for k, v in names.items()}

    def linked(folder: Path) -> list[str | Path]:
        _plain(folder)
        (folder / "link.mp4").symlink_to("clip.mp4")
        return run(folder / "link.mp4")

    def broken_link(folder: Path) -> list[str | Path]:
        (folder / "link.mp4").symlink_to("nowhere.mp4")
        return run(folder / "link.mp4")

    def circle(folder: Path) -> list[str | Path]:
        (folder / "link.mp4").symlink_to("link.mp4")
        return run(folder / "link.mp4")

    def pipe(folder: Path) -> list[str | Path]:
        os.mkfifo(folder / "pipe.mp4")
        return run(folder / "pipe.mp4")

    def relative(folder: Path) -> list[str | Path]:
        _plain(folder)
        return run(Path("./../") / folder.name / "clip.mp4")

    def dash(folder: Path) -> list[str | Path]:
        _named("-rf.mp4", folder)
        return run(Path("-rf.mp4"))

    return cases | {
        "path: a leading dash, relative": dash,
        "path: a link": linked,
        "path: a broken link": broken_link,
        "path: a link to itself": circle,
        "path: a pipe": pipe,
        "path: relative": relative,
        "path: nothing there": lambda f: run(f / "nothing.mp4"),
        "path: of the network": lambda _: run(Path("http://127.0.0.1:9/a.mp4")),
        "path: /dev/null": lambda _: run(Path("/dev/null")),
        "path: /dev/zero": lambda _: run(Path("/dev/zero")),
        "path: empty": lambda _: ["run", ""],
        "path: far too long": lambda f: run(f / ("x" * 5000)),
    }


def _images(folder: Path, suffix: str, *, count: int = 4) -> Path:
    images = folder / "images"
    images.mkdir(exist_ok=True)
    for k, image in enumerate(person()[:count]):
        bgr = np.ascontiguousarray(image[..., ::-1])
        if suffix == "tiff":
            bgr = bgr.astype(np.uint16) * 257
        cv2.imwrite(str(images / f"{k}.{suffix}"), bgr)
    return images


def _pillow(mode: str, file: str, folder: Path) -> list[str | Path]:
    (folder / "images").mkdir()
    for k, image in enumerate(person()[:4]):
        Image.fromarray(image).convert(mode).save(folder / "images" / file.format(k))
    return run(folder / "images", *FPS)


def _with(content: dict[str, bytes], folder: Path) -> list[str | Path]:
    """Four good images and some other files."""
    images = _images(folder, "png")
    for name, data in content.items():
        (images / name).write_bytes(data)
    return run(images, *FPS)


def _huge_png() -> bytes:
    """A PNG that says it is 60000 x 60000."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1_000_000), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


def _folders() -> dict[str, Make]:
    cases: dict[str, Make] = {
        f"images: {suffix}": partial(lambda s, f: run(_images(f, s), *FPS), suffix)
        for suffix in ("png", "jpg", "bmp", "webp", "tiff")
    }

    def empty(folder: Path) -> list[str | Path]:
        (folder / "images").mkdir()
        return run(folder / "images", *FPS)

    def turned(folder: Path) -> list[str | Path]:
        (folder / "images").mkdir()
        for k, image in enumerate(person()[:4]):
            exif = Image.Exif()
            exif[0x0112] = 6
            Image.fromarray(image).save(folder / "images" / f"{k}.jpg", exif=exif)
        return run(folder / "images", *FPS)

    def sizes(folder: Path) -> list[str | Path]:
        images = _images(folder, "png")
        cv2.imwrite(str(images / "9.png"), np.zeros((50, 60, 3), np.uint8))
        return run(images, *FPS)

    def named_like_a_video(folder: Path) -> list[str | Path]:
        return run(_images(folder, "png").rename(folder / "clip.mp4"), *FPS)

    return cases | {
        "images: gray": partial(_pillow, "L", "{}.png"),
        "images: palette": partial(_pillow, "P", "{}.png"),
        "images: with alpha": partial(_pillow, "RGBA", "{}.png"),
        "images: CMYK": partial(_pillow, "CMYK", "{}.jpg"),
        "images: 1 bit": partial(_pillow, "1", "{}.png"),
        "images: without --fps": lambda f: run(_images(f, "png")),
        "images: one": lambda f: run(_images(f, "png", count=1), *FPS),
        "images: none": empty,
        "images: a folder named .mp4": named_like_a_video,
        "images: turned by EXIF": turned,
        "images: of two sizes": sizes,
        "images: one is empty": partial(_with, {"2.png": b""}),
        "images: one is cut": partial(_with, {"2.png": b"\x89PNG\r\n\x1a\n" + bytes(50)}),
        "images: one is text": partial(_with, {"2.png": b"text"}),
        "images: one is far too large": partial(_with, {"2.png": _huge_png()}),
        "images: all are text": partial(_with, {f"{k}.png": b"text" for k in range(4)}),
        "images: and other files": partial(
            _with, {"a.txt": b"x", ".DS_Store": b"x", "Thumbs.db": b""}
        ),
        "images: --fps 1e-6": lambda f: run(_images(f, "png"), "--fps", "1e-6"),
        "images: --fps 1e6": lambda f: run(_images(f, "png"), "--fps", "1e6"),
    }


def _places() -> dict[str, Make]:
    """Where the scene is to be written."""

    def into(scene: str, folder: Path) -> list[str | Path]:
        return [*_plain(folder), "--scene", scene.replace("FOLDER", str(folder))]

    def into_file(folder: Path) -> list[str | Path]:
        (folder / "file").write_text("mine")
        return into("file", folder)

    def into_full(folder: Path) -> list[str | Path]:
        (folder / "full").mkdir()
        (folder / "full" / "mine.txt").write_text("mine")
        return into("full", folder)

    def through_link(folder: Path) -> list[str | Path]:
        (folder / "elsewhere").mkdir()
        (folder / "link").symlink_to("elsewhere")
        return into("link", folder)

    def into_images(folder: Path) -> list[str | Path]:
        images = _images(folder, "png")
        return [*run(images, *FPS), "--scene", images]

    return {
        "scene: a file": into_file,
        "scene: a folder of others": into_full,
        "scene: through a link": through_link,
        "scene: the images' own folder": into_images,
        "scene: deep below": partial(into, "a/b/c/ünï d"),
        "scene: in /proc": partial(into, "/proc/recon"),
        "scene: /dev/null": partial(into, "/dev/null"),
        "scene: below /dev/null": partial(into, "/dev/null/scene"),
        "scene: far too long": partial(into, "x" * 300),
        "scene: the video itself": partial(into, "clip.mp4"),
        "scene: the working folder": partial(into, "."),
    }
