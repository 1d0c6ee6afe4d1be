"""`recon evaluate` as a user calls it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from recon import cli
from recon.core.scene import Scene
from recon.evaluate.recording import read_recording
from recon.evaluate.sources import open_recording
from recon.export.motion_npz import MEAN_PELVIS
from tests.recon.imports.files import make_truth, write_gvhmr
from tests.synthetic import make_scene


@pytest.fixture(scope="module")
def truth(tmp_path_factory) -> Scene:
    path = tmp_path_factory.mktemp("command") / "truth"
    return make_scene(path, num_people=2, num_frames=48, camera="moving")


def call(*args: object) -> int:
    """The exit code of `recon evaluate ARGS`."""
    try:
        cli.main(["evaluate", *map(str, args)])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_the_table_names_every_group(truth: Scene, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert call(truth.path, truth.path) == 0
    out = capsys.readouterr().out
    for text in ("W-MPJPE100", "Motion in the world", "ATE-S", "person 2", "contact F1", "MOTA"):
        assert text in out
    assert "DuoMo" not in out  # no room for published levels
    assert "48 frames, 2 of 2 people found" in out
    assert "soles below heels and toes" in " ".join(out.split())
    monkeypatch.setenv("COLUMNS", "120")
    assert call(truth.path, truth.path) == 0
    assert "DuoMo 167.1" in capsys.readouterr().out


def test_json_is_all_that_is_printed(truth: Scene, capsys, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert call(truth.path, truth.path, "--json", "--protocol", "gvhmr", "--html", page) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert result["protocol"] == "gvhmr" and len(result["people"]) == 2
    assert result["summary"]["mpjpe_mm"] == 0
    assert str(page) in captured.err and page.is_file()


def test_the_page_holds_figures_paths_and_contacts(truth: Scene, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert call(truth.path, truth.path, "--html", page) == 0
    html = page.read_text()
    for title in ("From above", "Errors over time", "Contacts over time", "Figures"):
        assert f"<h2>{title}</h2>" in html
    assert "NaN" not in html and "nan" not in re.sub("[a-z]nan|nan[a-z]", "", html)
    bars = re.search(r'aria-label="contacts over time">(.*?)</svg>', html, re.S)
    assert bars is not None
    # The walker puts down each sole point several times; truth and prediction have a bar each.
    contacts = truth.world_motions[0].contacts > 0.5
    runs = int(np.sum(np.diff(contacts.astype(int), axis=0, prepend=0) == 1))
    assert bars[1].count("<rect") == 2 * runs
    assert not re.search(r'(src|href)="(?!data:)', html)


@pytest.mark.parametrize(
    ("pred", "says"),
    [
        ("nowhere", "expected a scene folder or one of emdb:PATH"),
        ("emdb:nowhere", "expected a folder of EMDB with one *_data.pkl, got 0"),
        ("wham:nowhere.pkl", "expected a result of wham, got no file"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_code_2(
    pred: str, says: str, truth: Scene, capsys
) -> None:
    assert call(pred, truth.path) == 2
    err = capsys.readouterr().err
    assert says in err and err.startswith("recon: ") and err.count("\n") == 1


def test_other_clips_and_wrong_options_end_with_code_2(truth: Scene, tmp_path, capsys) -> None:
    later = make_scene(tmp_path / "later", times=100 + np.arange(20) / 30)
    assert call(later.path, truth.path) == 2
    assert "same moments" in capsys.readouterr().err
    assert call(truth.path, truth.path, "--regressor", tmp_path / "none.npy") == 2
    assert "J_regressor_h36m.npy" in capsys.readouterr().err
    assert call(truth.path, truth.path, "--tolerance", "-1") == 2
    assert call(truth.path, truth.path, "--protocol", "slahmr") == 2


def test_an_unfinished_scene_says_which_stage_lacks(tmp_path: Path, truth: Scene, capsys) -> None:
    Scene.create(tmp_path / "empty")
    assert call(tmp_path / "empty", truth.path) == 2
    assert "which has not run" in capsys.readouterr().err


def test_a_result_of_another_program_is_imported_on_the_way(tmp_path: Path) -> None:
    file = tmp_path / "hmr4d_results.pt"
    write_gvhmr(make_truth(MEAN_PELVIS["smplx"]), file)
    before = set(tmp_path.iterdir())
    recording = open_recording(f"gvhmr:{file}")
    assert len(recording.people) == 1 and recording.name == "hmr4d_results"
    assert any("mean anny body" in note for note in recording.notes)
    assert set(tmp_path.iterdir()) == before


def test_a_synthetic_worlds_boxes_are_ground(truth: Scene, tmp_path: Path, capsys) -> None:
    scene = make_scene(tmp_path / "boxes", num_frames=20)
    box = {"person": 1, "kind": "step", "center": [1.0, 0.0, 0.1], "size": [0.4, 1.0, 0.2],
           "yaw": 0.5}  # fmt: skip
    floor = scene.path / "floor.json"
    floor.write_text(json.dumps({"plane": {}, "props": [box]}))
    boxes = read_recording(scene).ground
    assert boxes is not None and len(boxes) == 1
    ground = boxes[0]
    assert ground.kind == "step" and ground.yaw == 0.5
    assert np.array_equal(ground.size, [0.4, 1.0, 0.2])
    floor.write_text(json.dumps({"props": [{"kind": "step"}]}))
    assert call(truth.path, scene.path) == 2
    assert "recon synth" in capsys.readouterr().err
