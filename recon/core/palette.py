"""One colour per person, the same in every picture; distinct for colour-blind readers."""

from __future__ import annotations

PERSON_COLORS: tuple[tuple[int, int, int], ...] = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (213, 94, 0),
    (204, 121, 167),
    (0, 114, 178),
    (240, 228, 66),
)
"""RGB. Source: Okabe and Ito, "Color Universal Design", 2008, without black."""


def person_color(track_id: int) -> tuple[int, int, int]:
    """The RGB colour of a person, repeating after seven people."""
    return PERSON_COLORS[(track_id - 1) % len(PERSON_COLORS)]
