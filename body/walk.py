"""The walk through a video: follow everybody by their own region, look around for others."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from body.detect import Detector, TiledDetector, pairwise_overlap
from body.follow import History
from body.landmarks import Landmarker, Landmarks, Roi, settle
from body.search import find_turned
from body.track import Person, Sighting, affinity, recognise, same_body, support
from recon.core.geometry import Array
from recon.core.video import Frame

MIN_PRESENCE = 0.5
STRONG_SCORE = 0.45
"""A detection of at least this score may start a person; weaker ones only confirm."""
COASTING = 0.5
"""Seconds that a lost person is still looked for where the motion leads, without a detection."""
TENTATIVE = 3
"""Detector passes that a new person has to be confirmed in, or is dropped."""
REFUSAL = 1.0
"""Seconds for which a detection that proved to be nobody is not tried again."""
RUPTURE = -6.0
"""Log-odds below which a region has jumped to something else."""
EXCHANGE = 3.0
"""Log-odds that two people whose bodies overlap must gain by changing regions."""
VANISHED = -3.0
"""Log-odds from which a body is somebody's who vanished in plain view: who else should it be?"""
SURE = 0.5
"""Presence times mean keypoint confidence that it takes to believe a body found so."""
SEARCH_EVERY = 0.1
"""Seconds between searches for somebody who vanished in plain view."""
_SEARCH_SIDE = 1.9
"""Side of the picture searched, in sides of the last region."""
_SEARCH_TRIES = 3
"""Bodies looked at per search."""


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
        self._closer = detector
        self._landmarker = landmarker
        self._detect_every = detect_every
        self._max_gap = max_gap
        self._max_people = max_people
        self._people: list[Person] = []
        self._next_pass = self._next_search = -np.inf
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
        if frame.time >= self._next_search:
            self._next_search = frame.time + SEARCH_EVERY
            self._search(frame, sightings)
        boxes = {key: s.found.box for key, s in sightings.items()}
        for person in self._people:
            seen = sightings.get(person.key)
            person.missing = seen is None
            if seen is not None:
                person.update(seen, frame.time, crowded=_crowded(person.key, boxes))
                self.histories[person.key].append(frame.index, seen.found)
        self._people = [p for p in self._people if self._worth_keeping(p, frame.time)]

    def _follow(self, frame: Frame) -> dict[int, Sighting]:
        """Sightings by key where each person's own region leads."""
        sightings: dict[int, Sighting] = {}
        for person in self._people:
            if person.missing and frame.time - person.seen > COASTING:
                continue
            found = self._landmarker.landmarks(frame.image, person.predicted_roi(frame.time))
            if not _plausible(found, frame.image):
                continue
            sighting = Sighting(found, frame.image)
            # After a miss the region may have landed on somebody else.
            if affinity(person, sighting, frame.time) > (0 if person.missing else RUPTURE):
                sightings[person.key] = sighting
        self._part_doubles(frame.time, sightings)
        self._exchange(frame.time, sightings)
        return sightings

    def _part_doubles(self, time: float, sightings: dict[int, Sighting]) -> None:
        """Where two people's regions slid onto one body, it stays with whom it fits better."""
        by_key = {p.key: p for p in self._people}
        for a, b in _overlapping(sightings, iou=0.2):
            if a not in sightings or b not in sightings:
                continue
            if same_body(sightings[a].found, sightings[b].found):
                fits = {k: affinity(by_key[k], sightings[k], time) for k in (a, b)}
                del sightings[min(fits, key=fits.__getitem__)]

    def _exchange(self, time: float, sightings: dict[int, Sighting]) -> None:
        """Where two people's regions slid each onto the other's body, they change places."""
        by_key = {p.key: p for p in self._people}
        for a, b in _overlapping(sightings, iou=0.05):
            ours, theirs = sightings[a], sightings[b]
            stay = affinity(by_key[a], ours, time) + affinity(by_key[b], theirs, time)
            change = affinity(by_key[a], theirs, time) + affinity(by_key[b], ours, time)
            if change > stay + EXCHANGE:
                sightings[a], sightings[b] = theirs, ours

    def _look_around(self, frame: Frame, sightings: dict[int, Sighting]) -> None:
        """A detector pass: confirms the people in sight, brings back lost ones, finds new ones."""
        detections = self._detector.detect(frame.image, frame.time)
        in_sight = [p for p in self._people if p.key in sightings]
        boxes = {p.key: sightings[p.key].found.box for p in in_sight}
        pairs = support(list(boxes.values()), detections.boxes)
        hidden = {
            p.key: p.predicted_box(frame.time) for p in self._people if p.key not in sightings
        }
        confirmed = {i for i, _ in pairs}
        for i, person in enumerate(in_sight):
            self._note_pass(person, frame.index, agreed=i in confirmed)
            if not _crowded(person.key, boxes | hidden):
                look = sightings[person.key].look
                person.learn_look(look)
                self.histories[person.key].note_look(frame.index, look)
        taken = {j for _, j in pairs}
        free = [
            (box, float(score))
            for j, (box, score) in enumerate(zip(detections.boxes, detections.scores, strict=True))
            if j not in taken
        ]
        found, scores = self._examine(frame, free, sightings)
        lost = [p for p in self._people if p.key not in sightings]
        back = {j: i for i, j in recognise(lost, found, frame.time)}
        for j, sighting in enumerate(found):
            if j in back:
                sightings[lost[back[j]].key] = sighting
                self._note_pass(lost[back[j]], frame.index, agreed=True)
            elif scores[j] >= STRONG_SCORE and self._has_room(sighting, sightings):
                person = self._meet(sighting, frame)
                sightings[person.key] = sighting

    def _examine(
        self, frame: Frame, free: list[tuple[Array, float]], sightings: dict[int, Sighting]
    ) -> tuple[list[Sighting], list[float]]:
        """Bodies, with their scores, behind boxes that confirm nobody in sight."""
        self._refused = [(b, until) for b, until in self._refused if until > frame.time]
        lost = [p for p in self._people if p.key not in sightings]
        expected = [p.predicted_box(frame.time) for p in lost]
        found: list[Sighting] = []
        scores: list[float] = []
        for box, score in free:
            if score < STRONG_SCORE and not _overlaps(box, expected, 0.2):
                continue
            if _overlaps(box, [b for b, _ in self._refused], 0.6):
                continue
            body = settle(self._landmarker, frame.image, Roi.from_box(box))
            genuine = _plausible(body, frame.image) and _overlaps(box, [body.box], 0.3)
            sighting = Sighting(body, frame.image)
            if genuine and not self._is_known(sighting, found, sightings):
                found.append(sighting)
                scores.append(score)
            else:
                self._refused.append((box, frame.time + REFUSAL))
        return found, scores

    def _search(self, frame: Frame, sightings: dict[int, Sighting]) -> None:
        """Looks closer, and for bodies in any attitude, where somebody vanished in plain view.

        Detectors know upright people; who turns over or bends down is lost to them.
        """
        for person in self._people:
            if person.key in sightings or not self._in_plain_view(person, frame, sightings):
                continue
            roi = person.predicted_roi(frame.time)
            closer = Roi(centre=roi.centre, side=_SEARCH_SIDE * roi.side, angle=0.0)
            regions = find_turned(self._closer, frame.image, closer)
            best: tuple[float, Sighting] | None = None
            for region in regions[:_SEARCH_TRIES]:
                body = settle(self._landmarker, frame.image, region)
                sighting = Sighting(body, frame.image)
                clear = _plausible(body, frame.image) and body.quality >= SURE
                if not clear or self._is_known(sighting, [], sightings):
                    continue
                odds = affinity(person, sighting, frame.time)
                if odds > (VANISHED if best is None else best[0]):
                    best = odds, sighting
            if best is not None:
                sightings[person.key] = best[1]

    def _in_plain_view(self, person: Person, frame: Frame, sightings: dict[int, Sighting]) -> bool:
        """Whether a lost person should be in the picture with nobody in front of them."""
        if self.histories[person.key].supports < TENTATIVE:
            return False
        roi = person.predicted_roi(frame.time)
        height, width = frame.image.shape[:2]
        # Who was near the picture's border has left.
        margin = 0.25 * roi.side
        border = np.minimum(roi.centre, [width, height] - roi.centre).min()
        others = [s.found.box for s in sightings.values()]
        return border > margin and not _overlaps(person.predicted_box(frame.time), others, 0.1)

    def _is_known(
        self, body: Sighting, found: list[Sighting], sightings: dict[int, Sighting]
    ) -> bool:
        for key, seen in sightings.items():
            if same_body(body.found, seen.found):
                if body.found.quality > seen.found.quality + 0.1:
                    sightings[key] = body  # the region had drifted: anchor it anew
                return True
        return any(same_body(body.found, other.found) for other in found)

    def _has_room(self, body: Sighting, sightings: dict[int, Sighting]) -> bool:
        """Whether to follow one more: with a limit, two in reserve, then only larger ones."""
        if self._max_people is None or len(sightings) < self._max_people + 2:
            return True
        return body.found.roi.side > min(s.found.roi.side for s in sightings.values())

    def _meet(self, sighting: Sighting, frame: Frame) -> Person:
        person = Person(len(self.histories), sighting, frame.time)
        self._people.append(person)
        self.histories.append(History())
        self.histories[person.key].note_look(frame.index, sighting.look)
        self._note_pass(person, frame.index, agreed=True)
        return person

    def _note_pass(self, person: Person, frame_idx: int, *, agreed: bool) -> None:
        self.histories[person.key].checks.append((frame_idx, agreed))
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


def _overlapping(sightings: dict[int, Sighting], *, iou: float) -> Iterable[tuple[int, int]]:
    """Pairs of people, the earlier first, whose boxes overlap by more than `iou`."""
    keys = sorted(sightings)
    if len(keys) < 2:
        return []
    boxes = np.stack([sightings[k].found.box for k in keys])
    overlap, _ = pairwise_overlap(boxes, boxes)
    return [(keys[i], keys[j]) for i, j in np.argwhere(np.triu(overlap > iou, 1))]


def _crowded(key: int, boxes: dict[int, Array]) -> bool:
    return _overlaps(boxes[key], [b for k, b in boxes.items() if k != key], 0.05)


def _overlaps(box: Array, others: list[Array], iou: float) -> bool:
    return bool(others) and bool((pairwise_overlap(box[None], np.stack(others))[0] > iou).any())
