"""Rows, tables and files that every benchmark prints and writes alike."""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.table import Table

DATA = Path(__file__).parents[2] / "shared" / "data"
"""Real videos with and without ground truth, beside the checkout."""

_PACKAGES = ("numpy", "scipy", "torch", "opencv-python", "av", "ai-edge-litert", "pycolmap", "anny")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured number; `ok` is None where there is no target."""

    name: str
    value: float
    unit: str
    target: str | None = None
    ok: bool | None = None


def row(
    name: str,
    value: float,
    unit: str,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
) -> Row:
    """A row whose target, if any, is an upper or a lower bound."""
    value = round(float(value), 4)
    if at_most is not None:
        return Row(
            name=name, value=value, unit=unit, target=f"<= {at_most}", ok=bool(value <= at_most)
        )
    if at_least is not None:
        return Row(
            name=name, value=value, unit=unit, target=f">= {at_least}", ok=bool(value >= at_least)
        )
    return Row(name=name, value=value, unit=unit)


def in_sections(sections: Mapping[str, Callable[[], Iterable[Row]]]) -> Iterator[Row]:
    """The rows of one section after another; one that fails costs its own rows alone."""
    for name, rows in sections.items():
        started = time.perf_counter()
        try:
            yield from rows()
        except Exception:  # hours of the other sections would be lost
            traceback.print_exc()
            yield Row(name=f"{name}: failed", value=0, unit="", target="measured", ok=False)
        print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)


def main(title: str, measure: Callable[[bool, Path | None], Iterable[Row]]) -> None:
    """Runs a benchmark from the command line: `[--quick] [--json FILE]`.

    Args:
        measure: called with (quick, folder for pictures or None), yields rows.
    """
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--quick", action="store_true", help="end within five minutes")
    parser.add_argument("--json", type=Path, help="also write rows here; pictures go beside it")
    args = parser.parse_args()
    if not DATA.is_dir():
        parser.error(f"expected the sample videos in {DATA}")
    pictures = args.json.parent if args.json else None
    rows = list(measure(args.quick, pictures))
    table = Table(title=title)
    for heading in ("name", "value", "unit", "target", "ok"):
        table.add_column(heading, justify="right" if heading == "value" else "left")
    for r in rows:
        mark = "" if r.ok is None else "yes" if r.ok else "NO"
        table.add_row(r.name, f"{r.value:g}", r.unit, r.target or "", mark)
    Console(width=120).print(table)
    if args.json:
        args.json.write_text(
            json.dumps({**_provenance(), "rows": [asdict(r) for r in rows]}, indent=1)
        )


def _provenance() -> dict[str, object]:
    """The commit, the machine and the library versions that a table was measured with."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    versions: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "absent"
    return {
        "commit": commit.stdout.strip(),
        "machine": f"{platform.machine()} {platform.processor()}".strip(),
        "python": platform.python_version(),
        "versions": versions,
    }
