"""`recon batch`: the whole of it, from sources to a gallery."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from recon.batch.book import LOGS, NAMES, THUMBNAILS, Book, Entry, identity
from recon.batch.cluster import DaskPool
from recon.batch.local import LocalPool, default_jobs
from recon.batch.sources import find_videos, name_scenes
from recon.batch.table import BatchDisplay
from recon.batch.worker import Job
from recon.core.errors import InputError, ReconError
from recon.options import RunOptions

_SAVE_SECONDS = 2.0
"""Of many short videos, batch.csv and the page are written no more often than this."""


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """How a batch runs.

    Args:
        jobs: the most videos at once, None for what the cores carry. retries: after a crash.
        engine: "local", "dask" for Dask workers here, or "dask://HOST:PORT".
        module: what each job's process runs.
    """

    jobs: int | None = None
    retries: int = 1
    engine: str = "local"
    module: str = "recon.batch.job"

    def __post_init__(self) -> None:
        if self.jobs is not None and not 1 <= self.jobs <= 1000:
            raise InputError(f"--jobs: expected 1 to 1000, got {self.jobs}")
        if not 0 <= self.retries <= 100:
            raise InputError(f"--retries: expected 0 to 100, got {self.retries}")
        if self.engine not in ("local", "dask") and not self.engine.startswith("dask://"):
            raise InputError(
                f"--engine: expected local, dask or dask://HOST:PORT, got {self.engine!r}"
            )


def batch(
    sources: Sequence[Path],
    out: Path,
    options: RunOptions | None = None,
    *,
    config: BatchConfig | None = None,
    quiet: bool = False,
) -> list[Entry]:
    """One entry for every video of the sources, its scene in a folder of `out`.

    Videos that an earlier batch into `out` finished are kept; the others go on where they were.

    Args:
        sources: as `find_videos` takes them. options: of every run.

    Raises:
        InputError: a source, an option or the folder cannot be used. A video that cannot be used
            is an entry.
    """
    from filelock import FileLock, Timeout

    from recon.pipeline import check_backends

    options, config = options or RunOptions(), config or BatchConfig()
    check_backends(options)  # what no video could pass
    out = Path(os.path.expanduser(out)).absolute()
    book = Book.open(out)
    videos = find_videos(sources, out=out, image_folders=options.fps is not None)
    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(f"--out: expected to be the only batch on {out}, got another") from None
    with lock:
        return _work(book, videos, options, config, quiet=quiet)


def check_all_done(entries: Sequence[Entry], out: Path) -> None:
    """Raises ReconError that names the videos which did not become scenes."""
    bad = [entry for entry in entries if entry.state != "done"]
    if bad:
        shown = "; ".join(f"{entry.name} ({entry.message})" for entry in bad[:3])
        more = f"; and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise ReconError(
            f"expected all {len(entries)} videos to become scenes, got {len(bad)} that did not: "
            f"{shown}{more}; see {out / 'index.html'}; the same command tries them again"
        )


def _work(
    book: Book, videos: Sequence[Path], options: RunOptions, config: BatchConfig, *, quiet: bool
) -> list[Entry]:
    settings = options.to_json()
    entries = _entries(book, videos, settings)
    waiting = [entry for entry in entries if entry.state == "waiting"]
    limit = config.jobs or default_jobs()
    jobs = [_job(book.out, entry, settings, config.module) for entry in waiting]
    by_scene = {entry.name: entry for entry in waiting}
    pool = (
        LocalPool(min(limit, len(jobs) or 1), retries=config.retries)
        if config.engine == "local"
        else DaskPool(config.engine, limit, retries=config.retries)
    )
    _save(book)
    saved = time.monotonic()
    try:
        with (
            BatchDisplay(entries, pool.running, quiet=quiet) as display,
            closing(pool.work(jobs)) as ends,
        ):
            for run, outcome in ends:
                entry = by_scene[run.job.name]
                entry.take(outcome, attempts=run.attempt)
                display.ended(entry)
                if time.monotonic() - saved > _SAVE_SECONDS:
                    _save(book)
                    saved = time.monotonic()
    finally:
        _save(book)
    return entries


def _entries(book: Book, videos: Sequence[Path], settings: dict[str, object]) -> list[Entry]:
    """The entries of the videos; those that are done and unchanged stay so."""
    known = {video: entry.name for video, entry in book.entries.items()}
    taken = [path.name for path in book.out.iterdir() if path.name not in known.values()]
    names = name_scenes(videos, known=known, taken=(*taken, *NAMES))
    entries = []
    for video in videos:
        entry = book.entries.setdefault(str(video), Entry(video=str(video), name=names[video]))
        now = identity(video, settings)
        scene = book.out / entry.name / "scene.json"
        if entry.state != "done" or entry.identity != now or not scene.is_file():
            entry.state, entry.message, entry.identity = "waiting", "", now
            entry.figures = {}
        entries.append(entry)
    return entries


def _job(out: Path, entry: Entry, settings: dict[str, object], module: str) -> Job:
    return Job(
        video=entry.video, name=entry.name, options=settings, module=module,
        scene=str(out / entry.name), log=str(out / LOGS / f"{entry.name}.log"),
        thumbnail=str(out / THUMBNAILS / f"{entry.name}.jpg"),
    )  # fmt: skip


def _save(book: Book) -> None:
    from recon.batch.gallery import write_gallery

    book.save()
    write_gallery(book.out, list(book.entries.values()))
