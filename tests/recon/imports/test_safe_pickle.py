"""Pickles are read as data: plain arrays come back, everything else is refused."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recon.core import untrusted
from recon.core.errors import InputError
from recon.imports.safe_pickle import read_object_npy, read_pickle, read_torch
from tests.recon.imports.files import joblib_dump


class Evil:
    """Makes a file when it is unpickled the ordinary way."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


CONTENT = {
    "f": np.arange(6.0).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "strided": np.arange(10)[::3],
    "scalar": np.float32(2.5),
    "empty": np.zeros((0, 3)),
    "text": "a",
    "list": [1, (2.0, None)],
    "ordered": OrderedDict(a=np.ones(2)),
    "default": defaultdict(dict, {0: {"pose": np.ones((2, 72))}}),
}


def assert_same(got: Any, want: Any) -> None:
    if isinstance(want, dict):
        assert got.keys() == want.keys()
        for key in want:
            assert_same(got[key], want[key])
    elif isinstance(want, np.ndarray):
        np.testing.assert_array_equal(got, want)
        assert got.dtype == want.dtype and got.shape == want.shape
    else:
        assert got == want


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_comes_back(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(CONTENT, protocol=protocol))
    assert_same(read_pickle(path), CONTENT)


@pytest.mark.parametrize("aligned", [False, True], ids=["joblib < 1.2", "joblib >= 1.2"])
def test_arrays_of_joblib_come_back(tmp_path: Path, aligned: bool) -> None:
    joblib_dump(CONTENT, tmp_path / "a.pkl", aligned=aligned)
    assert_same(read_pickle(tmp_path / "a.pkl"), CONTENT)


def test_what_the_real_joblib_writes(tmp_path: Path) -> None:
    joblib = pytest.importorskip("joblib")
    joblib.dump(CONTENT, tmp_path / "a.pkl")
    assert_same(read_pickle(tmp_path / "a.pkl"), CONTENT)


def test_tensors_become_arrays(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    tensors = {"base": base, "turned": base.T, "part": base[1:, 2], "int": torch.arange(3)}
    np.save(tmp_path / "a.npy", tensors, allow_pickle=True)  # type: ignore[arg-type]
    torch.save(tensors, tmp_path / "a.pt")
    want = {key: value.numpy() for key, value in tensors.items()}
    assert_same(read_object_npy(tmp_path / "a.npy"), want)
    assert_same(read_torch(tmp_path / "a.pt"), want)


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    """The same files do run it when read the ordinary way: the test can fail."""
    mark, data = tmp_path / "mark", {"pose": Evil(tmp_path / "mark")}
    pickled, saved, torched = (tmp_path / name for name in ("a.pkl", "a.npy", "a.pt"))
    pickled.write_bytes(pickle.dumps(data))
    np.save(saved, data, allow_pickle=True)  # type: ignore[arg-type]
    torch.save(data, torched)
    for read, path in ((read_pickle, pickled), (read_object_npy, saved), (read_torch, torched)):
        with pytest.raises(InputError, match="nothing of it was run") as caught:
            read(path)
        assert not mark.exists() and "\n" not in str(caught.value)
    pickle.loads(pickled.read_bytes())
    assert mark.exists()


@pytest.mark.parametrize("zipped", [False, True])
def test_a_hidden_file_inside_a_tensor_is_refused(tmp_path: Path, zipped: bool) -> None:
    """torch's storages are files themselves: pickles that `torch.load` would trust by default,
    or archives, whose size nobody has checked."""

    class Storage:
        def __reduce__(self) -> tuple[Any, ...]:
            from torch.storage import _load_from_bytes

            path = tmp_path / "inner.pt"
            hidden = torch.ones(3) if zipped else Evil(tmp_path / "mark")
            torch.save(hidden, path, _use_new_zipfile_serialization=zipped)
            return _load_from_bytes, (path.read_bytes(),)

    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"pose": Storage()}))
    with pytest.raises(InputError, match="nothing of it was run"):
        read_pickle(tmp_path / "a.pkl")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("name", ["a.pkl", "a.npy", "a.pt"])
def test_a_damaged_file_is_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    joblib_dump(CONTENT, tmp_path / "a.pkl")
    np.save(tmp_path / "a.npy", CONTENT, allow_pickle=True)  # type: ignore[arg-type]
    torch.save({"a": torch.ones(100)}, tmp_path / "a.pt")
    read = {"a.pkl": read_pickle, "a.npy": read_object_npy, "a.pt": read_torch}[name]
    whole = path.read_bytes()
    for content in (b"", b"not a pickle", whole[: len(whole) // 2], whole[:-10]):
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_an_ordinary_array_is_no_dictionary(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((3, 2)))
    with pytest.raises(InputError, match="one dictionary"):
        read_object_npy(tmp_path / "a.npy")


class Makes:
    """Calls `maker` with `argument` when it is unpickled."""

    def __init__(self, maker: Any, argument: Any) -> None:
        self.made = maker, (argument,)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.made


def doubled(times: int) -> list[Any]:
    """A list of a list … that a file holds in some bytes each, and memory in twice as many."""
    content: list[Any] = []
    for _ in range(times):
        content = [content, content]
    return content


SMALL_FILES_OF_MUCH = {
    "a list doubled sixty times": doubled(60),
    "a list of a number of bytes": Makes(list, Makes(bytes, 10**7)),
    "an array nobody filled": Makes(np.ndarray, (10**7,)),
    "a stretched tensor": torch.zeros(1).expand(10**7),
}


@pytest.mark.parametrize("content", SMALL_FILES_OF_MUCH.values(), ids=SMALL_FILES_OF_MUCH)
def test_small_files_of_much_are_refused(
    tmp_path: Path, content: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(untrusted, "_SMALL_BYTES", 10**7)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"pose": content}))
    np.save(tmp_path / "a.npy", {"pose": content}, allow_pickle=True)  # type: ignore[arg-type]
    for read, name in ((read_pickle, "a.pkl"), (read_object_npy, "a.npy")):
        with pytest.raises(InputError, match="got in"):
            read(tmp_path / name)


def test_small_torch_files_of_much_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(untrusted, "_SMALL_BYTES", 10**7)
    endless: list[Any] = []
    endless.append(endless)
    for content in (doubled(60), torch.zeros(1).expand(10**7), endless):
        torch.save({"pose": content}, tmp_path / "a.pt")
        with pytest.raises(InputError, match="got in"):
            read_torch(tmp_path / "a.pt")
    torch.save({"pose": torch.zeros(1_000_000)}, tmp_path / "a.pt")
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as whole,
        zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for name in whole.namelist():
            bomb.writestr(name, whole.read(name))
    assert len(read_torch(tmp_path / "bomb.pt")["pose"]) == 1_000_000, "small in all: unpacked"
    monkeypatch.setattr(untrusted, "_SMALL_BYTES", 10**6)
    with pytest.raises(InputError, match="would unpack"):
        read_torch(tmp_path / "bomb.pt")
