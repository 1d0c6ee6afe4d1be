"""Who is who over time: MOTA, IDF1 and identity switches (CLEAR MOT, IDF1), by py-motmetrics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recon.core.errors import MissingDependencyError
from recon.core.geometry import Array

if TYPE_CHECKING:
    from motmetrics import MOTAccumulator

MIN_OVERLAP = 0.5
"""Intersection over union from which two boxes are a sighting of the same person."""

People = dict[int, Array]
"""Boxes (4,) xyxy px by person."""

_NAMES = ("mota", "idf1", "num_switches", "num_fragmentations", "num_misses",
          "num_false_positives", "num_objects", "num_unique_objects")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """A true person in one frame, matched to a track; `switched` where it was another before."""

    frame: int
    person: int
    track: int
    switched: bool


def mot_events(truth: Sequence[People], found: Sequence[People]) -> MOTAccumulator:
    """The matches, misses, false alarms and switches of every frame.

    Raises:
        MissingDependencyError: motmetrics is not installed.
    """
    from body.detect import pairwise_overlap

    events = _motmetrics().MOTAccumulator(auto_id=False)
    for frame, (there, seen) in enumerate(zip(truth, found, strict=True)):
        distance = np.full((len(there), len(seen)), np.nan)
        if there and seen:
            iou, _ = pairwise_overlap(np.stack(list(there.values())), np.stack(list(seen.values())))
            distance = np.where(iou >= MIN_OVERLAP, 1 - iou, np.nan)
        events.update(list(there), list(seen), distance, frameid=frame)
    return events


def mot_figures(events: MOTAccumulator) -> dict[str, float]:
    """MOTA and IDF1 (shares), and the counts num_switches, num_fragmentations, num_misses,
    num_false_positives, num_objects and num_unique_objects.
    """
    host = _motmetrics().metrics.create()
    figures: Any = host.compute(events, metrics=list(_NAMES), return_dataframe=False)
    return {name: float(figures[name]) for name in _NAMES}


def sightings(events: MOTAccumulator) -> Iterator[Sighting]:
    """Every true person that was matched, frame by frame."""
    table: Any = events.mot_events.reset_index()
    for event in table.to_dict("records"):
        if event["Type"] in {"MATCH", "SWITCH"}:
            yield Sighting(
                frame=int(event["FrameId"]), person=int(event["OId"]), track=int(event["HId"]),
                switched=event["Type"] == "SWITCH",
            )  # fmt: skip


def _motmetrics() -> Any:
    try:
        import motmetrics
    except ImportError as error:
        raise MissingDependencyError("motmetrics", "evaluate") from error
    return motmetrics
