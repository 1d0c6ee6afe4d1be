from __future__ import annotations

import numpy as np
import pytest

from body.appearance import Look, describe, difference
from tests.body.sightings import paint, see

RED, BLUE, JEANS, BLACK = (180, 40, 40), (40, 50, 170), (70, 90, 130), (25, 25, 25)


def look(
    shirt: tuple[int, int, int],
    legs: tuple[int, int, int],
    turn: float = 0.0,
    px_per_m: float = 100.0,
) -> Look:
    image = np.random.default_rng(0).integers(60, 200, (400, 400, 3)).astype(np.uint8)
    found = see((200, 200), turn=turn, px_per_m=px_per_m)
    seen = describe(image, paint(image, found, shirt, legs))
    assert seen is not None
    return seen


def unlike(a: Look, b: Look) -> float:
    d = difference(a, b)
    assert d is not None
    return d


@pytest.mark.parametrize("how", [{"turn": 1.2}, {"turn": np.pi}, {"px_per_m": 60.0}])
def test_a_look_stays_with_the_body_in_any_attitude_and_size(how: dict[str, float]):
    upright = look(RED, JEANS)
    assert difference(upright, upright) == pytest.approx(0, abs=1e-6)
    assert unlike(upright, look(RED, JEANS, **how)) < 0.25


def test_clothes_tell_people_apart_and_light_does_not():
    person = look(RED, JEANS)
    brighter = look((186, 44, 44), (74, 94, 134))
    for other in (look(BLUE, JEANS), look(RED, BLACK), look(JEANS, RED)):
        assert unlike(person, other) > max(0.25, 2 * unlike(person, brighter))
        assert unlike(person, other) == unlike(other, person)


def test_out_of_the_picture_there_is_no_look():
    image = np.zeros((100, 100, 3), np.uint8)
    assert describe(image, see((900, 900))) is None
    assert difference(None, look(RED, JEANS)) is None


def test_only_bands_seen_on_both_sides_count():
    person = look(RED, JEANS)
    torso, legs = (
        Look(colours=person.colours * band[:, None], seen=person.seen * band)
        for band in np.eye(3)[1:]
    )
    assert unlike(person, torso) == pytest.approx(0, abs=1e-6)
    assert difference(torso, legs) is None
    assert unlike(torso.mixed(legs, 0.2), person) == pytest.approx(0, abs=1e-6)


def test_looks_mix_by_their_share():
    a, b = look(RED, JEANS), look(BLUE, JEANS)
    assert unlike(a.mixed(b, 0.2), a) < unlike(a.mixed(b, 0.8), a) < unlike(a, b)
