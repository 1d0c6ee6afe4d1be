"""The command that works on many videos."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, ClassVar

import tyro
from tyro.conf import Positional

from recon.options import RunOptions


@dataclass(frozen=True, kw_only=True)
class Batch(RunOptions):
    """Turn many videos into scenes: each in a process of its own, resumable, with a gallery.

    Writes OUT/NAME for every video, index.html, batch.csv and logs. The same command goes on where
    it was, tries what failed again and takes up new videos. All flags of `recon run` apply to
    every video.
    """

    sources: Positional[tuple[Path, ...]]
    """Folders (searched with all below), videos, or .txt lists with one path per line."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")]
    """Folder to write, new or an earlier batch's."""
    jobs: Annotated[int | None, tyro.conf.arg(aliases=["-j"], metavar="N")] = None
    """Most videos at once; by default one for every core. Fewer where memory is short."""
    retries: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """How often a video whose process died is tried again."""
    engine: Annotated[str, tyro.conf.arg(metavar="ENGINE")] = "local"
    """local, dask (workers on this machine), or dask://HOST:PORT of a scheduler whose workers see
    the same folders (extra `batch`)."""
    json: bool = False
    """Print all rows as JSON on stdout and nothing else."""
    resumes: ClassVar[bool] = True

    def main(self) -> None:
        from recon.batch.command import BatchConfig, batch, check_all_done

        options = RunOptions(**{f.name: getattr(self, f.name) for f in fields(RunOptions)})
        config = BatchConfig(jobs=self.jobs, retries=self.retries, engine=self.engine)
        entries = batch(self.sources, self.out, options, config=config, quiet=self.json)
        if self.json:
            print(json.dumps([asdict(entry) for entry in entries], indent=1))
        else:
            print(f"gallery  {self.out / 'index.html'}")
        check_all_done(entries, self.out)
