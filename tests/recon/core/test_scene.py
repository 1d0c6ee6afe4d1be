from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from recon.core.errors import InputError, StaleSceneError
from recon.core.scene import STAGE_FILES, STAGE_INPUTS, Scene, StageName
from recon.core.stage import Decision, StageReport
from recon.core.video import VideoInfo
from tests.synthetic import make_scene


@dataclass(frozen=True)
class Config:
    setting: int = 1
    path: Path | None = None
    names: tuple[str, ...] = ("a",)


def finish(scene: Scene, stage: StageName, *, content: str = "x", config: object = None) -> None:
    """Writes a stage's files with some content and records it."""
    for name in STAGE_FILES[stage]:
        info = VideoInfo(
            path=content, width=4, height=2, times=np.arange(2.0), focal_px=None, sha256="0"
        )
        scene.save(name, [info])
    report = StageReport(backend="test")
    scene.record(stage, config or Config(), report, seconds=1.0, code_version="1")


def all_finished(path: Path) -> Scene:
    scene = Scene.create(path)
    for stage in STAGE_INPUTS:
        finish(scene, stage)
    return scene


def stale(scene: Scene) -> dict[str, str]:
    reasons = {stage: scene.why_stale(stage, Config(), "1") for stage in STAGE_INPUTS}
    return {stage: why for stage, why in reasons.items() if why is not None}


def test_stages_stand_in_an_order_that_serves_their_inputs() -> None:
    order = list(STAGE_INPUTS)
    for stage, inputs in STAGE_INPUTS.items():
        assert all(order.index(name) < order.index(stage) for name in inputs)
    assert set(STAGE_FILES) == set(STAGE_INPUTS)


def test_a_new_scene_has_everything_to_do(tmp_path: Path) -> None:
    assert stale(Scene.create(tmp_path / "s")) == dict.fromkeys(STAGE_INPUTS, "not run yet")


def test_a_finished_scene_is_fresh_and_stays_so_on_disk(tmp_path: Path) -> None:
    all_finished(tmp_path / "s")
    assert stale(Scene.open(tmp_path / "s")) == {}
    assert stale(Scene.create(tmp_path / "s")) == {}, "create keeps an existing scene"


def test_another_config_is_named(tmp_path: Path) -> None:
    scene = all_finished(tmp_path / "s")
    why = scene.why_stale("camera", Config(setting=2, names=("b",)), "1")
    assert why == "changed: setting, names"
    assert scene.why_stale("camera", Config(path=Path("x")), "1") == "changed: path"


def test_another_code_version_is_named(tmp_path: Path) -> None:
    why = all_finished(tmp_path / "s").why_stale("camera", Config(), "2")
    assert why == "made by version 1, this is 2"


def test_a_changed_result_makes_its_readers_stale_and_nobody_else(tmp_path: Path) -> None:
    scene = all_finished(tmp_path / "s")
    finish(scene, "camera", content="other")
    assert stale(scene) == dict.fromkeys(("body", "world"), "its inputs changed")
    finish(scene, "camera")
    assert stale(scene) == {}, "the old result again is no change"


def test_a_lost_file_makes_its_stage_stale(tmp_path: Path) -> None:
    scene = all_finished(tmp_path / "s")
    (scene.path / "rigs.npz").unlink()
    assert stale(scene) == {"body": "its files are gone"}


def test_a_damaged_file_makes_its_stage_stale(tmp_path: Path) -> None:
    scene = all_finished(tmp_path / "s")
    (scene.path / "rigs.npz").write_bytes((scene.path / "rigs.npz").read_bytes()[:-20])
    assert stale(scene) == {"body": "its files changed"}
    with pytest.raises(StaleSceneError, match=r"rigs\.npz.*--force body"):
        _ = scene.rigs


def test_forgetting_a_stage_makes_its_readers_stale(tmp_path: Path) -> None:
    scene = all_finished(tmp_path / "s")
    scene.forget("people")
    scene.forget("people")
    assert stale(Scene.open(scene.path)) == {
        "people": "not run yet",
        **dict.fromkeys(("camera", "body", "world"), "its inputs changed"),
    }


def test_reading_what_has_not_run_says_which_stage(tmp_path: Path) -> None:
    scene = Scene.create(tmp_path / "s")
    readers = {
        "video": lambda: scene.video,
        "people": lambda: scene.tracks,
        "camera": lambda: scene.camera,
        "body": lambda: (scene.camera_motions, scene.rigs),
        "world": lambda: (scene.placement, scene.world_motions),
    }
    for stage, read in readers.items():
        with pytest.raises(StaleSceneError, match=f"'{stage}'"):
            read()


def test_every_result_comes_back_from_disk(tmp_path: Path) -> None:
    made = make_scene(tmp_path / "s", num_people=2, num_frames=12)
    scene = Scene.open(tmp_path / "s")
    assert len(scene.video.times) == 12 == len(scene.camera.Ts_slam_camera)
    assert [t.track_id for t in scene.tracks] == [1, 2]
    assert len(scene.camera_motions) == len(scene.rigs) == len(scene.world_motions) == 2
    np.testing.assert_array_equal(
        scene.world_motions[1].joints_world, made.world_motions[1].joints_world
    )
    np.testing.assert_array_equal(scene.rigs[0].bind_vertices, made.rigs[0].bind_vertices)
    assert scene.placement.scale_source == made.placement.scale_source


def test_reports_and_seconds_come_back(tmp_path: Path) -> None:
    scene = Scene.create(tmp_path / "s")
    finish(scene, "video")
    report = StageReport(
        backend="b",
        decisions=(Decision(name="camera", value="static", why="nothing moves"),),
        warnings=("careful",),
        numbers={"frames": 3},
    )
    scene.save("people.npz", [])
    scene.record("people", Config(), report, seconds=1.23456, code_version="1")
    reopened = Scene.open(scene.path)
    assert reopened.report("people") == report and reopened.seconds("people") == 1.235
    assert reopened.report("world") == StageReport(backend="")
    assert reopened.seconds("world") is None


def test_notes_stay_beside_the_stages(tmp_path: Path) -> None:
    scene = Scene.create(tmp_path / "s")
    scene.note("mine", {"a": [1, None, "x"]})
    assert Scene.open(scene.path).manifest["mine"] == {"a": [1, None, "x"]}


def test_the_manifest_says_which_video_and_conventions(tmp_path: Path) -> None:
    make_scene(tmp_path / "s", num_frames=5)
    manifest = json.loads((tmp_path / "s" / "scene.json").read_text())
    assert len(manifest["video"]["times"]) == 5 and manifest["video"]["width"] == 320
    assert "+z up" in manifest["conventions"]["world"]


@pytest.mark.parametrize(
    ("content", "error"),
    [("", StaleSceneError), ("[]", StaleSceneError), ('{"stages": 3}', StaleSceneError),
     ('{"schema": 99, "stages": {}}', StaleSceneError)],
)  # fmt: skip
def test_a_broken_manifest_is_a_clear_error(
    tmp_path: Path, content: str, error: type[Exception]
) -> None:
    (tmp_path / "scene.json").write_text(content)
    with pytest.raises(error):
        Scene.open(tmp_path)


def test_a_scene_never_mixes_with_other_files(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="other files"):
        Scene.create(tmp_path)
    with pytest.raises(InputError, match="file"):
        Scene.create(tmp_path / "mine.txt")
    with pytest.raises(InputError, match=r"scene\.json"):
        Scene.open(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_an_optional_file_is_part_of_its_stage_and_goes_with_it(tmp_path: Path) -> None:
    scene = all_finished(tmp_path / "s")
    depth = scene.path / "depth.npz"
    depth.write_bytes(b"of another run")
    assert stale(scene) == {"camera": "its files changed"}, "what nobody recorded is no result"
    finish(scene, "camera")
    assert stale(scene) == dict.fromkeys(("body", "world"), "its inputs changed")
    depth.write_bytes(b"tampered with")
    assert stale(scene)["camera"] == "its files changed"
    scene.forget("camera")
    assert not depth.exists()
    finish(scene, "camera")
    assert stale(scene) == {}, "without depth again, as at first"


def test_a_stage_is_current_until_anything_before_it_changes(tmp_path: Path) -> None:
    scene = all_finished(tmp_path / "s")
    assert all(scene.is_current(stage) for stage in STAGE_INPUTS)
    finish(scene, "people", content="other")
    finish(scene, "camera")
    current = {stage for stage in STAGE_INPUTS if scene.is_current(stage)}
    assert current == {"video", "tracking", "people", "camera"}
    made = make_scene(tmp_path / "made", num_frames=4)
    assert made.is_current("world"), "a scene without tracking, as imported ones are"
    made.forget("camera")
    assert not made.is_current("world")
