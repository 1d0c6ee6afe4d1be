"""What all pictures share: one colour per person, and round steps for grids and axes."""

from __future__ import annotations

import math

PERSON_COLORS: tuple[tuple[int, int, int], ...] = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (213, 94, 0),
    (204, 121, 167),
    (0, 114, 178),
    (240, 228, 66),
)
"""RGB, distinct for colour-blind readers.

Source: Okabe and Ito, "Color Universal Design", 2008, without black.
"""

BACKGROUND = (243, 244, 246)
"""RGB behind a world, wherever it is shown."""


def person_color(track_id: int) -> tuple[int, int, int]:
    """The RGB colour of a person, repeating after seven people."""
    return PERSON_COLORS[(track_id - 1) % len(PERSON_COLORS)]


def nice_step(at_least: float) -> float:
    """The smallest of 1, 2 or 5 times a power of ten that is not below `at_least` (positive)."""
    power = 10.0 ** math.floor(math.log10(at_least))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= at_least * (1 - 1e-9))
