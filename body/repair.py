"""Who is who, decided again when the whole clip has been seen.

While the video runs a region may slide from one person to another who passes close by, and
somebody hidden for long comes back as somebody new. Afterwards every sighting is there: people
are parted wherever bodies overlapped or somebody was lost, and the parts are joined again by
what location and look say on both sides (tracklet association by linear assignment, as in Huang
et al. 2008, "Robust Object Tracking by Hierarchical Association of Detection Responses").
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, reduce
from itertools import pairwise

import numpy as np

from body.appearance import Look, difference
from body.detect import pairwise_overlap
from body.follow import History
from body.motion import Motion, locate
from body.track import location_odds, look_odds, match
from recon.core.geometry import Array

_CROWDED = 0.1
"""Overlap of boxes (IoU) from which a sighting may be somebody else's."""
_REACH = 2.5
"""Seconds over which location tells anything about a person; later only the look does."""
_MEMORY = 2.0
"""Seconds of sightings at either end of a part that tell its movement and look."""
_HIDDEN = 1.0
"""Seconds for which somebody may be hidden where the last or next box is."""
_SLIDE = 0.15
"""Step of a box between two frames, in its own sides, from which a crowded region may have slid."""
_CONTINUED, _UNBROKEN = 2.0, 0.5
"""Log-odds in favour of parts that one region connected, without being lost for these seconds."""
_RETURN = 1.5
"""Log-odds by the look that it takes to recognise somebody who was away for long."""
_MARGIN = 0.1
"""Difference of looks by which anybody else has to be farther off then."""


def repaired(histories: Sequence[History], times: Array, size: tuple[int, int]) -> list[History]:
    """The people of a clip with swaps undone and returns recognised.

    Args:
        histories: as the walk leaves them. times: (T,) seconds. size: width, height, px.
    """
    crowded = _crowded(histories, times)
    parts = [
        _Part(piece, origin, times, size, crowded)
        for origin, history in enumerate(histories)
        for piece in _parted(history, times, {i for o, i in crowded if o == origin})
    ]
    parts = _joined(parts, _neighbours(parts))
    while pair := _returned(parts):
        parts = _joined(parts, [pair])
    return [part.history for part in parts]


class _Part:
    """Sightings that are surely of one person, and what they tell about the time around them."""

    def __init__(
        self,
        history: History,
        origin: int,
        times: Array,
        size: tuple[int, int],
        crowded: set[tuple[int, int]],
    ) -> None:
        self.history = history
        self.origin = origin
        self._times, self._size, self._crowded = times, size, crowded

    @property
    def first(self) -> int:
        return self.history.frame_idx[0]

    @property
    def last(self) -> int:
        return self.history.frame_idx[-1]

    def gap_to(self, later: _Part) -> float:
        """Seconds from the last sighting to the first of another part."""
        return float(self._times[later.first] - self._times[self.last])

    @cached_property
    def _clean(self) -> list[int]:
        """Rows in which nobody was in the way; all if there are none."""
        frames = self.history.frame_idx
        rows = [k for k, i in enumerate(frames) if (self.origin, i) not in self._crowded]
        return rows or list(range(len(frames)))

    def _end(self, sign: float) -> tuple[Motion, Array, float]:
        """Movement, location (3,) and time at the last (sign 1) or the first sighting (-1).

        Time runs away from the part at both ends: at its start the movement is seen backwards,
        and times are negative.
        """
        rows = np.array(self._clean)
        moments = sign * self._times[np.array(self.history.frame_idx)[rows]]
        near = np.flatnonzero(moments >= moments.max() - _MEMORY)
        near = near[np.argsort(moments[near])]
        locations = self._locations(rows[near])
        motion = Motion.begin(locations[0], float(moments[near[0]]))
        for k, location in zip(near[1:], locations[1:], strict=True):
            motion = motion.seen(location, float(moments[k]))
        return motion, locations[-1], float(moments.max())

    @cached_property
    def ending(self) -> tuple[Motion, Array, float]:
        return self._end(1.0)

    @cached_property
    def beginning(self) -> tuple[Motion, Array, float]:
        return self._end(-1.0)

    def _locations(self, rows: np.ndarray) -> Array:
        h = self.history
        kinds = (h.keypoints_px, h.keypoint_conf, h.landmarks)
        points, conf, landmarks = (np.stack([values[k] for k in rows]) for values in kinds)
        return locate(points, conf, landmarks, self._size)

    def look(self, *, since: float = -np.inf, until: float = np.inf) -> Look | None:
        """The mean look between two times."""
        looks = [v for i, v in self.history.looks if since <= self._times[i] <= until]
        return mean_look(looks)

    @cached_property
    def whole_look(self) -> Look | None:
        return self.look()

    @cached_property
    def first_look(self) -> Look | None:
        looks = self.history.looks
        return self.look(until=self._times[looks[0][0]] + _MEMORY) if looks else None

    @cached_property
    def last_look(self) -> Look | None:
        looks = self.history.looks
        return self.look(since=self._times[looks[-1][0]] - _MEMORY) if looks else None

    def joined(self, other: _Part) -> _Part:
        """One part of two that share no frame; it counts as the later one's region."""
        history = self.history.joined(other.history)
        later = max(self, other, key=lambda part: part.last)
        return _Part(history, later.origin, self._times, self._size, self._crowded)


def mean_look(looks: Sequence[Look]) -> Look | None:
    """The mean of several looks, None of none."""
    if not looks:
        return None
    return reduce(lambda mean, kv: mean.mixed(kv[1], 1 / kv[0]), enumerate(looks[1:], 2), looks[0])


def _crowded(histories: Sequence[History], times: Array) -> set[tuple[int, int]]:
    """(person, frame) of all sightings whose box overlaps with somebody else's.

    Who is lost, or not found yet, may be hidden where the last or the next box is.
    """
    present: dict[int, list[tuple[int, Array]]] = {}
    for origin, history in enumerate(histories):
        for frame, box in _boxes_around(history, times):
            present.setdefault(frame, []).append((origin, box))
    crowded = set()
    for frame, people in present.items():
        boxes = np.stack([box for _, box in people])
        owners = np.array([origin for origin, _ in people])
        overlap, _ = pairwise_overlap(boxes, boxes)
        near = (overlap > _CROWDED) & (owners[:, None] != owners)
        crowded |= {(int(k), frame) for k in owners[near.any(axis=1)]}
    return crowded


def _boxes_around(history: History, times: Array) -> list[tuple[int, Array]]:
    """Boxes by frame, each also in the frames within _HIDDEN of it in which there is none."""
    frames, boxes = history.frame_idx, history.boxes
    out = list(zip(frames, boxes, strict=True))
    ends = [-1, *frames, len(times)]
    for k, (before, after) in enumerate(pairwise(ends)):
        for i in range(before + 1, after):
            if k > 0 and times[i] < times[before] + _HIDDEN:
                out.append((i, boxes[k - 1]))
            if k < len(frames) and times[i] > times[after] - _HIDDEN:
                out.append((i, boxes[k]))
    return out


def _parted(history: History, times: Array, crowded: set[int]) -> list[History]:
    """A history cut where somebody was lost, and once between every two looks that a crowd divides.

    Between them the cut is where the body's region moved most abruptly: there it slid, if it did.
    """
    frames = np.array(history.frame_idx)
    doubt = np.array([i in crowded for i in history.frame_idx])
    doubt[1:] |= np.diff(frames) > 1
    boxes = np.stack(history.boxes)
    centres, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    steps = np.hypot(*np.diff(centres, axis=0).T) / np.minimum(sides[1:], sides[:-1])
    steps = (steps + np.abs(np.diff(np.log(sides)))) / np.diff(frames)
    cuts = [0]
    for (before, _), (after, _) in pairwise(history.looks):
        low, high = np.searchsorted(frames, [before, after])
        inner = np.arange(low + 1, high + 1)
        inner = inner[doubt[inner]] if high < len(frames) else inner[:0]
        if len(inner):
            # Without a jump two regions that changed people are cut alike, in the middle.
            off_middle = np.abs(inner - inner.mean()) / len(inner)
            cuts.append(int(inner[(steps[inner - 1] - 0.1 * off_middle).argmax()]))
    lost = np.diff(times[frames]) > _UNBROKEN
    slid = doubt[1:] & (steps > _SLIDE)
    cuts = sorted({*cuts, *(np.flatnonzero(lost | slid) + 1).tolist()})
    bounds = [*(int(frames[k]) for k in cuts), int(frames[-1]) + 1]
    return [history.part(a, b) for a, b in pairwise(bounds)]


def _neighbours(parts: Sequence[_Part]) -> list[tuple[int, int]]:
    """Pairs (earlier, later) of parts that location and look together make one person."""
    odds = np.full((len(parts), len(parts)), -np.inf)
    order = sorted(range(len(parts)), key=lambda k: parts[k].first)
    for i, a in enumerate(parts):
        for j in order:
            if parts[j].first > a.last and _near_in_time(a, parts[j]):
                odds[i, j] = _link_odds(a, parts[j])
    return match(-odds, 0.0)


def _near_in_time(a: _Part, b: _Part) -> bool:
    return a.gap_to(b) <= _REACH


def _link_odds(a: _Part, b: _Part) -> float:
    """Log-odds that `b`, which begins after `a` ends, is the same person."""
    (forward, left, ended), (backward, entered, began) = a.ending, b.beginning
    place = (location_odds(forward, entered, -began) + location_odds(backward, left, -ended)) / 2
    odds = place + look_odds(a.last_look, b.first_look)
    unbroken = a.origin == b.origin and a.gap_to(b) <= _UNBROKEN
    return odds + _CONTINUED * unbroken


def _returned(parts: Sequence[_Part]) -> tuple[int, int] | None:
    """The pair (earlier, later) whose looks are most alike, if nobody else's are nearly so."""
    unlike = np.full((len(parts), len(parts)), np.inf)
    for i, a in enumerate(parts):
        for j, b in enumerate(parts):
            if a.last < b.first:
                d = difference(a.whole_look, b.whole_look)
                unlike[i, j] = np.inf if d is None else d
    for flat in np.argsort(unlike, axis=None):
        i, j = divmod(int(flat), len(parts))
        best = unlike[i, j]
        if not np.isfinite(best) or look_odds(parts[i].whole_look, parts[j].whole_look) < _RETURN:
            return None
        others = np.concatenate([np.delete(unlike[i], j), np.delete(unlike[:, j], i)])
        if others.min(initial=np.inf) >= best + _MARGIN:
            return i, j
    return None


def _joined(parts: Sequence[_Part], pairs: Sequence[tuple[int, int]]) -> list[_Part]:
    """The parts after joining pairs (earlier, later); every part has at most one of each."""
    after = dict(pairs)
    heads = [k for k in range(len(parts)) if k not in set(after.values())]
    joined = []
    for head in heads:
        part, k = parts[head], head
        while k in after:
            k = after[k]
            part = part.joined(parts[k])
        joined.append(part)
    return joined
