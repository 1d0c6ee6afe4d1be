"""Colours and steps that all pictures share."""

import pytest

from recon.core.palette import PERSON_COLORS, nice_step, person_color


def test_the_first_seven_people_have_colours_of_their_own():
    assert {person_color(k) for k in range(1, 8)} == set(PERSON_COLORS)
    assert person_color(8) == person_color(1)


@pytest.mark.parametrize(
    ("at_least", "step"), [(0.7, 1), (1, 1), (1.01, 2), (2.1, 5), (5.5, 10), (0.03, 0.05)]
)
def test_grid_steps_are_round(at_least, step):
    assert nice_step(at_least) == pytest.approx(step)
