from __future__ import annotations

import numpy as np
import pytest

from body.motion import Motion, locate, project
from tests.body.sightings import see

SIZE = (1280, 720)
TIMES = np.arange(60) / 30


def located(*args: tuple[float, float], **how: float) -> np.ndarray:
    found = see(*args, **how)
    return locate(found.keypoints_px, found.keypoint_conf, found.landmarks, SIZE)


def test_location_projects_onto_the_hips_and_halves_with_double_size():
    near, far = located((300, 500), px_per_m=200), located((300, 500), px_per_m=100)
    np.testing.assert_allclose(project(near, SIZE), [300, 500])
    np.testing.assert_allclose(2 * near, far)


@pytest.mark.parametrize("turn", [0.5, 1.6, 3.1, 4.5])
def test_turning_over_moves_nobody(turn: float):
    np.testing.assert_allclose(located((700, 300), turn=turn), located((700, 300)), rtol=1e-6)


def walked(velocity: np.ndarray, *, noise: float = 0.03) -> tuple[Motion, np.ndarray]:
    """The filter after two seconds, and the way that was walked."""
    rng = np.random.default_rng(1)
    way = np.array([0.5, 0.2, 8.0]) + TIMES[:, None] * velocity
    seen = way + rng.normal(0, noise, way.shape) * [1, 1, 4]
    motion = Motion.begin(seen[0], 0.0)
    for location, time in zip(seen[1:], TIMES[1:], strict=True):
        motion = motion.seen(location, float(time))
    return motion, way


def test_steady_walk_is_carried_on_through_two_seconds_of_nothing():
    velocity = np.array([1.4, 0.0, -0.3])
    motion, way = walked(velocity)
    ahead = motion.at(motion.time + 2.0)
    error = ahead.mean[:3] - (way[-1] + 2 * velocity)
    assert np.linalg.norm(error) < 1.0
    assert error @ np.linalg.solve(ahead.cov[:3, :3], error) < 9
    assert (np.diag(ahead.cov)[:3] > np.diag(motion.cov)[:3]).all()


def test_the_way_back_leads_to_the_start():
    motion, _ = walked(np.array([1.0, 0.0, 0.0]))
    forth_and_back = motion.at(motion.time + 1).at(motion.time)
    np.testing.assert_allclose(forth_and_back.mean, motion.mean, atol=1e-9)


def test_steps_compose_to_one():
    motion, _ = walked(np.array([1.0, 0.5, 0.0]))
    once = motion.at(motion.time + 0.8)
    twice = motion.at(motion.time + 0.3).at(motion.time + 0.8)
    np.testing.assert_allclose(once.mean, twice.mean)
    np.testing.assert_allclose(once.cov, twice.cov)


def test_likelihood_prefers_the_continued_way_to_the_last_place():
    velocity = np.array([1.5, 0.0, 0.0])
    motion, way = walked(velocity)
    time = motion.time + 1.0
    there, off = motion.log_likelihood(way[-1] + velocity, time)
    back, far = motion.log_likelihood(way[-1] - velocity, time)
    assert there > back + 1 and off < far


def test_crowded_sightings_count_less():
    motion, way = walked(np.zeros(3))
    moved = way[-1] + [0.5, 0, 0]
    free = motion.seen(moved, motion.time + 0.1)
    crowded = motion.seen(moved, motion.time + 0.1, crowded=True)
    assert abs(crowded.mean[0] - motion.mean[0]) < abs(free.mean[0] - motion.mean[0])
