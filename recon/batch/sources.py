"""Which videos a batch works on, and what the scene folder of each is called."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from recon.core.errors import InputError

VIDEO_SUFFIXES = frozenset(
    ".3gp .asf .avi .flv .gif .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .mxf .ogv .ts .vob .webm "
    ".wmv .y4m".split()
)
IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_MAX_NAME_BYTES = 120
"""File systems take 255, but a scene's own files and temporary names need some."""


def find_videos(sources: Sequence[Path], *, out: Path, image_folders: bool) -> list[Path]:
    """Absolute paths of the videos that the sources name, each once, in order.

    Args:
        sources: folders (searched with all below), videos, or .txt lists with a path per line,
            relative to the list; lines that start with # do not count.
        out: the batch's own folder, which is not searched, nor is any scene's.
        image_folders: folders with images and no folder below count as a video.

    Raises:
        InputError: no source, or one that does not exist or names nothing.
    """
    if not sources:
        raise InputError("expected folders, videos or lists, got none")
    found: dict[Path, None] = {}
    for given in sources:
        source = Path(os.path.abspath(os.path.expanduser(given)))
        if source.is_dir():
            paths = list(_in_folder(source, Path(os.path.abspath(out)), image_folders))
        elif source.suffix.lower() == ".txt" and source.is_file():
            paths = list(_in_list(source))
        elif source.exists():
            paths = [source]
        else:
            raise InputError(f"expected a folder, a video or a list, got {source}: no such file")
        if not paths:
            hint = "" if image_folders else "; folders of images count with --fps"
            raise InputError(f"expected at least one video in {source}, got none{hint}")
        found |= dict.fromkeys(paths)
    return list(found)


def _in_folder(folder: Path, out: Path, image_folders: bool) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        here = Path(root)
        if here == out or "scene.json" in names:
            folders.clear()  # what earlier runs made
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        shown = sorted(name for name in names if not name.startswith("."))
        videos = [name for name in shown if Path(name).suffix.lower() in VIDEO_SUFFIXES]
        yield from (here / name for name in videos)
        images = any(Path(name).suffix.lower() in IMAGE_SUFFIXES for name in shown)
        if image_folders and images and not videos and not folders:
            yield here


def _in_list(file: Path) -> Iterator[Path]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"expected a list of paths in UTF-8, got {file}: {error}") from error
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            path = os.path.expanduser(line.strip())
            yield Path(os.path.abspath(file.parent / path))


def name_scenes(
    videos: Sequence[Path], *, known: Mapping[str, str], taken: Collection[str] = ()
) -> dict[Path, str]:
    """A folder name for every video, different for all, also where case and accents do not count.

    Args:
        known: names that an earlier run gave, by the video's path; they stay.
        taken: names that must not be given.
    """
    names: dict[Path, str] = {}
    used = {_folded(name) for name in (*known.values(), *taken)}
    for video in videos:
        if str(video) in known:
            names[video] = known[str(video)]
            continue
        stem = _clean(video.name if video.is_dir() else video.stem)
        number, name = 1, stem
        while _folded(name) in used:
            number += 1
            name = f"{stem}_{number}"
        used.add(_folded(name))
        names[video] = name
    return names


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _clean(stem: str) -> str:
    """A stem as a folder name that every file system takes, also one of undecodable bytes."""
    text = stem.encode("utf-8", "replace").decode("utf-8")
    text = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*]', "_", text).strip(". ") or "video"
    if re.fullmatch(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", text, re.IGNORECASE):
        text = f"_{text}"  # Windows' devices
    return text.encode("utf-8")[:_MAX_NAME_BYTES].decode("utf-8", "ignore").rstrip(". ")
