"""Scene folders that were damaged or made by somebody who means harm."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz_media import Make, Odd
from recon import __version__
from recon.core.scene import StageName
from recon.core.stage import StageReport
from recon.video import VideoConfig, VideoReader
from tests.recon.clips import write_clip
from tests.synthetic import make_scene

NUM_MUTATED = 96
_READERS: tuple[tuple[str, ...], ...] = (
    ("export", "SCENE", "--format", "npz", "bvh", "glb", "tum", "obj", "--out", "out"),
    ("view", "SCENE", "--screenshot", "a.png"),
    ("evaluate", "SCENE", "GOOD"),
    ("convert", "SCENE", "--to", "anny", "--out", "converted"),
    ("share", "SCENE", "--out", "scene.html"),
)
_FILES = ("video", "people", "camera", "body", "rigs", "placement", "world")


def scene_cases() -> Iterator[Odd]:
    """All odd scenes, each read by one of the commands that read scenes."""
    cases: dict[str, Make] = {
        f"scene.json: {name}": partial(_tampered, alter, k)
        for k, (name, alter) in enumerate(_MANIFESTS.items())
    }
    cases |= {f"arrays changed {seed}": partial(_mutated, seed) for seed in range(NUM_MUTATED)}
    cases |= {
        "scene.json: nested 100000 deep": _deep,
        "arrays: a zip bomb": _bomb,
        "arrays: pickled": _pickled,
    }
    cases |= {f"tracks.json: {name}": partial(_tracks, text) for name, text in _TRACKS.items()}
    for name, make in cases.items():
        yield Odd(name=name, make=make, group="scenes")


def _scenes(folder: Path) -> Path:
    """A scene to change; a good one lies beside it."""
    make_scene(folder / "good", num_frames=6)
    return Path(shutil.copytree(folder / "good", folder / "scene"))


def _read(number: int) -> list[str | Path]:
    words = {"SCENE": "scene", "GOOD": "good"}
    return [words.get(word, word) for word in _READERS[number % len(_READERS)]]


def _tampered(
    alter: Callable[[dict[str, Any]], object], number: int, folder: Path
) -> list[str | Path]:
    file = _scenes(folder) / "scene.json"
    manifest = json.loads(file.read_text())
    alter(manifest)
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
    "half a letter": lambda m: m["stages"]["video"].update(
        decisions=[{"name": "a", "value": "\ud800", "why": "b"}], warnings=["\ud800"]
    ),
}


def _mutated(seed: int, folder: Path) -> list[str | Path]:
    """One to three arrays of one file changed, lost, or of another shape or kind."""
    rng = np.random.default_rng(seed)
    scene = _scenes(folder)
    path = scene / f"{_FILES[seed % len(_FILES)]}.npz"
    with np.load(path, allow_pickle=False) as data:
        arrays = {name: data[name] for name in data.files}
    for name in rng.choice(list(arrays), size=min(len(arrays), 1 + seed % 3), replace=False):
        changed = change(arrays.pop(str(name)), rng)
        if changed is not None:
            arrays[str(name)] = changed
    np.savez(path, **arrays)
    return _read(seed // len(_FILES))


def change(array: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """The array with one number, its shape or its kind changed; None where it is to be lost."""
    return _CHANGES[int(rng.integers(0, len(_CHANGES)))](array, rng)


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


_TRACKS = {
    "no list": "{}",
    "nested": "[" * 100_000,
    "text that is none": '[{"id": 1, "name": "\\ud800"}]',
    "as it should be": '[{"id": 1, "keep": true, "name": "Ada"}, {"id": 2, "merge_into": 1}]',
    "in a circle": '[{"id": 1, "merge_into": 2}, {"id": 2, "merge_into": 1}]',
    "somebody else": '[{"id": 1}, {"id": 99}]',
    "a name that is none": '[{"id": 1, "name": [1]}, {"id": 2, "name": 3}]',
    "a huge number": f'[{{"id": {10**30}}}, {{"id": 1, "merge_into": {-(10**30)}}}]',
}


def _tracks(text: str, folder: Path) -> list[str | Path]:
    """A scene of two people in a real clip, and choices among them."""
    clip = VideoConfig(path=str(write_clip(folder / "a.mp4", 6)))
    scene = make_scene(folder / "scene", num_people=2, num_frames=6)
    found: dict[StageName, list[Any]] = {
        "video": [VideoReader.open(clip.path, clip).info], "tracking": scene.tracks,
    }  # fmt: skip
    for stage, items in found.items():
        scene.save(f"{stage}.npz", items)
        report = StageReport(backend="fuzz")
        scene.record(stage, clip, report, seconds=0, code_version=__version__)
    (scene.path / "tracks.json").write_text(text)
    return ["tracks", "scene", "--keep", "1"]
