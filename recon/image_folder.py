"""A folder of numbered images as a source of pictures."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from recon.core.errors import InputError
from recon.pictures import Picture

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})

_EXIF_IFD = 0x8769
_FOCAL_LENGTH_IN_35MM_FILM = 0xA405


class ImageFolder:
    """The images of a folder in the order of the numbers in their names.

    Raises:
        InputError: the folder holds no images, or no frame rate is given.
    """

    def __init__(self, path: Path, *, fps: float | None) -> None:
        paths = [p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file()]
        self.paths = sorted((p for p in paths if not p.name.startswith(".")), key=_natural)
        if not self.paths:
            raise InputError(f"expected images ({', '.join(sorted(SUFFIXES))}), got none in {path}")
        if fps is None:
            raise InputError(f"expected --fps with a folder of images, got none for {path}")
        self.fps = fps
        self.warnings: list[str] = []
        self.fraction = 0.0

    def pictures(self, *, since: float, until: float) -> Iterator[Picture]:
        """Every image, `1 / fps` seconds apart."""
        for i, path in enumerate(self.paths):
            time = i / self.fps
            if not since <= time < until:
                continue
            self.fraction = (i + 1) / len(self.paths)
            # EXIF orientation is applied; alpha and a 16-bit depth are dropped.
            image = _decoded(np.fromfile(path, np.uint8))
            rgb = np.empty((0, 0, 3), np.uint8) if image is None else image
            yield Picture(
                time, image is not None, (rgb.shape[1], rgb.shape[0]), lambda rgb=rgb: rgb
            )

    def focal_35mm(self) -> float | None:
        """The EXIF focal length in 35 mm film of the first image."""
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(self.paths[0]) as image:
                exif = image.getexif().get_ifd(_EXIF_IFD)
        except (OSError, SyntaxError, ValueError, UnidentifiedImageError):
            return None
        value = exif.get(_FOCAL_LENGTH_IN_35MM_FILM)
        return float(value) if value else None

    def sha256(self) -> str:
        """Hash of the images' names and contents: an edited image may keep its size."""
        digest = hashlib.sha256()
        for path in self.paths:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            digest.update(f"{path.name} {content}\n".encode())
        return digest.hexdigest()


def _decoded(data: np.ndarray) -> np.ndarray | None:
    """The image (H, W, 3) uint8 RGB in a file's bytes, None where there is none to be had."""
    try:
        return cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) if len(data) else None
    except cv2.error:  # larger than OpenCV's own limit, for example
        return None


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort key that puts frame2 before frame10."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(p), "") if p.isdigit() else (0, p.lower()) for p in parts]
