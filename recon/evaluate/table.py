"""An evaluation as a table on the terminal."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table

from recon.evaluate.figures import FIGURES, levels, shown
from recon.evaluate.scenes import Evaluation

_FIXED, _COLUMN = 52, 11
"""Characters that labels, means and units take, and one person does; more people than fit are left
out, their means stay."""


_WIDE = 100
"""Characters a line from which there is room for published levels."""


def print_table(result: Evaluation, console: Console | None = None) -> None:
    """Prints all figures by group, per person and together.

    Beside them stand the lowest published levels, which are those of other clips.
    """
    console = console or Console()
    room = (console.width - _FIXED) // _COLUMN
    people = result.people if len(result.people) <= room else ()
    table = Table(title=f"{result.predicted} against {result.truth} ({result.protocol.name})")
    table.add_column("", no_wrap=True)
    table.add_column("all", justify="right", style="bold", no_wrap=True, min_width=6)
    for person in people:
        table.add_column(f"person {person.truth_id}", justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    wide = console.width >= _WIDE
    if wide:
        table.add_column("published", style="dim")
    group = None
    for name, figure in FIGURES.items():
        if not is_defined(result, name):
            continue
        cells = person_cells(result, name) if people else []
        if figure.group != group:
            group = figure.group
            table.add_section()
            table.add_row(f"[italic]{group}[/italic]")
        value = shown(name, result.summary[name])
        published = [levels(name, 2)] if wide else []
        table.add_row(figure.label, value, *cells, figure.unit, *published)
    console.print(table)
    for line in remarks(result):
        console.print(line, markup=False, highlight=False)


def is_defined(result: Evaluation, name: str) -> bool:
    """Whether a figure has a value for anybody."""
    values = [result.summary[name], *(p.figures.get(name, math.nan) for p in result.people)]
    return any(math.isfinite(value) for value in values)


def person_cells(result: Evaluation, name: str) -> list[str]:
    """A figure of every person as text; empty texts where it is not one of people."""
    if not any(name in p.figures for p in result.people):
        return [""] * len(result.people)
    return [shown(name, p.figures.get(name)) for p in result.people]


def remarks(result: Evaluation) -> list[str]:
    """What to know beside the figures, in sentences."""
    found = len(result.people)
    out = [f"{result.num_frames} frames, {found} of {found + len(result.missed)} people found"]
    if result.missed:
        out.append(f"nobody was found for: person {', '.join(map(str, result.missed))}")
    if result.extra:
        out.append(f"found, but nobody's: person {', '.join(map(str, result.extra))}")
    return [*out, *(f"note: {text}" for text in result.notes)]
