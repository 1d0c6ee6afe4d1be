from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from recon import cli, pipeline
from recon.core.scene import Scene
from recon.core.stage import Decision, Progress, StageReport
from recon.runner import Output, Step
from recon.video import VideoReader
from tests.recon.clips import bad_inputs, write_clip
from tests.synthetic import SyntheticConfig, make_scene

HANDHELD = Path(__file__).parents[2] / "../shared/data/handheld_rgb"


def call(args: Sequence[str | Path]) -> int:
    """The exit code of `recon args`."""
    try:
        cli.main([str(a) for a in args])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.fixture
def only_video(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipeline whose only stage is the video, so that no network is needed."""

    def steps(self: pipeline.Work) -> list[Step]:
        def work(progress: Progress) -> StageReport:
            reader = VideoReader.open(self.clip.path, self.clip, progress=progress)
            self.scene.save("video.npz", [reader.info])
            return pipeline.video_report(reader.info)

        return [Step(name="video", config=self.clip, work=work)]

    def outputs(self: pipeline.Work) -> list[Output]:
        def work(_progress: Progress) -> list[Path]:
            (self.scene.path / "report.html").write_text("report")
            return [self.scene.path / "report.html"]

        return [Output(name="report", needs=("video",), work=work)]

    monkeypatch.setattr(pipeline.Work, "steps", steps)
    monkeypatch.setattr(pipeline.Work, "outputs", outputs)


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The last line on stderr, which is the only one that is not progress."""
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.strip().splitlines()
    errors = [line for line in lines if line.startswith("recon: ")]
    assert lines[-1:] == errors and "Traceback" not in captured.err
    return errors[0]


@pytest.mark.usefixtures("only_video")
def test_every_bad_video_is_one_line_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, (path, config, word) in bad_inputs(tmp_path).items():
        args: list[str | Path] = ["run", path, "--scene", tmp_path / "scene"]
        for flag in ("start", "stride", "fps"):
            if (value := getattr(config, flag)) is not None:
                args += [f"--{flag}", str(value)]
        assert call(args) == 2, name
        assert word in one_line(capsys), name
        assert not (tmp_path / "scene").exists(), f"{name} left a scene behind"


def bad_calls(folder: Path) -> dict[str, tuple[list[str | Path], str]]:
    """Arguments, and a word of the message."""
    clip = write_clip(folder / "clip.mp4")
    scene = Scene.create(folder / "scene").path
    for name, text in {"broken": "{", "list": "[]", "old": '{"schema": 0, "stages": {}}'}.items():
        (folder / name).mkdir()
        (folder / name / "scene.json").write_text(text)
    (folder / "full").mkdir()
    (folder / "full" / "mine.txt").write_text("mine")
    return {
        "stride": (["run", clip, "--stride", "0"], "--stride"),
        "start after end": (["run", clip, "--start", "2", "--end", "1"], "--end"),
        "max height": (["run", clip, "--max-height", "0"], "--max-height"),
        "focal length": (["run", clip, "--focal", "-5"], "--focal"),
        "no focal length": (["run", clip, "--focal", "nan"], "--focal"),
        "field of view": (["camera", clip, "--fov", "200"], "--fov"),
        "two fields of view": (["run", clip, "--fov", "60", "--focal", "500"], "--fov"),
        "stature": (["run", clip, "--height", "30"], "--height"),
        "weight": (["run", clip, "--weight", "700"], "2 to 400 kilograms"),
        "unknown detector": (["run", clip, "--detector", "yolo"], "--detector"),
        "unknown keypoints": (["run", clip, "--keypoints", "openpose"], "--keypoints"),
        "unknown body model": (["run", clip, "--body-model", "skel"], "--body-model"),
        "licensed files absent": (["run", clip, "--body-model", "smplx"], "--body-model-path"),
        "unknown export": (["run", clip, "--formats", "npz", "max"], "max"),
        "unknown stage": (["run", clip, "--stages", "video,bodies"], "bodies"),
        "unknown forced stage": (["run", clip, "--force", "bodies"], "bodies"),
        "overlay asked and refused": (["run", clip, "--stages", "overlay", "--no-overlay"], "--st"),
        "scene is a file": (["run", clip, "--scene", clip], "--scene"),
        "scene holds other things": (["run", clip, "--scene", folder / "full"], "other files"),
        "scene file broken": (["run", clip, "--scene", folder / "broken"], "scene.json"),
        "scene file of another kind": (["run", clip, "--scene", folder / "list"], "stages"),
        "scene of another version": (["run", clip, "--scene", folder / "old"], "schema"),
        "export of nothing": (["export", folder / "full", "--format", "npz"], "scene folder"),
        "export of an absent folder": (["export", folder / "x", "--format", "npz"], "scene folder"),
        "unknown format": (["export", scene, "--format", "max"], "max"),
        "export into a file": (["export", scene, "--format", "tum", "--out", clip], "--out"),
        "export of an unfinished scene": (["export", scene, "--format", "npz"], "has not run"),
        "view of nothing": (["view", folder / "full"], "scene folder"),
        "picture of an unfinished scene": (
            ["view", scene, "--screenshot", folder / "a.png"],
            "has not run",
        ),
        "unknown network": (["weights", "add", "gpt"], "gpt"),
        "scene with an endless name": (["run", clip, "--scene", "x" * 300], "name too long"),
        "start at no number": (["run", clip, "--start", "nan"], "--start"),
        "list of one network": (["weights", "list", "face_landmark"], "face_landmark"),
        "no network": (["weights", "add"], "name of a network"),
    }


@pytest.mark.usefixtures("only_video")
def test_every_bad_call_is_one_line_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, (args, word) in bad_calls(tmp_path).items():
        assert call(args) == 2, name
        assert word in one_line(capsys), name


@pytest.mark.parametrize(
    "args",
    [
        ["run", "clip.mp4", "--bogus"],
        ["run"],
        ["fly"],
        [],
        ["run", "clip.mp4", "--camera", "flying"],
        ["run", "clip.mp4", "--start", "soon"],
        ["export"],
    ],
)
def test_what_cannot_be_parsed_exits_with_2(
    args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(args) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err and "Traceback" not in captured.err


@pytest.mark.usefixtures("only_video")
def test_json_is_all_of_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip, scene = write_clip(tmp_path / "clip.mp4"), tmp_path / "scene"
    assert call(["run", clip, "--scene", scene, "--json"]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert result["scene"] == str(scene)
    assert result["video"]["width"] == 64 and result["stages"]["video"]["numbers"]["frames"] == 20
    assert result["outputs"] == {"report": [str(scene / "report.html")]}
    assert "video: running (not run yet)" in captured.err


@pytest.mark.usefixtures("only_video")
def test_run_says_where_things_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "clip.mp4")
    assert call(["run", "clip.mp4"]) == 0
    assert str(Path("clip/report.html")) in capsys.readouterr().out
    assert call(["run", "clip.mp4"]) == 0
    assert "video: up to date" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "word"),
    [
        (KeyboardInterrupt, 130, "interrupted"),
        (lambda: OSError(28, "No space left on device", "x.npz"), 2, "No space left"),
    ],
)
def test_interrupts_and_full_disks_are_no_bugs(
    error: Callable[[], BaseException],
    code: int,
    word: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise error()

    monkeypatch.setattr(pipeline, "run", fail)
    assert call(["run", "clip.mp4"]) == code
    assert word in one_line(capsys)


@pytest.mark.parametrize(
    ("work", "args", "goes_on"),
    [
        ("recon.pipeline.run", ["run", "v.mp4"], True),
        ("recon.pipeline.find_camera", ["camera", "v.mp4"], True),
        ("recon.batch.command.batch", ["batch", "v.mp4", "-o", "out"], True),
        ("recon.splat.splat", ["splat", "scene"], True),
        ("recon.splat_video.splat_video", ["splat", "v.mp4", "--video"], False),
        ("recon.avatar.avatar", ["avatar", "scene"], False),
    ],
)
def test_only_what_goes_on_says_so_when_interrupted(
    work: str,
    args: list[str],
    goes_on: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stop(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(work, stop)
    assert call(args) == 130
    assert ("goes on from here" in one_line(capsys)) == goes_on


def test_bugs_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(pipeline, "run", fail)
    with pytest.raises(ZeroDivisionError):
        call(["run", "clip.mp4"])


def test_weights_lists_every_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from recon.core.networks import NETWORKS

    monkeypatch.setenv("RECON_CACHE", str(tmp_path))
    assert call(["weights"]) == 0
    out = capsys.readouterr().out
    for network in NETWORKS.values():
        line = next(line for line in out.splitlines() if line.startswith(f"{network.name} "))
        assert network.licence in line and network.package.version in line and "absent" in line


def test_the_installed_command_fails_in_one_line(tmp_path: Path) -> None:
    """The same through a real process: exit code, streams and all."""
    done = subprocess.run(
        [sys.executable, "-m", "recon.cli", "run", str(tmp_path / "absent.mp4")],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and "no such file" in done.stderr


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from recon import __version__

    assert call(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


def test_camera_says_what_it_decided_and_where_its_files_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = make_scene(tmp_path / "scene", num_frames=4, camera="moving")
    decision = Decision(name="camera", value="moving", why="the background shows parallax")
    report = StageReport(backend="tracks", decisions=(decision,))
    scene.record("camera", SyntheticConfig(1, "moving"), report, seconds=1.0, code_version="0")
    files = ["camera.html", "exports/camera.tum", "exports/colmap/a.bin", "exports/colmap/b.bin"]
    scene.note("outputs", {"exports": {"files": files}})
    monkeypatch.setattr(pipeline, "find_camera", lambda *_args, **_options: scene)
    assert call(["camera", "clip.mp4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (
        "camera   camera: moving" in lines
        and "camera   world frame: metres, z up, floor at z = 0" in lines
    )
    assert [line.split("/")[-1] for line in lines if line.startswith("exports")] == [
        "camera.html", "camera.tum", "colmap",
    ]  # fmt: skip


@pytest.mark.skipif(not HANDHELD.exists(), reason="needs ../shared/data/handheld_rgb")
def test_camera_on_a_folder_of_real_pictures_leaves_files_that_others_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import pycolmap
    from evo.tools import file_interface

    scene = tmp_path / "scene"
    args = ["camera", HANDHELD, "--fps", "30", "--end", "0.6", "--people", "none"]
    assert call([*args, "--scene", scene]) == 0
    captured = capsys.readouterr()
    assert "camera   camera: moving" in captured.out and "slam frame" in captured.out
    assert "people: warning" not in captured.err and "body" not in captured.err
    path = file_interface.read_tum_trajectory_file(scene / "exports/camera.tum")
    assert len(path.timestamps) == 18 and path.path_length > 0
    model = pycolmap.Reconstruction(str(scene / "exports/colmap"))
    assert model.num_reg_images() == Scene.open(scene).camera.tracked.sum()
    assert b"slam frame" in (scene / "exports/points.ply").read_bytes()[:300]
    page = (scene / "camera.html").read_text(encoding="utf-8")
    depth = Scene.open(scene).keyframe_depth
    assert depth is not None
    shown = min(4, len(depth.frame_idx))
    assert page.count("<img") == 3 + 2 * shown, "views of the points; keyframes with depth"
