"""Scene folders that a stranger made: nothing is run, unpacked, deleted or believed."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recon.core import untrusted
from recon.core.camera import Intrinsics
from recon.core.errors import InputError, StaleSceneError
from recon.core.scene import Scene
from recon.core.storage import pack
from recon.core.untrusted import check_inside, check_manifest, read_arrays, read_json
from recon.runner import Output, Silent, make_output
from tests.synthetic import make_scene


def npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
    return path


def test_arrays_are_read_as_numpy_wrote_them(tmp_path: Path) -> None:
    arrays = {
        "a": np.arange(6.0).reshape(2, 3), "b": np.asfortranarray(np.eye(3, dtype=np.float16)),
        "c": np.array("ünï"), "d": np.zeros((0, 4), bool), "0.x.y": np.array(3),
    }  # fmt: skip
    read = read_arrays(npz(tmp_path / "x.npz", **arrays))
    assert list(read) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = npz(tmp_path / "x.npz", a=np.zeros(4_000_000))
    assert bomb.stat().st_size < 100_000
    assert len(read_arrays(bomb)["a"]) == 4_000_000, "small in all: unpacked"
    monkeypatch.setattr(untrusted, "_SMALL_BYTES", 1_000_000)
    with pytest.raises(ValueError, match="would unpack"):
        read_arrays(bomb)
    varied = np.random.default_rng(0).normal(size=200_000)
    assert len(read_arrays(npz(tmp_path / "y.npz", a=varied))["a"]) == 200_000, "no bomb"


def test_packings_that_unpack_more_than_they_declare(tmp_path: Path) -> None:
    """Python unpacks all that a few bytes of bzip2 or LZMA hold before it looks at the size."""
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(tmp_path / "x.npz", "w", method) as archive:
            archive.writestr("a.npy", with_header(EMPTY))
        with pytest.raises(ValueError, match="neither stored nor deflated"):
            read_arrays(tmp_path / "x.npz")
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", with_header(EMPTY))
    assert len(read_arrays(tmp_path / "x.npz")["a"]) == 0


EMPTY = "{'descr': '<f8', 'fortran_order': False, 'shape': (0,)}"


def with_header(header: str) -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


LIES = {
    "a size not there": "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}",
    "a negative size": "{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -2)}",
    "endless text": "{'descr': '<U2000000000', 'fortran_order': False, 'shape': (8,)}",
    "objects": "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
    "a call": "__import__('os').abort()",
}


@pytest.mark.parametrize("header", LIES.values(), ids=LIES)
def test_headers_that_lie_are_refused_before_memory_is_taken(tmp_path: Path, header: str) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("a.npy", with_header(header) + b"\0" * 16)
    with pytest.raises(ValueError):
        read_arrays(tmp_path / "x.npz")


def test_json_that_is_too_deep_or_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.json"
    for text in ("[" * 100_000 + "]" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000):
        path.write_text(text)
        with pytest.raises(ValueError, match="deep"):
            read_json(path)
    path.write_text(f'{{"a": {"9" * 301}}}')
    with pytest.raises(ValueError, match="301 digits"):
        read_json(path)
    path.write_text('{"a": [1, -9007199254740993, 1e300]}')
    assert read_json(path) == {"a": [1, -9007199254740993, 1e300]}
    monkeypatch.setattr(untrusted, "_MAX_JSON_BYTES", 5)
    with pytest.raises(ValueError, match="MB"):
        read_json(path)


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "a/../../x",
        "/etc/passwd",
        "C:\\x",
        "..\\x",
        "\\\\host\\x",
        "a\0b",
        "",
        3,
        None,
        ["a"],
    ],
)
def test_names_that_lead_out_of_their_folder(name: object) -> None:
    with pytest.raises(ValueError):
        check_inside(name)


@pytest.mark.parametrize("name", ["a", "exports/a.bvh", "ünï cödé/..b", "a...b"])
def test_names_that_stay(name: str) -> None:
    check_inside(name)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scene(tmp_path_factory.mktemp("scene") / "s", num_frames=4).path


def tamper(good: Path, folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A scene whose scene.json was changed."""
    folder.mkdir()
    manifest = json.loads((good / "scene.json").read_text())
    check_manifest(manifest)
    change(manifest)
    (folder / "scene.json").write_text(json.dumps(manifest))
    return folder


EVIL_MANIFESTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "a file outside": lambda m: m.update(outputs={"exports": {"files": ["../../precious"]}}),
    "an absolute file": lambda m: m.update(outputs={"exports": {"files": ["/precious"]}}),
    "no list of files": lambda m: m.update(outputs={"exports": {"files": "x"}}),
    "outputs of another kind": lambda m: m.update(outputs=["exports"]),
    "a stage that is a list": lambda m: m["stages"].update(body=[]),
    "a record without its parts": lambda m: m["stages"].update(body={}),
    "endless seconds": lambda m: m["stages"]["body"].update(seconds=float("inf")),
    "a decision of another kind": lambda m: m["stages"]["body"].update(decisions=["x"]),
    "a decision with more": lambda m: m["stages"]["body"].update(
        decisions=[{"name": "a", "value": "b", "why": "c", "x": "d"}]
    ),
    "half of a letter in a warning": lambda m: m["stages"]["body"].update(warnings=["\ud800"]),
    "half of a letter in a decision": lambda m: m["stages"]["body"].update(
        decisions=[{"name": "a", "value": "\ud800", "why": "c"}]
    ),
    "half of a letter in a back-end": lambda m: m["stages"]["body"].update(backend="\ud800"),
    "half of a letter in an import": lambda m: m.update(imported={"from": "\ud800"}),
    "warnings that are no text": lambda m: m["stages"]["body"].update(warnings=[{}]),
    "a video of another kind": lambda m: m.update(video="x"),
    "an import of another kind": lambda m: m.update(imported={}),
    "a schema of another kind": lambda m: m.update(schema={}),
}


@pytest.mark.parametrize("change", EVIL_MANIFESTS.values(), ids=EVIL_MANIFESTS)
def test_a_manifest_that_is_not_ours_is_refused(
    tmp_path: Path, good: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    with pytest.raises(StaleSceneError, match=r"scene\.json|schema"):
        Scene.open(tamper(good, tmp_path / "s", change))


def test_a_deep_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scene.json").write_text("[" * 200_000)
    with pytest.raises(StaleSceneError, match="deep"):
        Scene.open(tmp_path)


def rewrite(scene: Scene, name: str, key: str, value: object) -> None:
    with np.load(scene.path / name, allow_pickle=False) as data:
        arrays = {k: data[k] for k in data.files}
    assert key in arrays
    np.savez_compressed(scene.path / name, **{**arrays, key: np.asarray(value)})  # type: ignore[arg-type]


EVIL_ARRAYS: dict[str, tuple[str, str, object, str]] = {
    "a lens of no length": ("camera.npz", "0.intrinsics.fx", np.nan, "camera"),
    "an endless lens": ("camera.npz", "0.intrinsics.fy", np.inf, "camera"),
    "no centre": ("camera.npz", "0.intrinsics.cx", np.nan, "camera"),
    "an endless picture": ("camera.npz", "0.intrinsics.width", 10**9, "camera"),
    "a camera that is nowhere": ("camera.npz", "0.Ts_slam_camera", np.zeros((4, 4, 4)), "camera"),
    "a camera of NaN": ("camera.npz", "0.Ts_slam_camera", np.full((4, 4, 4), np.nan), "camera"),
    "another kind of camera": ("camera.npz", "0.kind", "flying", "camera"),
    "a size of text": ("video.npz", "0.width", "wide", "video"),
    "an endless video": ("video.npz", "0.width", 10**9, "video"),
    "no scale": ("placement.npz", "0.scale", np.nan, "placement"),
    "a scale of zero": ("placement.npz", "0.scale", 0.0, "placement"),
    "a world that is squashed": ("placement.npz", "0.R_world_slam", np.zeros((3, 3)), "placement"),
    "a world without cameras": (
        "placement.npz", "0.Ts_world_camera", np.zeros((4, 4, 4)), "placement",
    ),
    "bones that do not exist": ("rigs.npz", "0.sole_joints", np.array([0, 1, 2, 99]), "rigs"),
    "a body larger than a town": ("rigs.npz", "0.rest_joints", np.full((52, 3), 1e30), "rigs"),
    "skin that flies": ("rigs.npz", "0.weights", np.full((2792, 6), 1e30, np.float32), "rigs"),
    "skin that no bone holds": ("rigs.npz", "0.weights", np.zeros((2792, 6), np.float32), "rigs"),
    "frames before the first": ("world.npz", "0.frame_idx", np.arange(4) - 1, "world_motions"),
    "endless items": ("world.npz", "count", 10**12, "world_motions"),
    "fewer than no items": ("world.npz", "count", -1, "world_motions"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "key", "value", "what"), EVIL_ARRAYS.values(), ids=EVIL_ARRAYS)
def test_arrays_that_cannot_be_are_refused(
    tmp_path: Path, name: str, key: str, value: object, what: str
) -> None:
    scene = make_scene(tmp_path / "s", num_frames=4)
    getattr(scene, what)
    rewrite(scene, name, key, value)
    with pytest.raises(StaleSceneError):
        getattr(Scene.open(scene.path), what)


def test_what_a_link_leads_to_is_not_deleted(tmp_path: Path) -> None:
    """The files of an older result are deleted; a stranger's scene may link them to the user's."""
    scene = make_scene(tmp_path / "s", num_frames=4)
    precious = tmp_path / "home" / "precious"
    precious.parent.mkdir()
    precious.write_text("mine")
    (scene.path / "exports").symlink_to(precious.parent, target_is_directory=True)
    record = {"files": ["exports/precious"], "inputs": {"world": "of an older result"}}
    scene.note("outputs", {"exports": record})
    output = Output(name="exports", needs=("world",), work=lambda _progress: [])
    make_output(Scene.open(scene.path), output, watcher=Silent())
    assert precious.read_text() == "mine"


def test_a_lens_says_what_is_wrong() -> None:
    lens = Intrinsics.from_fov(640, 480, fov_deg=60, source="user")
    for change in ({"cx": np.nan}, {"fx": np.inf}, {"width": 10**9}):
        with pytest.raises(InputError, match=next(iter(change))):
            replace(lens, **change)
    assert "0.intrinsics" not in pack(lens)


EVIL_PEOPLE: dict[str, tuple[str, str, object, str]] = {
    "somebody else": ("world.npz", "0.track_id", 7, "world_motions"),
    "a frame after the last": ("people.npz", "0.frame_idx", np.arange(4) + 1, "tracks"),
    "an endless frame": ("world.npz", "0.frame_idx", np.arange(4) + 10**9, "world_motions"),
    "squeezed bones": (
        "world.npz", "0.poses_world.rotations", np.zeros((4, 52, 3, 3)), "world_motions"
    ),
    "no number": ("body.npz", "0.track_id", "one", "rigs"),
    "cameras of another clip": ("camera.npz", "0.Ts_slam_camera", np.tile(np.eye(4), (9, 1, 1)),
                                "camera"),
    "cameras of another world": (
        "placement.npz", "0.Ts_world_camera", np.tile(np.eye(4), (9, 1, 1)), "placement"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "key", "value", "what"), EVIL_PEOPLE.values(), ids=EVIL_PEOPLE)
def test_files_that_do_not_belong_together_are_refused(
    tmp_path: Path, name: str, key: str, value: object, what: str
) -> None:
    scene = make_scene(tmp_path / "s", num_frames=4)
    rewrite(scene, name, key, value)
    with pytest.raises(StaleSceneError, match="--force"):
        getattr(Scene.open(scene.path), what)


def test_paths_that_are_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"caf\\udce9"):
        Scene.create(tmp_path / os.fsdecode(b"caf\xe9"))
