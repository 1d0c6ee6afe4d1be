"""Runs steps over a scene folder: skip, resume, force, one run at a time."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from recon import __version__
from recon.core.errors import InputError
from recon.core.scene import STAGE_INPUTS, Scene, StageName
from recon.core.stage import Progress, StageReport, no_progress

STAGES: tuple[StageName, ...] = tuple(STAGE_INPUTS)
"""All stages in order."""
_LEFTOVER = re.compile(r"\..+\.([a-z0-9_]{8}|\d+\.part)")
"""Names of files half-written by a killed run: `write_atomic`'s and `Mp4Writer`'s."""


class Watcher(Protocol):
    """Who is told what a run does."""

    def stage(self, name: str, why: str) -> AbstractContextManager[Progress]:
        """Called around a stage that runs, with the reason why it does."""
        ...

    def note(self, text: str) -> None:
        """One line for the user."""
        ...

    def status(self, text: str) -> None:
        """What the running stage says of itself, shown with its next progress."""
        ...


class Silent:
    """A watcher that says nothing."""

    @contextmanager
    def stage(self, name: str, why: str) -> Iterator[Progress]:
        yield no_progress

    def note(self, text: str) -> None:
        pass

    def status(self, text: str) -> None:
        pass


@dataclass(frozen=True, kw_only=True)
class Step:
    """A stage with its settings; `work` writes the stage's files into the scene."""

    name: StageName
    config: Any
    work: Callable[[Progress], StageReport]


@dataclass(frozen=True, kw_only=True)
class Output:
    """Files made from finished stages that no other stage reads: overlay, report, exports.

    Args:
        needs: stages whose results it shows. settings: JSON-native, remade when they change.
        work: makes the files and returns them.
    """

    name: str
    needs: tuple[StageName, ...]
    work: Callable[[Progress], Sequence[Path]]
    settings: Mapping[str, Any] = field(default_factory=dict)


def run_steps(
    scene: Scene,
    steps: Sequence[Step],
    *,
    only: Collection[str] | None = None,
    force: Collection[str] = (),
    watcher: Watcher,
) -> None:
    """Runs the steps that are stale, in order, and records each.

    Args:
        only: names of the steps to run; the others stay as they are. force: run these anyway.
    """
    for step in steps:
        stale = scene.why_stale(step.name, step.config, __version__)
        if only is not None and step.name not in only:
            if stale is not None:
                watcher.note(f"{step.name}: left as it is because of --stages ({stale})")
            continue
        why = "forced" if step.name in force else stale
        if why is None:
            watcher.note(f"{step.name}: up to date")
            continue
        # Without its record, a stage that is killed while it writes can never pass for done.
        scene.forget(step.name)
        started = time.perf_counter()
        with watcher.stage(step.name, why) as progress:
            report = step.work(progress)
        seconds = time.perf_counter() - started
        scene.record(step.name, step.config, report, seconds=seconds, code_version=__version__)
        for warning in report.warnings:
            watcher.note(f"{step.name}: warning: {warning}")


def make_output(scene: Scene, output: Output, *, force: bool = False, watcher: Watcher) -> None:
    """Makes an output's files unless they are up to date with the stages they show.

    Of the files that it made before, those of an older result go first; those that other
    settings made of the same result stay its files.
    """
    stages = scene.manifest["stages"]
    record = {
        "inputs": {name: stages.get(name, {}).get("output") for name in output.needs},
        "settings": dict(output.settings),
        "code_version": __version__,
    }
    done = dict(scene.manifest.get("outputs", {}))
    old = done.pop(output.name, None)
    why = "forced" if force else _why_remake(scene, record, old)
    if why is None:
        watcher.note(f"{output.name}: up to date")
        return
    kept = [name for name in old["files"] if (scene.path / name).exists()] if old else []
    if old and any(old.get(key) != record[key] for key in ("inputs", "code_version")):
        for name in kept:  # a person's file, say, who is no longer found
            if (scene.path / name).resolve().is_relative_to(scene.path.resolve()):
                (scene.path / name).unlink()  # and not what a link leads to outside
        kept = []
    scene.note("outputs", done)
    with watcher.stage(output.name, why) as progress:
        paths = output.work(progress)
    files = list(dict.fromkeys([*(os.path.relpath(p, scene.path) for p in paths), *kept]))
    scene.note("outputs", {**done, output.name: {**record, "files": files}})


def _why_remake(
    scene: Scene, record: Mapping[str, Any], old: Mapping[str, Any] | None
) -> str | None:
    if old is None:
        return "not made yet"
    if old.get("inputs") != record["inputs"]:
        return "the stages it shows changed"
    if {key: old.get(key) for key in record} != record:
        return "its settings or the version changed"
    if not all((scene.path / name).exists() for name in old["files"]):
        return "its files are gone"
    return None


def output_files(scene: Scene) -> dict[str, list[str]]:
    """The files of every output that was made, as paths that start with the scene's own."""
    outputs = scene.manifest.get("outputs", {})
    return {
        name: [str(scene.path / file) for file in record["files"]]
        for name, record in outputs.items()
    }


@contextmanager
def locked_scene(path: Path) -> Iterator[Scene]:
    """The scene at `path`, made if need be, which no other run can change meanwhile.

    Files that killed runs left half-written are removed.

    Raises:
        InputError: another run works on it, or the folder cannot be one.
    """
    from filelock import FileLock, Timeout  # here, so that `import recon` stays light

    is_new = not path.exists()
    Scene.create(path)
    lock, holder = FileLock(path / ".lock"), path / ".pid"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        pid = holder.read_text().strip() if holder.exists() else "unknown"
        raise InputError(
            f"expected to be the only run on {path}, got another one with process id {pid}; "
            "wait for it or use --scene DIR"
        ) from None
    try:
        holder.write_text(str(os.getpid()))
        _remove_leftovers(path)
        yield Scene.open(path)
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
        if is_new and not Scene.open(path).manifest["stages"]:
            _remove_empty(path)


def _remove_empty(path: Path) -> None:
    """Takes back a folder that was made for a run which came to nothing."""
    for name in ("scene.json", ".lock"):
        (path / name).unlink(missing_ok=True)
    with suppress(OSError):  # something else lies in it by now
        path.rmdir()


def _remove_leftovers(path: Path) -> None:
    for folder in (path, *(p for p in path.iterdir() if p.is_dir())):
        for file in folder.iterdir():
            if _LEFTOVER.fullmatch(file.name) and file.is_file():
                file.unlink(missing_ok=True)


def check_stage_names(names: Collection[str], option: str, known: Collection[str]) -> None:
    """Raises InputError for a name that is not a stage."""
    for name in names:
        if name not in known:
            raise InputError(f"{option}: expected stages among {', '.join(known)}; got '{name}'")
