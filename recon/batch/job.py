"""One video of a batch, in a process of its own: `python -m recon.batch.job`.

Reads a job as one JSON line on stdin, writes JSON lines on stdout: progress, then a result or a
refusal. It ends at once when stdin does, that is when whoever started it has died.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from recon.core.errors import user_message
from recon.core.stage import Progress

EXIT_ORPHANED = 75
_REPORT_SECONDS = 0.5


class PipeWatcher:
    """Tells the parent process which stage runs and how far it is."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._last = 0.0

    def say(self, **message: Any) -> None:
        self._stream.write(json.dumps(message) + "\n")
        self._stream.flush()

    @contextmanager
    def stage(self, name: str, why: str) -> Iterator[Progress]:
        self.say(stage=name, fraction=0.0)

        def progress(done: int, total: int) -> None:
            if time.monotonic() - self._last >= _REPORT_SECONDS:
                self._last = time.monotonic()
                self.say(stage=name, fraction=done / max(total, 1))

        started = time.monotonic()
        yield progress
        self.note(f"{name}: done in {time.monotonic() - started:.1f} s ({why})")

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)  # the video's log

    def status(self, text: str) -> None:
        pass


def main() -> None:
    """Works on the job that stdin holds."""
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # What libraries print to stdout must not pass for messages: it goes to the log.
    messages = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    if job["cores"] and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, job["cores"])
    watcher = PipeWatcher(messages)
    try:
        watcher.say(result=_work(job, watcher))
    except Exception as error:
        message = user_message(error)
        if message is None:
            raise  # a bug: the traceback is in the log
        print(message, file=sys.stderr)
        watcher.say(refused=message)


def _work(job: dict[str, Any], watcher: PipeWatcher) -> dict[str, Any]:
    from recon.batch.figures import figures, write_thumbnail
    from recon.options import RunOptions
    from recon.pipeline import run

    options = RunOptions.from_json(job["options"])
    scene = run(job["video"], job["scene"], options, watcher=watcher)
    write_thumbnail(scene, job["thumbnail"])
    return figures(scene)


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(EXIT_ORPHANED)  # stages are resumable, and the lock goes with the process


if __name__ == "__main__":
    main()
