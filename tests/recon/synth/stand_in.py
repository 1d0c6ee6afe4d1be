"""Motion for synthetic worlds until `recon.motion` is there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from recon.core.geometry import Array
from recon.core.people import BodyPoses
from recon.core.rig import Rig
from tests.synthetic import walking_contacts, walking_poses


def acted(action: str, rig: Rig, times: Array, *, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    speed = 1.0 if action in ("walk", "run") else 0.02
    walk = walking_poses(len(times), 30.0, times=times + rng.uniform(0, 1), speed=speed)
    lowest = rig.soles(walk)[..., 2].min(axis=1)
    root = walk.root - lowest[:, None] * [0, 0, 1]
    poses = BodyPoses(root=root, rotations=walk.rotations)
    return SimpleNamespace(name=action, poses=poses, contacts=walking_contacts(times), props=())
