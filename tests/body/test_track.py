from __future__ import annotations

from dataclasses import replace

import numpy as np

from body.landmarks import Landmarks
from body.track import (
    Person,
    Sighting,
    affinity,
    look_odds,
    match,
    recognise,
    same_body,
    support,
)  # fmt: skip
from tests.body.sightings import paint, see

RED, BLUE, JEANS = (180, 40, 40), (40, 50, 170), (70, 90, 130)


def sighting(x: float, shirt: tuple[int, int, int], *, px_per_m: float = 100.0) -> Sighting:
    image = np.full((400, 900, 3), 128, np.uint8)
    found: Landmarks = paint(image, see((x, 200), px_per_m=px_per_m), shirt, JEANS)
    return Sighting(found, image)


def person(key: int, start: float, speed: float, shirt: tuple[int, int, int]) -> Person:
    """Somebody after a second at `speed` px per second."""
    someone = Person(key, sighting(start, shirt), 0.0)
    for k in range(1, 11):
        someone.update(sighting(start + speed * k / 10, shirt), k / 10, crowded=False)
    return someone


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


def test_the_region_goes_where_the_walk_leads():
    someone = person(0, 200, 150, RED)
    roi = someone.predicted_roi(1.5)
    np.testing.assert_allclose(roi.centre, [425, 200], atol=15)
    np.testing.assert_allclose(someone.predicted_box(1.0), someone.sighting.found.box, atol=1e-9)


def test_looks_decide_where_places_cross():
    """Two meet and are lost for a second: whoever comes out in red went in in red."""
    people = [person(0, 200, 100, RED), person(1, 420, -100, BLUE)]
    out = [sighting(310, BLUE), sighting(310, RED)]
    assert sorted(recognise(people, out, 2.0)) == [(0, 1), (1, 0)]


def test_motion_decides_between_people_who_look_the_same():
    people = [person(0, 200, 150, RED), person(1, 640, -150, RED)]
    out = [sighting(270, RED), sighting(570, RED)]  # a second and a half later they have passed
    assert sorted(recognise(people, out, 2.5)) == [(0, 1), (1, 0)]


def test_nobody_is_recognised_far_away_in_other_clothes_or_size():
    someone = person(0, 200, 0, RED)
    assert recognise([someone], [sighting(205, RED)], 1.2) == [(0, 0)]
    assert recognise([someone], [sighting(800, RED)], 1.2) == []
    assert recognise([someone], [sighting(205, BLUE, px_per_m=60)], 1.2) == []
    assert recognise([], [sighting(205, RED)], 1.2) == []


def test_affinity_falls_with_distance_in_place_and_look():
    someone = person(0, 200, 0, RED)
    near, far = sighting(205, RED), sighting(300, RED)
    other = sighting(205, BLUE)
    assert affinity(someone, near, 1.1) > affinity(someone, far, 1.1)
    assert affinity(someone, near, 1.1) > affinity(someone, other, 1.1) + 1
    assert look_odds(None, near.look) == 0


def test_one_body_is_one_also_where_a_network_sees_it_upside_down():
    image = np.full((400, 900, 3), 128, np.uint8)
    one = paint(image, see((300, 200)), RED, JEANS)
    turned = replace(one.roi, angle=np.pi)
    upside_down = replace(
        one, keypoints_px=np.array([600, 400]) - one.keypoints_px,
        mask=one.mask[::-1, ::-1], roi=turned, next_roi=turned,
    )  # fmt: skip
    beside = paint(image, see((345, 200)), BLUE, JEANS)
    assert same_body(one, one) and same_body(one, upside_down)
    assert not same_body(one, beside) and not same_body(beside, upside_down)
