"""The walk over a painted world whose people are coloured rectangles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from body.detect import Detections
from body.landmarks import Landmarks, Roi
from body.people import PeopleConfig, run, track_people
from recon.core.errors import InputError
from recon.core.people import PersonTrack
from recon.core.scene import Scene
from recon.core.video import Frame, VideoInfo
from recon.video import VideoReader

WIDTH, HEIGHT, FPS = 640, 360, 20.0
VIDEOS = Path(__file__).parents[2] / "../shared/data/videos"
RED, BLUE, GREEN = (200, 30, 30), (20, 30, 200), (30, 180, 40)
# No two share the red channel, by which the fake networks tell them apart.


@dataclass(frozen=True)
class Actor:
    """A rectangle of one colour; `centre(t)` in px, None while out of sight. Later ones hide
    earlier ones."""

    colour: tuple[int, int, int]
    centre: Callable[[float], tuple[float, float] | None]
    height: float = 120.0

    def box(self, time: float) -> np.ndarray | None:
        centre = self.centre(time)
        if centre is None:
            return None
        half = np.array([0.175 * self.height, 0.5 * self.height])
        return np.concatenate([np.array(centre) - half, np.array(centre) + half])


class World:
    """Frames, detector and landmark network of the painted world."""

    def __init__(self, actors: list[Actor], seconds: float) -> None:
        self.actors = actors
        times = np.arange(round(seconds * FPS)) / FPS
        self.info = VideoInfo(
            path="painted", width=WIDTH, height=HEIGHT, times=times, focal_px=None, sha256="0"
        )
        self.runs = 0
        self._image: np.ndarray | None = None
        self._visible: list[tuple[np.ndarray, Actor]] = []

    def __iter__(self) -> Iterator[Frame]:
        for index, time in enumerate(self.info.times):
            image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
            for actor in self.actors:
                if (box := actor.box(time)) is not None:
                    x0, y0, x1, y1 = np.clip(box, 0, [WIDTH, HEIGHT] * 2).round().astype(int)
                    image[y0:y1, x0:x1] = actor.colour
            yield Frame(index=index, time=float(time), image=image)

    def visible(self, image: np.ndarray) -> list[tuple[np.ndarray, Actor]]:
        """Boxes of the actors of whom at least 60 % can be seen."""
        if image is not self._image:
            red = image[..., 0]
            self._image, self._visible = image, []
            for actor in self.actors:
                mask = red == actor.colour[0]
                if mask.sum() >= 0.6 * 0.35 * actor.height**2:
                    xs, ys = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
                    box = np.array([xs[0], ys[0], xs[-1] + 1, ys[-1] + 1], dtype=float)
                    self._visible.append((box, actor))
        return self._visible

    def detect(self, image: np.ndarray) -> Detections:
        boxes = [box for box, _ in self.visible(image)]
        return Detections(boxes=np.array(boxes).reshape(-1, 4), scores=np.full(len(boxes), 0.8))

    def landmarks(self, image: np.ndarray, roi: Roi) -> Landmarks:
        self.runs += 1
        best, presence, colour = np.array([0, 0, 10, 20.0]), 0.0, 0
        nearest = 0.4 * roi.side
        for box, actor in self.visible(image):
            distance = float(np.hypot(*((box[:2] + box[2:]) / 2 - roi.centre)))
            if distance < nearest:
                best, presence, nearest, colour = box, 0.99, distance, actor.colour[0]
        size = best[2:] - best[:2]
        spread = np.stack([np.tile([0.1, 0.9, 0.5], 11), np.linspace(0.05, 0.95, 33)], axis=1)
        spread[[11, 12, 23, 24]] = [[0.8, 0.2], [0.2, 0.2], [0.7, 0.55], [0.3, 0.55]]
        return Landmarks(
            presence=presence,
            keypoints_px=best[:2] + spread * size,
            keypoint_conf=np.full(33, 0.9),
            landmarks=np.column_stack([(spread - 0.5) * size * 1.7 / size[1], np.zeros(33)]),
            mask=roi.crop(image, 64)[..., 0] == colour,
            roi=roi,
            next_roi=Roi.from_box(best),
        )

    def track(self, **options: object) -> list[PersonTrack]:
        config = PeopleConfig(**options)  # type: ignore[arg-type]
        return track_people(self, self.info, config, detector=self, landmarker=self)

    def follows(self, track: PersonTrack) -> Actor:
        """The one actor whom a track shows in every frame; fails if it changes horses."""
        for actor in self.actors:
            boxes = [actor.box(float(self.info.times[i])) for i in track.frame_idx.tolist()]
            if all(b is not None for b in boxes):
                true = np.array([(b[:2] + b[2:]) / 2 for b in boxes if b is not None])
                shown = (track.boxes[:, :2] + track.boxes[:, 2:]) / 2
                if np.abs(true - shown).max() < 0.3 * actor.height:
                    return actor
        raise AssertionError("the track mixes people")


def walk(start: float, speed: float, y: float = 200.0) -> Callable[[float], tuple[float, float]]:
    return lambda t: (start + speed * t, y)


def test_one_person_is_one_track_in_every_frame():
    world = World([Actor(RED, walk(100, 60))], 4)
    (track,) = world.track()
    np.testing.assert_array_equal(track.frame_idx, np.arange(80))
    world.follows(track)
    assert world.runs <= 80 + 2  # the region's own motion costs one run a frame


def test_crossing_people_keep_their_ids():
    world = World([Actor(RED, walk(100, 100)), Actor(BLUE, walk(540, -100), height=130)], 4.4)
    tracks = world.track()
    assert len(tracks) == 2
    assert {world.follows(t).colour for t in tracks} == {RED, BLUE}
    assert min(len(t.frame_idx) for t in tracks) > 70


def test_walking_side_by_side_does_not_merge():
    world = World([Actor(RED, walk(100, 80)), Actor(BLUE, walk(145, 80))], 4)
    tracks = world.track()
    assert {world.follows(t).colour for t in tracks} == {RED, BLUE}
    assert all(len(t.frame_idx) == 80 for t in tracks)


@pytest.mark.parametrize("gap", [1.0, 2.5, 6.0])
def test_who_comes_back_keeps_the_id(gap: float):
    """Also after longer than the walk waits: then the same look is enough in another place."""
    before, after = walk(100, 40), walk(500, -40)
    actor = Actor(RED, lambda t: before(t) if t < 2 else None if t < 2 + gap else
                  (before if gap <= 2 else after)(t if gap <= 2 else t - 2 - gap))  # fmt: skip
    world = World([actor, Actor(GREEN, lambda t: (320, 90))], 4 + gap)
    tracks = world.track(max_gap=2.0)
    assert len(tracks) == 2
    assert {world.follows(t).colour for t in tracks} == {RED, GREEN}
    (track,) = [t for t in tracks if world.follows(t).colour == RED]
    assert len(track.frame_idx) > 70


class Somersault(World):
    """After the first second the detector sees people only close up; the network sees nobody
    for a while, longer than a region coasts."""

    def __iter__(self) -> Iterator[Frame]:
        for frame in super().__iter__():
            self.now = frame.time
            yield frame

    def detect(self, image: np.ndarray) -> Detections:
        if self.now > 1 and image.shape[0] != 300:  # neither the whole picture nor its tiles
            return Detections(boxes=np.zeros((0, 4)), scores=np.zeros(0))
        return super().detect(image)

    def landmarks(self, image: np.ndarray, roi: Roi) -> Landmarks:
        found = super().landmarks(image, roi)
        return replace(found, presence=0.0) if 1 < self.now < 1.8 else found


def test_who_vanishes_in_plain_view_is_searched_close_up():
    world = Somersault([Actor(RED, walk(200, 60))], 4)
    (track,) = world.track()
    world.follows(track)
    lost = np.diff(world.info.times[track.frame_idx]).max()
    assert 0.8 <= lost <= 1.1 and track.frame_idx[-1] == 79


def test_somebody_else_coming_back_is_somebody_else():
    path = walk(300, 10)
    world = World(
        [
            Actor(RED, lambda t: path(t) if t < 2 else None),
            Actor(BLUE, lambda t: path(t) if t > 2.5 else None),
        ],
        5,
    )
    tracks = world.track()
    assert len(tracks) == 2
    assert {world.follows(t).colour for t in tracks} == {RED, BLUE}


def test_brief_apparition_is_no_person():
    world = World(
        [
            Actor(RED, walk(100, 30)),
            Actor(BLUE, lambda t: (450, 200) if 1 < t < 1.3 else None),
        ],
        3,
    )
    (track,) = world.track()
    assert world.follows(track).colour == RED


def test_a_gap_in_the_video_costs_nobody_their_place():
    """A short clip whose clock jumps: who is in every frame was not seen too briefly."""
    world = World([Actor(RED, lambda t: (200, 200))], 0.2)
    times = np.concatenate([world.info.times, world.info.times + 10])
    world.info = replace(world.info, times=times)
    (track,) = world.track()
    assert len(track.frame_idx) == len(times)


def test_ids_follow_area_times_duration_and_people_limits():
    actors = [
        Actor(RED, walk(100, 10), height=80),
        Actor(BLUE, walk(300, 10), height=160),
        Actor(GREEN, lambda t: (500, 200) if t < 1 else None, height=150),
    ]
    world = World(actors, 4)
    tracks = world.track()
    assert [t.track_id for t in tracks] == [1, 2, 3]
    assert [world.follows(t).colour for t in tracks] == [BLUE, RED, GREEN]
    (largest,) = world.track(people="largest")
    assert world.follows(largest).colour == BLUE
    assert len(world.track(people="2")) == 2


def test_cost_is_linear_in_people():
    def crowd(count: int) -> int:
        xs = np.linspace(40, 600, count)
        colours = [(255 - 20 * k, 20 * k, 128) for k in range(count)]
        actors = [Actor(c, walk(float(x), 5), height=70) for x, c in zip(xs, colours, strict=True)]
        world = World(actors, 2)
        assert len(world.track()) == count
        return world.runs

    assert crowd(8) <= 8 * crowd(1) + 8


def test_nobody_gives_no_tracks_and_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    world = World([], 1)
    monkeypatch.setattr("body.people.load_backend", lambda *_: lambda threads: world)
    monkeypatch.setattr("body.people.load_landmarker", lambda *_, threads: world)
    scene = Scene.create(tmp_path / "scene")
    report = run(scene, PeopleConfig(), frames=world)
    assert report.numbers == {"people": 0, "frames_with_people": 0}
    assert "nobody" in report.warnings[0]
    assert (tmp_path / "scene" / "tracking.npz").exists()


def test_run_reports_every_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    world = World([Actor(RED, walk(100, 30)), Actor(BLUE, walk(300, 30))], 2)
    monkeypatch.setattr("body.people.load_backend", lambda *_: lambda threads: world)
    monkeypatch.setattr("body.people.load_landmarker", lambda *_, threads: world)
    calls: list[tuple[int, int]] = []
    report = run(
        Scene.create(tmp_path / "scene"),
        PeopleConfig(),
        frames=world,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert [d.name for d in report.decisions] == ["person 1", "person 2"]
    assert report.numbers == {"people": 2, "frames_with_people": 40}
    assert calls[-1] == (40, 40)


@pytest.mark.parametrize("people", ["0", "-1", "everyone", "1.5", ""])
def test_bad_people_option_says_what_is_expected(people: str):
    with pytest.raises(InputError, match=r"--people: expected 'all'"):
        PeopleConfig(people=people)


def clip(name: str, seconds: float) -> VideoReader:
    path = VIDEOS / name
    if not path.exists():
        pytest.skip(f"needs the shared clip {name}")
    from recon.video import VideoConfig

    return VideoReader.open(path, VideoConfig(end=seconds))


def track_clip(reader: VideoReader) -> list[PersonTrack]:
    from body.backends.blazepose import BlazePoseHeavy
    from body.backends.ssd import SsdDetector

    return track_people(
        reader, reader.info, PeopleConfig(), detector=SsdDetector(), landmarker=BlazePoseHeavy()
    )


@pytest.mark.weights
def test_dancer_is_one_person_throughout_and_not_his_shadow():
    reader = clip("dancer_static.mp4", 1.0)
    (track,) = track_clip(reader)
    np.testing.assert_array_equal(track.frame_idx, np.arange(len(reader.info.times)))
    assert track.keypoint_conf.mean() > 0.8
    nose, ankles = track.keypoints_px[:, 0], track.keypoints_px[:, 27:29].mean(axis=1)
    assert (ankles[:, 1] - nose[:, 1] > 300).all()
    for row in (0, len(track.frame_idx) - 1):
        mask = track.masks.render(row, height=reader.info.height, width=reader.info.width)
        x0, y0, x1, y1 = track.boxes[row].astype(int)
        assert 0.25 < mask[y0:y1, x0:x1].mean() < 0.8
        torso = track.keypoints_px[row, [11, 12, 23, 24]].astype(int)
        assert mask[torso[:, 1], torso[:, 0]].all()
    # Upright: the head is above the hips (y down) by a grown-up's half metre or so.
    assert (np.abs(track.landmarks[:, 0, 1] + 0.6) < 0.2).all()


@pytest.mark.weights
def test_pedestrians_are_several_people_with_steady_ids():
    tracks = track_clip(clip("pedestrians_static.avi", 2.0))
    assert 2 <= len(tracks) <= 6
    for track in tracks[:2]:
        steps = np.diff(track.keypoints_px[:, 23:25].mean(axis=1), axis=0)
        height = np.median(track.boxes[:, 3] - track.boxes[:, 1])
        assert len(track.frame_idx) >= 18
        assert np.hypot(*steps.T).max() < 0.4 * height
