"""Who is who on pedestrians_static.avi: MOTA, IDF1 and every identity switch (CLEAR MOT, IDF1).

Truth: `data/pedestrians_mot.csv`, 201 frames annotated by eye; its header says how. A sighting
counts where the boxes overlap by half (IoU 0.5).

Run as `python -m benchmarks.tracking [--scene DIR] [--quick] [--json FILE]`; with `--scene` the
people of a finished scene of that video are measured, otherwise they are tracked first.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.common import DATA, Row, main, row
from body.detect import DETECTORS, load_backend
from body.landmarks import LANDMARKERS
from body.people import PeopleConfig, track_people
from recon.core.people import PersonTrack
from recon.core.scene import Scene
from recon.core.video import Frame
from recon.evaluate.tracking import People, mot_events, mot_figures, sightings
from recon.video import VideoConfig, VideoReader

ANNOTATION = Path(__file__).parent / "data" / "pedestrians_mot.csv"
CLIP = DATA / "videos" / "pedestrians_static.avi"
FPS = 10


def read_annotation(path: Path = ANNOTATION) -> list[People]:
    """The people of every frame, interpolated between their keyframes."""
    rows = np.loadtxt(path, delimiter=",", dtype=int)
    frames: list[People] = [{} for _ in range(rows[:, 0].max() + 1)]
    for person in np.unique(rows[:, 1]):
        keys = rows[rows[:, 1] == person]
        corners = np.concatenate([keys[:, 2:4], keys[:, 2:4] + keys[:, 4:6]], axis=1)
        for frame in range(keys[0, 0], keys[-1, 0] + 1):
            box = [np.interp(frame, keys[:, 0], corners[:, k]) for k in range(4)]
            frames[frame][int(person)] = np.array(box)
    return frames


def tracked(tracks: Sequence[PersonTrack], num_frames: int) -> list[People]:
    """The people that were tracked in every frame."""
    frames: list[People] = [{} for _ in range(num_frames)]
    for track in tracks:
        for frame, box in zip(track.frame_idx, track.boxes, strict=True):
            if frame < num_frames:
                frames[frame][track.track_id] = box
    return frames


def measure(quick: bool, pictures: Path | None, *, scene: Path | None) -> Iterator[Row]:
    """Rows of the MOT figures, then one per identity switch with the frame it happens in."""
    truth = read_annotation()[: 100 if quick else None]
    spent: list[float] = []
    found = tracked(_tracks(scene, len(truth), spent), len(truth))
    events = mot_events(truth, found)
    figures = mot_figures(events)
    yield row("frames", len(truth), "", at_least=None if quick else 200)
    yield row("people annotated", figures["num_unique_objects"], "")
    yield row("people tracked", len({i for frame in found for i in frame}), "")
    yield row("sightings annotated", figures["num_objects"], "")
    yield row("MOTA", 100 * figures["mota"], "%")
    yield row("IDF1", 100 * figures["idf1"], "%")
    yield row("identity switches", figures["num_switches"], "")
    yield row("fragmentations", figures["num_fragmentations"], "")
    yield row("misses", figures["num_misses"], "")
    yield row("false positives", figures["num_false_positives"], "")
    held: dict[int, int] = {}
    for seen in sightings(events):
        if seen.switched:
            name = f"switch: person {seen.person} from track {held[seen.person]} to {seen.track}"
            yield row(name, seen.frame, "frame")
        held[seen.person] = seen.track
    yield from _cost(found, spent)


def _cost(found: Sequence[People], spent: Sequence[float]) -> Iterator[Row]:
    """CPU time per frame by the number of people in it; a line through it tells the growth."""
    counts = np.array([len(people) for people in found[: len(spent)]])
    times = np.array(spent)
    for count in np.unique(counts):
        here = times[counts == count]
        if len(here) >= 5:
            yield row(f"CPU per frame with {count} people", 1e3 * here.mean(), "ms")
    if len(np.unique(counts)) > 2:
        slope, base = np.polyfit(counts, 1e3 * times, 1)
        yield row("CPU per frame with nobody (line)", base, "ms")
        yield row("CPU per person and frame (line)", slope, "ms")
        bend = np.polyfit(counts, 1e3 * times, 2)[0]
        yield row("CPU per frame, quadratic term", bend, "ms", at_most=round(0.1 * slope, 2))


def _timed(frames: Iterable[Frame], spent: list[float]) -> Iterator[Frame]:
    """The same frames; `spent` gets the CPU seconds until the next one is asked for."""
    for frame in frames:
        start = time.process_time()
        yield frame
        spent.append(time.process_time() - start)


def _tracks(path: Path | None, num_frames: int, spent: list[float]) -> list[PersonTrack]:
    """The people of a finished scene, or of the clip's first frames tracked now.

    Only the latter leaves the CPU seconds of every frame in `spent`.
    """
    if path is not None:
        scene = Scene.open(path)
        if Path(scene.video.path).name != CLIP.name or len(scene.video.times) < num_frames:
            raise SystemExit(f"expected a scene of at least {num_frames} frames of {CLIP.name}")
        return scene.tracks
    clip = VideoConfig(path=str(CLIP), end=(num_frames - 0.5) / FPS)
    reader = VideoReader.open(CLIP, clip)
    config = PeopleConfig()
    return track_people(
        _timed(reader, spent),
        reader.info,
        config,
        detector=load_backend(DETECTORS, config.detector, "--detector")(threads=0),
        landmarker=load_backend(LANDMARKERS, config.keypoints, "--keypoints")(threads=0),
    )


if __name__ == "__main__":
    own = argparse.ArgumentParser(add_help=False)
    own.add_argument("--scene", type=Path)
    options, sys.argv[1:] = own.parse_known_args()
    main("Tracking: MOT figures on pedestrians", partial(measure, scene=options.scene))
