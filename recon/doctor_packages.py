"""What the project asks for, and what comes of importing it.

Packages are imported in a process of their own (`recon.doctor_probe`): one that is broken, even
one that crashes the interpreter, becomes a line of the answer.
"""

from __future__ import annotations

import json
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

PROJECT = "recon3d"
_INTERNAL_EXTRAS = frozenset({"dev", "docs"})
_SILENT_SECONDS = 120.0
"""A package whose import says nothing for so long hangs."""


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


def module_of(package: str) -> str | None:
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
