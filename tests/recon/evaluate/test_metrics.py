"""Metrics agree with hand-computed cases and with the motions they must ignore."""

from __future__ import annotations

import numpy as np
import pytest

from recon.core.errors import InputError
from recon.core.geometry import rotvec_to_matrix
from recon.evaluate.metrics import (
    H36M_TO_LSP14,
    SMPL_HIPS,
    acceleration,
    acceleration_error,
    lsp14,
    mpjpe,
    pa_mpjpe,
    pve,
    with_hands,
)


@pytest.fixture
def joints() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(5, 8, 3))


def test_mpjpe_by_hand() -> None:
    truth = np.zeros((1, 3, 3))
    predicted = truth.copy()
    predicted[0, 2] = [0.3, 0.4, 0.0]
    assert np.allclose(mpjpe(predicted, truth, root=[0, 1]), [[0, 0, 0.5]])


def test_mpjpe_ignores_position_only(joints: np.ndarray) -> None:
    assert np.allclose(mpjpe(joints + np.arange(3.0), joints, root=[0, 1]), 0)
    assert mpjpe(1.1 * joints, joints, root=[0, 1]).mean() > 0.05


def test_pa_mpjpe_ignores_a_similarity_per_frame(joints: np.ndarray) -> None:
    rotations = rotvec_to_matrix(np.random.default_rng(1).normal(size=(5, 3)))
    moved = 1.7 * joints @ rotations + np.arange(5.0)[:, None, None]
    assert np.allclose(pa_mpjpe(moved, joints), 0, atol=1e-9)


def test_pa_mpjpe_does_not_mirror(joints: np.ndarray) -> None:
    assert pa_mpjpe(joints * [-1, 1, 1], joints).mean() > 0.1


def test_pa_mpjpe_is_the_least_square_over_similarities(joints: np.ndarray) -> None:
    """No small change of the alignment lowers the squared error (its normal equations)."""
    rng = np.random.default_rng(2)
    truth = joints + 0.2 * rng.normal(size=joints.shape)
    best = (pa_mpjpe(joints, truth) ** 2).sum(axis=1)
    for _ in range(20):
        turn = rotvec_to_matrix(rng.normal(0, 1, (5, 3)))
        scale, shift = rng.uniform(0.5, 1.5), rng.normal(0, 0.5, (5, 1, 3))
        other = scale * joints @ turn + shift
        assert (((other - truth) ** 2).sum(axis=(1, 2)) >= best - 1e-9).all()


def test_pve_takes_the_pelvis_from_the_joints(joints: np.ndarray) -> None:
    vertices = np.random.default_rng(3).normal(size=(5, 40, 3))
    there = {"predicted_joints": joints + 2.0, "joints": joints, "root": SMPL_HIPS}
    assert np.allclose(pve(vertices + 2.0, vertices, **there), 0)
    assert np.allclose(pve(vertices, vertices, **there), 2 * np.sqrt(3))
    with pytest.raises(InputError, match="expected vertices of one mesh"):
        pve(vertices[:, :30], vertices, **there)


def test_acceleration_of_a_parabola_is_constant() -> None:
    t = np.arange(6)[:, None, None] / 50
    joints = 0.5 * 9.81 * t**2 * np.array([0.0, 0.0, 1.0]) + t * np.array([3.0, 0.0, 0.0])
    assert np.allclose(acceleration(joints, 50), 9.81)


def test_accel_is_the_difference_of_accelerations() -> None:
    """One joint of three falls, the hips are at rest: a third of 9.81 on average."""
    t = np.arange(12)[:, None] / 30
    truth = np.zeros((12, 3, 3))
    predicted = truth.copy()
    predicted[:, 0] = 0.5 * 9.81 * t**2 * [0, 0, 1]
    for variant, count in (("gvhmr", 10), ("wham", 8), ("tram", 8)):
        got = acceleration_error(predicted, truth, fps=30, variant=variant)  # type: ignore[arg-type]
        assert len(got) == count
        assert np.allclose(got, 9.81 / 3)


def test_accel_variants_differ_by_the_first_and_last_value() -> None:
    rng = np.random.default_rng(4)
    predicted, truth = rng.normal(size=(2, 20, 24, 3))
    whole = acceleration_error(predicted, truth, fps=30, variant="gvhmr")
    hips = [x - x[:, [1, 2]].mean(1, keepdims=True) for x in (predicted, truth)]
    second = [x[:-2] - 2 * x[1:-1] + x[2:] for x in hips]
    assert np.allclose(whole, np.linalg.norm(second[0] - second[1], axis=-1).mean(1) * 900)
    assert np.allclose(acceleration_error(predicted, truth, fps=30), whole[1:-1])


def test_accel_leaves_out_what_needs_an_invalid_frame() -> None:
    rng = np.random.default_rng(5)
    predicted, truth = rng.normal(size=(2, 12, 24, 3))
    valid = np.ones(12, bool)
    valid[6] = False
    broken = predicted.copy()
    broken[6] = np.nan
    got = acceleration_error(broken, truth, fps=30, variant="gvhmr", valid=valid)
    whole = acceleration_error(predicted, truth, fps=30, variant="gvhmr")
    assert np.allclose(got, np.delete(whole, [4, 5, 6]))


def test_lsp14_picks_the_regressors_rows() -> None:
    vertices = np.random.default_rng(6).normal(size=(2, 17, 3))
    assert np.allclose(lsp14(vertices, np.eye(17)), vertices[:, list(H36M_TO_LSP14)])
    with pytest.raises(InputError, match="14-joint protocol needs SMPL"):
        lsp14(vertices[:, :5], np.eye(17))


def test_hands_lie_beyond_the_wrists() -> None:
    joints = np.random.default_rng(7).normal(size=(3, 22, 3))
    hands = with_hands(joints)
    assert hands.shape == (3, 24, 3) and np.array_equal(hands[:, :22], joints)
    for hand, wrist, elbow in ((22, 20, 18), (23, 21, 19)):
        forearm = joints[:, wrist] - joints[:, elbow]
        beyond = hands[:, hand] - joints[:, wrist]
        assert np.allclose(np.cross(forearm, beyond), 0)
        assert np.allclose(np.linalg.norm(beyond, axis=1) / np.linalg.norm(forearm, axis=1),
                           [0.3438, 0.3345][hand - 22])  # fmt: skip
