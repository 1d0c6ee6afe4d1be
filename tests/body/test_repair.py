"""Histories as a walk may leave them, with known people behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pytest

from body.appearance import Look, describe
from body.follow import History
from body.repair import repaired
from tests.body.sightings import paint, see

SIZE = (1280, 720)
TIMES = np.arange(200) / 20
RED, BLUE, JEANS, RUST = (180, 40, 40), (40, 50, 170), (70, 90, 130), (180, 60, 40)
Way = Callable[[float], float]


def look_of(shirt: tuple[int, int, int]) -> Look:
    image = np.full((400, 400, 3), 128, np.uint8)
    found = paint(image, see((200, 200)), shirt, JEANS)
    look = describe(image, found)
    assert look is not None
    return look


LOOKS = {shirt: look_of(shirt) for shirt in (RED, BLUE, RUST)}


def history(*stretches: tuple[Iterable[int], Way, tuple[int, int, int]]) -> History:
    """One region's sightings: frames, the hips' way in px over time, and whose shirt it shows."""
    out = History()
    for frames, way, shirt in stretches:
        for i in frames:
            out.append(i, see((way(TIMES[i]), 350.0)))
            out.checks.append((i, True))
            out.note_look(i, LOOKS[shirt] if i % 5 == 0 else None)
    return out


def people(histories: Sequence[History]) -> list[tuple[History, set[int]]]:
    """Each person after the repair with the numbers of the looks they show."""
    names = {id(look): k for k, look in enumerate(LOOKS.values())}
    return [(h, {names[id(look)] for _, look in h.looks}) for h in repaired(histories, TIMES, SIZE)]


def right(t: float) -> float:
    return 200 + 80 * t


def left(t: float) -> float:
    return 1000 - 80 * t  # they meet at 5 s, frame 100


def test_who_walks_alone_stays_as_found():
    one = history((range(200), right, RED))
    (same,) = repaired([one], TIMES, SIZE)
    assert same.frame_idx == one.frame_idx and same.checks == one.checks
    np.testing.assert_array_equal(same.boxes, one.boxes)


@pytest.mark.parametrize("at", [95, 100, 108])
def test_regions_that_changed_people_are_undone(at: int):
    """Where two cross both regions slide onto the other body."""
    found = [
        history((range(at), right, RED), (range(at, 200), left, BLUE)),
        history((range(at), left, BLUE), (range(at, 200), right, RED)),
    ]
    fixed = people(found)
    assert [len(looks) for _, looks in fixed] == [1, 1]
    assert [h.frame_idx for h, _ in fixed] == [list(range(200))] * 2
    for h, looks in fixed:
        centres = np.array([(b[0] + b[2]) / 2 for b in h.boxes])
        way = right if looks == {0} else left
        away = np.abs(centres - [way(t) for t in TIMES])
        assert (away[np.abs(TIMES - 5) > 1] < 5).all()


def test_in_the_same_clothes_motion_decides():
    """Both are lost for two seconds around the crossing and come back as somebody new."""
    before, after = range(80), range(120, 200)
    found = [history((f, w, RED)) for f in (before, after) for w in (right, left)]
    fixed = people(found)
    assert len(fixed) == 2
    for h, _ in fixed:
        centres = np.array([(b[0] + b[2]) / 2 for b in h.boxes])
        assert (np.sign(np.diff(centres)) == np.sign(centres[-1] - centres[0])).all()


def test_who_comes_back_after_long_is_recognised_by_the_look():
    """At another place, among others; but not if two of them look alike."""
    found = [
        history((range(60), right, RED)),
        history((range(160, 200), lambda t: 900.0, RED)),
        history((range(60), lambda t: 900.0, BLUE)),
    ]
    fixed = people(found)
    assert sorted(len(h.frame_idx) for h, _ in fixed) == [60, 100]
    rival = history((range(60), lambda t: 700.0, RUST))
    assert len(people([*found, rival])) == 4


def test_who_is_in_sight_cannot_come_back():
    found = [
        history((range(200), right, RED)),
        history((range(120, 200), lambda t: 1100.0, RED)),
    ]
    assert len(people(found)) == 2


def test_nobodys_sightings_get_lost():
    rng = np.random.default_rng(3)
    found = []
    for _ in range(6):
        start, length, speed = rng.integers(0, 120), rng.integers(5, 80), rng.uniform(-150, 150)
        shirt = (RED, BLUE, RUST)[rng.integers(3)]
        frames = [i for i in range(start, start + length) if rng.random() > 0.1]
        found.append(history((frames, lambda t, v=speed: 640 + v * t, shirt)))

    def content(hs: Sequence[History]) -> list[tuple[int, float]]:
        return sorted(
            (i, float(b[0])) for h in hs for i, b in zip(h.frame_idx, h.boxes, strict=True)
        )

    fixed = repaired(found, TIMES, SIZE)
    assert content(fixed) == content(found)
    for h in fixed:
        assert (np.diff(h.frame_idx) > 0).all()
        assert len(h.frame_idx) == len(h.keypoints_px) == len(h.mask_bits)
