"""Frames with few points take their poses from these and from the motion around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from recon.core.camera import Intrinsics
from recon.core.geometry import (
    Array,
    make_transform,
    matrix_to_rotvec,
    rotvec_to_matrix,
    transform_points,
)
from slam.refine_path import _moved, _reprojection, refine_path
from slam.resection import FrameMatches, interpolate_poses, refine_pose

CAMERA = Intrinsics.from_fov(640, 360, fov_deg=60, source="user")
NUM_FRAMES = 90
FEW = np.arange(40, 50)


@dataclass(frozen=True, kw_only=True)
class Walk:
    """A hand-held walk: truth, matches, resected poses, and which frames resection placed."""

    truth: Array
    times: Array
    matches: list[FrameMatches]
    resected: Array
    placed: np.ndarray
    held: np.ndarray

    def refined(self) -> Array:
        return refine_path(
            self.resected, self.matches, held=self.held, times=self.times, intrinsics=CAMERA
        ).Ts_map_camera

    def error(self, poses: Array) -> Array:
        """Distances (T,) of the centres."""
        return np.linalg.norm(poses[:, :3, 3] - self.truth[:, :3, 3], axis=1)

    def turn_error(self, poses: Array) -> Array:
        """Angles (T,), radians."""
        turns = poses[:, :3, :3] @ np.swapaxes(self.truth[:, :3, :3], 1, 2)
        return np.linalg.norm(matrix_to_rotvec(turns), axis=1)


def walk(
    *,
    noise_px: float,
    few: int,
    few_noise_px: float = 0.0,
    times: Array | None = None,
    seed: int = 0,
) -> Walk:
    """Frames FEW see `few` points, all others 120; every tenth frame is held at its true pose."""
    rng = np.random.default_rng(seed)
    times = np.arange(NUM_FRAMES) / 30 if times is None else times
    truth = hand_held(times)
    held = np.arange(NUM_FRAMES) % 10 == 0
    held[FEW] = False
    matches = []
    for i, T in enumerate(truth):
        n = few if i in FEW else 120
        px = rng.uniform([10, 10], [630, 350], (n, 2))
        points = transform_points(T, CAMERA.unproject(px, rng.uniform(2, 6, n)))
        sigma = few_noise_px if i in FEW else noise_px
        matches.append(FrameMatches(points_px=px + rng.normal(0, sigma, (n, 2)), points_map=points))
    poses, placed = truth.copy(), held.copy()
    for i in np.flatnonzero(~held).tolist():
        found = refine_pose(
            matches[i].points_px, matches[i].points_map, T_map_camera=truth[i], intrinsics=CAMERA
        )
        if found is not None:
            poses[i], placed[i] = found, True
    poses = interpolate_poses(times, times[placed], poses[placed])
    return Walk(truth=truth, times=times, matches=matches, resected=poses, placed=placed, held=held)


def hand_held(times: Array) -> Array:
    """Poses (T, 4, 4): steps ahead that sway, and turns."""
    t = times[:, None]
    centres = np.concatenate([0.08 * np.sin(5 * t), 0.05 * np.sin(9 * t), 0.4 * t], axis=1)
    turns = np.concatenate(
        [0.03 * np.sin(8 * t), 0.3 * np.sin(3 * t), 0.02 * np.sin(6 * t)], axis=1
    )
    return make_transform(rotvec_to_matrix(turns), centres)


def test_exact_points_leave_an_exact_path_where_it_is() -> None:
    for few in (4, 8, 20):
        exact = walk(noise_px=0.0, few=few)
        path = refine_path(
            exact.truth, exact.matches, held=exact.held, times=exact.times, intrinsics=CAMERA
        )
        assert path.few[FEW].all() and path.few.sum() == len(FEW)
        np.testing.assert_allclose(path.Ts_map_camera, exact.truth, atol=1e-6)


@pytest.mark.parametrize(
    ("few", "variable_rate"),
    [(4, False), (4, True), (16, False)],
    ids=["interpolated before", "at a variable rate", "resected before"],
)
def test_frames_with_few_noisy_points_come_at_least_twice_as_near(
    few: int, variable_rate: bool
) -> None:
    before, after = [], []
    for seed in range(4):
        gaps = np.random.default_rng(seed).choice([1, 1, 2, 3], NUM_FRAMES)
        times = np.cumsum(gaps) / 30 if variable_rate else None
        noisy = walk(noise_px=0.3, few=few, few_noise_px=1.0, times=times, seed=seed)
        assert noisy.placed[FEW].all() == (few > 12)
        refined = noisy.refined()
        before.append((noisy.error(noisy.resected)[FEW], noisy.turn_error(noisy.resected)[FEW]))
        after.append((noisy.error(refined)[FEW], noisy.turn_error(refined)[FEW]))
        well = np.setdiff1d(np.arange(NUM_FRAMES), FEW)
        moved = np.linalg.norm((refined - noisy.resected)[well, :3, 3], axis=1)
        assert np.all(moved <= 0.1 * np.median(noisy.error(noisy.resected)[well]))
    assert np.all(np.mean(after, axis=(0, 2)) < 0.5 * np.mean(before, axis=(0, 2)))


def test_lies_among_few_points_do_not_carry_the_camera_off() -> None:
    lied = walk(noise_px=0.3, few=8, few_noise_px=0.3)
    clean = lied.error(lied.refined())[FEW]
    for i in FEW.tolist():
        lied.matches[i].points_px[:2] += [40.0, -25.0]
    assert np.median(lied.error(lied.refined())[FEW]) < 3 * np.median(clean)


def test_a_short_gap_is_bridged_and_a_long_one_left() -> None:
    blind = walk(noise_px=0.3, few=0)
    bridged = blind.refined()
    assert blind.error(bridged)[FEW].mean() < 0.5 * blind.error(blind.resected)[FEW].mean()
    slow = Walk(
        truth=blind.truth, times=3 * blind.times, matches=blind.matches, resected=blind.resected,
        placed=blind.placed, held=blind.held,
    )  # fmt: skip
    np.testing.assert_array_equal(slow.refined(), slow.resected)


def test_what_nothing_determines_stays_where_it_is() -> None:
    """A frame alone in a long gap, and all points on one ray."""
    blind = walk(noise_px=0.3, few=0)
    times = np.where(np.arange(NUM_FRAMES) < 45, blind.times, blind.times + 1)
    times = times + np.where(np.arange(NUM_FRAMES) < 46, 0.0, 1.0)
    point = transform_points(
        blind.truth[45], np.array([[0.0, 0, 2], [0, 0, 3], [0, 0, 4], [0, 0, 5]])
    )
    centre = np.full((4, 2), [CAMERA.cx, CAMERA.cy])
    for frames, clock in (([45], times), (FEW.tolist(), blind.times)):
        matches = list(blind.matches)
        for i in frames:
            matches[i] = FrameMatches(points_px=centre, points_map=point)
        path = refine_path(blind.resected, matches, held=blind.held, times=clock, intrinsics=CAMERA)
        assert np.all(path.moved < 0.5)
        assert path.moved.any() == (len(frames) > 1)


def test_nothing_changes_where_no_frames_tell_how_the_camera_moves() -> None:
    poor = walk(noise_px=0.3, few=4, few_noise_px=1.0)
    starved = [
        FrameMatches(points_px=m.points_px[:20], points_map=m.points_map[:20]) for m in poor.matches
    ]
    path = refine_path(poor.resected, starved, held=poor.held, times=poor.times, intrinsics=CAMERA)
    np.testing.assert_array_equal(path.Ts_map_camera, poor.resected)
    np.testing.assert_array_equal(path.few, ~poor.held)
    assert not path.moved.any()


def test_predictions_follow_a_step_as_their_derivative_says() -> None:
    look = walk(noise_px=0.3, few=4)
    T, match = look.truth[7], look.matches[7]
    residual, jacobian = _reprojection(T, match, CAMERA)
    for k in range(6):
        step = np.zeros(6)
        step[k] = 1e-6
        change = residual - _reprojection(_moved(T, step), match, CAMERA)[0]
        np.testing.assert_allclose(jacobian[:, :, k], change / 1e-6, rtol=1e-3, atol=1e-2)
