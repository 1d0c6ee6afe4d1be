"""The annotation of the tracking benchmark."""

from __future__ import annotations

import numpy as np

from benchmarks.tracking import ANNOTATION, read_annotation


def test_the_annotation_is_whole() -> None:
    rows = np.loadtxt(ANNOTATION, delimiter=",", dtype=int)
    assert len(np.unique(rows[:, :2], axis=0)) == len(rows)
    assert (rows[:, 2:4] >= 0).all() and (rows[:, 4:] > 0).all()
    assert (rows[:, 2:4] + rows[:, 4:] <= [768, 576]).all()
    frames = read_annotation()
    assert len(frames) == 201 and len({i for frame in frames for i in frame}) == 9
    assert all(len(frame) >= 3 for frame in frames)
    for person in range(1, 10):
        boxes = np.array([frame[person] for frame in frames if person in frame])
        sides = boxes[:, 2:] - boxes[:, :2]
        # Nobody jumps: by eye slips of a digit are the likeliest mistake.
        assert np.abs(np.diff(boxes, axis=0)).max() < 0.5 * np.median(sides[:, 1])
        assert ((sides[:, 1] / sides[:, 0] > 1) | (boxes[:, 2] > 760)).all()


def test_keyframes_are_kept_and_joined_by_lines() -> None:
    rows = np.loadtxt(ANNOTATION, delimiter=",", dtype=int)
    frames = read_annotation()
    for frame, person, x, y, w, h in rows:
        np.testing.assert_allclose(frames[frame][person], [x, y, x + w, y + h])
    keys = rows[rows[:, 1] == 4][3:5]
    middle = frames[(keys[0, 0] + keys[1, 0]) // 2][4]
    np.testing.assert_allclose(middle[:2], keys[:, 2:4].mean(axis=0))
