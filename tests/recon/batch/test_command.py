from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from rich.console import Console

from recon import pipeline
from recon.batch.book import Book, Entry
from recon.batch.command import BatchConfig, batch, check_all_done
from recon.batch.table import BatchDisplay
from recon.batch.worker import Job, Run
from recon.core.errors import InputError, ReconError, StaleSceneError
from recon.options import RunOptions
from tests.recon.test_cli import call

ROOT = Path(__file__).parents[3]
FAKE = BatchConfig(jobs=2, module="tests.recon.batch.fake_job")


@pytest.fixture(autouse=True)
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(pipeline, "check_backends", lambda _options: None)


def make_videos(folder: Path, **words: str) -> Path:
    for name, word in words.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "my clip.mp4").write_text(word)
    return folder


def test_a_batch_goes_on_where_it_was(tmp_path: Path) -> None:
    videos = make_videos(tmp_path / "videos", a="fine", b="fine", c="refuse", d="crash")
    out = tmp_path / "out"
    first = batch([videos], out, config=FAKE, quiet=True)
    assert [e.state for e in first] == ["done", "done", "refused", "crashed"]
    assert len({e.name for e in first}) == 4
    with pytest.raises(ReconError, match=r"2 that did not.*a joke"):
        check_all_done(first, out)

    (videos / "c" / "my clip.mp4").write_text("fine and longer")
    (videos / "d" / "my clip.mp4").write_text("fine")
    make_videos(videos, _0="fine")
    made = (out / first[0].name / "scene.json").stat().st_mtime_ns
    second = batch([videos], out, config=FAKE, quiet=True)
    assert {e.state for e in second} == {"done"} and len(second) == 5
    names = {e.video: e.name for e in second}
    assert all(names[e.video] == e.name for e in first), "names stay"
    assert (out / first[0].name / "scene.json").stat().st_mtime_ns == made, "what is done stays"
    check_all_done(second, out)

    options = RunOptions(height=1.8)
    assert {e.state for e in batch([videos], out, options, config=FAKE, quiet=True)} == {"done"}
    assert json.loads((out / first[0].name / "scene.json").read_text())["height"] == 1.8


def test_table_and_gallery_tell_every_video(tmp_path: Path) -> None:
    videos = make_videos(tmp_path / "<b>&", a="fine", b="refuse")
    out = tmp_path / "out put"
    entries = batch([videos], out, config=FAKE, quiet=True)
    text = (out / "batch.csv").read_bytes().decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [r["state"] for r in rows] == ["done", "refused"]
    assert [r["people"] for r in rows] == ["2", ""] and "a joke" in rows[1]["message"]
    page = (out / "index.html").read_text()
    assert "a joke" in page and "<b>&" not in page
    links = {unquote(link) for link in re.findall(r'href="([^"]+)"', page)}
    assert f"{entries[0].name}/report.html" in links and "batch.csv" in links
    assert f"logs/{entries[1].name}.log" in links


def test_options_reach_the_job_whole(tmp_path: Path) -> None:
    options = RunOptions(people="2", formats=("npz",), body_model_path=Path("models"), hands=True)
    values = json.loads(json.dumps(options.to_json()))
    again = RunOptions.from_json(values)
    assert again.body_model_path == Path("models").absolute()
    assert again.to_json() == options.to_json() and again.formats == ("npz",)


def test_folders_and_books_that_cannot_be_used(tmp_path: Path) -> None:
    videos = make_videos(tmp_path / "videos", a="fine")
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", videos):
        with pytest.raises(InputError, match="--out"):
            batch([videos], out, config=FAKE, quiet=True)
    evil = tmp_path / "evil"
    evil.mkdir()
    for name in ("../videos", "..", "/etc", ""):
        rows = [vars(Entry(video=str(videos / "a" / "my clip.mp4"), name=name))]
        (evil / "batch.json").write_text(json.dumps({"schema": 1, "videos": rows}))
        with pytest.raises(StaleSceneError, match=r"batch\.json"):
            Book.open(evil)
    done = vars(Entry(video="a", name="a", state="done"))
    figures = {
        "width": 3, "height": 2, "frames": 2, "duration_s": 1.0, "people": 0, "camera": "static",
        "reprojection_px": None, "warnings": 0, "scale_std_percent": None, "outputs": {},
    }  # fmt: skip
    book = {"schema": 1, "videos": [done | {"figures": figures}]}
    (evil / "batch.json").write_text(json.dumps(book))
    assert Book.open(evil).entries["a"].state == "done"
    for wrong in (
        {"figures": {}}, {"figures": figures | {"people": "x"}}, {"state": "asleep"}, {"video": []},
        {"figures": figures | {"outputs": {"report": ["../../a"]}}}, {"seconds": None},
    ):  # fmt: skip
        book["videos"] = [done | {"figures": figures} | wrong]
        (evil / "batch.json").write_text(json.dumps(book))
        with pytest.raises(StaleSceneError, match=r"batch\.json"):
            Book.open(evil)
    for text in ("{", "[]", "[" * 100_000, '{"schema": 1, "videos": [{"nose": 1}]}'):
        (evil / "batch.json").write_text(text)
        with pytest.raises(StaleSceneError, match=r"batch\.json"):
            Book.open(evil)


@pytest.mark.parametrize(
    "flags, word",
    [
        (["--jobs", "0"], "--jobs"),
        (["--retries", "-1"], "--retries"),
        (["--engine", "slurm"], "--engine"),
        (["--engine", "dask://127.0.0.1:1"], "scheduler"),
        (["--height", "30"], "--height"),
    ],
)
def test_bad_calls_are_one_line(
    flags: list[str],
    word: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("recon.batch.cluster._CONNECT_SECONDS", 0.5)
    videos = make_videos(tmp_path / "videos", a="refuse")
    assert call(["batch", videos, "--out", tmp_path / "out", *flags]) == 2
    error = capsys.readouterr().err
    assert word in error.splitlines()[-1] and "Traceback" not in error


def test_the_table_shows_what_runs_and_what_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    job = Job(video="v", name="a very long name " * 5 + "1", scene="s", log="l", thumbnail="t")
    run = Run(job=job, stage="tracking", fraction=0.5, memory_bytes=630_000_000, attempt=2)
    entries = [Entry(video="a", name="a", state="done"), Entry(video="b", name="b")]
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=100, legacy_windows=False)
    with BatchDisplay(entries, [run], console=console) as display:
        ended = Entry(video="c", name="c", state="refused", message="expected a video")
        display.ended(ended)
    shown = text.getvalue()
    for words in ("tracking", "630 MB", "name 1", "1 done, 0 failed, 1 to do of 2"):
        assert words in shown
    assert "c: refused: expected a video" in shown
    quiet = io.StringIO()
    with BatchDisplay(entries, [run], quiet=True, console=Console(file=quiet)) as display:
        display.ended(ended)
    assert quiet.getvalue() == ""
