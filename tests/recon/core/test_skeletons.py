from __future__ import annotations

import numpy as np
import pytest

from recon.core.errors import InputError
from recon.core.skeletons import (
    BLAZEPOSE_KEYPOINTS,
    CANONICAL_JOINTS,
    CANONICAL_PARENTS,
)
from recon.core.video import VideoInfo


def test_canonical_joints_form_a_tree_with_parents_first() -> None:
    assert len(CANONICAL_JOINTS) == len(CANONICAL_PARENTS) == 52 == len(set(CANONICAL_JOINTS))
    assert CANONICAL_PARENTS[0] == -1 and CANONICAL_JOINTS[0] == "pelvis"
    assert all(0 <= p < j for j, p in enumerate(CANONICAL_PARENTS) if j)


def test_sides_mirror_each_other() -> None:
    """The parent of a left joint is the left, or the middle, counterpart of the right one's."""
    other = {"left": "right", "right": "left"}
    for joint, parent in zip(CANONICAL_JOINTS, CANONICAL_PARENTS, strict=True):
        side, _, rest = joint.partition("_")
        if side in other:
            mirrored = CANONICAL_JOINTS.index(f"{other[side]}_{rest}")
            expected = CANONICAL_JOINTS[parent]
            side, _, rest = expected.partition("_")
            expected = f"{other[side]}_{rest}" if side in other else expected
            assert CANONICAL_JOINTS[CANONICAL_PARENTS[mirrored]] == expected


def test_fingers_hang_from_their_own_wrist() -> None:
    for joint, name in enumerate(CANONICAL_JOINTS):
        if name[-1] == "1" and name[:5] in ("left_", "right"):
            side, finger = name[:-1].split("_")
            assert CANONICAL_JOINTS[CANONICAL_PARENTS[joint]] == f"{side}_wrist"
            for knuckle in (2, 3):
                child = CANONICAL_JOINTS.index(f"{side}_{finger}{knuckle}")
                parent = CANONICAL_JOINTS[CANONICAL_PARENTS[child]]
                assert parent == f"{side}_{finger}{knuckle - 1}"


def test_keypoints_have_names_of_their_own() -> None:
    assert len(BLAZEPOSE_KEYPOINTS) == 33 == len(set(BLAZEPOSE_KEYPOINTS))


def video(times: list[float]) -> VideoInfo:
    return VideoInfo(path="a", width=4, height=2, times=np.array(times), focal_px=None, sha256="0")


def test_frame_rate_is_the_median_so_that_a_gap_does_not_count() -> None:
    assert video([0, 0.1, 0.2, 5.0, 5.1]).fps == pytest.approx(10)
    assert video([0.0]).fps == 30


@pytest.mark.parametrize("times", [[], [0.0, 0.0], [1.0, 0.5], [0.0, np.nan]])
def test_times_must_increase(times: list[float]) -> None:
    with pytest.raises(InputError):
        video(times)
