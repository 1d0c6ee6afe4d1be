"""Rotation fits on synthetic matches: exact, robust, and honest about the focal length."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recon.core.camera import Intrinsics
from recon.core.geometry import Array, matrix_to_rotvec, rotvec_to_matrix
from slam.intrinsics import PRIOR_RELATIVE_STD
from slam.rotations import Pair, fit_rotation, fit_zoom, search_focal

INTRINSICS = Intrinsics.from_fov(640, 360, fov_deg=60, source="prior")


def turned(rotvec: Array, intrinsics: Intrinsics, *, seed: int = 0, noise: float = 0.1) -> Pair:
    rng = np.random.default_rng(seed)
    a = rng.uniform([20, 20], [620, 340], (300, 2))
    points = intrinsics.unproject(a, rng.uniform(2, 9, len(a)))
    b = intrinsics.project(points @ rotvec_to_matrix(rotvec).T)
    return a, b + rng.normal(0, noise, b.shape)


@pytest.mark.parametrize("rotvec", np.random.default_rng(3).uniform(-0.15, 0.15, (4, 3)))
def test_a_rotation_is_found_under_forty_percent_of_lies(rotvec: Array) -> None:
    a, b = turned(rotvec, INTRINSICS)
    b = b.copy()
    b[:120] += np.random.default_rng(1).uniform([5, -3], [40, 3], (120, 2))  # all pull one way
    rotation, residuals = fit_rotation(a, b, INTRINSICS)
    error = matrix_to_rotvec(rotation @ rotvec_to_matrix(rotvec).T)
    assert np.degrees(np.linalg.norm(error)) < 0.03
    assert np.median(residuals[120:]) < 0.3
    assert np.median(residuals[:120]) > 5


@pytest.mark.parametrize("off", [0.0, 0.03])
def test_a_start_nearby_leads_to_the_rotation_of_a_cold_start(off: float) -> None:
    rotvec = np.array([0.05, -0.12, 0.03])
    a, b = turned(rotvec, INTRINSICS)
    b = b.copy()
    b[:90] += np.random.default_rng(1).uniform([5, -3], [40, 3], (90, 2))
    cold, cold_residuals = fit_rotation(a, b, INTRINSICS)
    start = rotvec_to_matrix(rotvec + off)
    warm, warm_residuals = fit_rotation(a, b, INTRINSICS, start=start)
    np.testing.assert_allclose(warm, cold, atol=3e-5)
    np.testing.assert_allclose(warm_residuals, cold_residuals, atol=0.02)


def test_a_step_aside_cannot_be_read_as_a_rotation() -> None:
    rng = np.random.default_rng(0)
    a = rng.uniform([20, 20], [620, 340], (300, 2))
    points = INTRINSICS.unproject(a, rng.uniform(2, 9, len(a)))
    b = INTRINSICS.project(points - [0.15, 0, 0])
    assert np.median(fit_rotation(a, b, INTRINSICS)[1]) > 2


@pytest.mark.parametrize("fov_deg", [40.0, 60.0, 85.0])
def test_large_turns_determine_the_focal_length(fov_deg: float) -> None:
    truth = Intrinsics.from_fov(640, 360, fov_deg=fov_deg, source="user")
    pairs = [turned(np.array([0.05, t, 0.0]), truth, seed=k) for k, t in enumerate((0.2, -0.15))]
    found = search_focal(pairs, INTRINSICS)
    assert found.intrinsics.fx == pytest.approx(truth.fx, rel=0.03)
    assert found.relative_std < 0.1
    assert found.intrinsics.source == "estimated"


def test_a_small_turn_leaves_the_focal_length_open() -> None:
    truth = replace(INTRINSICS, fx=700.0, fy=700.0)
    found = search_focal([turned(np.array([0.0, 0.01, 0.0]), truth)], INTRINSICS)
    assert found.relative_std > PRIOR_RELATIVE_STD


@pytest.mark.parametrize("zoom", [0.8, 1.0, 1.3])
def test_a_zoom_is_measured_beside_a_turn(zoom: float) -> None:
    rng = np.random.default_rng(5)
    a = rng.uniform([150, 100], [490, 260], (200, 2))
    points = INTRINSICS.unproject(a, rng.uniform(2, 9, len(a)))
    lens = replace(INTRINSICS, fx=zoom * INTRINSICS.fx, fy=zoom * INTRINSICS.fy)
    b = lens.project(points @ rotvec_to_matrix(np.array([0.02, -0.05, 0.01])).T)
    found, residual = fit_zoom(a, b + rng.normal(0, 0.1, b.shape), INTRINSICS)
    assert found == pytest.approx(zoom, rel=0.004)
    assert residual < 0.3
