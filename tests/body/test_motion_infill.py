"""Filling in keeps what was seen, joins smoothly, and follows the body anywhere it goes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from body import motion_infill
from body.kinematics import BodyState
from body.motion_features import RATE, encode, leg_length
from body.motion_infill import (
    MAX_GAP,
    bend_to_ends,
    deserved_share,
    infill,
    interpolated,
    target,
)
from body.motion_prior import MotionPrior, NetworkSize, PriorNetwork
from body.motion_prior_term import PriorTerm, hidden_frames
from body.motion_prior_training import normalisation
from body.motion_terms import MotionTerm
from body.pose_prior import FITTED_JOINTS
from recon.core.errors import InputError
from recon.core.geometry import Array, matrix_to_rotvec, rotvec_to_matrix
from recon.core.people import BodyPoses
from tests.synthetic_body import toy_rig, walking_poses

LEG = leg_length(toy_rig())


def make_prior(*, silent: bool) -> MotionPrior:
    """A network nobody trained: it spoils the interpolation, or adds nothing at all."""
    torch.manual_seed(0)
    network = PriorNetwork(NetworkSize(channels=16, squeezed=8, code=8)).eval()
    if silent:
        torch.nn.init.zeros_(network.restore.weight)
        torch.nn.init.zeros_(network.restore.bias)
    else:  # and what it offers is all beside the point
        network.restore.bias.data = torch.randn(140).repeat(4)
    times = np.arange(200) / RATE
    mean, scale = normalisation([encode(walking_poses(200, RATE, times=times), leg=LEG)[0]])
    return MotionPrior(
        network=network, mean=mean, scale=scale, recipe={},
        spread_seconds=np.array([0.0, 1.0]), spread=np.stack([np.full(69, 0.01), np.full(69, 0.2)]),
    )  # fmt: skip


def a_walk(fps: float = 30.0, seconds: float = 6.0) -> tuple[BodyPoses, Array]:
    times = np.arange(round(seconds * fps)) / fps
    return walking_poses(len(times), fps, times=times, speed=1.1, heading=0.4), times


def hide(times: Array, start: float, stop: float) -> np.ndarray:
    return ~((times > start) & (times < stop))


@pytest.mark.parametrize("fps", [15.0, 23.976, 30.0, 60.0])
@pytest.mark.parametrize("gap", [0.3, 1.0, 2.0])
def test_frames_seen_stay_and_the_seams_are_smooth(
    fps: float, gap: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the network says, the steps over a gap's ends are like those of the walk."""
    monkeypatch.setattr(motion_infill, "deserved_share", lambda *_args, **_kw: 1.0)
    poses, times = a_walk(fps)
    observed = hide(times, 2.0, 2.0 + gap)
    spoiled = BodyPoses(
        root=np.where(observed[:, None], poses.root, 99.0), rotations=poses.rotations
    )
    filled = infill(make_prior(silent=False), spoiled, times, observed=observed, leg=LEG)
    np.testing.assert_array_equal(filled.root[observed], poses.root[observed])
    np.testing.assert_array_equal(filled.rotations[observed], poses.rotations[observed])
    seams = np.flatnonzero(np.diff(observed.astype(int)))
    step = np.linalg.norm(np.diff(filled.root, axis=0) - np.diff(poses.root, axis=0), axis=-1)
    assert step[seams].max() < 0.03
    turn = matrix_to_rotvec(filled.rotations[1:] @ np.swapaxes(filled.rotations[:-1], -1, -2))
    true = matrix_to_rotvec(poses.rotations[1:] @ np.swapaxes(poses.rotations[:-1], -1, -2))
    assert np.linalg.norm(turn - true, axis=-1)[seams].max() < 0.03 + 8.0 / fps


def test_a_prior_that_says_nothing_is_interpolation() -> None:
    """But for a moment at the ends, where the motion goes on before it slows down."""
    poses, times = a_walk()
    observed = hide(times, 2.0, 4.0)
    filled = infill(make_prior(silent=True), poses, times, observed=observed, leg=LEG)
    straight = interpolated(poses, times, observed=observed)
    middle = (times > 2.7) & (times < 3.3)
    np.testing.assert_allclose(filled.root[middle], straight.root[middle], atol=0.06)
    turn = matrix_to_rotvec(filled.rotations @ np.swapaxes(straight.rotations, -1, -2))[middle]
    assert np.linalg.norm(turn, axis=-1).max() < 0.05


def test_a_prior_that_is_wrong_of_this_person_is_hardly_believed() -> None:
    poses, times = a_walk()
    observed = hide(times, 2.0, 3.0)
    gap = {"observed": observed, "middle": 2.5, "length": 1.0, "leg": LEG}
    assert deserved_share(make_prior(silent=False), poses, times, **gap) < 0.3
    assert deserved_share(make_prior(silent=True), poses, times, **gap) == 1.0
    gap["observed"] = hide(times, 0.5, 1.5) & hide(times, 2.0, 3.0) & hide(times, 3.5, 5.5)
    assert deserved_share(make_prior(silent=False), poses, times, **gap) == 1.0  # nothing to try on


def test_filling_turns_and_moves_with_the_body() -> None:
    prior = make_prior(silent=False)
    poses, times = a_walk()
    observed = hide(times, 2.0, 3.1)
    turn = rotvec_to_matrix(np.array([0.0, 0.0, 2.0]))
    rotations = poses.rotations.copy()
    rotations[:, 0] = turn @ rotations[:, 0]
    moved = BodyPoses(root=poses.root @ turn.T + [5.0, 1.0, 0.0], rotations=rotations)
    one = infill(prior, poses, times, observed=observed, leg=LEG)
    other = infill(prior, moved, times, observed=observed, leg=LEG)
    np.testing.assert_allclose(other.root, one.root @ turn.T + [5.0, 1.0, 0.0], atol=1e-5)
    np.testing.assert_allclose(other.rotations[:, 1:], one.rotations[:, 1:], atol=1e-5)


def test_what_cannot_be_known_stays_as_it_is() -> None:
    """Before the first and after the last frame seen, and in absences beyond the window."""
    poses, times = a_walk(seconds=7.0)
    observed = hide(times, -1.0, 0.5) & hide(times, 2.0, 2.1 + MAX_GAP) & hide(times, 6.0, 9.0)
    filled = infill(make_prior(silent=False), poses, times, observed=observed, leg=LEG)
    np.testing.assert_array_equal(filled.root, poses.root)
    np.testing.assert_array_equal(filled.rotations, poses.rotations)


def test_bending_meets_both_ends() -> None:
    poses, times = a_walk()
    rng = np.random.default_rng(0)
    rows = slice(30, 61)
    offered = BodyPoses(
        root=poses.root[rows] + 0.3 * rng.standard_normal(3),
        rotations=poses.rotations[rows] @ rotvec_to_matrix(0.3 * rng.standard_normal((31, 52, 3))),
    )
    bent = bend_to_ends(offered, poses, times, rows=rows)
    np.testing.assert_allclose(bent.root[[0, -1]], poses.root[[30, 60]], atol=1e-9)
    np.testing.assert_allclose(bent.rotations[[0, -1]], poses.rotations[[30, 60]], atol=1e-9)


def test_targets_are_vaguer_the_longer_nobody_was_seen() -> None:
    poses, times = a_walk(seconds=8.0)
    trust = hide(times, 2.0, 3.0) & hide(times, 4.0, 4.5 + MAX_GAP)
    got = target(make_prior(silent=False), poses, times, trust=trust.astype(float), leg=LEG)
    middle, edge = np.searchsorted(times, [2.5, 2.04])
    assert got.turn_std[middle, 0, 0] > 3 * got.turn_std[edge, 0, 0]
    assert got.valid[middle] and not got.valid[np.searchsorted(times, 5.0)]
    # The spread is the same in all directions here, so the heading must not matter.
    np.testing.assert_allclose(got.root_std[:, 0], got.root_std[:, 2])
    np.testing.assert_allclose(got.root_std[middle, 0], LEG * 0.01 + LEG * 0.19 * 0.5, atol=0.01)


def test_lengths_must_agree_and_somebody_must_be_seen() -> None:
    poses, times = a_walk()
    prior = make_prior(silent=True)
    with pytest.raises(InputError, match="as many poses as times"):
        infill(prior, poses, times[:-1], observed=np.ones(len(times), bool), leg=LEG)
    with pytest.raises(InputError, match="at least one frame"):
        target(prior, poses, times, trust=np.zeros(len(times)), leg=LEG)


def test_as_a_term_it_leads_hidden_frames_to_the_target_and_leaves_the_others() -> None:
    """One Gauss-Newton step of its own gradient and Hessian arrives where the cost vanishes."""
    poses, times = a_walk()
    observed = hide(times, 2.0, 3.0)
    expected = target(make_prior(silent=False), poses, times, trust=observed.astype(float), leg=LEG)
    term: MotionTerm = PriorTerm(times=times, target=expected, hidden=~observed)
    rng = np.random.default_rng(0)
    wrong = rotvec_to_matrix(0.3 * rng.standard_normal((len(times), 22, 3)))
    wrong[:, [10, 11]] = np.eye(3)  # toes are not fitted
    state = BodyState(
        shape=np.zeros(0), root=expected.poses.root + 0.1,
        rotations=wrong @ expected.poses.rotations[:, :22],
    )  # fmt: skip
    part = slice(30, 120)  # a window of a longer problem
    cost, right, information = term.penalty(times[part], state.take(part), np.zeros((90, 4)))
    assert cost > 1
    assert np.all(right[observed[part]] == 0) and np.all(information[observed[part]] == 0)
    assert np.all(information[:, :3] == 0)  # where the pelvis is, others tell
    step = (right / np.maximum(information, 1e-12))[~observed[part]]
    rows = np.flatnonzero(~observed)
    rotations = state.rotations.copy()
    turns = rotvec_to_matrix(step[:, 3:].reshape(len(rows), -1, 3))
    spots = np.ix_(rows, np.array(FITTED_JOINTS))
    rotations[spots] = turns @ rotations[spots]
    moved = BodyState(shape=state.shape, root=state.root, rotations=rotations)
    assert term.penalty(times, moved, np.zeros((len(times), 4)))[0] < 1e-9 * cost
    with pytest.raises(InputError, match="make it for this motion"):
        term.penalty(times + 0.01, state, np.zeros((len(times), 4)))


def test_where_nothing_is_hidden_the_prior_is_not_asked() -> None:
    poses, times = a_walk()
    seen = np.ones(len(times), bool)
    prior = make_prior(silent=False)
    for everywhere in (seen, ~seen):
        untouched = hidden_frames(prior, poses, times, observed=everywhere, rig=toy_rig())
        assert untouched == (poses, None)
    observed = hide(times, 2.0, 3.0)
    filled, term = hidden_frames(prior, poses, times, observed=observed, rig=toy_rig())
    expected = infill(prior, poses, times, observed=observed, leg=LEG)
    np.testing.assert_array_equal(filled.rotations, expected.rotations)
    np.testing.assert_array_equal(filled.root, poses.root)
    assert term is not None and np.array_equal(term.hidden, ~observed)
