"""What a batch has done so far: batch.json, and batch.csv for people and spreadsheets."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from itertools import chain
from pathlib import Path
from typing import Any, Literal, get_args

from recon import __version__
from recon.batch.worker import Outcome
from recon.core.errors import InputError, StaleSceneError
from recon.core.storage import write_atomic
from recon.core.untrusted import check_inside, check_kinds, read_json

BOOK, TABLE, GALLERY, LOGS, THUMBNAILS = "batch.json", "batch.csv", "index.html", "logs", "thumbs"
NAMES = (BOOK, TABLE, GALLERY, LOGS, THUMBNAILS)
"""What else lies in a batch's folder beside the scenes."""
_SCHEMA = 1
_COLUMNS = (
    "width", "height", "fps", "frames", "duration_s", "people", "longest_person_frames", "camera",
    "camera_tracked_percent", "reprojection_px", "scale_std_percent", "warnings", "work_s",
)  # fmt: skip

_NUMBER = (int, float)
_ENTRY = {
    "video": str, "name": str, "state": str, "message": str, "attempts": int, "seconds": _NUMBER,
    "peak_mb": _NUMBER, "identity": str, "figures": dict,
}  # fmt: skip
_FIGURES = {
    "width": int, "height": int, "frames": int, "duration_s": _NUMBER, "people": int,
    "camera": str, "reprojection_px": (*_NUMBER, type(None)), "warnings": int,
    "scale_std_percent": (*_NUMBER, type(None)), "outputs": dict,
}  # fmt: skip
"""What the page shows."""

EntryState = Literal["waiting", "done", "refused", "crashed", "interrupted"]


@dataclass(kw_only=True)
class Entry:
    """A video of the batch. identity: of the file and the options that the state is about."""

    video: str
    name: str
    state: EntryState = "waiting"
    message: str = ""
    attempts: int = 0
    seconds: float = 0.0
    peak_mb: float = 0.0
    identity: str = ""
    figures: dict[str, Any] = field(default_factory=dict)

    def take(self, outcome: Outcome, *, attempts: int) -> None:
        """Notes how the video's last attempt ended."""
        self.state, self.message, self.attempts = outcome.state, outcome.message, attempts
        self.seconds, self.peak_mb = outcome.seconds, round(outcome.peak_bytes / 1e6, 1)
        self.figures = outcome.figures


class Book:
    """The entries of a batch by video path, kept in its folder."""

    def __init__(self, out: Path, entries: Mapping[str, Entry]) -> None:
        self.out = out
        self.entries = dict(entries)

    @classmethod
    def open(cls, out: Path) -> Book:
        """The book in a batch's folder, empty where the folder is new.

        Raises:
            InputError: the folder is a file or holds something else.
            StaleSceneError: its book cannot be read.
        """
        if out.exists() and not out.is_dir():
            raise InputError(f"--out: expected a folder, got the file {out}")
        file = out / BOOK
        if not file.exists():
            if out.is_dir() and any(not p.name.startswith(".") for p in out.iterdir()):
                raise InputError(
                    f"--out: expected a new folder or an earlier batch's, got {out} with other "
                    "files in it"
                )
            return cls(out, {})
        known = {f.name for f in fields(Entry)}
        try:
            data = read_json(file)
            if data["schema"] != _SCHEMA:
                raise ValueError(f"schema {data['schema']}")
            for row in data["videos"]:
                _check_row(row)
            entries = [
                Entry(**{k: v for k, v in row.items() if k in known}) for row in data["videos"]
            ]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StaleSceneError(
                f"expected a readable {file} of this version, got: {type(error).__name__} "
                f"{error}; use another --out"
            ) from error
        return cls(out, {entry.video: entry for entry in entries})

    def save(self) -> None:
        """Writes batch.json and batch.csv."""
        rows = [asdict(entry) for entry in self.entries.values()]
        text = json.dumps({"schema": _SCHEMA, "videos": rows}, indent=1)
        write_atomic(self.out / BOOK, lambda file: file.write(text.encode()))
        write_atomic(self.out / TABLE, lambda file: file.write(_table(self.entries.values())))


def identity(video: Path, options: Mapping[str, Any]) -> str:
    """A text that changes when the video's file, the options or the version do."""
    try:
        stat = os.stat(video)
        file = [stat.st_size, stat.st_mtime_ns]
    except (OSError, ValueError):  # an absent video is a row, not an end
        file = []
    return json.dumps([__version__, file, options], sort_keys=True)


def _check_row(row: Any) -> None:
    """Raises ValueError unless the row is an entry as `save` writes it."""
    check_kinds("a video", row, _ENTRY)
    if Path(row["name"]).name != row["name"] or row["name"] in ("", ".", ".."):
        raise ValueError(f"a scene named {row['name']!r:.80}")
    if row["state"] not in get_args(EntryState):
        raise ValueError(f"the state {row['state']!r:.80}")
    if row["state"] == "done":
        check_kinds("figures", row["figures"], _FIGURES)
        for file in chain.from_iterable(row["figures"]["outputs"].values()):
            check_inside(file)


def _table(entries: Iterable[Entry]) -> bytes:
    text = io.StringIO()
    head = ("name", "state", *_COLUMNS, "attempts", "seconds", "peak_mb", "video", "message")
    writer = csv.DictWriter(text, head)
    writer.writeheader()
    for entry in entries:
        row = {**entry.figures, **asdict(entry)}
        writer.writerow({key: row.get(key, "") for key in head})
    # Undecodable file names; the mark tells spreadsheets that this is UTF-8.
    return text.getvalue().encode("utf-8-sig", "replace")
