"""One person in one picture: the region around them and what a landmark network sees there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from body.detect import load_backend
from recon.core.errors import InputError
from recon.core.geometry import Array

MARGIN = 1.25
"""Side of the region relative to the circle around the hips that holds the whole body."""
VISIBLE = 0.5
"""Keypoints with at least this confidence count as seen."""


@dataclass(frozen=True, kw_only=True)
class Roi:
    """A square region of a picture.

    Args:
        centre: (2,) px. side: px.
        angle: radians that the region's up axis is turned clockwise from the picture's.
    """

    centre: Array
    side: float
    angle: float

    @classmethod
    def from_circle(cls, hips: Array, top: Array) -> Roi:
        """The region around the circle with centre `hips` through `top`, both (2,) px.

        `top` lies over the hips in the direction of the upright body.
        """
        up = top - hips
        side = float(2 * MARGIN * np.hypot(*up))
        return cls(centre=np.array(hips, float), side=side, angle=float(np.arctan2(up[0], -up[1])))

    @classmethod
    def from_box(cls, box: Array) -> Roi:
        """An upright region for a person of whom only the box (4,) xyxy px is known."""
        side = MARGIN * float(max(box[2] - box[0], box[3] - box[1]))
        return cls(centre=(box[:2] + box[2:]) / 2, side=side, angle=0.0)

    @property
    def axes(self) -> Array:
        """Columns: the region's x and y axes in the picture (2, 2), unit length."""
        c, s = np.cos(self.angle), np.sin(self.angle)
        return np.array([[c, -s], [s, c]])

    def to_image(self, size: int, *, width: int | None = None) -> Array:
        """(2, 3), pixel (x, y, 1) of a crop to picture pixel.

        Args:
            size: px, height of the crop, which spans the region's side. width: px, if not square.
        """
        linear = self.axes * (self.side / size)
        middle = np.array([width or size, size]) / 2
        return np.column_stack([linear, self.centre - linear @ middle])

    def crop(self, image: np.ndarray, size: int, *, width: int | None = None) -> np.ndarray:
        """The region of `image` resampled to (size, width or size, 3) uint8; black outside it."""
        T_image_crop = self.to_image(size, width=width)
        # OpenCV counts pixel centres from 0, we count them from 0.5.
        T_image_crop[:, 2] += T_image_crop[:, :2] @ [0.5, 0.5] - 0.5
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(image, T_image_crop, (width or size, size), flags=flags)


@dataclass(frozen=True, kw_only=True)
class Landmarks:
    """One person in one picture.

    Args:
        presence: 0-1, whether the region holds a person.
        keypoints_px: (33, 2) in the picture. keypoint_conf: (33,), 0-1.
        landmarks: (33, 3) metres, origin at mid-hip, axes of the picture (x right, y down, z away).
        metric: whether the network saw them, or they are a guess from its 2D keypoints.
        mask: (S, S) bool in the region; networks without masks draw one around the keypoints.
        roi: the region. next_roi: where the network expects the person's region to be.
        hands_px: (2, 21, 2) left and right, hands_conf: (2,), 0-1, of networks that see hands.
        face_px: (68, 2) in iBUG's order, face_conf: 0-1, of networks that see the face.
    """

    presence: float
    keypoints_px: Array
    keypoint_conf: Array
    landmarks: Array
    mask: np.ndarray
    roi: Roi
    next_roi: Roi
    metric: bool = True
    hands_px: Array | None = None
    hands_conf: Array | None = None
    face_px: Array | None = None
    face_conf: float | None = None

    @property
    def box(self) -> Array:
        """Box (4,) xyxy px around the visible keypoints, with room for flesh around the joints."""
        return keypoint_box(self.keypoints_px, self.keypoint_conf)

    @property
    def quality(self) -> float:
        """Presence times mean keypoint confidence, 0-1."""
        return self.presence * float(self.keypoint_conf.mean())


def keypoint_box(keypoints_px: Array, conf: Array) -> Array:
    """Box (4,) xyxy px around the visible of the keypoints (33, 2), with room for flesh."""
    seen = conf >= VISIBLE
    points = keypoints_px[seen] if seen.sum() >= 4 else keypoints_px
    low, high = points.min(axis=0), points.max(axis=0)
    pad = 0.06 * float((high - low).max())
    return np.concatenate([low - pad, high + pad])


class Landmarker(Protocol):
    """Finds the keypoints of the one person in a region."""

    def landmarks(self, image: np.ndarray, roi: Roi) -> Landmarks:
        """What the region shows.

        Args:
            image: (H, W, 3) uint8 RGB, the whole picture.
        """
        ...


LANDMARKERS = {
    "blazepose-heavy": "body.backends.blazepose:BlazePoseHeavy",
    "blazepose-full": "body.backends.blazepose:BlazePoseFull",
    "rtmpose": "body.backends.rtmpose:RtmPose",
    "vitpose": "body.backends.vitpose:VitPose",
}
LICENCES = {
    "blazepose-heavy": "Apache-2.0",
    "blazepose-full": "Apache-2.0",
    "rtmpose": "Apache-2.0 as published",
    "vitpose": "Apache-2.0 as published",
}
"""Of the networks' weights; those that the user brings may have others."""
_FROM_THE_USER = ("rtmpose", "vitpose")
"""Of these the user brings the network."""


def check_landmarker(name: str, model: Path | None) -> None:
    """Refuses at once what loading the network would refuse after minutes of work.

    Args:
        name: one of LANDMARKERS. model: the user's own network (`--keypoints-model`), if any.
    Raises:
        InputError: unknown name, or a network is missing or not wanted.
        MissingDependencyError: the package that runs it is not installed.
    """
    kind: Any = load_backend(LANDMARKERS, name, "--keypoints")
    if (model is not None) != (name in _FROM_THE_USER):
        wanted, got = ("none", str(model)) if model else (f"the network of {name}", "none")
        raise InputError(
            f"--keypoints-model: expected {wanted}, got {got}; it goes with --keypoints "
            f"{' or '.join(_FROM_THE_USER)}"
        )
    if model is not None:
        kind.check(Path(os.path.expanduser(model)))


def load_landmarker(name: str, model: Path | None = None, *, threads: int = 0) -> Landmarker:
    """The network `name`, ready to run. Args and Raises: as check_landmarker."""
    check_landmarker(name, model)
    kind: Any = load_backend(LANDMARKERS, name, "--keypoints")
    place = () if model is None else (Path(os.path.expanduser(model)),)
    return kind(*place, threads=threads)


def settle(landmarker: Landmarker, image: np.ndarray, roi: Roi, *, rounds: int = 2) -> Landmarks:
    """Landmarks after the region has moved to where the network itself wants it.

    Args:
        image: (H, W, 3) uint8 RGB. rounds: times the network runs.
    """
    found = landmarker.landmarks(image, roi)
    for _ in range(rounds - 1):
        found = landmarker.landmarks(image, found.next_roi)
    return found
