from __future__ import annotations

import dataclasses
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from recon.core.camera import CameraTrajectory, Intrinsics
from recon.core.errors import StaleSceneError
from recon.core.people import BodyPoses, BodyShape, CameraMotion
from recon.core.storage import load_items, pack, save_items, unpack, write_atomic
from recon.core.video import VideoInfo


@dataclass(frozen=True, kw_only=True)
class Inner:
    values: np.ndarray
    name: str = "inner"


@dataclass(frozen=True, kw_only=True)
class Everything:
    """A field of each kind that core types use."""

    array: np.ndarray
    count: int
    size: float
    yes: bool
    text: str
    names: tuple[str, ...]
    numbers: tuple[int, ...]
    kind: Literal["a", "b"]
    inner: Inner
    maybe: float | None = None
    maybe_inner: Inner | None = None


def everything(k: int, **change: object) -> Everything:
    return Everything(
        array=np.arange(6.0).reshape(2, 3) + k,
        count=k,
        size=0.1 + k,
        yes=bool(k % 2),
        text=f"ünï {k}",
        names=("a", "bc")[:k],
        numbers=(k, k + 1),
        kind="b",
        inner=Inner(values=np.full(k, k)),
        **change,  # type: ignore[arg-type]
    )


def assert_same(a: object, b: object) -> None:
    assert type(a) is type(b)
    for field in dataclasses.fields(a):  # type: ignore[arg-type]
        x, y = getattr(a, field.name), getattr(b, field.name)
        if isinstance(x, np.ndarray):
            np.testing.assert_array_equal(x, y)
            assert x.dtype == y.dtype
        elif dataclasses.is_dataclass(x):
            assert_same(x, y)
        else:
            assert x == y and type(x) is type(y), field.name


def test_every_kind_of_field_survives(tmp_path: Path) -> None:
    items = [
        everything(0),
        everything(1, maybe=2.5),
        everything(2, maybe_inner=Inner(values=np.array([], np.int32), name="x")),
    ]
    save_items(tmp_path / "x.npz", items)
    for saved, loaded in zip(items, load_items(tmp_path / "x.npz", Everything), strict=True):
        assert_same(saved, loaded)


def test_more_than_ten_items_keep_their_order(tmp_path: Path) -> None:
    save_items(tmp_path / "x.npz", [everything(k) for k in range(12)])
    assert [e.count for e in load_items(tmp_path / "x.npz", Everything)] == list(range(12))


def test_no_items_are_no_items(tmp_path: Path) -> None:
    save_items(tmp_path / "x.npz", [])
    assert load_items(tmp_path / "x.npz", Everything) == []


def test_core_types_survive(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lens = Intrinsics(fx=1.0, fy=2, cx=3, cy=4, width=5, height=6, source="prior")
    Ts = np.tile(np.eye(4), (3, 1, 1))
    Ts[:, :3, 3] = rng.normal(size=(3, 3))
    trajectory = CameraTrajectory(
        kind="rotating", backend="b", intrinsics=lens, Ts_slam_camera=Ts,
        tracked=np.array([True, False, True]), points_slam=rng.normal(size=(2, 3)),
        point_colors=rng.integers(0, 255, (2, 3), dtype=np.uint8),
    )  # fmt: skip
    motion = CameraMotion(
        track_id=3, frame_idx=np.array([4, 5]), observed=np.array([True, False]),
        shape=BodyShape(model="anny", names=("age", "height"), values=np.array([0.1, 0.2])),
        poses_camera=BodyPoses(root=rng.normal(size=(2, 3)), rotations=np.zeros((2, 52, 3, 3))),
        joints_camera=rng.normal(size=(2, 52, 3)), reprojection_px=np.ones(2),
        confidence=np.ones(2),
    )  # fmt: skip
    video = VideoInfo(
        path="a.mp4", width=4, height=2, times=np.array([0.0, 0.5]), focal_px=None,
        sha256="s", warnings=("one", "two"),
    )  # fmt: skip
    for item in (trajectory, motion, video):
        save_items(tmp_path / "x.npz", [item])
        assert_same(item, load_items(tmp_path / "x.npz", type(item))[0])


def test_none_is_left_out_and_nested_fields_are_dotted() -> None:
    packed = pack(everything(1))
    assert "maybe" not in packed and "maybe_inner.values" not in packed
    assert packed["inner.values"].tolist() == [1]
    assert_same(unpack(Everything, packed), everything(1))


def test_the_same_items_give_the_same_bytes(tmp_path: Path) -> None:
    """Hashes of results decide what is stale: equal results must be equal files."""
    for name in ("a.npz", "b.npz"):
        save_items(tmp_path / name, [everything(1), everything(2)])
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_missing_fields_are_named(tmp_path: Path) -> None:
    save_items(tmp_path / "x.npz", [Inner(values=np.zeros(1))])
    with pytest.raises(StaleSceneError, match="the fields of Everything"):
        load_items(tmp_path / "x.npz", Everything)


def archive(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def bare_array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.arange(3.0))
    return file.getvalue()


BAD_FILES = {
    "empty": b"",
    "no zip": b"no zip",
    "half a zip": archive(count=np.array(1))[:60],
    "a pickle": archive(count=np.array([{}], dtype=object)),
    "a bare array": bare_array(),
    "no count": archive(**{"0.values": np.zeros(1)}),
    "more items than counted": archive(count=np.array(1), **{"1.values": np.zeros(1)}),
    "another program's keys": archive(count=np.array(1), values=np.zeros(1)),
}


@pytest.mark.parametrize("content", BAD_FILES.values(), ids=BAD_FILES)
def test_unreadable_files_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(StaleSceneError, match=r"x\.npz"):
        load_items(tmp_path / "x.npz", Inner)
    with pytest.raises(StaleSceneError, match=r"y\.npz"):
        load_items(tmp_path / "y.npz", Inner)


def test_any_damage_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    save_items(path, [Inner(values=np.random.default_rng(0).normal(size=500))])
    whole = path.read_bytes()
    for at in range(40, len(whole), 97):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            loaded = load_items(path, Inner)[0]
        except StaleSceneError:
            continue
        # Bytes that mean nothing to the reader, such as a time stamp, may change.
        np.testing.assert_array_equal(loaded.values, np.random.default_rng(0).normal(size=500))


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    evil = np.array([{"an": "object"}], dtype=object)
    np.savez(tmp_path / "x.npz", allow_pickle=True, **{"0.values": evil, "count": np.array(1)})
    with pytest.raises(StaleSceneError):
        load_items(tmp_path / "x.npz", Inner)


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    write_atomic(path, lambda file: file.write(b"old"))

    def fail(file) -> None:
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, fail)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.txt"]
