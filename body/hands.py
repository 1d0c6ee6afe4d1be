"""Hands in a picture: the hand-landmark seam, regions guided by the body, and following them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from body.landmarks import Roi
from recon.core.geometry import Array
from recon.core.skeletons import BLAZEPOSE_KEYPOINTS

SIDES = ("left", "right")
NUM_HAND_POINTS = 21
GOOD = 0.5
"""Confidence from which a hand counts as seen; below it, its region is sought anew."""
MIN_HAND_PX = 20.0
"""Hands expected to be shorter than this are not looked at: there is nothing to see."""

_K = {name: i for i, name in enumerate(BLAZEPOSE_KEYPOINTS)}
_ARMS = tuple(
    tuple(_K[f"{side}_{part}"] for part in ("elbow", "wrist", "index", "pinky")) for side in SIDES
)
_LIMBS = [i for k, i in _K.items() if k.split("_")[-1] in {"shoulder", "elbow", "hip", "knee"}]
_REGION = 0.22
"""Side of a hand's region in metres of the landmarks' mean adult: 2.6 palms."""
_HAND_SHARE = 0.75
"""Length of an open hand relative to its region's side."""
_MIN_WRIST_CONF = 0.4


@dataclass(frozen=True, kw_only=True)
class Hand:
    """One hand in one picture.

    Args:
        presence: 0-1, whether the region holds a hand. right: 0-1, whether it is a right hand.
        keypoints_px: (21, 2) in the picture: wrist, then four of the thumb from its root to its
            tip, and so on to the little finger.
        points: (21, 3) metres, origin at the wrist, axes of the picture (x right, y down, z away).
    """

    presence: float
    right: float
    keypoints_px: Array
    points: Array


class HandLandmarker(Protocol):
    """Finds the keypoints of the one hand in a region."""

    def hand(self, image: np.ndarray, roi: Roi) -> Hand:
        """What the region shows; best where the fingers point to its upper side.

        Args:
            image: (H, W, 3) uint8 RGB, the whole picture.
        """
        ...


HAND_LANDMARKERS = {"mediapipe": "body.backends.handpose:MediaPipeHands"}


@dataclass(frozen=True, kw_only=True)
class HandPair:
    """A person's left and right hand in one picture.

    Args:
        keypoints_px: (2, 21, 2), all at the wrist where not seen. points: (2, 21, 3) as in Hand.
        conf: (2,), 0-1, 0 where a hand was not looked at, or is not the body's.
    """

    keypoints_px: Array
    points: Array
    conf: Array


def stack_hands(pairs: Sequence[HandPair]) -> dict[str, Array]:
    """The fields of a PersonTrack that hold N frames' hands; none if nobody looked for them."""
    if not pairs:
        return {}
    return {
        "hands_px": np.stack([p.keypoints_px for p in pairs]),
        "hands_3d": np.stack([p.points for p in pairs]),
        "hands_conf": np.stack([p.conf for p in pairs]),
    }


def region_side(keypoints_px: Array, landmarks: Array) -> float:
    """The side in px of a hand's region for a body of this size in the picture.

    A palm seen end-on looks short, the limbs together do not: they tell the size.

    Args:
        keypoints_px: (33, 2). landmarks: (33, 3) metres.
    """
    seen = keypoints_px[_LIMBS] - keypoints_px[_LIMBS].mean(axis=0)
    body = landmarks[_LIMBS, :2] - landmarks[_LIMBS, :2].mean(axis=0)
    return _REGION * float(np.sqrt(np.sum(seen**2) / max(float(np.sum(body**2)), 1e-9)))


def arm_region(keypoints_px: Array, arm: Sequence[int], side: float) -> Roi:
    """The region where the body's keypoints expect a hand, fingers up.

    Args:
        keypoints_px: (33, 2). arm: indices of elbow, wrist, index and pinky. side: px.
    """
    elbow, wrist, index, pinky = keypoints_px[list(arm)]
    palm = (2 * index + pinky) / 3 - wrist
    # A hand that points at the camera has no direction in the picture: it takes the forearm's.
    forearm = (wrist - elbow) / max(float(np.hypot(*(wrist - elbow))), 1e-9)
    up = palm + 0.08 * side * forearm
    size = float(np.clip(3.3 * np.hypot(*palm), 0.8 * side, 1.3 * side))
    angle = float(np.arctan2(up[0], -up[1]))
    return Roi(centre=wrist + 1.25 * palm, side=size, angle=angle)


def hand_region(keypoints_px: Array, side: float) -> Roi:
    """The region around a hand's own keypoints (21, 2), fingers up; `side` px as expected."""
    wrist, knuckles = keypoints_px[0], keypoints_px[[5, 9, 13]].mean(axis=0)
    up = knuckles - wrist
    angle = float(np.arctan2(up[0], -up[1]))
    axes = Roi(centre=wrist, side=1.0, angle=angle).axes
    local = (keypoints_px - wrist) @ axes
    low, high = local.min(axis=0), local.max(axis=0)
    size = float(np.clip(1.45 * (high - low).max(), 0.8 * side, 1.3 * side))
    return Roi(centre=wrist + axes @ ((low + high) / 2), side=size, angle=angle)


def confidence(hand: Hand, which: int, wrist_px: Array, side: float) -> float:
    """How far this is the body's left (0) or right (1) hand, 0-1.

    Seen edge-on, left and right look alike; only a clear contradiction counts.

    Args:
        wrist_px: (2,) the body's wrist. side: px, of the hand's region as expected.
    """
    off = float(np.hypot(*(hand.keypoints_px[0] - wrist_px))) / side
    if off > 0.4 or np.ptp(hand.keypoints_px, axis=0).max() > 1.1 * side:
        return 0.0
    agrees = hand.right if which else 1 - hand.right
    return hand.presence * float(np.clip(agrees / 0.2, 0, 1))


@dataclass
class HandFollower:
    """Looks for the hands of tracked bodies: where they were, else where the arm leads.

    The network runs once a hand and frame, twice where the hand is not where it was.
    """

    landmarker: HandLandmarker
    _before: dict[int, HandPair] = field(default_factory=dict)

    def look(
        self, image: np.ndarray, key: int, *, keypoints_px: Array, conf: Array, landmarks: Array
    ) -> HandPair:
        """Both hands of person `key` in `image` (H, W, 3) uint8 RGB.

        Args:
            keypoints_px: (33, 2), conf: (33,), landmarks: (33, 3) metres, of the body.
        """
        side = region_side(keypoints_px, landmarks)
        wrists = keypoints_px[[arm[1] for arm in _ARMS]]
        px = np.repeat(wrists[:, None], NUM_HAND_POINTS, axis=1)
        points, trust = np.zeros((2, NUM_HAND_POINTS, 3)), np.zeros(2)
        before = self._before.get(key)
        for which, arm in enumerate(_ARMS):
            if conf[arm[1]] < _MIN_WRIST_CONF or _HAND_SHARE * side < MIN_HAND_PX:
                continue
            regions = [arm_region(keypoints_px, arm, side)]
            if before is not None and before.conf[which] >= GOOD:
                regions.insert(0, hand_region(before.keypoints_px[which], side))
            for roi in regions:
                hand = self.landmarker.hand(image, roi)
                sure = confidence(hand, which, wrists[which], side)
                if sure > trust[which]:
                    px[which], points[which], trust[which] = hand.keypoints_px, hand.points, sure
                if sure >= GOOD:
                    break
        if trust.all() and np.hypot(*(px[0] - px[1]).T).mean() < 0.15 * side:
            trust[np.argmin(trust)] = 0.0  # one hand cannot be both
        self._before[key] = HandPair(keypoints_px=px, points=points, conf=trust)
        return self._before[key]
