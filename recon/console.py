"""What a run shows on the terminal: a progress bar per stage, on stderr."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from recon.core import stage

_PLAIN_REPORT_SECONDS = 30.0
"""Where there is no terminal, a long stage says this often how far it is."""


class TerminalWatcher:
    """Bars on a terminal; plain lines in a log."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        self.console.print(text, markup=False)

    @contextmanager
    def stage(self, name: str, why: str) -> Iterator[stage.Progress]:
        started = time.monotonic()
        if self.console.is_terminal:
            with self._bar(name, why) as progress:
                yield progress
        else:
            self.note(f"{name}: running ({why})")
            yield self._plain(name, started)
        self.note(f"{name}: done in {time.monotonic() - started:.1f} s")

    @contextmanager
    def _bar(self, name: str, why: str) -> Iterator[stage.Progress]:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as bars:
            task = bars.add_task(f"{name} ({why})", total=None)
            yield lambda done, total: bars.update(task, completed=done, total=total)

    def _plain(self, name: str, started: float) -> stage.Progress:
        last = started

        def progress(done: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last >= _PLAIN_REPORT_SECONDS:
                last = time.monotonic()
                self.note(f"{name}: {100 * done / max(total, 1):.0f} %")

        return progress
