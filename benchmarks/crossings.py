"""Who is who where people cross, hide and return: clips put together from cut-out people, so that
identities are known exactly. None of this was used to tune the tracker.

People are cut out of the sample clips by their tracked masks and walk before a photo of a room:
past each other, both behind a pillar for two seconds (crossing, or turning back), also in the same
clothes (one person twice), out of the picture and back after three seconds, and head over heels.

Run as `python -m benchmarks.crossings [--quick] [--json FILE]`; with `--json` a strip of every
clip with what was tracked lies beside the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.common import DATA, Row, main, row
from benchmarks.tracking import tracked
from body.detect import DETECTORS, load_backend
from body.landmarks import load_landmarker
from body.people import PeopleConfig, track_people
from recon.core.palette import person_color
from recon.core.people import PersonTrack
from recon.core.video import Frame, VideoInfo
from recon.evaluate.tracking import People, mot_events, mot_figures
from recon.video import VideoConfig, VideoReader

WIDTH, HEIGHT, FPS, SECONDS = 1280, 720, 15, 7.0
PILLAR = (420, 860)
"""Left and right edge in px: who walks behind it is hidden for about two seconds."""
_GROUND, _SIZE = 660, 330
"""Row of the feet and height of a person, px."""
_SPEED = 230.0
"""Pixels per second of a walk (1.2 m/s for a person of this size)."""
_VISIBLE = 0.5
"""Share of a person's pixels from which they count as there."""
_SOURCES = {
    "walker": ("walker_moving.mp4", 5.0),
    "dancer": ("dancer_static.mp4", 2.5),
    "runner": ("runner_moving.mp4", 3.0),
}

Way = Callable[[float], float | None]
"""Column of the hips at a time, None while away."""


@dataclass(frozen=True, kw_only=True)
class Actor:
    """One person of a clip: who, where they go, and how far they are turned over (radians)."""

    source: str
    way: Way
    turn: Callable[[float], float] = lambda t: 0.0
    start: int = 0


class Clip:
    """Frames of actors before a room, the later ones in front, and the boxes of who is visible."""

    def __init__(self, actors: Sequence[Actor], *, pillar: bool) -> None:
        self._actors, self._pillar = actors, pillar
        times = np.arange(round(SECONDS * FPS)) / FPS
        self.info = VideoInfo(
            path="composed", width=WIDTH, height=HEIGHT, times=times, focal_px=None, sha256="0"
        )
        self.truth: list[People] = [{} for _ in times]

    def __iter__(self) -> Iterator[Frame]:
        room = _room()
        for index, time in enumerate(self.info.times):
            image, owner = room.copy(), np.zeros((HEIGHT, WIDTH), np.uint8)
            whole: dict[int, np.ndarray] = {}
            for who, actor in enumerate(self._actors, start=1):
                if (x := actor.way(float(time))) is None:
                    continue
                picture, mask = _placed(actor, index, x, actor.turn(float(time)))
                image[mask], owner[mask], whole[who] = picture[mask], who, mask
            if self._pillar:
                image[:, PILLAR[0] : PILLAR[1]] = (92, 88, 84)
                owner[:, PILLAR[0] : PILLAR[1]] = 0
            for who, mask in whole.items():
                if (owner == who).sum() >= max(_VISIBLE * mask.sum(), 400):
                    ys, xs = np.nonzero(mask)
                    box = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], float)
                    self.truth[index][who] = box
            yield Frame(index=index, time=float(time), image=image)


@cache
def _networks() -> dict[str, Any]:
    return {
        "detector": load_backend(DETECTORS, "ssd", "--detector")(threads=0),
        "landmarker": load_landmarker("blazepose-heavy"),
    }


@cache
def _cutouts(source: str) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pictures, masks and boxes (4,) of the main person of a sample clip, frame by frame."""
    name, seconds = _SOURCES[source]
    path = DATA / "videos" / name
    reader = VideoReader.open(path, VideoConfig(path=str(path), end=seconds))
    (track,) = track_people(reader, reader.info, PeopleConfig(people="largest"), **_networks())
    rows = {int(i): k for k, i in enumerate(track.frame_idx)}
    out = []
    for frame in reader:
        if frame.index in rows:
            k = rows[frame.index]
            mask = track.masks.render(k, height=reader.info.height, width=reader.info.width)
            out.append((frame.image, mask, track.boxes[k]))
    return out


@cache
def _room() -> np.ndarray:
    photo = cv2.imread(str(DATA / "handheld_rgb" / "0000.jpg"))
    assert photo is not None
    return cv2.resize(cv2.cvtColor(photo, cv2.COLOR_BGR2RGB), (WIDTH, HEIGHT))


def _placed(actor: Actor, index: int, x: float, turn: float) -> tuple[np.ndarray, np.ndarray]:
    """An actor's picture and mask in the clip's frame."""
    frames = _cutouts(actor.source)
    # Back and forth, so that nobody jumps where a source ends; sources have about twice the rate.
    k = (actor.start + 2 * index) % (2 * len(frames) - 2)
    picture, mask, box = frames[min(k, 2 * len(frames) - 2 - k)]
    height = float(np.median([b[3] - b[1] for _, _, b in frames]))
    scale = _SIZE / height
    c, s = scale * np.cos(turn), scale * np.sin(turn)
    linear = np.array([[c, -s], [s, c]])
    centre = np.array([(box[0] + box[2]) / 2, box[3] - height / 2])
    place = np.array([x, _GROUND - _SIZE / 2])
    matrix = np.column_stack([linear, place - linear @ centre])
    size = (WIDTH, HEIGHT)
    pasted = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR)
    covered = cv2.warpAffine(mask.astype(np.uint8), matrix, size, flags=cv2.INTER_NEAREST)
    return pasted, covered.astype(bool)


def _right(t: float) -> float:
    return -60 + _SPEED * t


def _left(t: float) -> float:
    return WIDTH + 60 - _SPEED * t


def _turning(way: Way) -> Way:
    """The same way back from the middle of the clip on."""
    return lambda t: way(min(t, SECONDS - 0.8 - t))


def _leaving(t: float) -> float | None:
    """Out of the picture to the left, and three seconds later back in."""
    x = 400 - _SPEED * t if t < 3.6 else -100 + _SPEED * (t - 5.0)
    return x if x > -120 else None


def _clips() -> dict[str, Clip]:
    def pair(a: str, b: str, one: Way, other: Way, **options: bool) -> Clip:
        start = 40 if a == b else 0
        actors = [Actor(source=a, way=one), Actor(source=b, way=other, start=start)]
        return Clip(actors, pillar=options.get("pillar", False))

    over = Actor(
        source="dancer", way=lambda t: 300 + 80 * t,
        turn=lambda t: 2 * np.pi * float(np.clip((t - 2.5) / 1.2, 0, 1)),
    )  # fmt: skip
    return {
        "pass each other": pair("walker", "dancer", _right, _left),
        "pass each other, runner": pair("runner", "walker", _right, _left),
        "pass each other in the same clothes": pair("walker", "walker", _right, _left),
        "cross behind a pillar": pair("walker", "dancer", _right, _left, pillar=True),
        "cross behind a pillar in the same clothes": pair(
            "walker", "walker", _right, _left, pillar=True
        ),
        "turn back behind a pillar": pair(
            "runner", "walker", _turning(_right), _turning(_left), pillar=True
        ),
        "leave and return after 3 s": pair("walker", "dancer", _leaving, lambda t: 900.0),
        "head over heels": Clip([over], pillar=False),
    }


def measure(quick: bool, pictures: Path | None) -> Iterator[Row]:
    """Per clip: identity switches, people tracked, and IDF1."""
    total = 0
    for k, (name, clip) in enumerate(_clips().items()):
        if quick and k % 2:
            continue
        frames = list(clip)
        tracks = track_people(frames, clip.info, PeopleConfig(), **_networks())
        if pictures is not None:
            _draw_strip(frames, tracks, pictures / f"crossing_{k}.jpg")
        events = mot_events(clip.truth, tracked(tracks, len(frames)))
        figures = mot_figures(events)
        total += figures["num_switches"]
        yield row(f"{name}: switches", figures["num_switches"], "", at_most=0)
        people = len({who for frame in clip.truth for who in frame})
        yield row(f"{name}: people tracked (of {people})", len(tracks), "")
        yield row(f"{name}: IDF1", 100 * figures["idf1"], "%")
    yield row("switches in all clips", total, "", at_most=0)


def _draw_strip(frames: Sequence[Frame], tracks: Sequence[PersonTrack], path: Path) -> None:
    """Ten frames with the tracked boxes and numbers, for the eye."""
    cells = []
    for frame in frames[:: max(1, len(frames) // 10)]:
        image = frame.image.copy()
        for track in tracks:
            for box in track.boxes[track.frame_idx == frame.index].astype(int):
                color = person_color(track.track_id)
                cv2.rectangle(image, box[:2].tolist(), box[2:].tolist(), color, 4)
                cv2.putText(image, str(track.track_id), box[:2].tolist(), 0, 2, color, 4)
        cells.append(cv2.resize(image, (384, 216), interpolation=cv2.INTER_AREA))
    rows = [np.hstack(cells[k : k + 5]) for k in range(0, len(cells) - len(cells) % 5, 5)]
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main("Tracking: crossings, hiding and returning", measure)
