"""The walk through a video: follow everybody by their own region, look around for others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from body.detect import Detections, Detector, TiledDetector, pairwise_overlap
from body.faces import Face, stack_faces
from body.hands import HandPair, stack_hands
from body.landmarks import Landmarker, Landmarks, Roi, settle
from body.track import (
    Person,
    histogram_distance,
    keypoint_similarity,
    reidentify,
    support,
    torso_histogram,
)
from recon.core.geometry import Array
from recon.core.people import PersonTrack, RoiMasks
from recon.core.video import Frame

MIN_PRESENCE = 0.5
STRONG_SCORE = 0.45
"""A detection of at least this score may start a person; weaker ones only confirm."""
SAME_BODY = 0.55
"""Keypoint similarity above which two sightings are one body."""
COASTING = 0.5
"""Seconds that a lost person is still looked for where the motion leads, without a detection."""
TENTATIVE = 3
"""Detector passes that a new person has to be confirmed in, or is dropped."""
REFUSAL = 1.0
"""Seconds for which a detection that proved to be nobody is not tried again."""


@dataclass
class History:
    """All sightings of one person, and in how many of the detector's passes it agreed."""

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
    metric: bool = True
    mask_size: int = 0
    supports: int = 0
    passes: int = 0

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


def stacked(values: Sequence[Array | float | None]) -> Array | None:
    """Values of N frames as one array, or None where a frame has none."""
    return None if any(v is None for v in values) else np.stack([np.asarray(v) for v in values])


class Walk:
    """Who is followed, and when to look for others. Cost grows linearly with the people in view.

    Args:
        detect_every: seconds between detector passes; a loss triggers one at once.
        max_gap: seconds that a lost person is waited for. max_people: followed, None for all.
    """

    def __init__(
        self,
        detector: Detector,
        landmarker: Landmarker,
        *,
        detect_every: float,
        max_gap: float,
        max_people: int | None,
    ) -> None:
        self._detector = TiledDetector(detector, strong=STRONG_SCORE)
        self._landmarker = landmarker
        self._detect_every = detect_every
        self._max_gap = max_gap
        self._max_people = max_people
        self._people: list[Person] = []
        self._next_pass = -np.inf
        self._refused: list[tuple[Array, float]] = []
        self.histories: list[History] = []
        """Every person ever followed, by key."""

    def step(self, frame: Frame) -> None:
        """Follows everybody into this frame, and looks around when it is time."""
        sightings = self._follow(frame)
        just_lost = any(p.key not in sightings and not p.missing for p in self._people)
        if frame.time >= self._next_pass or just_lost or not self._people:
            self._next_pass = frame.time + self._detect_every
            self._look_around(frame, sightings)
        for person in self._people:
            found = sightings.get(person.key)
            person.missing = found is None
            if found is not None:
                person.update(found, frame.time)
                self.histories[person.key].append(frame.index, found)
        self._people = [p for p in self._people if self._worth_keeping(p, frame.time)]

    def _follow(self, frame: Frame) -> dict[int, Landmarks]:
        """Sightings by key where each person's own region leads."""
        sightings: dict[int, Landmarks] = {}
        for person in self._people:
            if person.missing and frame.time - person.seen > COASTING:
                continue
            found = self._landmarker.landmarks(frame.image, person.predicted_roi(frame.time))
            if not _plausible(found, frame.image):
                continue
            # After a miss the region may have landed on somebody else.
            if person.missing and _unlike(person, found, frame.image) > 0.55:
                continue
            sightings[person.key] = found
        self._part_doubles(frame, sightings)
        return sightings

    def _part_doubles(self, frame: Frame, sightings: dict[int, Landmarks]) -> None:
        """Where two people's regions slid onto one body, it stays with whom it fits better."""
        by_key = {p.key: p for p in self._people}
        for key in sorted(sightings):
            for other in sorted(sightings):
                if other <= key or key not in sightings or other not in sightings:
                    continue
                if keypoint_similarity(sightings[key], sightings[other]) > SAME_BODY:
                    misfits = {k: _misfit(by_key[k], sightings[k], frame) for k in (other, key)}
                    del sightings[max(misfits, key=misfits.__getitem__)]

    def _look_around(self, frame: Frame, sightings: dict[int, Landmarks]) -> None:
        """A detector pass: confirms the people in sight, brings back lost ones, finds new ones."""
        detections = self._detector.detect(frame.image, frame.time)
        in_sight = [p for p in self._people if p.key in sightings]
        boxes = [sightings[p.key].box for p in in_sight]
        pairs = support(boxes, detections.boxes)
        confirmed = {i for i, _ in pairs}
        for i, person in enumerate(in_sight):
            self._note_pass(person, agreed=i in confirmed)
            if not _crowded(i, boxes):
                person.learn_colours(
                    torso_histogram(frame.image, sightings[person.key].keypoints_px)
                )
        used = {j for _, j in pairs}
        free = [j for j in range(len(detections)) if j not in used]
        found, scores = self._examine(frame, detections, free, sightings)
        colours = [torso_histogram(frame.image, f.keypoints_px) for f in found]
        lost = [p for p in self._people if p.key not in sightings]
        back = {j: i for i, j in reidentify(lost, found, colours, frame.time)}
        for j, sighting in enumerate(found):
            if j in back:
                sightings[lost[back[j]].key] = sighting
                self._note_pass(lost[back[j]], agreed=True)
            elif scores[j] >= STRONG_SCORE and self._has_room(sighting, sightings):
                person = self._meet(sighting, frame.time, colours[j])
                sightings[person.key] = sighting

    def _examine(
        self,
        frame: Frame,
        detections: Detections,
        free: list[int],
        sightings: dict[int, Landmarks],
    ) -> tuple[list[Landmarks], list[float]]:
        """Bodies, with their scores, behind detections that confirm nobody in sight."""
        self._refused = [(b, until) for b, until in self._refused if until > frame.time]
        lost = [p for p in self._people if p.key not in sightings]
        found: list[Landmarks] = []
        scores: list[float] = []
        for j in free:
            box, score = detections.boxes[j], float(detections.scores[j])
            expected = [p.predicted_box(frame.time) for p in lost]
            if score < STRONG_SCORE and not _overlaps(box, expected, 0.2):
                continue
            if _overlaps(box, [b for b, _ in self._refused], 0.6):
                continue
            body = settle(self._landmarker, frame.image, Roi.from_box(box))
            genuine = _plausible(body, frame.image) and _overlaps(box, [body.box], 0.3)
            if genuine and not self._is_known(body, found, sightings):
                found.append(body)
                scores.append(score)
            else:
                self._refused.append((box, frame.time + REFUSAL))
        return found, scores

    def _is_known(
        self, body: Landmarks, found: list[Landmarks], sightings: dict[int, Landmarks]
    ) -> bool:
        for person in self._people:
            seen = sightings.get(person.key)
            if seen is not None and keypoint_similarity(body, seen) > SAME_BODY:
                if body.quality > seen.quality + 0.1:  # the region had drifted: anchor it anew
                    sightings[person.key] = body
                return True
        return any(keypoint_similarity(body, other) > SAME_BODY for other in found)

    def _has_room(self, body: Landmarks, sightings: dict[int, Landmarks]) -> bool:
        """Whether to follow one more: with a limit, two in reserve, then only larger ones."""
        if self._max_people is None or len(sightings) < self._max_people + 2:
            return True
        return body.roi.side > min(s.roi.side for s in sightings.values())

    def _meet(self, body: Landmarks, time: float, colours: np.ndarray | None) -> Person:
        person = Person(key=len(self.histories), landmarks=body, seen=time, colours=colours)
        self._people.append(person)
        self.histories.append(History())
        self._note_pass(person, agreed=True)
        return person

    def _note_pass(self, person: Person, *, agreed: bool) -> None:
        history = self.histories[person.key]
        history.passes += 1
        history.supports += agreed
        person.unsupported = 0 if agreed else person.unsupported + 1

    def _worth_keeping(self, person: Person, time: float) -> bool:
        if self.histories[person.key].supports < TENTATIVE:
            return person.unsupported < TENTATIVE and time - person.seen <= COASTING
        return time - person.seen <= self._max_gap


def _plausible(found: Landmarks, image: np.ndarray) -> bool:
    height, width = image.shape[:2]
    roi = found.next_roi
    inside = bool((roi.centre > 0).all() and (roi.centre < [width, height]).all())
    return found.presence >= MIN_PRESENCE and inside and 16 < roi.side < 6 * max(width, height)


def _unlike(person: Person, found: Landmarks, image: np.ndarray) -> float:
    return histogram_distance(person.colours, torso_histogram(image, found.keypoints_px))


def _misfit(person: Person, found: Landmarks, frame: Frame) -> float:
    """How badly a sighting continues a person: off the predicted place, in other colours."""
    off = found.next_roi.centre - person.predicted_centre(frame.time)
    return float(np.hypot(*off)) / found.next_roi.side + _unlike(person, found, frame.image)


def _crowded(i: int, boxes: list[Array]) -> bool:
    return _overlaps(boxes[i], boxes[:i] + boxes[i + 1 :], 0.05)


def _overlaps(box: Array, others: list[Array], iou: float) -> bool:
    return bool(others) and bool((pairwise_overlap(box[None], np.stack(others))[0] > iou).any())
