"""`recon tracks`: the sheet, the editable file, and what a choice does to a scene."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from recon import __version__
from recon.cli import main
from recon.core.errors import InputError, ReconError
from recon.core.people import PersonTrack
from recon.core.scene import Scene
from recon.core.stage import StageReport
from recon.options import RunOptions
from recon.runner import Silent, run_steps
from recon.tracks import Choice, chosen_edits, people_step, show_tracks
from recon.tracks_sheet import COLUMNS, crop, write_sheet
from recon.video import VideoConfig, VideoReader
from tests.recon.clips import write_clip
from tests.synthetic import make_scene


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Two people found in a real file, whose scene is finished up to the camera."""
    clip = VideoConfig(path=str(write_clip(tmp_path / "a.mp4", 12)))
    made = make_scene(tmp_path / "s", num_people=2, num_frames=12)
    report, tracks = StageReport(backend="b"), made.tracks
    made.save("video.npz", [VideoReader.open(clip.path, clip).info])
    made.record("video", clip, report, seconds=0, code_version=__version__)
    made.save("tracking.npz", tracks)
    made.record("tracking", Choice(), report, seconds=0, code_version=__version__)
    run_steps(made, [people_step(made, chosen_edits(made, None))], watcher=Silent())
    made.record("camera", Choice(), report, seconds=0, code_version=__version__)
    return made


def ids(scene: Scene) -> list[int]:
    return [t.track_id for t in Scene.open(scene.path).tracks]


def camera_is_stale(scene: Scene) -> str | None:
    return Scene.open(scene.path).why_stale("camera", Choice(), __version__)


def show(scene: Scene, **choice: Any) -> list[dict[str, Any]]:
    show_tracks(scene.path, Choice(**choice), watcher=Silent())
    return json.loads((scene.path / "tracks.json").read_text())


def again(scene: Scene, keep: str | None = None) -> None:
    """The people step of another `recon run`."""
    opened = Scene.open(scene.path)
    run_steps(opened, [people_step(opened, chosen_edits(opened, keep))], watcher=Silent())


def test_looking_changes_nothing(scene: Scene) -> None:
    before = (scene.path / "scene.json").read_bytes()
    entries = show(scene)
    assert [(e["id"], e["keep"], e["merge_into"]) for e in entries] == [
        (1, True, None), (2, True, None),
    ]  # fmt: skip
    assert entries[0]["first"] == 0 and entries[0]["frames"] == 12
    again(scene)
    assert (scene.path / "scene.json").read_bytes() == before
    assert camera_is_stale(scene) is None


def test_a_choice_makes_later_stages_stale_and_stays(scene: Scene) -> None:
    show(scene, drop="1")
    assert ids(scene) == [2] and len(Scene.open(scene.path).found_tracks) == 2
    assert camera_is_stale(scene) == "its inputs changed"
    again(scene)
    assert ids(scene) == [2]
    assert [e["keep"] for e in show(scene, keep="1")] == [True, False]
    assert ids(scene) == [1]
    show(scene, reset=True)
    assert ids(scene) == [1, 2] and camera_is_stale(scene) is None


def test_an_edited_file_is_applied_by_the_next_run(scene: Scene) -> None:
    entries = show(scene)
    entries[1] |= {"merge_into": 1, "name": "the same man"}
    (scene.path / "tracks.json").write_text(json.dumps(entries))
    again(scene)
    assert ids(scene) == [1]
    assert show(scene)[1]["name"] == "the same man"


def test_keep_of_a_run_lasts_for_that_run(scene: Scene) -> None:
    again(scene, keep="2")
    assert ids(scene) == [2]
    again(scene)
    assert ids(scene) == [1, 2]


def test_a_run_killed_within_the_choice_resumes(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file says what is wanted; the stage's record falls before its result changes."""
    monkeypatch.setattr(Scene, "record", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        show(scene, drop="1")
    monkeypatch.undo()
    assert Scene.open(scene.path).why_stale("people", Choice(), __version__) == "not run yet"
    again(scene)
    assert ids(scene) == [2]


def test_a_choice_among_other_people_is_refused(scene: Scene) -> None:
    show(scene, drop="1")
    tracks = Scene.open(scene.path).found_tracks
    fewer = [_first(t, 6) for t in tracks]
    scene.save("tracking.npz", fewer)
    with pytest.raises(ReconError, match="older tracking"):
        show(scene)
    with pytest.raises(ReconError, match="older tracking"):
        people_step(scene, chosen_edits(scene, None)).work(lambda *_: None)
    assert show(scene, reset=True)[0]["frames"] == 6


def _first(track: PersonTrack, n: int) -> PersonTrack:
    from dataclasses import replace

    masks = replace(
        track.masks, bits=track.masks.bits[:n], Ts_image_roi=track.masks.Ts_image_roi[:n]
    )
    names = ("frame_idx", "boxes", "scores", "keypoints_px", "keypoint_conf", "landmarks")
    return replace(track, masks=masks, **{k: getattr(track, k)[:n] for k in names})


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"keep": "1,x"}, "--keep"),
        ({"drop": ""}, "--drop"),
        ({"merge": ("1-2",)}, "--merge"),
        ({"keep": "7"}, "among 1, 2"),
    ],
)
def test_a_bad_choice_leaves_everything(scene: Scene, choice: dict[str, Any], message: str) -> None:
    before = {p.name for p in scene.path.iterdir()}
    with pytest.raises(InputError, match=message):
        show(scene, **choice)
    assert ids(scene) == [1, 2]
    assert {p.name for p in scene.path.iterdir()} - {".lock"} == before


@pytest.mark.parametrize(
    "text", ["{", "{}", "[3]", '[{"keep": true}]', '[{"id": 1}, {"id": 1}]',
             '[{"id": 1, "name": [1]}]', '[{"id": 1, "name": "\\ud800"}]',
             '[{"id": 1, "keep": "no"}]', '[{"id": 1, "merge_into": "2"}]'],
)  # fmt: skip
def test_a_file_that_makes_no_sense_is_one_line(scene: Scene, text: str) -> None:
    (scene.path / "tracks.json").write_text(text)
    with pytest.raises(InputError, match=r"tracks\.json a list of people"):
        chosen_edits(scene, None)


def test_the_command_names_its_files(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    main(["tracks", str(scene.path), "--merge", "2:1"])
    assert capsys.readouterr().out.split() == [
        str(scene.path / "tracks.jpg"), str(scene.path / "tracks.json"),
    ]  # fmt: skip
    assert ids(scene) == [1]


def test_the_way_on_is_told_only_after_a_change(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["tracks", str(scene.path), "--keep", "1,2"])
    assert "go on with" not in capsys.readouterr().err
    main(["tracks", str(scene.path), "--keep", "1"])
    assert f"go on with: recon run {scene.video.path} --scene {scene.path}" in (
        capsys.readouterr().err
    )


def test_no_scene_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="scene folder"):
        show_tracks(tmp_path / "none", Choice(), watcher=Silent())
    assert not (tmp_path / "none").exists()


def test_keep_is_checked_before_anything_runs() -> None:
    with pytest.raises(InputError, match="--keep"):
        RunOptions(keep="all")


def test_the_sheet_has_a_row_per_person(scene: Scene) -> None:
    tracks = scene.found_tracks
    reader = VideoReader(VideoConfig(path=scene.video.path), scene.video)
    path = scene.path / "sheet.jpg"
    heights = []
    for people in (tracks, tracks[:1], []):
        write_sheet(people, reader, path, remarks={1: "dropped"})
        image = cv2.imread(str(path))
        assert image is not None
        heights.append(image.shape[0])
    assert heights[0] - heights[1] == heights[1] - heights[2] > 200
    assert COLUMNS * 100 < image.shape[1]


def test_a_crop_shows_its_box_in_the_middle() -> None:
    image = np.zeros((400, 400, 3), np.uint8)
    image[100:300, 150:250] = (0, 200, 0)
    picture = crop(image, np.array([150.0, 100, 250, 300]), (255, 0, 0))
    height, width = picture.shape[:2]
    np.testing.assert_array_equal(picture[height // 2, width // 2], (0, 200, 0))
    assert (picture[:5] == 0).all() and (picture[..., 0] > 200).any()
    filled = (picture[height // 2] == (0, 200, 0)).all(axis=-1)
    assert abs(filled.sum() - 100 * (height / 200 / 1.25)) <= 3
