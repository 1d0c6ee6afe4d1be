"""Camera metrics: evo's own figures, hand-computed cases, and what must not matter."""

from __future__ import annotations

import numpy as np
import pytest

from recon.core.geometry import Array, matrix_to_quat, rotvec_to_matrix
from recon.evaluate.camera_metrics import (
    ate,
    focal_error,
    gravity_error,
    rotation_error,
    scale_error,
)

TURN = rotvec_to_matrix(np.array([0.4, 1.0, -0.7]))


def path(seed: int = 0, num_frames: int = 60) -> Array:
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.normal(0.02, 0.05, (num_frames, 3)), axis=0)


def turns(seed: int = 0, num_frames: int = 60) -> Array:
    return rotvec_to_matrix(np.random.default_rng(seed).normal(0, 0.5, (num_frames, 3)))


@pytest.mark.parametrize("correct_scale", [True, False])
def test_ate_is_evos(correct_scale) -> None:
    main_ape = pytest.importorskip("evo.main_ape", reason="needs evo (development only)")
    from evo.core.metrics import PoseRelation
    from evo.core.trajectory import PosePath3D

    truth, found = path(), 0.4 * path() @ TURN.T + 0.03 * path(1) + 5
    quats = matrix_to_quat(turns())
    result = main_ape.ape(
        PosePath3D(truth, quats), PosePath3D(found, quats),
        PoseRelation.translation_part, align=True, correct_scale=correct_scale,
    )  # fmt: skip
    errors = ate(found, truth, correct_scale=correct_scale)
    assert errors.mean() == pytest.approx(result.stats["mean"], abs=1e-9)


def test_ate_ignores_what_it_aligns() -> None:
    truth = path()
    assert np.allclose(ate(2.5 * truth @ TURN.T + 3, truth, correct_scale=True), 0, atol=1e-6)
    assert np.allclose(ate(truth @ TURN.T + 3, truth, correct_scale=False), 0, atol=1e-6)
    assert ate(2.5 * truth, truth, correct_scale=False).mean() > 0.1


def test_scale_error_by_hand() -> None:
    truth = path()
    assert scale_error(1.08 * truth @ TURN.T - 1, truth) == pytest.approx(0.08, abs=1e-9)
    assert scale_error(0.5 * truth, truth) == pytest.approx(-0.5, abs=1e-9)
    assert np.isnan(scale_error(truth, np.zeros_like(truth)))


def test_rotation_error_ignores_the_choice_of_world() -> None:
    truth = turns()
    assert np.allclose(rotation_error(TURN @ truth, truth), 0, atol=1e-6)


def test_rotation_error_by_hand() -> None:
    """Half of the frames lean 2 degrees to one side, half to the other."""
    sway = np.radians(2) * np.where(np.arange(60) % 2, 1.0, -1.0)[:, None] * [1.0, 0.0, 0.0]
    found = TURN @ rotvec_to_matrix(sway)
    truth = np.tile(np.eye(3), (60, 1, 1))
    assert np.allclose(rotation_error(found, truth), np.radians(2), atol=1e-6)


def test_gravity_error_ignores_the_heading_and_sees_a_tilt() -> None:
    truth = turns()
    heading = rotvec_to_matrix(np.array([0.0, 0.0, 1.3]))
    tilt = rotvec_to_matrix(np.radians(3) * np.array([0.6, 0.8, 0.0]))
    assert np.allclose(gravity_error(heading @ truth, truth), 0, atol=1e-6)
    assert np.allclose(gravity_error(heading @ tilt @ truth, truth), np.radians(3), atol=1e-6)


def test_focal_error_has_a_sign() -> None:
    assert focal_error(1100, 1000) == pytest.approx(0.1)
    assert focal_error(900, 1000) == pytest.approx(-0.1)


def test_a_still_camera_has_an_error_too() -> None:
    """The best that a wandering path can do against a point is to be centred on it."""
    found = path()
    errors = ate(found, np.zeros_like(found), correct_scale=False)
    assert np.allclose(errors, np.linalg.norm(found - found.mean(axis=0), axis=1))
