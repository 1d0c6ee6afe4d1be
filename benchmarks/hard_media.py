"""Videos that a stranger may bring: broken ones, odd ones, and one person in odd containers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from recon.video import VideoConfig, VideoReader
from tests.recon.clips import write_clip, write_images, write_sound

_NUM_FRAMES = 8
_VARIABLE_MS = (0, 20, 70, 100, 180, 200, 233, 300)


@dataclass(frozen=True, kw_only=True)
class Media:
    """A video and what `recon run` has to make of it.

    Args:
        refused: a word of the message if it cannot be used, None if it must become a scene.
        people: how many must be found in it, None where that is a matter of taste.
        flags: what the user adds. quick: also part of a quick measurement.
    """

    name: str
    path: Path
    refused: str | None = None
    people: int | None = None
    flags: tuple[str, ...] = ()
    quick: bool = True


def person_clip(source: Path, path: Path, *, num_frames: int = _NUM_FRAMES) -> Path:
    """A short, small clip of the person in `source`."""
    return write_clip(path, images=_frames(source, num_frames))


def _frames(source: Path, num_frames: int) -> list[np.ndarray]:
    """The first frames, (360, W, 3) uint8 RGB with an even W."""
    reader = VideoReader.open(source, VideoConfig(path=str(source), end=1, max_height=360))
    images = [frame.image for frame in reader][:num_frames]
    return [image[:, : image.shape[1] // 2 * 2] for image in images]


def broken_media(folder: Path, clip: Path) -> list[Media]:
    """Inputs without a usable video; `clip` is a good one to damage."""
    data = clip.read_bytes()
    damaged = {"cut_index": data[:-200], "cut_data": data[: len(data) // 2], "empty": b""}
    for name, content in damaged.items():
        (folder / f"{name}.mp4").write_bytes(content)
    (folder / "text.mp4").write_text("this is no video\n" * 50)
    (folder / "no images").mkdir()
    (folder / "no images" / "notes.txt").write_text("notes")
    (folder / "broken images").mkdir()
    for i in range(3):
        (folder / "broken images" / f"{i}.jpg").write_bytes(b"\xff\xd8 no jpeg")
    one = write_clip(folder / "one.mp4", 1, size_wh=(640, 360))
    fps = ("--fps", "30")
    return [
        Media(name="missing file", path=folder / "missing.mp4", refused="no such file"),
        Media(name="folder without images", path=folder / "no images", refused="images", flags=fps),
        Media(name="unreadable images", path=folder / "broken images", refused="2 f", flags=fps),
        Media(name="text named .mp4", path=folder / "text.mp4", refused="readable"),
        Media(name="empty file", path=folder / "empty.mp4", refused="empty"),
        Media(name="audio only", path=write_sound(folder / "sound.mp4"), refused="audio"),
        Media(name="cut inside moov", path=folder / "cut_index.mp4", refused="complete"),
        Media(name="cut before moov", path=folder / "cut_data.mp4", refused="complete"),
        Media(name="1 frame", path=one, refused="2 frames"),
    ]


def odd_media(folder: Path, source: Path, empty_room: Path) -> list[Media]:
    """Inputs that are videos, however odd; `source` shows a person, `empty_room` images nobody."""
    images = _frames(source, _NUM_FRAMES)
    height, width = images[0].shape[:2]
    gray = [np.repeat(cv2.cvtColor(i, cv2.COLOR_RGB2GRAY)[..., None], 3, 2) for i in images]
    turned = [np.ascontiguousarray(np.rot90(i, -1)) for i in images]
    cut = folder / "cut_tail.mp4"
    whole = write_clip(folder / "whole.mp4", images=_frames(source, 24), faststart=True)
    cut.write_bytes(whole.read_bytes()[: int(0.7 * whole.stat().st_size)])
    (folder / "ünï cödé 空白").mkdir()
    room = folder / "room"
    room.mkdir()
    for path in sorted(empty_room.glob("*.jpg"))[:_NUM_FRAMES]:
        (room / path.name).write_bytes(path.read_bytes())
    dots = write_images(folder / "dots", [f"{i}.png" for i in range(3)], size_wh=(1, 1))
    write, black = write_clip, np.zeros((360, 640, 3), np.uint8)
    paths = {
        "2 frames": write(folder / "two.mp4", images=images[:2]),
        "3 frames": write(folder / "three.mp4", images=images[:3]),
        "cut tail": cut,
        "gray": write(folder / "gray.mp4", images=gray, pixel_format="gray"),
        "10 bit": write(folder / "ten_bit.mp4", images=images, pixel_format="yuv420p10le"),
        "alpha (webm)": write(
            folder / "alpha.webm", images=images, codec="libvpx-vp9", pixel_format="yuva420p"
        ),
        "gif": write(folder / "anim.gif", images=images, codec="gif", pixel_format="rgb8"),
        "turned by its metadata": write(folder / "turned.mp4", images=turned, rotation=90),
        "variable frame rate": write(folder / "vfr.mp4", images=images, times_ms=_VARIABLE_MS),
        "Unicode and spaces": write(folder / "ünï cödé 空白" / "мой клип.mp4", images=images),
    }
    slow = {"3 frames", "gray", "alpha (webm)", "gif", "10 bit"}
    halves = {
        "lower": write(folder / "lower.mp4", images=[i[height // 2 :] for i in images]),
        "left": write(folder / "left.mp4", images=[i[:, : width // 2] for i in images]),
    }
    dark = write(folder / "black.mp4", images=[black] * _NUM_FRAMES)
    fps, static = ("--fps", "30"), ("--camera", "static")
    return [
        Media(name="black", path=dark, refused="--camera static"),
        Media(name="black, --camera static", path=dark, flags=static, people=0),
        *(Media(name=n, path=p, people=1, quick=n not in slow) for n, p in paths.items()),
        *(Media(name=f"{n} half only", path=p) for n, p in halves.items()),
        Media(name="no person (images)", path=room, flags=fps, people=0),
        Media(name="1x1 pixels", path=dots, flags=fps, refused="--camera static"),
    ]
