from __future__ import annotations

import numpy as np

from body.track import histogram_distance, match, support, torso_histogram


def person_points(x: float, y: float, size: float, turn: float = 0.0) -> np.ndarray:
    """Keypoints (33, 2) with a torso about (x, y), turned by `turn` radians."""
    points = np.zeros((33, 2))
    points[11], points[12] = [0.2, -0.5], [-0.2, -0.5]
    points[23], points[24] = [0.15, 0.5], [-0.15, 0.5]
    c, s = np.cos(turn), np.sin(turn)
    return points * size @ np.array([[c, s], [-s, c]]) + [x, y]


def shirt(colour: tuple[int, int, int], turn: float = 0.0) -> np.ndarray:
    """A picture (200, 200, 3) with a coloured torso 60 px long, else noise."""
    image = np.random.default_rng(0).integers(0, 255, (200, 200, 3)).astype(np.uint8)
    y, x = np.mgrid[0:200, 0:200] + 0.5 - 100
    u = np.cos(turn) * x + np.sin(turn) * y
    v = -np.sin(turn) * x + np.cos(turn) * y
    image[(np.abs(u) < 12) & (np.abs(v) < 32)] = colour
    return image


def test_colours_tell_shirts_apart_in_any_attitude():
    red = torso_histogram(shirt((200, 30, 30)), person_points(100, 100, 60))
    turned = torso_histogram(shirt((190, 35, 30), 1.2), person_points(100, 100, 60, 1.2))
    blue = torso_histogram(shirt((30, 30, 200)), person_points(100, 100, 60))
    assert red is not None and turned is not None and blue is not None
    assert histogram_distance(red, red) == 0
    assert histogram_distance(red, turned) < 0.6
    assert histogram_distance(red, blue) > 0.9


def test_torso_outside_the_picture_has_no_colours():
    assert torso_histogram(shirt((200, 30, 30)), person_points(500, 100, 60)) is None
    assert histogram_distance(None, np.ones(3) / 3) == 0.5


def test_match_minimises_the_sum_within_the_limit():
    cost = np.array([[0.1, 0.2], [0.15, 0.9]])
    assert match(cost, 1.0) == [(0, 1), (1, 0)]
    assert match(cost, 0.18) in ([(0, 0)], [(1, 0)])
    assert match(np.full((2, 2), np.inf), 1.0) == []
    assert match(np.zeros((0, 3)), 1.0) == []


def test_support_pairs_overlapping_boxes_only():
    people = [np.array([0, 0, 10, 20.0]), np.array([100, 0, 110, 20.0])]
    detected = np.array([[101, 1, 111, 21], [300, 0, 310, 20], [1, 0, 11, 20.0]])
    assert support(people, detected) == [(0, 2), (1, 0)]
    assert support([], detected) == []
