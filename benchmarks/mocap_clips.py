"""Real motion capture for benchmarks: the clips of DeepMimic that the PyBullet wheel carries.

Peng 2018, "DeepMimic" (its repository: MIT; PyBullet: zlib): 20 short clips of people, looped ones
repeated here. They are held out: nothing in this project is trained on them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from body.motion_features import headings, leg_length, resample
from recon.core.geometry import R_YUP_ZUP, Array, quat_to_matrix, rotvec_to_matrix
from recon.core.packages import Package, download, read_member
from recon.core.people import BodyPoses
from recon.core.rig import Rig
from recon.core.skeletons import CANONICAL_JOINTS
from recon.core.stage import no_progress
from recon.core.storage import write_atomic
from recon.core.weights import cache_dir
from recon.motion import MotionClip

_WALKER = ("0walk_forward", "turn_left0", "turn_left1", "turn_right0", "turn_right1")
GAITS = ("walk", "run", *_WALKER)
OTHERS = (
    "backflip", "cartwheel", "crawl", "dance_a", "dance_b", "getup_facedown", "getup_faceup",
    "jump", "kick", "punch", "roll", "spin", "spinkick",
)  # fmt: skip
_PYBULLET = Package(registry="PyPI", name="pybullet", version="3.2.7", size=103_196_742)
_LEG = 0.421946 + 0.409870
"""Metres from hip to ankle of DeepMimic's humanoid."""
_J = {name: i for i, name in enumerate(CANONICAL_JOINTS)}
_R_SMPLX_HUMANOID = np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])
"""The humanoid rests facing x, y up; SMPL-X facing z."""
_SECONDS = 5.0
_TURNS = {"spine2": 8, "neck": 12, "right_hip": 16, "right_ankle": 21, "left_hip": 30,
          "left_ankle": 35}  # fmt: skip
_KNEES = {"right_knee": 20, "left_knee": 34}
_ARMS = {"right": (25, 29), "left": (39, 43)}
"""First column of each joint's quaternion (wxyz) or hinge angle in a frame of 44 numbers."""


def mocap_clips(names: tuple[str, ...], rig: Rig, *, fps: float = 30.0) -> Iterator[MotionClip]:
    """The clips on a body, scaled to its legs; looped ones go on for five seconds."""
    folder = _fetched()
    for name in names:
        clip = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        frames = np.array(clip["Frames"], dtype=float)
        times = np.concatenate([[0.0], np.cumsum(frames[:-1, 0])])
        poses = _poses(frames, leg_length(rig) / _LEG)
        if clip["Loop"] == "wrap":
            times, poses = _repeated(times, poses)
        at = np.arange(int(min(times[-1], _SECONDS) * fps)) / fps
        yield MotionClip(
            name=name, times=at, poses=resample(poses, times, at), contacts=None, rig=rig
        )


def _fetched() -> Path:
    """The folder of the clips in the cache, taken out of the wheel (103 MB) the first time."""
    folder = cache_dir() / "deepmimic"
    if not folder.is_dir():
        work = cache_dir() / ".download-deepmimic"
        work.mkdir(parents=True, exist_ok=True)
        archive = download(_PYBULLET, work, no_progress, "Needs the registry once.")
        for name in GAITS + OTHERS:
            file = f"walker/{name}" if name in _WALKER else f"humanoid3d_{name}"
            data = read_member(archive, f"pybullet_data/data/motions/{file}.txt")
            write_atomic(folder / f"{name}.json", lambda out, data=data: out.write(data))
        archive.unlink()
    return folder


def _poses(frames: Array, scale: float) -> BodyPoses:
    """Canonical poses of frames (N, 44): seconds, root position and turn, then the joints."""
    rotations = np.tile(np.eye(3), (len(frames), len(CANONICAL_JOINTS), 1, 1))
    rotations[:, 0] = R_YUP_ZUP.T @ quat_to_matrix(frames[:, 4:8]) @ _R_SMPLX_HUMANOID.T

    def turned(rotation: Array) -> Array:
        return _R_SMPLX_HUMANOID @ rotation @ _R_SMPLX_HUMANOID.T

    def hinge(column: int) -> Array:
        return turned(rotvec_to_matrix(np.multiply.outer(frames[:, column], [0.0, 0.0, 1.0])))

    for name, first in _TURNS.items():
        rotations[:, _J[name]] = turned(quat_to_matrix(frames[:, first : first + 4]))
    for name, column in _KNEES.items():
        rotations[:, _J[name]] = hinge(column)
    for side, (shoulder, elbow) in _ARMS.items():
        # The humanoid's arms hang at rest, SMPL-X's point sideways.
        down = rotvec_to_matrix(np.array([0.0, 0.0, -np.pi / 2 if side == "left" else np.pi / 2]))
        upper = turned(quat_to_matrix(frames[:, shoulder : shoulder + 4]))
        rotations[:, _J[f"{side}_shoulder"]] = upper @ down
        rotations[:, _J[f"{side}_elbow"]] = down.T @ hinge(elbow) @ down
    return BodyPoses(root=scale * frames[:, 1:4] @ R_YUP_ZUP, rotations=rotations)


def _repeated(times: Array, poses: BodyPoses) -> tuple[Array, BodyPoses]:
    """A cycle, whose last frame continues in its first, gone through until _SECONDS are full."""
    first, last = headings(poses.rotations[[0, -1], 0])
    turn = (last - first + np.pi) % (2 * np.pi) - np.pi
    rounds = int(np.ceil(_SECONDS / times[-1])) + 1
    roots, rotations, at = [], [], []
    here = poses.root[0] * [1, 1, 0]
    for k in range(rounds):
        about_z = rotvec_to_matrix(np.array([0.0, 0.0, k * turn]))
        root = (poses.root - poses.root[0] * [1, 1, 0]) @ about_z.T + here
        here = root[-1] * [1, 1, 0]
        turned = poses.rotations.copy()
        turned[:, 0] = about_z @ turned[:, 0]
        roots.append(root[:-1])
        rotations.append(turned[:-1])
        at.append(times[:-1] + k * times[-1])
    assert all(b[0] > a[-1] for a, b in pairwise(at))
    return np.concatenate(at), BodyPoses(
        root=np.concatenate(roots), rotations=np.concatenate(rotations)
    )
