"""Choosing, merging and dropping tracked people."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from body import people
from body.people import PeopleConfig
from body.track_edits import TrackEdits, edit_tracks, run
from recon.core.errors import InputError
from recon.core.people import PersonTrack, RoiMasks
from recon.core.scene import Scene
from recon.core.stage import StageReport
from tests.synthetic import make_scene


def person(track_id: int, frames: list[int], scores: list[float]) -> PersonTrack:
    """A track whose every number tells whose it is and of which frame."""
    tag = 100.0 * track_id + np.array(frames)
    n = len(frames)

    def filled(*shape: int) -> np.ndarray:
        return np.broadcast_to(tag.reshape(-1, *[1] * len(shape)), (n, *shape)).copy()

    return PersonTrack(
        track_id=track_id,
        frame_idx=np.array(frames),
        boxes=filled(4),
        scores=np.array(scores),
        keypoints_px=filled(33, 2),
        keypoint_conf=filled(33),
        landmarks=filled(33, 3),
        masks=RoiMasks(bits=np.full((n, 8), track_id, np.uint8), Ts_image_roi=filled(2, 3), size=8),
    )


TRACKS = [
    person(1, [0, 1, 2, 3], [0.9, 0.2, 0.9, 0.9]),
    person(2, [0, 1], [0.5, 0.5]),
    person(4, [1, 2, 7], [0.8, 0.8, 0.8]),
]


def test_no_edits_change_nothing() -> None:
    assert edit_tracks(TRACKS, TrackEdits()) == TRACKS
    assert not TrackEdits() and TrackEdits(keep=())


def test_of_two_sightings_in_one_frame_the_better_stays() -> None:
    one, two = edit_tracks(TRACKS, TrackEdits(merge=((4, 1),)))
    assert two is TRACKS[1]
    np.testing.assert_array_equal(one.frame_idx, [0, 1, 2, 3, 7])
    expected = [100, 401, 102, 103, 407]
    for array in (one.boxes, one.keypoints_px, one.keypoint_conf, one.landmarks):
        np.testing.assert_array_equal(array.reshape(5, -1)[:, 0], expected)
    np.testing.assert_array_equal(one.masks.Ts_image_roi[:, 0, 0], expected)
    np.testing.assert_array_equal(one.masks.bits[:, 0], [1, 4, 1, 1, 4])
    np.testing.assert_array_equal(one.scores, [0.9, 0.8, 0.9, 0.9, 0.8])


def test_merged_hands_follow_their_sighting() -> None:
    handed = [
        replace(t, hands_px=np.full((len(t.frame_idx), 2, 21, 2), float(t.track_id)),
                hands_conf=np.ones((len(t.frame_idx), 2)))
        for t in TRACKS
    ]  # fmt: skip
    one, _ = edit_tracks(handed, TrackEdits(merge=((4, 1),)))
    assert one.hands_px is not None and one.hands_conf is not None
    np.testing.assert_array_equal(one.hands_px[:, 0, 0, 0], [1, 4, 1, 1, 4])


def test_every_field_of_a_track_is_merged() -> None:
    """A field added to PersonTrack must not be forgotten: all of a merged track has its length."""
    (one,) = edit_tracks(TRACKS, TrackEdits(merge=((4, 1), (2, 1))))
    for field in fields(one):
        value = getattr(one, field.name)
        if isinstance(value, np.ndarray):
            assert len(value) == 5, field.name


def test_merges_chain_whatever_their_order() -> None:
    there = edit_tracks(TRACKS, TrackEdits(merge=((4, 2), (2, 1))))
    back = edit_tracks(TRACKS, TrackEdits(merge=((2, 1), (4, 2))))
    assert [t.track_id for t in there] == [t.track_id for t in back] == [1]
    np.testing.assert_array_equal(there[0].boxes, back[0].boxes)
    assert len(there[0].frame_idx) == 5


@pytest.mark.parametrize(
    ("edits", "left"),
    [
        (TrackEdits(keep=(4, 1)), [1, 4]),
        (TrackEdits(drop=(1,)), [2, 4]),
        (TrackEdits(keep=()), []),
        (TrackEdits(keep=(4,), merge=((4, 1),)), [1]),
        (TrackEdits(drop=(4,), merge=((4, 1),)), [2]),
    ],
    ids=["numbers stay", "dropped", "nobody", "kept under another number", "dropped with another"],
)
def test_who_is_left(edits: TrackEdits, left: list[int]) -> None:
    assert [t.track_id for t in edit_tracks(TRACKS, edits)] == left


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        (TrackEdits(keep=(3,)), "among 1, 2, 4, got 3"),
        (TrackEdits(drop=(9, 8)), "got 8, 9"),
        (TrackEdits(merge=((1, 3),)), "got 3"),
        (TrackEdits(merge=((1, 2), (2, 1))), "itself"),
        (TrackEdits(merge=((1, 1),)), "itself"),
        (TrackEdits(merge=((4, 1), (4, 2))), "one other"),
        (TrackEdits(keep=(1,), drop=(1,)), "got both"),
    ],
)
def test_what_makes_no_sense_is_refused(edits: TrackEdits, message: str) -> None:
    with pytest.raises(InputError, match=message):
        edit_tracks(TRACKS, edits)


def test_the_stage_says_what_was_changed(tmp_path: Path) -> None:
    scene: Scene = make_scene(tmp_path / "s", num_people=2, num_frames=12)
    scene.save("tracking.npz", scene.tracks)
    scene.manifest["stages"]["tracking"] = {**scene.manifest["stages"]["people"]}
    report = run(scene, TrackEdits(drop=(1,)))
    assert [t.track_id for t in scene.tracks] == [2]
    assert [t.track_id for t in scene.found_tracks] == [1, 2]
    assert report.backend == "synthetic" and report.numbers["people"] == 1
    assert report.decisions[0].value == "dropped 1"
    assert "nobody is left" in run(scene, TrackEdits(keep=())).warnings[0]


def test_nobody_sought_is_no_warning(tmp_path: Path) -> None:
    scene = make_scene(tmp_path / "s", num_people=0, num_frames=4)
    config = PeopleConfig(people="none")
    report = people.run(scene, config, frames=None)  # type: ignore[arg-type]  # no frame is read
    scene.record("tracking", config, report, seconds=0.0, code_version="0")
    assert scene.found_tracks == []
    assert run(scene, TrackEdits()).warnings == ()
    scene.record("tracking", config, StageReport(backend="ssd"), seconds=0.0, code_version="0")
    assert run(scene, TrackEdits()).warnings == ("nobody was found in this video",)
