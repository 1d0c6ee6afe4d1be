"""Scene folders that were damaged or made by somebody who means harm."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz_media import Odd
from tests.synthetic import make_scene

NUM_MUTATED = 96
_READERS: tuple[tuple[str, ...], ...] = (
    ("export", "SCENE", "--format", "npz", "bvh", "glb", "tum", "obj", "--out", "out"),
    ("view", "SCENE", "--screenshot", "a.png"),
    ("evaluate", "SCENE", "GOOD"),
    ("convert", "SCENE", "--to", "anny", "--out", "converted"),
)
_FILES = ("video", "people", "camera", "body", "rigs", "placement", "world")


def scene_cases() -> Iterator[Odd]:
    """All odd scenes, each read by one of the commands that read scenes."""
    for k, (name, change) in enumerate(_MANIFESTS.items()):
        yield Odd(name=f"scene.json: {name}", make=partial(_tampered, change, k))
    for seed in range(NUM_MUTATED):
        yield Odd(name=f"arrays changed {seed}", make=partial(_mutated, seed))
    yield Odd(name="scene.json: nested 100000 deep", make=_deep)
    yield Odd(name="arrays: a zip bomb", make=_bomb)
    yield Odd(name="arrays: pickled", make=_pickled)
    yield Odd(name="tracks.json: no list", make=partial(_tracks, "{}"))
    yield Odd(name="tracks.json: nested", make=partial(_tracks, "[" * 100_000))


def _scenes(folder: Path) -> Path:
    """A scene to change; a good one lies beside it."""
    make_scene(folder / "good", num_frames=6)
    return Path(shutil.copytree(folder / "good", folder / "scene"))


def _read(number: int) -> list[str | Path]:
    words = {"SCENE": "scene", "GOOD": "good"}
    return [words.get(word, word) for word in _READERS[number % len(_READERS)]]


def _tampered(
    change: Callable[[dict[str, Any]], object], number: int, folder: Path
) -> list[str | Path]:
    file = _scenes(folder) / "scene.json"
    manifest = json.loads(file.read_text())
    change(manifest)
    file.write_text(json.dumps(manifest))
    return _read(number)


_MANIFESTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "empty": lambda m: m.clear(),
    "no stages": lambda m: m.update(stages={}),
    "stages of another kind": lambda m: m.update(stages=[1]),
    "unknown stage": lambda m: m["stages"].update(dance={}),
    "empty records": lambda m: m["stages"].update({key: {} for key in m["stages"]}),
    "world alone": lambda m: m.update(stages={"world": m["stages"]["world"]}),
    "without its video": lambda m: m["stages"].pop("video"),
    "files outside": lambda m: m.update(outputs={"exports": {"files": ["../../../etc/passwd"]}}),
    "video of another kind": lambda m: m.update(video=[]),
    "settings of another kind": lambda m: m["stages"]["video"].update(config={"stride": "x"}),
    "imported from nowhere": lambda m: m.update(imported={}),
    "schema 99": lambda m: m.update(schema=99),
}


def _mutated(seed: int, folder: Path) -> list[str | Path]:
    """One to three arrays of one file changed, lost, or of another shape or kind."""
    rng = np.random.default_rng(seed)
    scene = _scenes(folder)
    path = scene / f"{_FILES[seed % len(_FILES)]}.npz"
    with np.load(path, allow_pickle=False) as data:
        arrays = {name: data[name] for name in data.files}
    for name in rng.choice(list(arrays), size=min(len(arrays), 1 + seed % 3), replace=False):
        changed = _change(arrays.pop(str(name)), int(rng.integers(0, len(_CHANGES))), rng)
        if changed is not None:
            arrays[str(name)] = changed
    np.savez(path, **arrays)
    return _read(seed // len(_FILES))


def _change(array: np.ndarray, kind: int, rng: np.random.Generator) -> np.ndarray | None:
    return _CHANGES[kind](array, rng)


def _spoilt(value: float) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
    def spoil(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        out = array.copy()
        if out.size and out.dtype.kind in "fiu":
            with np.errstate(all="ignore"):
                place = int(rng.integers(0, out.size))
                out.reshape(-1)[place] = np.array(value).astype(out.dtype)
        return out

    return spoil


_CHANGES: tuple[Callable[[np.ndarray, np.random.Generator], np.ndarray | None], ...] = (
    lambda _array, _rng: None,
    lambda array, _rng: array[..., None],
    lambda array, _rng: array.reshape(-1)[:0],
    lambda array, _rng: np.array("text"),
    lambda array, _rng: np.array(-1),
    lambda array, _rng: np.zeros_like(array),
    lambda array, _rng: (
        -array if array.dtype.kind in "fi" else array[::-1] if array.ndim else array
    ),
    lambda array, _rng: array.astype(np.complex128) if array.dtype.kind in "fiub" else array,
    lambda array, _rng: np.concatenate([array, array]) if array.ndim else array,
    _spoilt(np.nan),
    _spoilt(np.inf),
    _spoilt(1e30),
    _spoilt(-7),
    _spoilt(1_000_000),
)


def _deep(folder: Path) -> list[str | Path]:
    (_scenes(folder) / "scene.json").write_text('{"stages":' * 100_000)
    return _read(0)


def _bomb(folder: Path) -> list[str | Path]:
    """300 MB of zeros in 300 kB."""
    np.savez_compressed(_scenes(folder) / "world.npz", count=np.array(1), a=np.zeros(37_500_000))
    return _read(0)


def _pickled(folder: Path) -> list[str | Path]:
    np.savez(_scenes(folder) / "world.npz", count=np.array([{"a": 1}], dtype=object))
    return _read(0)


def _tracks(text: str, folder: Path) -> list[str | Path]:
    (_scenes(folder) / "tracks.json").write_text(text)
    return ["tracks", "scene", "--keep", "1"]
