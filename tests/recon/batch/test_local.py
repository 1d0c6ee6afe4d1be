from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from recon.batch.cluster import DaskPool
from recon.batch.local import FIRST_GUESS_BYTES, LocalPool
from recon.batch.worker import Job, Outcome, Run, execute

ROOT = Path(__file__).parents[3]
GB = 1_000_000_000


@pytest.fixture(autouse=True)
def our_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def make_job(folder: Path, name: str, word: str) -> Job:
    (folder / f"{name}.mp4").write_text(word)
    return Job(
        video=str(folder / f"{name}.mp4"), name=name, scene=str(folder / name),
        log=str(folder / "logs" / f"{name}.log"), thumbnail=str(folder / f"{name}.jpg"),
        module="tests.recon.batch.fake_job",
    )  # fmt: skip


def plain_job(name: str) -> Job:
    return Job(video=name, name=name, scene=name, log=name, thumbnail=name)


def test_every_end_is_told(tmp_path: Path) -> None:
    words = {"a": "fine", "b": "refuse", "c": "crash", "d": "crash once", "e": "kill once"}
    pool = LocalPool(2)
    jobs = [make_job(tmp_path, name, word) for name, word in words.items()]
    ends = {run.job.name: (run, outcome) for run, outcome in pool.work(jobs)}
    states = {name: outcome.state for name, (_, outcome) in ends.items()}
    assert states == {"a": "done", "b": "refused", "c": "crashed", "d": "done", "e": "done"}
    assert {name: run.attempt for name, (run, _) in ends.items()} == {
        "a": 1, "b": 1, "c": 2, "d": 2, "e": 2,
    }  # fmt: skip
    assert ends["a"][1].figures["people"] == 2 and ends["a"][1].peak_bytes > 0
    assert ends["b"][1].message == "expected a video, got a joke"
    assert "RuntimeError: a bug" in ends["c"][1].message
    assert Path(ends["c"][0].job.log).read_text().count("Traceback") == 2
    assert pool.limit == 1, "a process that the system killed means fewer at once"


def test_jobs_at_once_fit_into_memory() -> None:
    """Each job takes 3 GB of the 8 that are free; nobody knows before the first one has ended."""
    lock, at_once, used = threading.Lock(), [], 0

    def run_job(run: Run, *, stop: threading.Event) -> Outcome:
        nonlocal used
        with lock:
            used += 1
            at_once.append(used)
        run.memory_bytes = run.peak_bytes = 3 * GB
        time.sleep(0.3)
        with lock:
            used -= 1
        return Outcome(state="done", seconds=0.0, peak_bytes=3 * GB)

    pool = LocalPool(8, available=lambda: 8 * GB - 3 * GB * used, run_job=run_job)
    ends = list(pool.work([plain_job(str(i)) for i in range(6)]))
    assert len(ends) == 6
    assert max(at_once[5:]) == 2, "after the first ends, two fit with what they may grow to"
    assert pool.need_bytes == round(1.2 * 3 * GB) != FIRST_GUESS_BYTES


def test_one_job_runs_even_without_memory() -> None:
    def run_job(run: Run, *, stop: threading.Event) -> Outcome:
        return Outcome(state="done", seconds=0.0)

    pool = LocalPool(4, available=lambda: 0, run_job=run_job)
    assert len(list(pool.work([plain_job("a"), plain_job("b")]))) == 2


def test_closing_ends_the_processes(tmp_path: Path) -> None:
    pool = LocalPool(2)
    jobs = [make_job(tmp_path, "quick", "fine"), make_job(tmp_path, "slow", "sleep")]
    ends = pool.work(jobs)
    assert next(ends)[0].job.name == "quick"
    pid = wait_for_pid(tmp_path / "slow.pid")
    ends.close()
    assert not psutil.pid_exists(pid)


def test_a_job_ends_with_whoever_started_it(tmp_path: Path) -> None:
    job = make_job(tmp_path, "orphan", "sleep")
    code = f"from recon.batch.worker import *\nexecute(Run(job={job!r}))"
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        pid = wait_for_pid(tmp_path / "orphan.pid")
        parent.kill()
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_stopping_is_told_apart_from_crashing(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    assert execute(Run(job=make_job(tmp_path, "s", "sleep")), stop=stop).state == "interrupted"


def wait_for_pid(file: Path) -> int:
    deadline = time.monotonic() + 20
    while not (file.exists() and file.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return int(file.read_text())


def test_a_dask_worker_that_dies_takes_no_video_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed")
    monkeypatch.chdir(tmp_path)  # where workers put their own files
    words = {"a": "fine", "b": "kill worker once", "c": "refuse", "d": "crash once"}
    jobs = [make_job(tmp_path, name, word) for name, word in words.items()]
    states = {run.job.name: outcome.state for run, outcome in DaskPool("dask", 2).work(jobs)}
    assert states == {"a": "done", "b": "done", "c": "refused", "d": "done"}
    assert os.path.exists(tmp_path / "b" / "scene.json")
