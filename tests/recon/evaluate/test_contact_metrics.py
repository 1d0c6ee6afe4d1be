"""Contact scores and distances to the ground, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from recon.evaluate.contact_metrics import (
    contact_score,
    contacts_by_step,
    floating,
    ground_height,
    penetration,
)
from recon.motion.clip import Box


def step(*, yaw: float = 0.0) -> list[Box]:
    """A box one metre long and 0.4 wide, 0.2 high, two metres away."""
    return [
        Box(kind="step", center=np.array([2.0, 0, 0.1]), size=np.array([1.0, 0.4, 0.2]), yaw=yaw)
    ]


def test_scores_by_hand() -> None:
    truth = np.array([1, 1, 1, 0, 0, 0.0])
    found = np.array([0.9, 0.6, 0.2, 0.7, 0.1, 0.4])
    score = contact_score(found, truth)
    assert (score.precision, score.recall) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert score.f1 == pytest.approx(2 / 3)
    both = score + contact_score(truth, truth)
    assert both.precision == pytest.approx(5 / 6)


def test_nothing_to_find_has_no_score() -> None:
    assert np.isnan(contact_score(np.zeros(3), np.zeros(3)).f1)
    assert contact_score(np.ones(3), np.zeros(3)).f1 == 0


def test_contacts_by_step_follow_the_centimetre_rule() -> None:
    points = np.zeros((4, 2, 3))
    points[:, 1, 0] = [0, 0.02, 0.04, 0.045]
    assert np.array_equal(
        contacts_by_step(points, threshold=0.01), [[1, 0], [1, 0], [1, 1], [1, 1]]
    )


def test_penetration_and_float_by_hand() -> None:
    points = np.zeros((3, 2, 3))
    points[:, :, 2] = [[-0.03, 0.5], [0.04, 0.06], [0.0, -0.01]]
    assert np.allclose(penetration(points), [0.03, 0, 0.01])
    assert np.allclose(floating(points), [0, 0.04, 0])
    heights = np.array([[0.0, 0.5], [0.0, 0.0], [0.1, 0.0]])
    assert np.allclose(penetration(points, heights), [0.03, 0, 0.1])
    assert np.allclose(floating(points, heights - 0.2), [0.17, 0.24, 0.1])


def test_a_box_bears_what_is_above_it() -> None:
    points = np.array([[2.0, 0.0, 0.21], [2.0, 0.0, 0.19], [2.0, 0.3, 0.21], [2.0, 0.0, 0.01]])
    assert np.allclose(ground_height(points, step()), [0.2, 0.2, 0, 0])
    assert np.allclose(ground_height(points), 0)


def test_a_box_can_be_turned() -> None:
    ahead, aside = np.array([2.4, 0.0, 0.2]), np.array([2.0, 0.4, 0.2])
    assert np.allclose(ground_height(np.stack([ahead, aside]), step()), [0.2, 0])
    turned = step(yaw=np.pi / 2)
    assert np.allclose(ground_height(np.stack([ahead, aside]), turned), [0, 0.2])
    slanted = step(yaw=np.pi / 4)
    along = np.array([2.0, 0.0, 0.2]) + 0.45 * np.array([np.sqrt(0.5), np.sqrt(0.5), 0])
    across = np.array([2.0, 0.0, 0.2]) + 0.45 * np.array([-np.sqrt(0.5), np.sqrt(0.5), 0])
    assert np.allclose(ground_height(np.stack([along, across]), slanted), [0.2, 0])
