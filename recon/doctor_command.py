"""`recon doctor` on the terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from recon.doctor import Finding, check_ready, examine

_STYLES = {"ok": "green", "absent": "yellow", "broken": "bold red", "note": "yellow"}


def doctor(*, body_model_path: Path | None, as_json: bool) -> None:
    """Prints what was found.

    Raises:
        InputError: the default job cannot run here.
    """
    findings = _look(body_model_path, quiet=as_json)
    if as_json:
        ready = all(f.state == "ok" for f in findings if f.needed)
        print(json.dumps({"ready": ready, "findings": [asdict(f) for f in findings]}, indent=1))
    else:
        _show(findings)
    check_ready(findings)
    if not as_json:
        print("The default job can run: recon run VIDEO (or recon demo)")


def _look(body_model_path: Path | None, *, quiet: bool) -> list[Finding]:
    from rich.console import Console

    if quiet:
        return examine(body_model_path=body_model_path)
    with Console(stderr=True).status("trying every package"):
        return examine(body_model_path=body_model_path)


def _show(findings: Sequence[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in ("", "", "", "found"):
        table.add_column(heading, overflow="fold")
    group = None
    for f in findings:
        state = "MISSING" if f.needed and f.state == "absent" else f.state
        style = "bold red" if f.needed and f.state != "ok" else _STYLES[f.state]
        name = f.group if f.group != group else ""
        table.add_row(Text(name, "bold"), Text(f.name), Text(state, style), Text(f.found))
        group = f.group
    console = Console(highlight=False)
    console.print(table)
    if fixes := [f for f in findings if f.fix]:
        print("\nWhat mends or adds what is not there:")
        for f in fixes:  # whole lines, so that they can be copied
            print(f"  {f.name}:\n    {f.fix}")
        print()
