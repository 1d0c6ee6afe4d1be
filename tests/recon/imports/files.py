"""Miniature results in other programs' formats, of a known motion."""

from __future__ import annotations

import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from recon.core.geometry import (
    R_YUP_ZUP,
    Array,
    invert_transform,
    make_transform,
    matrix_to_rotvec,
    rotvec_to_matrix,
    transform_points,
)


class NumpyArrayWrapper:
    """joblib's note in the pickle that an array's bytes follow."""


NumpyArrayWrapper.__module__ = "joblib.numpy_pickle"


class _JoblibPickler(pickle._Pickler):  # type: ignore[name-defined]
    """Writes arrays as joblib does: a note, some padding, the bytes."""

    aligned = True

    def __init__(self, file: Any) -> None:
        super().__init__(file, protocol=4)
        self.raw = file

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if type(obj) is not np.ndarray:
            super().save(obj, save_persistent_id)  # type: ignore[misc]
            return
        note = NumpyArrayWrapper()
        fortran = obj.flags.f_contiguous and not obj.flags.c_contiguous
        order = "F" if fortran else "C"
        note.__dict__ |= {"subclass": np.ndarray, "shape": obj.shape, "order": order,
                          "dtype": obj.dtype, "allow_mmap": True}  # fmt: skip
        if self.aligned:
            note.__dict__["numpy_array_alignment_bytes"] = 16
        super().save(note, save_persistent_id)  # type: ignore[misc]
        self.framer.commit_frame(force=True)  # type: ignore[attr-defined]
        if self.aligned:
            padding = 16 - (self.raw.tell() + 1) % 16
            self.raw.write(bytes([padding]) + b"\xff" * padding)
        self.raw.write(obj.tobytes(order))


def joblib_dump(content: Any, path: Path, *, aligned: bool = True) -> None:
    """Writes what `joblib.dump` would, without the package."""
    stand_in = ModuleType("joblib.numpy_pickle")
    stand_in.NumpyArrayWrapper = NumpyArrayWrapper  # type: ignore[attr-defined]
    before = {k: sys.modules.get(k) for k in ("joblib", "joblib.numpy_pickle")}
    sys.modules |= {"joblib": ModuleType("joblib"), "joblib.numpy_pickle": stand_in}
    try:
        with path.open("wb") as file:
            pickler = _JoblibPickler(file)
            pickler.aligned = aligned
            pickler.dump(content)
    finally:
        for key, module in before.items():
            if module is None:
                del sys.modules[key]
            else:
                sys.modules[key] = module


@dataclass(frozen=True, kw_only=True)
class Truth:
    """A body in a z-up world and the camera that sees it.

    Args:
        body: (N, 21, 3) axis-angles. orient: (N, 3, 3), transl: (N, 3), both in the world.
        Ts_world_camera: (N, 4, 4). pelvis: (3,) J0 that the files assume.
    """

    body: Array
    orient: Array
    transl: Array
    Ts_world_camera: Array
    pelvis: Array

    @property
    def root(self) -> Array:
        """The pelvis (N, 3) in the world."""
        return self.transl + self.pelvis

    def seen_from(self, T_frame_world: Array) -> tuple[Array, Array]:
        """Axis-angles (N, 3) and transl (N, 3) in another frame, T (4, 4) or (N, 4, 4)."""
        T = np.broadcast_to(T_frame_world, (len(self.root), 4, 4))
        root = transform_points(T, self.root[:, None])[:, 0]
        return matrix_to_rotvec(T[:, :3, :3] @ self.orient), root - self.pelvis

    def in_camera(self) -> tuple[Array, Array]:
        return self.seen_from(invert_transform(self.Ts_world_camera))

    def in_yup(self) -> tuple[Array, Array]:
        return self.seen_from(make_transform(R_YUP_ZUP, np.zeros(3)))


def make_truth(pelvis: Array, n: int = 12) -> Truth:
    """Somebody walking along x while a hand-held camera moves past."""
    rng = np.random.default_rng(7)
    s = np.linspace(0, 1, n)[:, None]
    upright = R_YUP_ZUP.T  # the y-up rest pose in a z-up world
    turn = rotvec_to_matrix(s * [0.05, -0.05, 0.8])
    looking = np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]])  # along +y, level
    shake = rotvec_to_matrix(s * [0.1, 0.2, -0.1])
    return Truth(
        body=0.3 * rng.standard_normal((1, 21, 3)) * np.cos(3 * s)[..., None],
        orient=turn @ upright,
        transl=s * [1.5, 0.2, 0.0] + [0.0, 0.0, 1.15],
        Ts_world_camera=make_transform(shake @ looking, s * [0.5, 0.1, 0.1] + [0.5, -4.0, 1.4]),
        pelvis=pelvis,
    )


BETAS = np.linspace(-1, 1, 10)


def write_amass(truth: Truth, path: Path, *, width: int = 165) -> None:
    """An AMASS file of SMPL-X (165 numbers a frame) or SMPL-H (156)."""
    n = len(truth.root)
    orient = matrix_to_rotvec(truth.orient)
    rest = np.zeros((n, width - 66))
    rest[:, -90:] = 0.1
    rate = "mocap_frame_rate" if width == 165 else "mocap_framerate"
    np.savez(
        path, poses=np.concatenate([orient, truth.body.reshape(n, 63), rest], axis=1),
        trans=truth.transl, betas=np.concatenate([BETAS, np.zeros(6)]), gender="neutral",
        **{rate: np.asarray(60.0)},  # type: ignore[arg-type]
    )  # fmt: skip


def write_gvhmr(truth: Truth, path: Path) -> None:
    """hmr4d_results.pt."""
    n = len(truth.root)
    K = np.array([[900.0, 0, 640], [0, 900, 360], [0, 0, 1]])

    def params(placed: tuple[Array, Array]) -> dict[str, torch.Tensor]:
        arrays = {
            "global_orient": placed[0], "body_pose": truth.body.reshape(n, 63),
            "betas": np.tile(BETAS, (n, 1)), "transl": placed[1],
        }  # fmt: skip
        return {key: torch.from_numpy(np.array(value)).float() for key, value in arrays.items()}

    content = {
        "smpl_params_global": params(truth.in_yup()),
        "smpl_params_incam": params(truth.in_camera()),
        "K_fullimg": torch.from_numpy(np.tile(K, (n, 1, 1))).float(),
        "net_outputs": {},
    }
    torch.save(content, path)


def write_wham(truth: Truth, path: Path, *, frames: np.ndarray) -> None:
    """wham_output.pkl, with the frames numbered as given."""
    n = len(frames)
    hands = np.zeros((n, 6))
    (orient, trans), (orient_world, trans_world) = truth.in_camera(), truth.in_yup()
    body = truth.body.reshape(n, 63)
    person = {
        "pose": np.concatenate([orient, body, hands], axis=1).astype(np.float32),
        "trans": trans.astype(np.float32),
        "pose_world": np.concatenate([orient_world, body, hands], axis=1).astype(np.float32),
        "trans_world": trans_world.astype(np.float32),
        "betas": np.tile(BETAS, (n, 1)).astype(np.float32),
        "verts": np.zeros((n, 5, 3), np.float32),
        "frame_ids": frames,
    }
    joblib_dump({0: person}, path)


def write_tram(truth: Truth, folder: Path) -> None:
    """camera.npy and hps/hps_track_0.npy; TRAM's world is the first camera's."""
    n = len(truth.root)
    orient, transl = truth.in_camera()
    rotations = np.tile(np.eye(3), (n, 24, 1, 1))
    rotations[:, 0], rotations[:, 1:22] = rotvec_to_matrix(orient), rotvec_to_matrix(truth.body)
    results = {
        "pred_rotmat": torch.from_numpy(rotations).float(),
        "pred_shape": torch.from_numpy(np.tile(BETAS, (n, 1))).float(),
        "pred_trans": torch.from_numpy(transl[:, None]).float(),
        "frame": torch.arange(n),
    }
    Ts = invert_transform(truth.Ts_world_camera[0]) @ truth.Ts_world_camera
    camera = {
        "pred_cam_R": Ts[:, :3, :3].astype(np.float32),
        "pred_cam_T": Ts[:, :3, 3].astype(np.float32),
        "img_focal": np.float64(900.0),
        "img_center": np.array([640.0, 360.0]),
    }
    (folder / "hps").mkdir(parents=True)
    np.save(folder / "hps/hps_track_0.npy", results, allow_pickle=True)  # type: ignore[arg-type]
    np.save(folder / "camera.npy", camera, allow_pickle=True)  # type: ignore[arg-type]


def write_prompthmr(truth: Truth, path: Path) -> None:
    """results.pkl: a y-up world with the floor at 0, SMPL-X's 55 joints."""
    n = len(truth.root)
    orient, transl = truth.in_yup()
    rest = np.concatenate([np.zeros((n, 9)), np.full((n, 90), 0.1)], axis=1)
    Ts = make_transform(R_YUP_ZUP, np.zeros(3)) @ truth.Ts_world_camera
    person = {
        "track_id": 1,
        "frames": np.arange(n),
        "smplx_world": {
            "pose": np.concatenate([orient, truth.body.reshape(n, 63), rest], axis=1),
            "shape": np.tile(BETAS, (n, 1)),
            "trans": transl,
        },
    }
    camera = {
        "Rwc": Ts[:, :3, :3].copy(),
        "Twc": Ts[:, :3, 3].copy(),
        "img_focal": np.float32(900.0),
        "img_center": np.array([640.0, 360.0]),
    }
    joblib_dump({"people": {1: person}, "camera_world": camera, "has_slam": True}, path)
