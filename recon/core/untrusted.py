"""Files that somebody else may have made, read without trusting what they say of themselves."""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any

import numpy as np

from recon.core.errors import InputError

_SMALL_BYTES = 256_000_000
_MAX_RATIO = 100
"""Arrays may unpack to `_SMALL_BYTES`, and beyond that to so many times their file's size: real
results pack about 20 to 1 at most, a zip bomb 1000 to 1."""
_MAX_MEMBERS = 1_000_000
_MAX_JSON_BYTES = 256_000_000
_MAX_DIGITS = 300
"""Longer whole numbers are none that a float can hold."""


def read_arrays(path: Path, wanted: re.Pattern[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name; nothing is unpacked before its size has been checked.

    Args:
        wanted: only arrays whose whole name matches.
    Raises:
        OSError; ValueError: the file is damaged, holds Python objects, or would unpack to more
            than it may.
    """
    try:
        return _read_arrays(path, wanted)
    except (OSError, ValueError):
        raise
    except Exception as error:  # damage may surface as anything
        raise ValueError(str(error)) from error


def _read_arrays(path: Path, wanted: re.Pattern[str] | None) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        check_archive(archive, most_bytes(path))
        arrays = {}
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            if wanted is not None and not wanted.fullmatch(name):
                continue
            with archive.open(member) as file:
                _check_header(file, member)
            with archive.open(member) as file:
                arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
        return arrays


def most_bytes(path: Path) -> int:
    """How much a file may unpack to."""
    return max(_SMALL_BYTES, _MAX_RATIO * path.stat().st_size)


def check_archive(archive: zipfile.ZipFile, limit: int) -> None:
    """Raises ValueError where an archive would unpack to more than `limit` bytes."""
    members = archive.infolist()
    unpacked = sum(member.file_size for member in members)
    if unpacked > limit or len(members) > _MAX_MEMBERS:
        raise ValueError(
            f"it would unpack to {unpacked / 1e6:.0f} MB in {len(members)} parts, "
            f"more than {limit / 1e6:.0f} MB"
        )
    for member in members:
        check_packing(member)


def check_packing(member: zipfile.ZipInfo) -> None:
    """Raises ValueError for bzip2 and LZMA, which Python unpacks beyond the size declared."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{member.filename} is neither stored nor deflated")


def _check_header(file: IO[bytes], member: zipfile.ZipInfo) -> None:
    """Raises ValueError where an array says that it is larger than what follows."""
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"{member.filename}: unknown format {version}")
    shape, _, dtype = read(file)
    if dtype.hasobject:
        raise ValueError(f"{member.filename} holds Python objects")
    declared, follows = math.prod(shape) * dtype.itemsize, member.file_size - file.tell()
    if declared != follows or min(shape, default=0) < 0:
        raise ValueError(f"{member.filename} declares {declared} bytes, {follows} follow")


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        OSError; ValueError: it is no JSON, too large, nested too deep, or with endless numbers.
    """
    if path.stat().st_size > _MAX_JSON_BYTES:
        raise ValueError(f"it has more than {_MAX_JSON_BYTES / 1e6:.0f} MB")
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_int=_integer)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def check_inside(name: Any) -> None:
    """Raises ValueError unless `name` is a relative path that does not leave its folder."""
    if not isinstance(name, str) or not name or "\0" in name:
        raise ValueError(f"expected the name of a file, got {name!r:.80}")
    windows, posix = PureWindowsPath(name), PurePosixPath(name)
    leads_out = windows.drive or windows.root or posix.is_absolute() or ".." in windows.parts
    if leads_out or ".." in posix.parts:
        raise ValueError(f"expected a file inside the folder, got {name!r:.80}")


def check_text(path: Path) -> None:
    """Raises InputError for a path of bytes that are no text: no file of ours could name it."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        shown = str(path).encode("utf-8", "backslashreplace").decode("utf-8")
        raise InputError(f"expected a path of readable text, got {shown}; rename it") from None


def check_manifest(manifest: Any) -> None:
    """Raises ValueError unless scene.json's content is built as `Scene` writes it."""
    if not isinstance(manifest, dict) or not isinstance(manifest.get("stages"), dict):
        raise ValueError("no stages")
    for name, record in manifest["stages"].items():
        check_kinds(f"stage {name}", record, _RECORD)
        if not math.isfinite(record["seconds"]):
            raise ValueError(f"stage {name}: seconds is no number")
        for decision in record["decisions"]:
            check_kinds(f"stage {name}: a decision", decision, _DECISION)
            if len(decision) != len(_DECISION):
                raise ValueError(f"stage {name}: a decision has other fields")
        if not all(isinstance(text, str) for text in record["warnings"]):
            raise ValueError(f"stage {name}: a warning is no text")
        shown = [text for decision in record["decisions"] for text in decision.values()]
        "".join((*shown, *record["warnings"], record["backend"])).encode()  # no half of a letter
    outputs = manifest.get("outputs", {})
    if not isinstance(outputs, dict):
        raise ValueError("outputs are no table")
    for name, record in outputs.items():
        check_kinds(f"output {name}", record, {"files": list})
        for file in record["files"]:
            check_inside(file)
    for key in ("video", "imported", "converted"):
        if not isinstance(manifest.get(key, {}), dict):
            raise ValueError(f"{key} is no table")
    if "imported" in manifest:
        check_kinds("imported", manifest["imported"], {"from": str})
        manifest["imported"]["from"].encode()


_RECORD: dict[str, Any] = {
    "config": dict, "inputs": dict, "output": str, "code_version": str, "seconds": (int, float),
    "backend": str, "decisions": list, "warnings": list, "numbers": dict,
}  # fmt: skip
_DECISION: dict[str, Any] = {"name": str, "value": str, "why": str}


def check_kinds(what: str, value: Any, kinds: Mapping[str, Any]) -> None:
    """Raises ValueError unless `value` is a dict with these keys, each of its kind."""
    if not isinstance(value, dict):
        raise ValueError(f"{what} is no table")
    for key, kind in kinds.items():
        if not isinstance(value.get(key), kind):
            raise ValueError(f"{what}: {key} is missing or of another kind")
