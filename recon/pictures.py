"""What a video file and a folder of images have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Picture:
    """One decoded picture before it is selected.

    Args:
        time: seconds since the start of the source. intact: False where the decoder saw damage.
        size_wh: px, upright. rgb: makes the (H, W, 3) uint8 image, about this size.
    """

    time: float
    intact: bool
    size_wh: tuple[int, int]
    rgb: Callable[[], np.ndarray]


class PictureSource(Protocol):
    """A file or folder that can be walked through again and again."""

    @property
    def fraction(self) -> float:
        """How much of the source the running walk has read, 0-1."""
        ...

    @property
    def warnings(self) -> list[str]:
        """What the last complete walk had to leave out or repair, in words."""
        ...

    def pictures(self, *, since: float, until: float) -> Iterator[Picture]:
        """Pictures in strictly increasing time, broken ones included.

        May leave out what lies before `since` and from `until` on. The same arguments give the
        same times.
        """
        ...

    def focal_35mm(self) -> float | None:
        """The 35 mm equivalent focal length in the source's metadata."""
        ...

    def sha256(self) -> str:
        """A fingerprint of the source's content."""
        ...
