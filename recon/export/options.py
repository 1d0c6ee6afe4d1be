"""What a user may choose about the files that an export writes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from recon.core.errors import InputError

Up = Literal["y", "z"]
Unit = Literal["m", "cm"]
SkeletonName = Literal["mixamo", "unreal", "vrm"]

METRES_PER_UNIT: dict[Unit, float] = {"m": 1.0, "cm": 0.01}
UNIT_WORDS: dict[Unit, str] = {"m": "metres", "cm": "centimetres"}


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """None stands for what each format does by itself.

    Args:
        fps: frames per second; None: the video's own frames. up, unit: of the file's axes.
        skeleton: names, hierarchy and joint axes of another program; None: SMPL-X.
        camera: "orbit" or a file of cameras; None: the original one.
        body: shape values of everybody, "name=value …"; None: their own.
    """

    fps: float | None = None
    up: Up | None = None
    unit: Unit | None = None
    skeleton: SkeletonName | None = None
    camera: str | None = None
    body: str | None = None

    def __post_init__(self) -> None:
        if self.fps is not None and not (math.isfinite(self.fps) and 0.1 <= self.fps <= 1000):
            raise InputError(f"--fps: expected 0.1 to 1000 frames per second, got {self.fps}")

    @property
    def chosen(self) -> tuple[str, ...]:
        """The names of what was chosen."""
        return tuple(name for name, value in vars(self).items() if value is not None)


DEFAULTS = ExportOptions()
