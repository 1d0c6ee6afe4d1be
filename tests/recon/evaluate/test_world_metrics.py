"""World metrics: hand-computed cases, the motions they must ignore, and the papers' variants."""

from __future__ import annotations

import numpy as np
import pytest

from recon.core.geometry import Array, rotvec_to_matrix, umeyama
from recon.evaluate.camera_metrics import aligned
from recon.evaluate.world_metrics import (
    chunks,
    erve,
    foot_sliding,
    jitter,
    root_smoothed,
    rte,
    w_mpjpe,
    wa_mpjpe,
)

TURN = rotvec_to_matrix(np.array([0.3, -1.1, 2.0]))
SHIFT = np.array([3.0, -7.0, 1.5])


def walk(num_frames: int, *, joints: int = 6, seed: int = 0) -> Array:
    """A drifting, wobbling body (T, J, 3)."""
    rng = np.random.default_rng(seed)
    body = rng.normal(0, 0.4, (joints, 3))
    path = np.cumsum(rng.normal([0.03, 0.01, 0.0], 0.01, (num_frames, 3)), axis=0)
    return path[:, None] + body + 0.01 * rng.normal(size=(num_frames, joints, 3))


def moved(points: Array, scale: float = 1.0) -> Array:
    return scale * points @ TURN.T + SHIFT


@pytest.mark.parametrize("tail", ["wham", "gvhmr", "tram"])
def test_chunk_errors_ignore_a_similarity(tail) -> None:
    truth = walk(230)
    for metric in (wa_mpjpe, w_mpjpe):
        assert np.allclose(metric(moved(truth, 1.3), truth, tail=tail), 0, atol=1e-6)


def test_every_chunk_is_aligned_for_itself() -> None:
    """A jump between two chunks costs nothing, the same jump inside a chunk does."""
    truth = walk(200)
    for at, free in ((100, True), (150, False)):
        predicted = truth.copy()
        predicted[at:] += [0.0, 1.0, 0.0]
        for metric in (wa_mpjpe, w_mpjpe):
            assert (metric(predicted, truth).max() < 1e-6) == free


def test_w_mpjpe_by_hand() -> None:
    """The path runs away by 2 % after a start that fits: the error is that of the distance."""
    truth = walk(100)
    predicted = truth.copy()
    predicted[2:] += 0.02 * (truth[2:, :1] - truth[1:2, :1])
    expected = np.linalg.norm(predicted - truth, axis=-1).mean(axis=-1)
    assert np.allclose(w_mpjpe(predicted, truth), expected, atol=1e-9)
    assert wa_mpjpe(predicted, truth).mean() < 0.5 * expected.mean()


def test_w_mpjpe_fits_the_scale_too() -> None:
    truth = walk(100)
    predicted = truth * 1.5
    scale, rotation, shift = umeyama(predicted[:2].reshape(-1, 3), truth[:2].reshape(-1, 3))
    assert scale == pytest.approx(1 / 1.5)
    by_hand = scale * predicted @ rotation.T + shift
    assert np.allclose(
        w_mpjpe(predicted, truth), np.linalg.norm(by_hand - truth, axis=-1).mean(-1), atol=1e-9
    )


@pytest.mark.parametrize(
    ("num_frames", "usual", "tram"),
    [
        (50, [(0, 50)], []),
        (100, [(0, 100)], []),
        (150, [(0, 100), (100, 150)], [(0, 149)]),
        (201, [(0, 100), (100, 200), (200, 201)], [(0, 100), (100, 200)]),
        (250, [(0, 100), (100, 200), (200, 250)], [(0, 100), (100, 249)]),
        (300, [(0, 100), (100, 200), (200, 300)], [(0, 100), (100, 200)]),
    ],
)
def test_the_tail_of_each_script(num_frames, usual, tram) -> None:
    def bounds(tail) -> list[tuple[int, int]]:
        return [(c.start, c.stop) for c in chunks(num_frames, tail=tail)]

    assert bounds("wham") == bounds("gvhmr") == usual
    assert bounds("tram") == tram


def test_tram_joins_the_remainder_and_drops_the_last_frame() -> None:
    truth = walk(250)
    predicted = truth.copy()
    predicted[220:] += [0.0, 0.5, 0.0]
    assert len(wa_mpjpe(predicted, truth, tail="wham")) == 250
    joined = wa_mpjpe(predicted, truth, tail="tram")
    assert len(joined) == 249
    assert joined[100:200].mean() > 1e-3  # the jump pulls the whole joined chunk
    assert wa_mpjpe(predicted, truth, tail="wham")[100:200].max() < 1e-6


def test_rte_by_hand() -> None:
    """Ten metres straight, and a prediction that leaves to the side on both ends."""
    truth = np.zeros((3, 3))
    truth[:, 0] = [0.0, 5.0, 10.0]
    predicted = truth + np.array([[0, 0.3, 0], [0, -0.6, 0], [0, 0.3, 0]])
    assert np.allclose(rte(predicted, truth), [3.0, 6.0, 3.0])


def test_rte_ignores_a_rigid_motion_and_not_the_scale() -> None:
    truth = walk(120)[:, 0]
    assert np.allclose(rte(moved(truth), truth), 0, atol=1e-6)
    assert rte(moved(truth, 1.1), truth).mean() > 1
    assert np.allclose(aligned(moved(truth), truth, with_scale=False), truth, atol=1e-9)


def test_rte_is_a_share_of_the_path() -> None:
    truth, predicted = walk(80)[:, 0], walk(80, seed=1)[:, 0]
    assert np.allclose(rte(3 * predicted, 3 * truth), rte(predicted, truth), atol=1e-6)


def test_erve_by_hand_and_per_frame() -> None:
    """The body faces backwards in the prediction, so that its forward step is a backward one."""
    half_turn = rotvec_to_matrix(np.array([0.0, 0.0, np.pi]))
    root = np.outer(np.arange(4), [0.05, 0.0, 0.0])
    upright, turned = np.tile(np.eye(3), (4, 1, 1)), np.tile(half_turn, (4, 1, 1))
    same = erve(root @ half_turn.T, root, R_world_predicted=turned, R_world_root=upright)
    assert np.allclose(same, 0, atol=1e-9)
    against = erve(root, root, R_world_predicted=turned, R_world_root=upright)
    assert np.allclose(against, [0.1, 0.1, 0.1])


def test_erve_ignores_a_rigid_motion() -> None:
    rng = np.random.default_rng(2)
    root, R = walk(50)[:, 0], rotvec_to_matrix(rng.normal(size=(50, 3)))
    other, R_other = moved(root), TURN @ R
    assert np.allclose(erve(other, root, R_world_predicted=R_other, R_world_root=R), 0, atol=1e-6)


def test_erve_turns_with_the_first_frame_of_each_step() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 5, 3))
    Ra, Rb = rotvec_to_matrix(rng.normal(size=(2, 5, 3)))
    by_hand = [
        np.linalg.norm(Rb[t] @ Ra[t].T @ (a[t + 1] - a[t]) - (b[t + 1] - b[t])) for t in range(4)
    ]
    assert np.allclose(erve(a, b, R_world_predicted=Ra, R_world_root=Rb), by_hand)


def test_jitter_by_hand() -> None:
    """x = t^3 has a third derivative of 6 m/s^3 everywhere: 0.6 in units of 10 m/s^3."""
    t = np.arange(20)[:, None, None] / 30
    joints = np.tile(t**3 * [1.0, 0.0, 0.0], (1, 4, 1))
    assert np.allclose(jitter(joints, fps=30), 0.6)
    assert len(jitter(joints, fps=30)) == 17


def test_jitter_ignores_a_rigid_motion_and_grows_with_the_scale() -> None:
    joints = walk(40)
    assert np.allclose(jitter(moved(joints), fps=30), jitter(joints, fps=30), atol=1e-6)
    assert np.allclose(jitter(moved(joints, 2), fps=30), 2 * jitter(joints, fps=30))


def test_foot_sliding_by_hand() -> None:
    """Two points stand (moving 5 mm), two swing; the prediction slides 12 mm a frame."""
    truth = np.zeros((6, 4, 3))
    truth[:, :2, 0] = 0.005 * np.arange(6)[:, None]
    truth[:, 2:, 0] = 0.1 * np.arange(6)[:, None]
    predicted = np.zeros((6, 4, 3))
    predicted[..., 1] = 0.012 * np.arange(6)[:, None]
    steps = foot_sliding(predicted, truth)
    assert len(steps) == 5 * 2 and np.allclose(steps, 0.012)
    assert len(foot_sliding(predicted, truth, threshold=0.004)) == 0


def test_masks_leave_out_what_needs_an_invalid_frame() -> None:
    joints = walk(30)
    broken, valid = joints.copy(), np.ones(30, bool)
    broken[[0, 17]] = np.nan
    valid[[0, 17]] = False
    whole = jitter(joints, fps=30)
    assert np.allclose(jitter(broken, fps=30, valid=valid), np.delete(whole, [0, 14, 15, 16, 17]))
    R = np.tile(np.eye(3), (30, 1, 1))
    steps = erve(broken[:, 0], joints[:, 1], R_world_predicted=R, R_world_root=R, valid=valid)
    assert len(steps) == 29 - 3 and np.isfinite(steps).all()
    still = np.zeros((30, 4, 3))
    feet = foot_sliding(broken[:, :4], still, valid=valid)
    assert len(feet) == 4 * (29 - 3) and np.isfinite(feet).all()


def test_root_smoothing_moves_the_whole_body_with_its_root() -> None:
    """TRAM's filter: the pelvis' path is smoothed, poses stay; a straight path stays inside."""
    joints = walk(60)
    smooth = root_smoothed(joints)
    assert np.allclose(smooth - smooth[:, :1], joints - joints[:, :1])
    assert jitter(smooth[:, :1], fps=30).mean() < 0.1 * jitter(joints[:, :1], fps=30).mean()
    straight = np.tile(np.arange(60.0)[:, None, None], (1, 2, 3))
    assert np.allclose(root_smoothed(straight)[15:-15], straight[15:-15])


def test_root_smoothing_is_the_gaussian_of_three_frames() -> None:
    impulse = np.zeros((61, 1, 3))
    impulse[30, 0, 0] = 1.0
    got = root_smoothed(impulse)[:, 0, 0]
    weights = np.exp(-0.5 * ((np.arange(61) - 30) / 3) ** 2)
    weights[np.abs(np.arange(61) - 30) > 12] = 0  # scipy cuts at four deviations
    assert np.allclose(got, weights / weights.sum(), atol=1e-12)
