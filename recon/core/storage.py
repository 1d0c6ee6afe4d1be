"""Core types to and from .npz files (no pickle) and atomic writing."""

from __future__ import annotations

import dataclasses
import os
import re
import tempfile
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar, get_args, get_origin

import numpy as np

from recon.core.errors import ReconError, StaleSceneError
from recon.core.untrusted import read_arrays

T = TypeVar("T")


def write_atomic(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Calls `write` on a temporary file beside `path`, then moves it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file's whole content, atomically."""
    write_atomic(path, lambda file: file.write(content))


def write_by_name(path: Path, write: Callable[[Path], object]) -> None:
    """Like `write_atomic`, for libraries that open files by themselves.

    `write` gets a path of the same name in a temporary folder beside the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        made = Path(folder) / path.name
        write(made)
        os.replace(made, path)


def pack(item: Any) -> dict[str, np.ndarray]:
    """A dataclass as a flat dict of arrays, nested fields joined by '.'; None is left out."""
    out: dict[str, np.ndarray] = {}
    for field in dataclasses.fields(item):
        value = getattr(item, field.name)
        if value is None:
            continue
        if dataclasses.is_dataclass(value):
            out |= {f"{field.name}.{key}": array for key, array in pack(value).items()}
        else:
            out[field.name] = np.asarray(value)
    return out


def unpack(kind: type[T], arrays: Mapping[str, np.ndarray]) -> T:
    """The inverse of `pack` for a dataclass type."""
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        hint = hints[field.name]
        if get_origin(hint) in (types.UnionType, typing.Union):
            hint = next(a for a in get_args(hint) if a is not type(None))
            values[field.name] = None  # `pack` left it out
        prefix = f"{field.name}."
        if dataclasses.is_dataclass(hint):
            nested = {k[len(prefix) :]: v for k, v in arrays.items() if k.startswith(prefix)}
            if nested:
                values[field.name] = unpack(hint, nested)  # type: ignore[arg-type]
        elif field.name in arrays:
            values[field.name] = _restore(hint, arrays[field.name])
    try:
        return kind(**values)
    except TypeError as error:
        raise StaleSceneError(
            f"expected the fields of {kind.__name__}, got {sorted(arrays)}"
        ) from error


def _restore(hint: Any, array: np.ndarray) -> Any:
    """A field's value; ValueError if the array cannot be one."""
    origin = get_origin(hint)
    if origin is tuple:
        return tuple(array.tolist())
    if hint in (str, int, float, bool) or origin is Literal:
        value = array.item()
        fits = value in get_args(hint) if origin is Literal else isinstance(value, hint)
        if not fits and not (hint is float and isinstance(value, int)):
            raise ValueError(f"expected {hint}, got {value!r:.80}")
        return value
    return array


def save_items(path: Path, items: Sequence[Any]) -> None:
    """Writes a list of dataclasses as one .npz, atomically; keys are '0.field', '1.field', …"""
    arrays = {f"{i}.{k}": v for i, item in enumerate(items) for k, v in pack(item).items()}
    arrays["count"] = np.asarray(len(items))
    write_atomic(path, lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]


def load_items(path: Path, kind: type[T]) -> list[T]:
    """The list of dataclasses that `save_items` wrote.

    Raises:
        StaleSceneError: the file is damaged, or holds something else.
    """
    try:
        arrays = read_arrays(path)
        count = int(arrays.pop("count"))
        if not 0 <= count <= len(arrays):
            raise ValueError(f"{count} items in {len(arrays)} arrays")
        groups: list[dict[str, np.ndarray]] = [{} for _ in range(count)]
        for key, value in arrays.items():
            index, name = key.split(".", 1)
            groups[int(index)][name] = value
        return [unpack(kind, group) for group in groups]
    except ReconError:
        raise
    except Exception as error:  # damage may surface anywhere between the zip and the type
        raise StaleSceneError(f"expected a readable file {path}, got: {error}") from error


def load_field(path: Path, field: str) -> list[Any]:
    """One scalar field of every item that `save_items` wrote; nothing else is unpacked.

    Raises:
        StaleSceneError: the file is damaged, or holds something else.
    """
    try:
        arrays = read_arrays(path, re.compile(rf"\d+\.{re.escape(field)}"))
        return [arrays[f"{i}.{field}"].item() for i in range(len(arrays))]
    except Exception as error:
        raise StaleSceneError(f"expected a readable file {path}, got: {error}") from error
