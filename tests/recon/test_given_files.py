"""Every reader of a file that somebody else may have made refuses what would take memory or run."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from body.models.smpl_files import read_model_file
from body.motion_prior import SHIPPED, MotionPrior
from recon.core import untrusted
from recon.core.errors import ReconError
from recon.core.scene import Scene
from recon.core.storage import load_items
from recon.core.video import VideoInfo
from recon.evaluate.command import read_regressor
from recon.evaluate.datasets import amass as amass_dataset
from recon.evaluate.datasets.rich import _gender, _upright
from recon.evaluate.recording import _read_ground
from recon.export.controls.cameras import read_path
from recon.imports import amass
from recon.motion.sources import _NATIVE, find_motion
from recon.render import find_splats
from recon.tracks import _read_entries
from splatting.avatars.files import load_avatar
from splatting.checkpoint import load_checkpoint
from splatting.photos import load_nerf
from splatting.video.model import load_video_gaussians
from tests.synthetic import make_scene, toy_rig

LARGE = np.zeros(4_000_000)
"""32 MB that a file holds in 32 kB."""

ARRAYS: dict[str, tuple[Callable[[Path], Any], tuple[str, ...]]] = {
    "AMASS": (amass.read, ("poses",)),
    "AMASS, as a data set": (lambda path: amass_dataset.read(str(path)), ("poses",)),
    "motion of an export": (lambda path: find_motion(str(path), toy_rig()), tuple(_NATIVE)),
    "motion prior": (MotionPrior.load, ("head",)),
    "body model": (read_model_file, ("v_template",)),
    "checkpoint": (lambda path: load_checkpoint(path, None), ("fingerprint",)),  # type: ignore[arg-type]
    "avatar": (load_avatar, ("version",)),
    "video of Gaussians": (load_video_gaussians, ("version",)),
    "scene": (lambda path: load_items(path, VideoInfo), ("count",)),
}


@pytest.mark.parametrize(("read", "names"), ARRAYS.values(), ids=ARRAYS)
def test_arrays(
    read: Callable[[Path], Any], names: tuple[str, ...], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    path = tmp_path / "a.npz"
    monkeypatch.setattr(untrusted, "_SMALL_BYTES", 1_000_000)
    np.savez_compressed(path, **dict.fromkeys(names, LARGE))  # type: ignore[arg-type]
    with pytest.raises(ReconError, match="would unpack to"):
        read(path)
    np.savez(path, **dict.fromkeys(names, np.array([{}], object)))  # type: ignore[arg-type]
    with pytest.raises(ReconError, match="holds Python objects"):
        read(path)
    for content in (b"", b"text", b"PK\x03\x04" + bytes(50), path.read_bytes()[:-30]):
        path.write_bytes(content)
        with pytest.raises(ReconError):
            read(path)


JSONS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "tracks": (lambda path: _read_entries(Scene.open(path)), "tracks.json"),
    "cameras of splats": (lambda path: find_splats(path / "splats.ply"), "splats.json"),
    "camera path": (lambda path: read_path(path / "a.json", np.arange(2.0)), "a.json"),
    "photos": (load_nerf, "transforms.json"),
    "floor": (_read_ground, "floor.json"),
    "RICH's world": (lambda path: _upright(path, "a", "b"), "b_multicam2world.json"),
    "RICH's people": (lambda path: _gender(path, "1"), "gender.json"),
}


@pytest.mark.parametrize(("read", "name"), JSONS.values(), ids=JSONS)
def test_json(read: Callable[[Path], Any], name: str, tmp_path: Path) -> None:
    make_scene(tmp_path / "s", num_frames=4)
    (tmp_path / "s" / "splats.ply").touch()
    for text in ("[" * 100_000, '{"a":' * 100_000, "", "[]", "{}", "[[]]", "3", "null", '"text"'):
        if text == "[]" and name == "tracks.json":
            continue  # nobody: that is a list
        (tmp_path / "s" / name).write_text(text)
        with pytest.raises(ReconError, match=name):
            read(tmp_path / "s")
    (tmp_path / "s" / name).write_bytes(b'{"a": "\xff"}')
    with pytest.raises(ReconError, match=name):
        read(tmp_path / "s")


def test_cameras_of_splats_that_cannot_be(tmp_path: Path) -> None:
    def found(**changed: Any) -> dict[str, Any]:
        cameras = {"K": np.eye(3).tolist(), "Ts_world_camera": [np.eye(4).tolist()] * 2}
        record: dict[str, Any] = {"width": 64, "height": 48, "cameras": cameras}
        for name, value in changed.items():
            (record if name in record else cameras)[name] = value
        (tmp_path / "splats.json").write_text(json.dumps(record))
        return find_splats(tmp_path / "splats.ply")[1] or {}

    (tmp_path / "splats.ply").touch()
    assert found()["cameras"]["Ts_world_camera"].shape == (2, 4, 4)
    for name, value in (
        ("width", 0), ("width", 10**9), ("height", math.inf), ("height", "x"), ("K", [0, 1]),
        ("K", [math.nan] * 9), ("Ts_world_camera", [[1]]), ("Ts_world_camera", [[[0] * 4] * 4]),
    ):  # fmt: skip
        with pytest.raises(ReconError, match=r"splats\.json"):
            found(**{name: value})


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04" + bytes(50)])
def test_a_damaged_regressor(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(ReconError, match="J_regressor_h36m"):
        read_regressor(path)
    np.save(path, np.array([["text"]]))
    with pytest.raises(ReconError, match="J_regressor_h36m"):
        read_regressor(path)


def test_an_amass_file_may_hold_objects_beside_its_motion(tmp_path: Path) -> None:
    """Published ones do: names of markers, in dictionaries."""
    motion = {"poses": np.zeros((3, 165)), "trans": np.zeros((3, 3)), "betas": np.zeros(10)}
    others = {"mocap_frame_rate": np.array(30.0), "gender": np.array("female")}
    np.savez(tmp_path / "a.npz", **motion, **others, markers=np.array({"a": 1}, object))  # type: ignore[arg-type]
    assert len(amass.read(tmp_path / "a.npz").people[0].frame_idx) == 3
    assert amass_dataset.read(str(tmp_path / "a.npz")).genders == ("female",)


def test_a_motion_prior_of_another_size_takes_no_memory(tmp_path: Path) -> None:
    with np.load(SHIPPED) as data:
        arrays = {name: data[name] for name in data.files}
    head = json.loads(arrays["head"].tobytes())
    for changed in ({"channels": 100_000}, {"attentions": 10**9}, {"code": -1}):
        text = json.dumps(head | {"size": head["size"] | changed})
        arrays["head"] = np.frombuffer(text.encode(), np.uint8)
        np.savez(tmp_path / "a.npz", **arrays)
        with pytest.raises(ReconError, match="motion prior"):
            MotionPrior.load(tmp_path / "a.npz")
