"""Metrics agree with hand-computed cases and with the motions they must ignore."""

from __future__ import annotations

import numpy as np
import pytest

from recon.core.geometry import rotvec_to_matrix
from recon.evaluate.metrics import acceleration, mpjpe, pa_mpjpe


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


def test_acceleration_of_a_parabola_is_constant() -> None:
    t = np.arange(6)[:, None, None] / 50
    joints = 0.5 * 9.81 * t**2 * np.array([0.0, 0.0, 1.0]) + t * np.array([3.0, 0.0, 0.0])
    assert np.allclose(acceleration(joints, 50), 9.81)
