"""What a terminal, a log and `--json` get to see of a running stage."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from recon import console
from recon.console import TerminalWatcher


@pytest.fixture(autouse=True)
def capable_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever terminal the tests run in."""
    monkeypatch.setenv("TERM", "xterm")


def shown(*, terminal: bool, quiet: bool = False, width: int = 80) -> str:
    """What is printed of one stage with a status and a note."""
    file = io.StringIO()
    screen = Console(file=file, force_terminal=terminal, width=width, color_system=None)
    watcher = TerminalWatcher(quiet=quiet, console=screen)
    with watcher.stage("work", "because") as progress:
        watcher.status("7 things, 3.0 it/s")
        progress(250, 1000)
        watcher.note("look here")
        progress(1000, 1000)
    return file.getvalue()


@pytest.mark.parametrize("width", [80, 160])
def test_a_terminal_shows_a_bar_with_the_status_in_one_line(width: int) -> None:
    lines = shown(terminal=True, width=width).replace("\x1b[2K", "\n").splitlines()
    bars = [line for line in lines if "work: 7 things, 3.0 it/s" in line]
    assert bars and all(len(line.strip()) <= width for line in bars)
    assert any("25%" in line or "100%" in line for line in bars)


def test_a_log_gets_the_status_at_long_intervals_and_no_bar(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = shown(terminal=False)
    assert "7 things" not in text and "\x1b" not in text
    assert text.startswith("work: running (because)\nlook here\nwork: done in")
    monkeypatch.setattr(console, "_PLAIN_REPORT_SECONDS", 0.0)
    assert "work: 25 %, 7 things, 3.0 it/s\n" in shown(terminal=False)


def test_a_terminal_that_cannot_redraw_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert shown(terminal=True).startswith("work: running (because)")


@pytest.mark.parametrize("terminal", [False, True])
def test_a_quiet_one_shows_notes_alone(terminal: bool) -> None:
    assert shown(terminal=terminal, quiet=True) == "look here\n"
