from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recon import pipeline
from recon.core.errors import InputError
from recon.core.scene import STAGE_FILES, STAGE_INPUTS, Scene, StageName
from recon.core.stage import Progress, StageReport
from recon.core.video import VideoInfo
from recon.pipeline import default_scene, recognise_video
from recon.runner import STAGES, Output, Silent, Step, locked_scene, make_output, run_steps
from recon.video import VideoConfig, VideoReader
from tests.recon.clips import write_clip


@dataclass(frozen=True)
class FakeConfig:
    setting: int = 0
    noise: int = 0
    """Part of the settings, without an effect on the result."""


class Notes(Silent):
    """A watcher that remembers what it is told."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.why: dict[str, str] = {}
        self.lines: list[str] = []

    def stage(self, name: str, why: str):
        self.ran.append(name)
        self.why[name] = why
        return super().stage(name, why)

    def note(self, text: str) -> None:
        self.lines.append(text)


def fake_step(scene: Scene, name: StageName, config: FakeConfig) -> Step:
    """A stage whose result depends on its setting and on the content of its input files."""

    def work(_progress: Progress) -> StageReport:
        read = hashlib.sha256()
        for stage in STAGE_INPUTS[name]:
            for file in STAGE_FILES[stage]:
                read.update((scene.path / file).read_bytes())
        text = f"{name} {config.setting} {read.hexdigest()}"
        for file in STAGE_FILES[name]:
            # Any item will do: the runner never looks inside.
            scene.save(file, [replace(INFO, path=f"{file} {text}")])
        return StageReport(backend="fake", warnings=(f"made {name}",))

    return Step(name=name, config=config, work=work)


INFO = VideoInfo(path="", width=4, height=2, times=np.arange(3.0), focal_px=None, sha256="0")


def fake_output(scene: Scene) -> Output:
    def work(_progress: Progress) -> list[Path]:
        path = scene.path / "report.html"
        path.write_bytes((scene.path / "world.npz").read_bytes())
        return [path]

    return Output(name="report", needs=STAGES, work=work)


def run_fakes(path: Path, *, configs: dict[str, FakeConfig] | None = None, **options: Any) -> Notes:
    notes = Notes()
    with locked_scene(path) as scene:
        steps = [fake_step(scene, s, (configs or {}).get(s, FakeConfig())) for s in STAGES]
        run_steps(scene, steps, watcher=notes, **options)
        if options.get("only") is None:
            make_output(scene, fake_output(scene), watcher=notes)
    return notes


def contents(path: Path) -> dict[str, Any]:
    """Every file of a scene, and its manifest without the durations."""
    manifest = Scene.open(path).manifest
    for record in manifest["stages"].values():
        del record["seconds"]
    manifest["stages"] = dict(sorted(manifest["stages"].items()))
    files = {
        p.name: p.read_bytes() for p in path.iterdir() if p.name not in (".lock", "scene.json")
    }
    return {"manifest": manifest, **files}


def in_child(work: Callable[[], object]) -> int:
    """The wait status of a forked process that runs `work`."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    return os.waitpid(pid, 0)[1]


def test_a_finished_scene_is_left_alone(tmp_path: Path) -> None:
    first = run_fakes(tmp_path / "s")
    assert first.ran == [*STAGES, "report"]
    before = contents(tmp_path / "s")
    second = run_fakes(tmp_path / "s")
    assert second.ran == []
    assert second.lines == [f"{name}: up to date" for name in (*STAGES, "report")]
    assert contents(tmp_path / "s") == before


def test_a_changed_setting_reruns_its_stage_and_what_reads_it(tmp_path: Path) -> None:
    run_fakes(tmp_path / "s")
    notes = run_fakes(tmp_path / "s", configs={"camera": FakeConfig(setting=1)})
    assert notes.ran == ["camera", "body", "world", "report"]
    assert notes.why["camera"] == "changed: setting" and notes.why["body"] == "its inputs changed"
    assert notes.why["report"] == "the stages it shows changed"


def test_the_same_result_spares_the_later_stages(tmp_path: Path) -> None:
    run_fakes(tmp_path / "s")
    assert run_fakes(tmp_path / "s", force=["people"]).ran == ["people"]
    assert run_fakes(tmp_path / "s", configs={"people": FakeConfig(noise=1)}).ran == ["people"]


def test_a_lost_file_is_made_again(tmp_path: Path) -> None:
    run_fakes(tmp_path / "s")
    (tmp_path / "s" / "rigs.npz").unlink()
    (tmp_path / "s" / "report.html").unlink()
    assert run_fakes(tmp_path / "s").ran == ["body", "report"]


def exports(scene: Scene, *names: str) -> Output:
    def work(_progress: Progress) -> list[Path]:
        for name in names:
            (scene.path / name).write_text("x")
        return [scene.path / name for name in names]

    return Output(name="exports", needs=STAGES, work=work, settings={"names": list(names)})


def test_an_output_leaves_nothing_of_an_older_result(tmp_path: Path) -> None:
    run_fakes(tmp_path / "s")
    scene = Scene.open(tmp_path / "s")
    (scene.path / "mine.bvh").write_text("the user's own")
    make_output(scene, exports(scene, "person1.bvh", "person2.bvh"), watcher=Silent())
    run_fakes(tmp_path / "s", configs={"people": FakeConfig(setting=1)})
    scene = Scene.open(tmp_path / "s")
    make_output(scene, exports(scene, "person1.bvh"), watcher=Silent())
    assert {p.name for p in scene.path.glob("*.bvh")} == {"mine.bvh", "person1.bvh"}


def test_an_output_keeps_what_other_settings_made_of_the_same_result(tmp_path: Path) -> None:
    run_fakes(tmp_path / "s")
    scene = Scene.open(tmp_path / "s")
    make_output(scene, exports(scene, "person1.bvh"), watcher=Silent())
    make_output(scene, exports(scene, "camera.tum"), watcher=Silent())
    files = scene.manifest["outputs"]["exports"]["files"]
    assert files == ["camera.tum", "person1.bvh"]
    assert all((scene.path / name).exists() for name in files)


def test_only_some_stages_run_and_stale_ones_are_named(tmp_path: Path) -> None:
    run_fakes(tmp_path / "s")
    changed = {"people": FakeConfig(setting=1), "world": FakeConfig(setting=1)}
    notes = run_fakes(tmp_path / "s", configs=changed, only=["world"])
    assert notes.ran == ["world"]
    assert notes.lines[0] == "people: left as it is because of --stages (changed: setting)"


def test_warnings_of_a_stage_reach_the_user(tmp_path: Path) -> None:
    assert "camera: warning: made camera" in run_fakes(tmp_path / "s").lines


def test_a_run_killed_at_any_write_resumes_to_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files change only by os.replace: SIGKILL before and after each of them, in every stage."""
    run_fakes(tmp_path / "whole")
    # The interrupted run starts from a finished scene with other settings, the hardest case:
    # every file of the old result is still there.
    other = {stage: FakeConfig(setting=1) for stage in STAGES}
    expected = contents(tmp_path / "whole")
    real_replace = os.replace
    kills = 0
    for kill_at in range(1, 1000):
        scene = tmp_path / f"killed{kill_at}"
        run_fakes(scene, configs=other)
        calls = 0

        def replace_or_die(source: Any, target: Any, kill_at: int = kill_at) -> None:
            nonlocal calls
            calls += 1
            if calls == (kill_at + 1) // 2 and kill_at % 2:
                os.kill(os.getpid(), signal.SIGKILL)
            real_replace(source, target)
            if calls == (kill_at + 1) // 2:
                os.kill(os.getpid(), signal.SIGKILL)

        monkeypatch.setattr(os, "replace", replace_or_die)
        status = in_child(lambda scene=scene: run_fakes(scene))
        monkeypatch.setattr(os, "replace", real_replace)
        if status == 0:
            break
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        kills += 1
        run_fakes(scene)
        assert contents(scene) == expected, f"killed at write {kill_at}"
    assert kills >= 2 * (2 * len(STAGES) + 3), "expected kills within every stage"


def test_a_killed_change_of_settings_never_passes_for_the_old_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of the new settings under the old record would be a wrong result, silently."""
    run_fakes(tmp_path / "s")
    expected = contents(tmp_path / "s")
    real_save = Scene.save

    def save_and_die(self: Scene, name: str, items: list[Any]) -> None:
        real_save(self, name, items)
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(Scene, "save", save_and_die)
    changed = {"camera": FakeConfig(setting=1)}
    status = in_child(lambda: run_fakes(tmp_path / "s", configs=changed))
    monkeypatch.setattr(Scene, "save", real_save)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert run_fakes(tmp_path / "s").ran[0] == "camera"
    assert contents(tmp_path / "s") == expected


def test_leftovers_of_killed_runs_are_removed(tmp_path: Path) -> None:
    run_fakes(tmp_path / "s")
    (tmp_path / "s" / "exports").mkdir()
    leftovers = [".body.npz.abcd1234", ".overlay.mp4.4711.part", "exports/.camera.tum.x_y_z_01"]
    for name in (*leftovers, ".notes", "exports/mine.txt"):
        (tmp_path / "s" / name).write_text("x")
    run_fakes(tmp_path / "s")
    assert not any((tmp_path / "s" / name).exists() for name in leftovers)
    assert (tmp_path / "s" / ".notes").exists() and (tmp_path / "s/exports/mine.txt").exists()


def test_two_runs_on_one_scene_are_refused(tmp_path: Path) -> None:
    with locked_scene(tmp_path / "s"):
        code = (
            "import sys; from pathlib import Path; from recon.runner import locked_scene\n"
            "with locked_scene(Path(sys.argv[1])): pass"
        )
        other = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "s")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert other.returncode != 0
        assert f"process id {os.getpid()}" in other.stderr.splitlines()[-1]
    with locked_scene(tmp_path / "s"):  # free again
        pass


def test_a_run_that_comes_to_nothing_leaves_no_folder(tmp_path: Path) -> None:
    def fail() -> None:
        with locked_scene(tmp_path / "new"):
            raise InputError("no video")

    with pytest.raises(InputError, match="no video"):
        fail()
    assert not (tmp_path / "new").exists()
    (tmp_path / "new").mkdir()
    with pytest.raises(InputError, match="no video"):
        fail()
    assert (tmp_path / "new").exists(), "the user's own folder stays"


def video_scene(folder: Path, clip: VideoConfig) -> Scene:
    """A scene whose video stage ran, with a tracking stage that reads it."""
    scene = Scene.create(folder)

    def work(_progress: Progress) -> StageReport:
        scene.save("video.npz", [VideoReader.open(clip.path, clip).info])
        return StageReport(backend="pyav")

    tracking = fake_step(scene, "tracking", FakeConfig())
    run_steps(scene, [Step(name="video", config=clip, work=work), tracking], watcher=Silent())
    return scene


def stale(scene: Scene, clip: VideoConfig) -> list[str | None]:
    from recon import __version__

    configs: dict[StageName, Any] = {"video": clip, "tracking": FakeConfig()}
    return [scene.why_stale(stage, config, __version__) for stage, config in configs.items()]


def test_a_moved_video_keeps_every_result(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4")
    scene = video_scene(tmp_path / "s", VideoConfig(path=str(path)))
    moved = VideoConfig(path=str(path.rename(tmp_path / "b.mp4")))
    recognise_video(scene, moved, scene.video.sha256, Silent())
    reopened = Scene.open(scene.path)
    assert stale(reopened, moved) == [None, None]
    assert reopened.video.path == moved.path == reopened.manifest["video"]["path"]
    assert len(list(VideoReader(moved, reopened.video))) == 20


def test_another_video_under_the_same_name_is_noticed(tmp_path: Path) -> None:
    clip = VideoConfig(path=str(write_clip(tmp_path / "a.mp4")))
    scene = video_scene(tmp_path / "s", clip)
    write_clip(tmp_path / "a.mp4", 10)
    notes = Notes()
    recognise_video(scene, clip, VideoReader.open(clip.path).info.sha256, notes)
    assert notes.lines == ["video: its content changed"]
    assert stale(scene, clip)[0] == "not run yet"


def test_default_scene_is_named_after_the_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_scene(Path("/elsewhere/clip.one.mp4")) == Path("clip.one")
    assert default_scene(tmp_path / "photos") == Path("photos_scene")


DANCER = Path(__file__).parents[2] / "../shared/data/videos/dancer_static.mp4"


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.skipif(not DANCER.exists(), reason="needs ../shared/data/videos/dancer_static.mp4")
def test_a_real_run_killed_in_every_stage_resumes_to_the_same_result(tmp_path: Path) -> None:
    def command(scene: Path) -> list[str]:
        clip = ["--end", "0.3", "--max-height", "360"]
        return [sys.executable, "-m", "recon.cli", "run", str(DANCER), "--scene", str(scene), *clip]

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(whole), check=True, capture_output=True)
    for stage in (*STAGES, "overlay", "report", "exports"):
        with subprocess.Popen(command(killed), stderr=subprocess.PIPE, text=True) as run:
            assert run.stderr is not None
            for line in run.stderr:
                if line.startswith(f"{stage}: running"):
                    run.kill()
        assert run.returncode == -signal.SIGKILL, stage
    subprocess.run(command(killed), check=True, capture_output=True)

    def results(scene: Path) -> dict[str, bytes]:
        files = [p for p in scene.rglob("*") if p.is_file()]
        # These two tell how long the stages took.
        timed = ("scene.json", "report.html")
        return {str(p.relative_to(scene)): p.read_bytes() for p in files if p.name not in timed}

    assert results(killed).keys() == results(whole).keys()
    assert {k for k, v in results(whole).items() if results(killed)[k] != v} == set()


def test_the_camera_alone_runs_the_stages_up_to_it_and_its_own_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def steps(self: pipeline.Work) -> list[Step]:
        def work(name: StageName) -> StageReport:
            done.append(name)
            for file in STAGE_FILES[name]:
                (self.scene.path / file).write_bytes(name.encode())
            if name == "video":
                self.scene.save("video.npz", [VideoReader.open(self.clip.path, self.clip).info])
            return StageReport(backend="test")

        return [
            Step(name=name, config=FakeConfig(), work=lambda _p, n=name: work(n)) for name in STAGES
        ]

    def outputs(self: pipeline.Work) -> list[Output]:
        def work(name: str) -> list[Path]:
            done.append(name)
            return []

        names = ("overlay", "evidence", "report", "exports")
        return [Output(name=n, needs=STAGES, work=lambda _p, n=n: work(n)) for n in names]

    monkeypatch.setattr(pipeline.Work, "steps", steps)
    monkeypatch.setattr(pipeline.Work, "outputs", outputs)
    clip, scene = write_clip(tmp_path / "clip.mp4"), tmp_path / "scene"
    pipeline.find_camera(clip, scene)
    assert done == ["video", "tracking", "people", "camera", "evidence", "exports"]
    done.clear()
    pipeline.find_camera(clip, scene, metric=True)
    assert done == ["body", "world", "evidence", "exports"], "remade: the world moved the camera"
    done.clear()
    pipeline.find_camera(clip, scene, force=("camera",))
    assert done == ["camera"], "the same result again makes no file anew"
