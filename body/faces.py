"""Faces in a picture: the face-landmark seam, regions guided by the body, and following them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from body.hands import region_side
from body.landmarks import Roi
from recon.core.geometry import Array
from recon.core.skeletons import BLAZEPOSE_KEYPOINTS

GOOD = 0.5
"""Presence from which a face counts as seen; below it, its region is sought anew."""
MIN_FACE_PX = 24.0
"""Faces whose region is expected to be smaller are not looked at: there is nothing to see."""

_K = {name: i for i, name in enumerate(BLAZEPOSE_KEYPOINTS)}
_EYES = [_K["left_eye"], _K["right_eye"]]
_MOUTH = [_K["mouth_left"], _K["mouth_right"]]
_SIDE_OF_HAND_REGION = 1.25
"""A face's region is 0.28 m wide where a hand's is 0.22 m: a head with hair and chin."""
_MIN_CONF = 0.4
_NOSE_TIP, _FOREHEAD, _CHIN = 1, 10, 152
_MAX_OFF = 0.15
"""Of the region's side, 4 cm: what the nose may lie off where the body has it."""
_ROOM = 1.5
"""Side of a region relative to the face's own points in it (MediaPipe's)."""


@dataclass(frozen=True, kw_only=True)
class Face:
    """One face in one picture.

    Args:
        presence: 0-1, whether the region holds a face. keypoints_px: (468, 2) in the picture.
    """

    presence: float
    keypoints_px: Array


class FaceLandmarker(Protocol):
    """Finds the keypoints of the one face in a region."""

    num_points: int

    def face(self, image: np.ndarray, roi: Roi) -> Face:
        """What the region shows; best upright and filling two thirds of it.

        Args:
            image: (H, W, 3) uint8 RGB, the whole picture.
        """
        ...


FACE_LANDMARKERS = {"mediapipe": "body.backends.facemesh:MediaPipeFace"}


def head_region(keypoints_px: Array, side: float) -> Roi:
    """The region where the body's keypoints (33, 2) px expect the face; `side` px."""
    eyes, mouth = keypoints_px[_EYES], keypoints_px[_MOUTH].mean(axis=0)
    up = eyes.mean(axis=0) - mouth
    centre = 0.5 * (eyes.mean(axis=0) + mouth)
    return Roi(centre=centre, side=side, angle=float(np.arctan2(up[0], -up[1])))


def face_region(keypoints_px: Array, side: float) -> Roi:
    """The region around a mesh's own points (468, 2) px, upright; `side` px as expected."""
    forehead, chin = keypoints_px[_FOREHEAD], keypoints_px[_CHIN]
    up = forehead - chin
    angle = float(np.arctan2(up[0], -up[1]))
    axes = Roi(centre=chin, side=1.0, angle=angle).axes
    local = keypoints_px @ axes
    low, high = local.min(axis=0), local.max(axis=0)
    size = float(np.clip(_ROOM * (high - low).max(), 0.6 * side, 1.4 * side))
    return Roi(centre=axes @ ((low + high) / 2), side=size, angle=angle)


@dataclass
class FaceFollower:
    """Looks for the faces of tracked bodies: where they were, else where the head is."""

    landmarker: FaceLandmarker
    _before: dict[int, Face] = field(default_factory=dict)

    def look(
        self, image: np.ndarray, key: int, *, keypoints_px: Array, conf: Array, landmarks: Array
    ) -> Face:
        """The face of person `key` in `image` (H, W, 3) uint8 RGB; presence 0 if not seen.

        Args:
            keypoints_px: (33, 2), conf: (33,), landmarks: (33, 3) metres, of the body.
        """
        side = _SIDE_OF_HAND_REGION * region_side(keypoints_px, landmarks)
        nose = keypoints_px[_K["nose"]]
        best = Face(presence=0.0, keypoints_px=np.tile(nose, (self.landmarker.num_points, 1)))
        regions = []
        before = self._before.get(key)
        if before is not None and before.presence >= GOOD:
            regions.append(face_region(before.keypoints_px, side))
        if conf[[_K["nose"], *_EYES]].min() >= _MIN_CONF:
            regions.append(head_region(keypoints_px, side))
        for roi in regions if side >= MIN_FACE_PX else []:
            face = self.landmarker.face(image, roi)
            # Meshes slide onto chins, and onto other people: the body knows where its nose is.
            off = float(np.hypot(*(face.keypoints_px[_NOSE_TIP] - nose))) / side
            if off < _MAX_OFF and face.presence > best.presence:
                best = face
            if best.presence >= GOOD:
                break
        self._before[key] = best
        return best


def stack_faces(faces: Sequence[Face]) -> dict[str, Array]:
    """The fields of a PersonTrack that hold N frames' faces; none if nobody looked for them."""
    if not faces:
        return {}
    return {
        "face_px": np.stack([f.keypoints_px for f in faces]),
        "face_conf": np.array([f.presence for f in faces]),
    }


_JAW_POINTS = {468: (168, 2, 13, 14), 68: (27, 33, 62, 66)}
"""Root of the nose, base of the nose, inner upper lip, inner lower lip; by number of points."""
_NOSE_HEIGHT = 0.050
"""Metres from the root to the base of an adult's nose (Farkas 1994: 0.049 to 0.055)."""
_JAW_LENGTH = 0.10
"""Metres from an adult's jaw joint to the lower front teeth, along the bite."""


def jaw_opening(face_px: Array) -> Array:
    """How far the jaw is turned open, radians (N,), 0 with closed lips.

    The gap between the lips in units of the nose's height, both along the face's vertical, so that
    a turned or tilted head changes little; the jaw is a hinge 0.10 m behind the teeth. Lips that
    part over closed teeth count as a small opening. Good to a few degrees at best.

    Args:
        face_px: (N, 68 or 468, 2).
    """
    root, base, upper, lower = (face_px[:, i] for i in _JAW_POINTS[face_px.shape[1]])
    down = base - root
    height = np.maximum(np.hypot(*down.T), 1e-9)
    gap = np.sum((lower - upper) * down, axis=1) / height**2 * _NOSE_HEIGHT
    return 2 * np.arcsin(np.clip(gap / (2 * _JAW_LENGTH), 0.0, 0.5))


def jaw_track(frame_idx: np.ndarray, face_px: Array, conf: Array, wanted: np.ndarray) -> Array:
    """The jaw's opening, radians (M,), in the `wanted` frames; 0 if no face was seen at all.

    Between faces that were seen it is interpolated.

    Args:
        frame_idx: (N,) rising. face_px: (N, 68 or 468, 2). conf: (N,), 0-1.
    """
    seen = conf >= GOOD
    if not seen.any():
        return np.zeros(len(wanted))
    return np.interp(wanted, frame_idx[seen], jaw_opening(face_px[seen]))
