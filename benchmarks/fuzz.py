"""Odd inputs, some 530: each must end in a result or in one clear line, nothing half-written.

All run in one process, so that they are cheap; should one kill it or hang, that is its outcome,
and another process goes on with the next.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import Row, main
from benchmarks.fuzz_files import file_cases
from benchmarks.fuzz_given import given_cases
from benchmarks.fuzz_media import Odd, media_cases
from benchmarks.fuzz_scenes import scene_cases

_LIMIT_SECONDS = 240
_EVERY_QUICK = 8
"""A quick measurement takes every so-manieth input."""
_HALF_WRITTEN = re.compile(r"\.(.+\.)?([a-z0-9_]{8}|\d+\.part)|.*\.part")
_MOST_KB = 3_000_000
"""An input may make the process grow by so much; a bomb would by more, or by all."""
_MARK = "@fuzz "


def all_cases() -> list[Odd]:
    """Every odd input, in the same order each time."""
    return [*media_cases(), *file_cases(), *scene_cases(), *given_cases()]


def measure(quick: bool, pictures: Path | None) -> Iterator[Row]:
    """A row for each kind of end, and one for every input that ended badly."""
    cases = all_cases()
    groups = {case.name: case.group for case in cases}
    numbers = list(range(0, len(cases), _EVERY_QUICK if quick else 1))
    ends = []
    for end in map(_with_code, run_cases(numbers)):
        ends.append(end)
        if end["problem"]:
            print(f"--- {end['name']}: {end['problem']}", file=sys.stderr)
        if pictures is not None:
            _write(pictures / "fuzz.tsv", ends)
    bad = [end for end in ends if end["problem"]]
    yield Row(name="odd inputs", value=len(ends), unit="")
    for group in dict.fromkeys(groups.values()):
        good = [e for e in ends if groups[e["name"]] == group and not e["problem"]]
        results = sum(e["code"] == 0 for e in good)
        yield Row(name=f"{group}: ended in a result", value=results, unit="")
        yield Row(name=f"{group}: in one clear line", value=len(good) - results, unit="")
    yield Row(name="ended otherwise", value=len(bad), unit="", target="0", ok=not bad)
    yield Row(name="CPU", value=round(sum(e["cpu"] for e in ends), 1), unit="s")
    for end in bad:
        yield Row(name=f"{end['name']}: {end['problem']}"[:90], value=end["code"], unit="exit",
                  target="0 or 2", ok=False)  # fmt: skip


def _write(path: Path, ends: Sequence[dict[str, Any]]) -> None:
    """All ends so far, a line each: name, exit code, seconds, what is wrong or was said."""
    cells = (
        (e["name"], e["code"], f"{e['seconds']:.1f}", e["problem"] or e["message"]) for e in ends
    )
    lines = (" ".join("\t".join(map(str, row)).split("\n")) for row in cells)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _with_code(end: dict[str, Any]) -> dict[str, Any]:
    return {"code": -1, "message": "", "seconds": 0.0, "cpu": 0.0, **end}


def run_cases(numbers: Sequence[int]) -> Iterator[dict[str, Any]]:
    """The end of every case of these numbers, in order."""
    left = list(numbers)
    while left:
        command = [sys.executable, "-m", "benchmarks.fuzz", "--cases", ",".join(map(str, left))]
        begun: dict[str, Any] = {}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for line in child.stdout:
                message = json.loads(line.removeprefix(_MARK))
                if "end" not in message:
                    begun = message
                    continue
                left.pop(0)
                begun = {}
                yield message["end"]
        if not begun and left:
            raise SystemExit("expected the process of the cases to start; see its error above")
        if begun:
            left.pop(0)
            why = f"killed the process, exit {child.returncode}"
            yield {"name": begun["name"], "problem": why, "code": child.returncode}


# In the process of the cases --------------------------------------------------------------------


def _work(numbers: Sequence[int]) -> None:
    """Runs cases; says before and after each on the original stdout."""
    talk = os.fdopen(os.dup(1), "w", encoding="utf-8")
    cases = all_cases()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # a hang ends the process: that is its outcome
    for number in numbers:
        case = cases[number]
        print(_MARK + json.dumps({"name": case.name}), file=talk, flush=True)
        signal.alarm(_LIMIT_SECONDS)
        print(_MARK + json.dumps({"end": _end(case)}), file=talk, flush=True)
        signal.alarm(0)


def _end(case: Odd) -> dict[str, Any]:
    """How a case ended: exit code, message, and what is wrong with that, if anything."""
    folder = Path(tempfile.mkdtemp(prefix="recon_fuzz_"))
    before, started, cpu = os.getcwd(), time.monotonic(), time.process_time()
    try:
        os.chdir(folder)
        args = case.make(folder)
        if args[0] == "run" and "--scene" not in args:
            args = [*args, "--scene", folder / "the scene"]
        files = _listing(folder)
        most = _peak_kb()
        code, output = _call([os.fspath(a) for a in args], folder, case.full_after)
        grown = _peak_kb() - most
        lines = [line for line in output.splitlines() if line.startswith(("recon: ", "╭─"))]
        return {
            "name": case.name,
            "code": code,
            "message": lines[-1] if lines else "",
            "problem": _problem(code, output, lines)
            or _left_behind(folder, files, args[0], code)
            or _memory(grown),
            "seconds": time.monotonic() - started,
            "cpu": time.process_time() - cpu,
        }
    except Exception:
        return {"name": case.name, "problem": f"not made: {traceback.format_exc()[-400:]}"}
    finally:
        os.chdir(before)
        shutil.rmtree(folder, ignore_errors=True)


def _call(args: list[str], folder: Path, full_after: int | None) -> tuple[int, str]:
    """Exit code and everything printed by `recon args`, native libraries included."""
    from recon import cli

    log = folder.with_name(f"{folder.name}.log")
    kept = [os.dup(1), os.dup(2)]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with log.open("wb") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
        try:
            if full_after is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (full_after, limits[1]))
            cli.main(args)
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        except BaseException:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            traceback.print_exc()
            code = 1
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            sys.stdout.flush()
            sys.stderr.flush()
            for number, old in zip((1, 2), kept, strict=True):
                os.dup2(old, number)
                os.close(old)
    output = log.read_text("utf-8", "replace")
    log.unlink()
    return code, output


def _problem(code: int, output: str, lines: list[str]) -> str | None:
    if code not in (0, 2) or "Traceback" in output:
        last = [line for line in output.splitlines() if line.strip()][-1:]
        return f"exit {code}: {' '.join(last)[-200:]}"
    if "Warning:" in output:
        return next(line for line in output.splitlines() if "Warning:" in line)[-200:]
    if code == 2 and len(lines) != 1:
        return f"{len(lines)} messages"
    return "a message beside a result" if code == 0 and lines else None


def _peak_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _memory(grown_kb: int) -> str | None:
    return f"took {grown_kb / 1e6:.1f} GB" if grown_kb > _MOST_KB else None


def _listing(folder: Path) -> set[Path]:
    return {p for p in folder.rglob("*") if not p.is_dir()}


def _left_behind(folder: Path, before: set[Path], command: object, code: int) -> str | None:
    """What is half-written or lost, or a scene that does not open."""
    from recon.core.errors import ReconError
    from recon.core.scene import Scene

    now = _listing(folder)
    if lost := before - now:
        return f"lost: {min(lost).name}"
    made = [p.relative_to(folder).parts for p in now - before]
    half = [parts[-1] for parts in made if any(map(_HALF_WRITTEN.fullmatch, parts))]
    if half:
        return f"half-written: {', '.join(half[:3])}"
    for place in {p.parent for p in now - before if p.name == "scene.json"}:
        try:
            scene = Scene.open(place)
            if code == 0 and command == "run":
                _ = scene.tracks, scene.camera, scene.world_motions
        except ReconError as error:
            return f"a scene that does not open: {error}"[:200]
        if code == 2 and not scene.manifest["stages"]:
            return "an empty scene"
    return None


if __name__ == "__main__":
    if sys.argv[1:2] == ["--cases"]:
        _work([int(number) for number in sys.argv[2].split(",")])
    else:
        main("Odd inputs", measure)
