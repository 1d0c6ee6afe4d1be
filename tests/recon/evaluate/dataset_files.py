"""Miniature sequences in the data sets' official formats, of one known motion."""

from __future__ import annotations

import io
import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recon.core.camera import Intrinsics
from recon.core.geometry import (
    R_YUP_ZUP,
    Array,
    invert_transform,
    make_transform,
    matrix_to_rotvec,
    rotvec_to_matrix,
)
from recon.core.people import BodyPoses
from tests.synthetic import camera_path, walking_poses

NUM_FRAMES = 12
BETAS = np.array([0.8, -0.5, 0.3, 0.1, 0.0, 0.2, -0.1, 0.0, 0.4, -0.2])
INTRINSICS = Intrinsics(fx=900.0, fy=910.0, cx=480.0, cy=270.0, width=960, height=540)
Z_TO_Y_UP = make_transform(R_YUP_ZUP, np.array([0.3, 1.2, -0.4]))
"""From our world to a file's whose y axis is up, with an origin of its own."""


@dataclass(frozen=True, kw_only=True)
class Motion:
    """A walk in our world and its camera, and valid frames."""

    poses: BodyPoses
    Ts_world_camera: Array
    valid: np.ndarray

    def in_file(self, T_file_world: Array, pelvis: Array) -> dict[str, Array]:
        """SMPL's parameters in the file's world: root, body (N, 63) and trans (N, 3)."""
        R = T_file_world[:3, :3]
        root = R @ self.poses.rotations[:, 0]
        trans = self.poses.root @ R.T + T_file_world[:3, 3] - pelvis
        body = matrix_to_rotvec(self.poses.rotations[:, 1:22]).reshape(len(root), -1)
        return {"root": matrix_to_rotvec(root), "body": body, "trans": trans}

    def cameras_in_file(self, T_file_world: Array) -> Array:
        """World-to-camera matrices (N, 4, 4) of the file."""
        return invert_transform(T_file_world @ self.Ts_world_camera)


def motion(*, start: tuple[float, float] = (0.0, 0.0)) -> Motion:
    """A walk; body joints differ from frame to frame, the fingers are straight."""
    times = np.arange(NUM_FRAMES) / 30
    poses = walking_poses(NUM_FRAMES, 30.0, times=times, start=start, heading=0.4)
    rng = np.random.default_rng(7)
    wobble = rotvec_to_matrix(0.1 * rng.normal(size=(NUM_FRAMES, 21, 3)))
    rotations = poses.rotations.copy()
    rotations[:, 1:22] = rotations[:, 1:22] @ wobble
    rotations[:, 22:] = np.eye(3)
    valid = np.ones(NUM_FRAMES, bool)
    valid[[3, 4]] = False
    return Motion(
        poses=BodyPoses(root=poses.root, rotations=rotations),
        Ts_world_camera=camera_path(times, "moving"), valid=valid,
    )  # fmt: skip


def write_emdb(folder: Path, moves: Motion, pelvis: Array, **changes: Any) -> Path:
    """PX/SEQUENCE/PX_SEQUENCE_data.pkl with every key of dataset.md."""
    given = moves.in_file(Z_TO_Y_UP, pelvis)
    hands = np.random.default_rng(1).normal(size=(NUM_FRAMES, 6))
    content: dict[str, Any] = {
        "gender": "female", "name": "P1_14_outdoor_climb", "emdb1": True, "emdb2": np.bool_(False),
        "n_frames": NUM_FRAMES, "good_frames_mask": moves.valid,
        "camera": {
            "intrinsics": INTRINSICS.matrix, "extrinsics": moves.cameras_in_file(Z_TO_Y_UP),
            "width": INTRINSICS.width, "height": INTRINSICS.height,
        },
        "smpl": {
            "poses_root": given["root"], "trans": given["trans"], "betas": BETAS,
            "poses_body": np.concatenate([given["body"], hands], axis=1),
        },
        "kp2d": np.zeros((NUM_FRAMES, 24, 2)),
        "bboxes": {"bboxes": np.zeros((NUM_FRAMES, 4)), "invalid_idxs": np.array([3, 4])},
    }  # fmt: skip
    path = folder / "P1" / "14_outdoor_climb" / "P1_14_outdoor_climb_data.pkl"
    path.parent.mkdir(parents=True)
    path.write_bytes(pickle.dumps(content | changes))
    return path


class _Python2Pickler(pickle._Pickler):  # type: ignore[name-defined]
    """Writes texts and bytes alike as Python 2 did, which its arrays' numbers are part of."""

    def save_text(self, obj: Any) -> None:
        data = obj.encode("latin1") if isinstance(obj, str) else obj
        self.write(pickle.BINSTRING + len(data).to_bytes(4, "little") + data)  # type: ignore[attr-defined]
        self.memoize(obj)  # type: ignore[attr-defined]

    dispatch = {  # noqa: RUF012
        **pickle._Pickler.dispatch,  # type: ignore[attr-defined]
        str: save_text,
        bytes: save_text,
    }


def write_3dpw(path: Path, people: list[tuple[Motion, str, Array]], **changes: Any) -> Path:
    """sequenceFiles/test/NAME.pkl as Python 2 wrote it; people with sex and pelvis."""
    given = [moves.in_file(Z_TO_Y_UP, pelvis) for moves, _, pelvis in people]
    zeros = np.zeros((NUM_FRAMES, 6))
    content: dict[str, Any] = {
        "sequence": path.stem,
        "poses": [np.concatenate([g["root"], g["body"], zeros], axis=1) for g in given],
        "trans": [g["trans"] for g in given],
        "betas": [np.concatenate([BETAS, np.zeros(290)]) for _ in given],
        "genders": [sex for _, sex, _ in people],
        "campose_valid": [moves.valid.astype(int) for moves, _, _ in people],
        "cam_poses": people[0][0].cameras_in_file(Z_TO_Y_UP),
        "cam_intrinsics": INTRINSICS.matrix,
        "img_frame_ids": np.arange(NUM_FRAMES) * 2,
        "poses_60Hz": [np.zeros((2 * NUM_FRAMES, 72)) for _ in given],
        "trans_60Hz": [np.zeros((2 * NUM_FRAMES, 3)) for _ in given],
        "jointPositions": [np.zeros((NUM_FRAMES, 72)) for _ in given],
        "poses2d": [np.zeros((NUM_FRAMES, 3, 18)) for _ in given],
        "texture_maps": [None for _ in given],
        "betas_clothed": [BETAS for _ in given],
        "v_template_clothed": [np.zeros((6890, 3)) for _ in given],
    }
    buffer = io.BytesIO()
    _Python2Pickler(buffer, protocol=2).dump(content | changes)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())
    return path


_XML = """<?xml version="1.0"?>
<opencv_storage>
<CameraMatrix type_id="opencv-matrix"><rows>3</rows><cols>4</cols><dt>d</dt><data>
{camera}</data></CameraMatrix>
<Intrinsics type_id="opencv-matrix"><rows>3</rows><cols>3</cols><dt>d</dt><data>
{intrinsics}</data></Intrinsics>
<Distortion type_id="opencv-matrix"><rows>8</rows><cols>1</cols><dt>d</dt><data>
0. 0. 0. 0. 0. 0. 0. 0.</data></Distortion>
</opencv_storage>
"""


def write_rich(data: Path, moves: Motion, pelvis: Array, *, first: int = 17) -> Path:
    """A sequence of Pavallion's subject 3 seen by cameras 0 and 3; returns its folder.

    Bodies lie in the frame of the cameras, which is turned, moved and 1.02 times smaller.
    """
    R = rotvec_to_matrix(np.array([1.4, 0.2, -0.5]))
    scale, shift = 1.02, np.array([0.7, -0.2, 1.1])
    # world = scale p R + shift in RICH's own units; ours is that in metres of the bodies.
    T_world_file = make_transform(R.T, shift / scale)
    given = moves.in_file(invert_transform(T_world_file), pelvis)
    folder = data / "bodies" / "test" / "Pavallion_003_sidebalancerun"
    for k in range(NUM_FRAMES):
        if k == 5:  # a frame that nobody fitted
            continue
        frame = folder / f"{first + k:05d}"
        frame.mkdir(parents=True)
        body = {
            "transl": given["trans"][k : k + 1], "global_orient": given["root"][k : k + 1],
            "body_pose": given["body"][k : k + 1], "betas": BETAS[None],
            "left_hand_pose": np.zeros((1, 12)), "right_hand_pose": np.zeros((1, 12)),
            "jaw_pose": np.zeros((1, 3)), "expression": np.zeros((1, 10)),
        }  # fmt: skip
        body = {key: value.astype(np.float32) for key, value in body.items()}
        (frame / "003.pkl").write_bytes(pickle.dumps(body))
    calibration = data / "scan_calibration" / "Pavallion" / "calibration"
    calibration.mkdir(parents=True)
    cameras = {0: np.eye(4), 3: invert_transform(
        invert_transform(T_world_file) @ moves.Ts_world_camera[0])}  # fmt: skip
    for number, T in cameras.items():
        text = _XML.format(
            camera=" ".join(f"{x:.12g}" for x in T[:3].ravel()),
            intrinsics=" ".join(f"{x:.12g}" for x in INTRINSICS.matrix.ravel()),
        )
        (calibration / f"{number:03d}.xml").write_text(text)
    (data / "multicam2world").mkdir()
    (data / "multicam2world" / "Pavallion_multicam2world.json").write_text(
        json.dumps({"R": R.tolist(), "t": shift.tolist(), "c": scale})
    )
    (data / "gender.json").write_text(json.dumps({"3": "female"}))
    return folder


def write_amass(path: Path, moves: Motion, pelvis: Array) -> Path:
    """An SMPL-X .npz with the keys of the published files, 60 frames a second."""
    given = moves.in_file(np.eye(4), pelvis)
    poses = np.concatenate([given["root"], given["body"], np.zeros((NUM_FRAMES, 99))], axis=1)
    np.savez(
        path, gender=np.array("female"), mocap_frame_rate=np.array(60.0), poses=poses,
        trans=given["trans"], betas=np.concatenate([BETAS, np.zeros(6)]),
        surface_model_type=np.array("smplx"),
    )  # fmt: skip
    return path
