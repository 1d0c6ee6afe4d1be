"""How often the window can be updated: two people's meshes on this machine's graphics card.

Costs are given in the processor's time, which other work on the machine does not change: an
update of the geometry in the thread that plays, and an update with its whole picture at 1280x800
over all threads (Filament without a window, with the picture read back). A window on a virtual
display (xvfb-run) gives the rates by the clock, which other work does change: how often it was
updated, and how often what the screen shows changed; with nothing in the scene that is what
Open3D's window itself takes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.common import Row, main, row

WANTED = 30.0
CORES = 2


def measure(quick: bool, pictures: Path | None) -> Iterator[Row]:
    with TemporaryDirectory() as folder:
        out = str(pictures or folder)
        drawn = _run([], "headless", out)
        shown, empty = (
            _played(Path(folder) / which, 5 if quick else 15) for which in ("window", "empty")
        )
    update, whole = drawn["update_ms"], drawn["picture_ms"]
    yield row("vertices of each of two people", drawn["vertices"], "")
    yield row("update of the geometry, its own thread", update, "ms CPU")
    yield row("updates per second of our own work", 1000 / update, "1/s", at_least=WANTED)
    yield row("update, redraw and read back, all threads", whole, "ms CPU")
    yield row("the same still, with smooth edges", drawn["smooth_ms"], "ms CPU")
    yield row(f"updates and redraws per second of {CORES} free cores", 1000 * CORES / whole, "1/s",
              at_least=WANTED)  # fmt: skip
    for name, found in (("window", shown), ("window with an empty scene", empty)):
        yield row(f"{name}: updates by the clock", found["updates"], "1/s")
        yield row(f"{name}: pictures on the screen by the clock", found["pictures"], "1/s")
        yield row(f"{name}: all threads, a picture", found["cost_ms"], "ms CPU")
        yield row(f"{name}: processes that wanted a core", found["load"], "")


def _played(out: Path, seconds: int) -> dict[str, float]:
    """A window on a screen of its own; Xvfb deletes its files some time after its end."""
    out.mkdir()
    screen = ["xvfb-run", "-a", "-s", f"-screen 0 1400x900x24 -fbdir {out}"]
    return _run(screen, out.name, str(out), str(seconds))


def _run(before: list[str], *words: str) -> dict[str, float]:
    """What `benchmarks.viewers_window` found."""
    if before and shutil.which(before[0]) is None:
        raise SystemExit("expected xvfb-run for a display; apt-get install xvfb")
    # Threads of small products only wait for one another.
    env = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [*before, sys.executable, "-m", "benchmarks.viewers_window", *words]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=200, env=env
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise SystemExit(done.stderr[-2000:])
    return json.loads(lines[-1])


if __name__ == "__main__":
    main("Viewers", measure)
