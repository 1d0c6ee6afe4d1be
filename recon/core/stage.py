"""What every stage hands back beside its files: decisions, warnings and numbers, in plain words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

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
class Check:
    """A measured value beside the threshold that it is held against.

    Args:
        key: its name among the stage's numbers. what: the value, in words.
        passes: on which side of the limit it says `says`.
        unit: "" for a ratio, "%" for a share (value and limit 0-1).
    """

    key: str
    what: str
    value: float
    limit: float
    passes: Literal["below", "above"]
    says: str
    unit: str = ""

    @property
    def holds(self) -> bool:
        """Whether the value lies on the side that says so."""
        if self.passes == "below":
            return self.value <= self.limit
        return self.value >= self.limit

    def text(self, number: float) -> str:
        """A number of this kind as words, for example "0.31 px" or "70 %"."""
        if self.unit == "%":
            return f"{100 * number:.3g} %"
        return f"{number:.3g} {self.unit}".rstrip()


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
