"""What the MOT figures count, on boxes that change hands."""

from __future__ import annotations

import numpy as np
import pytest

from recon.core.errors import MissingDependencyError
from recon.evaluate import tracking
from recon.evaluate.tracking import mot_events, mot_figures, sightings

pytest.importorskip("motmetrics", reason="needs motmetrics (development only)")

A, B = np.array([0.0, 0, 10, 20]), np.array([50.0, 0, 60, 20])


def test_an_exchange_of_two_people_is_two_switches() -> None:
    truth = [{1: A, 2: B}] * 3
    found = [{7: A, 8: B}, {7: A, 8: B}, {8: A, 7: B}]
    switches = [(s.frame, s.person, s.track) for s in sightings(mot_events(truth, found))
                if s.switched]  # fmt: skip
    assert switches == [(2, 1, 8), (2, 2, 7)]
    assert not any(s.switched for s in sightings(mot_events(truth, found[:2] + found[:1])))


def test_figures_by_hand() -> None:
    """Person 2 is missed in two of four frames, and somebody is seen who is not there."""
    truth = [{1: A, 2: B}] * 4
    found = [{7: A, 8: B}, {7: A}, {7: A, 9: B + 200}, {7: A, 8: B}]
    figures = mot_figures(mot_events(truth, found))
    assert figures["mota"] == pytest.approx(1 - (2 + 1) / 8)
    assert figures["idf1"] == pytest.approx(2 * 6 / (8 + 7))
    assert (figures["num_misses"], figures["num_false_positives"]) == (2, 1)
    assert (figures["num_switches"], figures["num_unique_objects"]) == (0, 2)


def test_without_the_package_it_says_how_to_get_it(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "motmetrics", None)
    with pytest.raises(MissingDependencyError, match=r"recon3d\[evaluate\]"):
        tracking.mot_events([], [])
