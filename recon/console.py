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
_WIDE = 120
"""Columns of a terminal that has room for a long bar."""


class TerminalWatcher:
    """Bars on a terminal; plain lines in a log.

    Args:
        quiet: notes alone are shown. console: default stderr.
    """

    def __init__(self, *, quiet: bool = False, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self.quiet = quiet
        self._status = ""

    def note(self, text: str) -> None:
        self.console.print(text, markup=False)

    def status(self, text: str) -> None:
        self._status = text

    @contextmanager
    def stage(self, name: str, why: str) -> Iterator[stage.Progress]:
        self._status = ""
        if self.quiet:
            yield stage.no_progress
            return
        started = time.monotonic()
        if self.console.is_terminal and not self.console.is_dumb_terminal:
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
            BarColumn(bar_width=40 if self.console.width >= _WIDE else 10),
            TaskProgressColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as bars:
            task = bars.add_task(f"{name} ({why})", total=None)

            def progress(done: int, total: int) -> None:
                text = f"{name}: {self._status}" if self._status else f"{name} ({why})"
                bars.update(task, completed=done, total=total, description=text)

            yield progress

    def _plain(self, name: str, started: float) -> stage.Progress:
        last = started

        def progress(done: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last >= _PLAIN_REPORT_SECONDS:
                last = time.monotonic()
                rest = f", {self._status}" if self._status else ""
                self.note(f"{name}: {100 * done / max(total, 1):.0f} %{rest}")

        return progress
