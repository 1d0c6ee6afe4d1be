"""What every stage hands back beside its files: decisions, warnings and numbers, in plain words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Progress = Callable[[int, int], None]
"""Called with (done, total) while a stage works."""


def no_progress(done: int, total: int) -> None:
    """Ignores progress."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One choice the run made: what was decided, the value, and the evidence in one sentence."""

    name: str
    value: str
    why: str


@dataclass(frozen=True, kw_only=True)
class StageReport:
    """What a stage says about its result; kept in scene.json and shown in the report.

    Args:
        backend: the back-end that did the work.
        decisions, warnings: shown to the user. numbers: measured values, JSON-serialisable.
    """

    backend: str
    decisions: tuple[Decision, ...] = ()
    warnings: tuple[str, ...] = ()
    numbers: dict[str, Any] = field(default_factory=dict)
