"""The batch on the terminal: what runs, what ended, what is left."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from recon.batch.book import Entry
from recon.batch.worker import Run

_SHOWN_RUNNING = 16
_BAR = 16
_NAME = 30


class BatchDisplay:
    """A live table on a terminal, a line for every video that ended elsewhere.

    Args:
        entries: of all videos, changed by others. running: those under way, changed by others.
        quiet: nothing is shown.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        running: Sequence[Run],
        *,
        quiet: bool = False,
        console: Console | None = None,
    ) -> None:
        self.console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._entries, self._running, self._quiet = entries, running, quiet
        self._started = time.monotonic()
        terminal = self.console.is_terminal and not self.console.is_dumb_terminal
        self._live = Live(
            console=self.console, get_renderable=self._table, refresh_per_second=4, transient=True
        ) if terminal and not quiet else None  # fmt: skip

    def __enter__(self) -> BatchDisplay:
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def ended(self, entry: Entry) -> None:
        """Says how a video ended."""
        if self._quiet:
            return
        count = sum(e.state != "waiting" for e in self._entries)
        people = f", people: {entry.figures['people']}" if entry.figures else ""
        what = f"done in {entry.seconds:.1f} s{people}" if entry.state == "done" else entry.state
        why = f": {entry.message}" if entry.message else ""
        line = f"{count}/{len(self._entries)} {entry.name}: {what}{why}"
        self.console.print(line.encode("utf-8", "replace").decode(), markup=False)

    def _table(self) -> Group:
        table = Table(box=None, pad_edge=False)
        for heading in ("video", "stage", "", "minutes", "memory", "try"):
            is_number = heading in ("minutes", "memory", "try")
            table.add_column(heading, justify="right" if is_number else "left", no_wrap=True)
        now = time.monotonic()
        for run in list(self._running)[:_SHOWN_RUNNING]:
            full = round(_BAR * min(max(run.fraction, 0.0), 1.0))
            table.add_row(
                Text(_short(run.job.name)), run.stage,
                Text("━" * full, "green") + Text("·" * (_BAR - full), "dim"),
                f"{(now - run.started) / 60:.1f}", f"{run.memory_bytes / 1e6:.0f} MB",
                str(run.attempt),
            )  # fmt: skip
        states = [entry.state for entry in self._entries]
        done, left = states.count("done"), states.count("waiting")
        failed = len(states) - done - left
        minutes = (now - self._started) / 60
        foot = f"{done} done, {failed} failed, {left} to do of {len(states)}, {minutes:.1f} min"
        return Group(table, Text(foot, "bold"))


def _short(name: str) -> str:
    """A name that leaves room for the other columns; its end tells like names apart."""
    return name if len(name) <= _NAME else f"{name[: _NAME // 2]}…{name[-_NAME // 2 + 1 :]}"
