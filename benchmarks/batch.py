"""Many videos: throughput with one and two processes and through Dask, and after a kill -9."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.common import DATA, Row, main, row
from recon.batch.book import Entry
from recon.batch.command import BatchConfig, batch
from recon.batch.local import LocalPool
from recon.batch.worker import Job
from recon.options import RunOptions
from recon.video import VideoConfig, VideoReader
from tests.recon.clips import write_clip

CLIPS = ("dancer_static", "walker_moving", "runner_moving")
OPTIONS = RunOptions(overlay=False, formats=("npz", "tum"))


def measure(quick: bool, _pictures: Path | None) -> Iterator[Row]:
    """Seconds and frames a second of whole batches; what a killed worker costs."""
    seconds = 0.7 if quick else 3.0
    with tempfile.TemporaryDirectory(prefix="recon_batch_") as name:
        folder = Path(name)
        (folder / "videos").mkdir()
        videos = [_clip(folder, i, source, seconds) for i, source in enumerate((*CLIPS, CLIPS[0]))]
        for title, config in {
            "1 process": BatchConfig(jobs=1),
            "2 processes": BatchConfig(jobs=2),
            "2 Dask workers here": BatchConfig(jobs=2, engine="dask"),
        }.items():
            out = folder / title.replace(" ", "_")
            cpu, started = _cpu_seconds(), time.monotonic()
            entries = batch([folder / "videos"], out, OPTIONS, config=config, quiet=True)
            wall, cpu = time.monotonic() - started, _cpu_seconds() - cpu
            yield from _rows(title, entries, wall, cpu)
        yield from _killed(folder, videos[0])


def _rows(title: str, entries: list[Entry], wall: float, cpu: float) -> Iterator[Row]:
    done = [e for e in entries if e.state == "done"]
    bad = len(entries) - len(done)
    yield Row(name=f"{title}: videos not done", value=bad, unit="", target="0", ok=bad == 0)
    yield row(f"{title}: whole batch", wall, "s")
    yield row(f"{title}: frames", sum(e.figures["frames"] for e in done) / wall, "frames/s")
    if cpu:
        yield row(f"{title}: processor", cpu, "CPU s")
    yield row(f"{title}: largest process", max(e.peak_mb for e in done), "MB")


def _killed(folder: Path, video: Path) -> Iterator[Row]:
    """A worker killed while it fits bodies: the second attempt keeps what was finished."""
    scene = folder / "killed"
    job = Job(
        video=str(video), name="killed", scene=str(scene), log=str(folder / "killed.log"),
        thumbnail=str(folder / "killed.jpg"), options=OPTIONS.to_json(),
    )  # fmt: skip
    pool, seen = LocalPool(1, retries=1), []
    killer = threading.Thread(target=_kill_in_body, args=(scene, folder / "killed.log", seen))
    killer.start()
    with closing(pool.work([job])) as ends:
        run, outcome = next(ends)
    killer.join()
    log = (folder / "killed.log").read_text()
    kept = sum(f"{stage}: up to date" in log for stage in ("video", "tracking", "people", "camera"))
    ok = outcome.state == "done" and run.attempt == 2 and kept == 4
    yield Row(
        name="killed in stage body: finished stages kept", value=kept, unit="of 4", target="4",
        ok=ok,
    )  # fmt: skip
    yield row("killed in stage body: second attempt", outcome.seconds, "s")


def _kill_in_body(scene: Path, log: Path, seen: list[int]) -> None:
    """Sends signal 9 to the first attempt's process as soon as the camera is found."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if log.exists() and "camera: done" in log.read_text():
            seen.append(pid := int((scene / ".pid").read_text()))
            os.kill(pid, signal.SIGKILL)
            return
        time.sleep(0.01)


def _clip(folder: Path, number: int, source: str, seconds: float) -> Path:
    path = DATA / "videos" / f"{source}.mp4"
    start = float(number)
    config = VideoConfig(path=str(path), start=start, end=start + seconds, max_height=360)
    images = [frame.image for frame in VideoReader.open(path, config)]
    even = [image[:, : image.shape[1] // 2 * 2] for image in images]
    return write_clip(folder / "videos" / f"{number}_{source}.mp4", images=even)


def _cpu_seconds() -> float:
    """CPU time of the processes that ended; those of Dask's workers are not ours."""
    times = os.times()
    return times.children_user + times.children_system


if __name__ == "__main__":
    main("Batches", measure)
