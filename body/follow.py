"""What the walk through a video leaves: every person's sightings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np

from body.appearance import Look
from body.faces import Face, stack_faces
from body.hands import HandPair, stack_hands
from body.landmarks import Landmarks
from recon.core.geometry import Array
from recon.core.people import PersonTrack, RoiMasks


@dataclass
class History:
    """All sightings of one person, a list per kind, in order of time.

    Args:
        looks: (frame, look) where nobody else was in the way. checks: (frame, whether it agreed)
            of the detector's passes.
    """

    frame_idx: list[int] = field(default_factory=list)
    boxes: list[Array] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    keypoints_px: list[Array] = field(default_factory=list)
    keypoint_conf: list[Array] = field(default_factory=list)
    landmarks: list[Array] = field(default_factory=list)
    mask_bits: list[np.ndarray] = field(default_factory=list)
    Ts_image_roi: list[Array] = field(default_factory=list)
    hands_px: list[Array | None] = field(default_factory=list)
    hands_conf: list[Array | None] = field(default_factory=list)
    face_px: list[Array | None] = field(default_factory=list)
    face_conf: list[float | None] = field(default_factory=list)
    hands: list[HandPair] = field(default_factory=list)
    faces: list[Face] = field(default_factory=list)
    looks: list[tuple[int, Look]] = field(default_factory=list)
    checks: list[tuple[int, bool]] = field(default_factory=list)
    metric: bool = True
    mask_size: int = 0

    @property
    def passes(self) -> int:
        """How many detector passes fell into the person's time."""
        return len(self.checks)

    @property
    def supports(self) -> int:
        """How many of those agreed."""
        return sum(agreed for _, agreed in self.checks)

    def append(self, frame_idx: int, found: Landmarks) -> None:
        """Adds the sighting in one frame."""
        self.frame_idx.append(frame_idx)
        self.boxes.append(found.box)
        self.scores.append(min(max(found.presence, 0.0), 1.0))
        self.keypoints_px.append(found.keypoints_px)
        self.keypoint_conf.append(found.keypoint_conf)
        self.landmarks.append(found.landmarks)
        self.metric = self.metric and found.metric
        self.hands_px.append(found.hands_px)
        self.hands_conf.append(found.hands_conf)
        self.face_px.append(found.face_px)
        self.face_conf.append(found.face_conf)
        self.mask_size = len(found.mask)
        self.mask_bits.append(np.packbits(found.mask.ravel()))
        self.Ts_image_roi.append(found.roi.to_image(self.mask_size))

    def note_look(self, frame_idx: int, look: Look | None) -> None:
        """Remembers how the person looked in one frame, if that could be seen."""
        if look is not None:
            self.looks.append((frame_idx, look))

    def part(self, first: int, last: int) -> History:
        """The sightings from frame `first` to before frame `last`."""
        rows = slice(*np.searchsorted(self.frame_idx, [first, last]).tolist())
        own = {name: getattr(self, name)[rows] for name in _PER_SIGHTING}
        notes = {
            name: [(i, value) for i, value in getattr(self, name) if first <= i < last]
            for name in _NOTES
        }
        return replace(self, **own, **notes)

    def joined(self, other: History) -> History:
        """One person of two, who were never seen in one frame."""
        order = np.argsort([*self.frame_idx, *other.frame_idx], kind="stable")
        own = {}
        for name in _PER_SIGHTING:
            both = getattr(self, name) + getattr(other, name)
            own[name] = [both[k] for k in order] if both else both
        notes = {n: sorted(getattr(self, n) + getattr(other, n), key=_frame) for n in _NOTES}
        return replace(self, **own, **notes)

    def quality(self) -> float:
        """Mean keypoint confidence, 0-1."""
        return float(np.mean(self.keypoint_conf))

    def importance(self) -> float:
        """Box area times duration, px^2 frames."""
        boxes = np.stack(self.boxes)
        return float((boxes[:, 2:] - boxes[:, :2]).prod(axis=1).sum())

    def track(self, track_id: int) -> PersonTrack:
        """The same as the type that leaves the stage."""
        masks = RoiMasks(
            bits=np.stack(self.mask_bits),
            Ts_image_roi=np.stack(self.Ts_image_roi),
            size=self.mask_size,
        )
        return PersonTrack(
            track_id=track_id,
            frame_idx=np.array(self.frame_idx),
            boxes=np.stack(self.boxes),
            scores=np.array(self.scores),
            keypoints_px=np.stack(self.keypoints_px),
            keypoint_conf=np.stack(self.keypoint_conf),
            landmarks=np.stack(self.landmarks),
            masks=masks,
            metric=self.metric,
            **{
                "hands_px": stacked(self.hands_px),
                "hands_conf": stacked(self.hands_conf),
                "face_px": stacked(self.face_px),
                "face_conf": stacked(self.face_conf),
                **stack_hands(self.hands),
                **stack_faces(self.faces),
            },
        )


def _frame(note: tuple[int, object]) -> int:
    return note[0]


_NOTES = ("looks", "checks")
_PER_SIGHTING = tuple(
    f.name for f in fields(History) if f.default_factory is list and f.name not in _NOTES
)


def stacked(values: Sequence[Array | float | None]) -> Array | None:
    """Values of N frames as one array, or None where a frame has none."""
    return None if any(v is None for v in values) else np.stack([np.asarray(v) for v in values])
