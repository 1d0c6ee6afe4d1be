"""Runs one job in a process of its own and says how it ended."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

import psutil

_POLL_SECONDS = 0.2
_LAST_LOG_BYTES = 4000

State = Literal["done", "refused", "crashed", "interrupted"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A video to work on; JSON-native, so that it can go to another machine.

    Args:
        video, scene, log, thumbnail: absolute paths. name: of the scene, unique in the batch.
        options: of the run, as `RunOptions.to_json` makes them.
        cores: the CPU cores it may use, empty for all. module: what the process runs.
    """

    video: str
    scene: str
    name: str
    log: str
    thumbnail: str
    options: dict[str, Any] = field(default_factory=dict)
    cores: tuple[int, ...] = ()
    module: str = "recon.batch.job"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one attempt ended.

    Args:
        state: refused: the video or an option cannot be used; crashed: trying again may help.
        message: the one line for anything but done. figures: the scene's numbers when done.
        peak_bytes: the most memory that the process was seen to hold. killed: by signal 9, which
            is what systems without memory do.
    """

    state: State
    seconds: float
    peak_bytes: int = 0
    message: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    killed: bool = False


@dataclass
class Run:
    """A job under way, as others may see it."""

    job: Job
    attempt: int = 1
    stage: str = "starting"
    fraction: float = 0.0
    memory_bytes: int = 0
    peak_bytes: int = 0
    started: float = field(default_factory=time.monotonic)


def execute(run: Run, *, stop: threading.Event | None = None) -> Outcome:
    """Works on a job to its end; whoever holds `run` can watch it.

    Args:
        stop: when set, the process is ended; what it finished stays.
    """
    job, messages, run.started = run.job, _Messages(run), time.monotonic()
    Path(job.log).parent.mkdir(parents=True, exist_ok=True)
    with Path(job.log).open("ab") as log:
        log.write(f"--- attempt {run.attempt}: {job.video}\n".encode("utf-8", "replace"))
        log.flush()
        child = subprocess.Popen(
            [sys.executable, "-m", job.module], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=log, text=True, encoding="utf-8", start_new_session=True,
        )  # fmt: skip
        reader = threading.Thread(target=messages.read, args=(child.stdout,), daemon=True)
        reader.start()
        interrupted = False
        try:
            _send(child, job)
            while child.poll() is None:
                interrupted = stop is not None and stop.is_set()
                if interrupted:
                    break
                _measure(child.pid, run)
                time.sleep(_POLL_SECONDS)
        finally:
            if child.poll() is None:
                child.terminate()
                _wait_or_kill(child)
            reader.join(timeout=10)
            for pipe in (child.stdin, child.stdout):
                _close(pipe)
    return _outcome(run, messages, child.returncode, interrupted=interrupted)


class _Messages:
    """What a job's process says."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.figures: dict[str, Any] | None = None
        self.refused: str | None = None

    def read(self, stream: IO[str]) -> None:
        for line in stream:
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if "stage" in message:
                self.run.stage, self.run.fraction = message["stage"], message["fraction"]
            self.figures = message.get("result", self.figures)
            self.refused = message.get("refused", self.refused)


def _send(child: subprocess.Popen[str], job: Job) -> None:
    assert child.stdin is not None
    try:
        child.stdin.write(json.dumps(asdict(job)) + "\n")
        child.stdin.flush()
    except BrokenPipeError:
        pass  # it died at once; its exit code tells


def _measure(pid: int, run: Run) -> None:
    try:
        run.memory_bytes = psutil.Process(pid).memory_info().rss
    except psutil.Error:  # it has just ended
        return
    run.peak_bytes = max(run.peak_bytes, run.memory_bytes)


def _wait_or_kill(child: subprocess.Popen[str]) -> None:
    try:
        child.wait(timeout=5)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _close(pipe: IO[str] | None) -> None:
    try:
        if pipe is not None:
            pipe.close()
    except OSError:  # what waits to be written has no reader any more
        pass


def _outcome(run: Run, messages: _Messages, code: int, *, interrupted: bool) -> Outcome:
    base: dict[str, Any] = {
        "seconds": round(time.monotonic() - run.started, 2),
        "peak_bytes": run.peak_bytes,
    }
    if code == 0 and messages.figures is not None:
        return Outcome(state="done", figures=messages.figures, **base)
    if code == 0 and messages.refused is not None:
        return Outcome(state="refused", message=messages.refused, **base)
    if interrupted:
        return Outcome(state="interrupted", message="interrupted", **base)
    how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    last = _last_line(Path(run.job.log))
    message = f"its process died in stage '{run.stage}' ({how}): {last}; see {run.job.log}"
    return Outcome(state="crashed", message=message, killed=code == -9, **base)


def _last_line(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LAST_LOG_BYTES))
        lines = file.read().decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "no output")
