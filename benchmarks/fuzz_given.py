"""Other programs' results, motions and lists that were damaged, or made to exhaust memory."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.fuzz_files import damaged
from benchmarks.fuzz_media import Make, Odd
from benchmarks.fuzz_scenes import change
from recon.batch.book import Entry
from recon.export import export_scene
from recon.export.motion_npz import MEAN_PELVIS
from recon.imports.safe_pickle import read_object_npy, read_pickle, read_torch
from tests.recon.imports.files import (
    make_truth,
    write_amass,
    write_gvhmr,
    write_prompthmr,
    write_tram,
    write_wham,
)
from tests.synthetic import make_scene

NUM_CHANGED, NUM_DAMAGED, NUM_COLMAP = 12, 4, 15
Read = Callable[[Path], Any]
Write = Callable[[Any, Path], object]


def given_cases() -> Iterator[Odd]:
    """All odd files that some command but `recon run` reads."""
    cases: dict[str, Make] = {}
    for program in _FILES:
        for seed in range(NUM_CHANGED):
            cases[f"{program} changed {seed}"] = partial(_changed, program, seed)
        for seed in range(NUM_DAMAGED):
            cases[f"{program} damaged {seed}"] = partial(_damaged, program, seed)
        cases[f"{program}: nothing"] = partial(_of_content, program, {})
        cases[f"{program}: too much"] = partial(_of_content, program, _LARGE[program])
        if program != "amass":
            twice = {"people": _doubled(), "a": 1}
            cases[f"{program}: twice, sixty times"] = partial(_of_content, program, twice)
    cases |= {f"COLMAP damaged {seed}": partial(_colmap, seed) for seed in range(NUM_COLMAP)}
    for name, make in (cases | _lists()).items():
        yield Odd(name=name, make=make, group="files of other programs")


def _save_torch(content: Any, path: Path) -> None:
    torch.save(_mapped(content, lambda a: torch.from_numpy(np.ascontiguousarray(a))), path)


def _save_pickle(content: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(content))


def _save_object(content: Any, path: Path) -> None:
    np.save(path, content, allow_pickle=True)


def _save_arrays(content: Any, path: Path) -> None:
    np.savez_compressed(path, **content)


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as data:
        return {name: data[name] for name in data.files}


_FILES: dict[str, tuple[str, Callable[..., object], Read, Write]] = {
    "amass": ("a.npz", write_amass, _read_arrays, _save_arrays),
    "gvhmr": ("a.pt", write_gvhmr, read_torch, _save_torch),
    "wham": ("a.pkl", partial(write_wham, frames=np.arange(12)), read_pickle, _save_pickle),
    "tram": ("hps/hps_track_0.npy", lambda truth, path: write_tram(truth, path.parents[1]),
             read_object_npy, _save_object),
    "prompthmr": ("a.pkl", write_prompthmr, read_pickle, _save_pickle),
}  # fmt: skip


def _good(program: str, folder: Path) -> Path:
    name, write, _, _ = _FILES[program]
    write(make_truth(MEAN_PELVIS["smplx"]), folder / name)
    return folder / name


def _import(program: str, path: Path) -> list[str | Path]:
    return ["import", path, "--from", program, "--scene", "imported"]


def _changed(program: str, seed: int, folder: Path) -> list[str | Path]:
    """One to three of the file's arrays changed, lost, or of another shape or kind."""
    rng = np.random.default_rng(seed)
    path = _good(program, folder)
    _, _, read, write = _FILES[program]
    content = read(path)
    places = list(_places(content))
    for k in rng.choice(len(places), size=min(len(places), 1 + seed % 3), replace=False):
        table, key = places[k]
        changed = change(table.pop(key), rng)
        if changed is not None:
            table[key] = changed
    try:
        write(content, path)
    except (TypeError, ValueError):  # torch knows no text
        return _changed(program, seed + 1000, folder)
    return _import(program, path)


def _places(content: dict[Any, Any]) -> Iterator[tuple[dict[Any, Any], Any]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _places(value)
        elif isinstance(value, np.ndarray):
            yield content, key


def _mapped(content: Any, of: Callable[[np.ndarray], Any]) -> Any:
    if isinstance(content, dict):
        return {key: _mapped(value, of) for key, value in content.items()}
    return of(content) if isinstance(content, np.ndarray) else content


def _damaged(program: str, seed: int, folder: Path) -> list[str | Path]:
    path = _good(program, folder)
    path.write_bytes(damaged(path.read_bytes(), seed))
    return _import(program, path)


def _colmap(seed: int, folder: Path) -> list[str | Path]:
    """A model one file of which is damaged; of its pictures there are none."""
    export_scene(make_scene(folder / "scene", num_frames=6), ["colmap"], folder / "out")
    model = folder / "photos" / "sparse" / "0"
    shutil.copytree(folder / "out" / "colmap", model)
    files = sorted(model.glob("*.bin"))
    file = files[seed % len(files)]
    file.write_bytes(damaged(file.read_bytes(), seed))
    return ["splat", "photos", "--out", "splats"]


def _of_content(program: str, content: dict[str, Any], folder: Path) -> list[str | Path]:
    path = _good(program, folder)
    _FILES[program][3](content, path)
    return _import(program, path)


def _doubled() -> list[Any]:
    content: list[Any] = []
    for _ in range(60):
        content = [content, content]
    return content


class _Unfilled:
    """An array of which a file holds the size alone."""

    def __reduce__(self) -> tuple[Any, ...]:
        return np.ndarray, ((10**9,),)


_LARGE: dict[str, Any] = {
    "amass": {"poses": np.zeros(37_500_000)},
    "gvhmr": {"smpl_params_global": torch.zeros(1).expand(10**9)},
    "wham": {0: _Unfilled()},
    "tram": {"pred_rotmat": _Unfilled()},
    "prompthmr": {"people": _Unfilled(), "camera_world": {"a": 1}},
}
"""What a file of some hundred bytes, or 300 kB, makes of memory when it is believed."""


def _lists() -> dict[str, Make]:
    def batch(content: bytes, folder: Path) -> list[str | Path]:
        (folder / "list.txt").write_bytes(content)
        return ["batch", "list.txt", "--out", "out", "--retries", "0"]

    def book(videos: list[Any], folder: Path) -> list[str | Path]:
        (folder / "out").mkdir()
        (folder / "out" / "batch.json").write_text(json.dumps({"schema": 1, "videos": videos}))
        return batch(b"a.mp4", folder)

    def photos(text: str, folder: Path) -> list[str | Path]:
        (folder / "photos").mkdir()
        (folder / "photos" / "transforms.json").write_text(text)
        return ["splat", "photos", "--out", "out"]

    def regressor(content: bytes, folder: Path) -> list[str | Path]:
        make_scene(folder / "scene", num_frames=6)
        (folder / "J.npy").write_bytes(content)
        return ["evaluate", "scene", "scene", "--regressor", "J.npy"]

    entry = vars(Entry(video="a", name="a"))
    frame = {"file_path": "../../etc/passwd", "transform_matrix": np.eye(4).tolist()}
    outside = json.dumps({"camera_angle_x": 1.0, "frames": [frame]})
    return {
        "batch: homes of nobody and no names": partial(batch, b"~nobody_here/a.mp4\na\0b.mp4\n"),
        "batch: no text": partial(batch, "a.mp4".encode("utf-16")),
        "batch: a book of nothing": partial(book, [{}]),
        "batch: a book that leads out": partial(book, [entry | {"name": "../a"}]),
        "photos: nested": partial(photos, "[" * 100_000),
        "photos: endless": partial(photos, '{"w": ' + "9" * 4000 + "}"),
        "photos: outside": partial(photos, outside),
        "regressor: empty": partial(regressor, b""),
        "regressor: a broken zip": partial(regressor, b"PK\3\4" + bytes(50)),
    }
