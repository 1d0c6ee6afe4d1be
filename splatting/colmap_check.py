"""Whether a COLMAP model is as long as it claims, which pycolmap does not check.

It asks for the memory of whatever a damaged file claims, until the machine has none left. Layout:
COLMAP's documentation, "Output Format", and `src/colmap/scene/reconstruction_io_binary.cc`.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable
from pathlib import Path

from recon.core.errors import InputError

_COUNT, _SHORT_COUNT = struct.Struct("<Q"), struct.Struct("<I")
_IMAGE_HEAD = 4 + 7 * 8 + 4  # its id, pose (quaternion, translation) and camera's id
_POINT_HEAD = 8 + 3 * 8 + 3 + 8  # its id, position, colour and error
_FRAME_HEAD, _FRAME_PART = 2 * 4 + 7 * 8, 2 * 4 + 8  # its id, rig's id and pose; sensor and image
_POINT_2D, _TRACK_ELEMENT = 2 * 8 + 8, 2 * 4


def check_binary_model(folder: Path) -> None:
    """Raises InputError where a file with lists is shorter than what it claims to hold."""
    for name, after in _RECORDS.items():
        path = folder / name
        if not path.is_file():
            continue
        try:
            with (
                path.open("rb") as file,
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
            ):
                _walk(data, after)
        except (OSError, ValueError, OverflowError, struct.error) as error:
            raise InputError(
                f"expected a whole COLMAP file {path}, got one that is cut short or damaged; copy "
                "or write it again"
            ) from error


def _walk(data: mmap.mmap, after: Callable[[mmap.mmap, int], int]) -> None:
    """From record to record; struct.error or another where one is not all there."""
    (count,) = _COUNT.unpack_from(data)
    at = _COUNT.size
    for _ in range(count):
        at = after(data, at)
    if at > len(data):
        raise ValueError(f"{at} bytes")


def _after_image(data: mmap.mmap, at: int) -> int:
    """Where the next record begins; after the head come a name that ends with 0, and pixels."""
    end = data.find(b"\0", at + _IMAGE_HEAD)
    if end < 0:
        raise ValueError("a name without end")
    (pixels,) = _COUNT.unpack_from(data, end + 1)
    return end + 1 + _COUNT.size + _POINT_2D * pixels


def _after_point(data: mmap.mmap, at: int) -> int:
    """Where the next record begins; after the head comes the track."""
    (track,) = _COUNT.unpack_from(data, at + _POINT_HEAD)
    return at + _POINT_HEAD + _COUNT.size + _TRACK_ELEMENT * track


def _after_frame(data: mmap.mmap, at: int) -> int:
    """Where the next record begins; after the head come its images."""
    (images,) = _SHORT_COUNT.unpack_from(data, at + _FRAME_HEAD)
    return at + _FRAME_HEAD + _SHORT_COUNT.size + _FRAME_PART * images


_RECORDS = {"images.bin": _after_image, "points3D.bin": _after_point, "frames.bin": _after_frame}
