"""The prior as a network: it learns, and it is kept without pickle."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from body.motion_augment import made_up, restyled
from body.motion_features import NUM_BODY, RATE, TURNS_6D, encode, from_6d, leg_length
from body.motion_prior import WINDOW, MotionPrior, NetworkSize
from body.motion_prior_spread import with_spread
from body.motion_prior_training import TrainingConfig, train
from recon.core.errors import InputError
from recon.core.geometry import Array
from tests.synthetic_body import toy_rig, walking_contacts, walking_poses

SMALL = TrainingConfig(
    steps=30, batch=8, restyles=1, made_up=1.0,
    size=NetworkSize(channels=32, squeezed=8, code=8, convolutions=1, attentions=1),
)  # fmt: skip


def walks(count: int, seconds: float = 5.0) -> list[Array]:
    """Features of walks at different speeds."""
    times = np.arange(round(seconds * RATE)) / RATE
    leg = leg_length(toy_rig())
    return [
        encode(walking_poses(len(times), RATE, speed=0.8 + 0.1 * k, times=times + 0.2 * k),
               leg=leg, contacts=walking_contacts(times + 0.2 * k))[0]
        for k in range(count)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def prior() -> MotionPrior:
    return train(walks(4), SMALL).prior


def test_training_lowers_the_loss() -> None:
    config = replace(SMALL, steps=50, batch=4, learning_rate=1e-2, restyles=0, made_up=0.0)
    losses = train(walks(4), config).losses
    assert losses[-1] < 0.8 * losses[0]


def test_training_is_repeatable() -> None:
    config = replace(SMALL, steps=3)
    assert train(walks(2), config).losses == train(walks(2), config).losses


def test_saved_and_loaded_it_says_the_same(prior: MotionPrior, tmp_path: Path) -> None:
    path = tmp_path / "prior.npz"
    prior.save(path)
    with zipfile.ZipFile(path) as archive:  # pickled arrays would be of dtype object
        assert all(b"|O" not in archive.read(name)[:128] for name in archive.namelist())
    loaded = MotionPrior.load(path)
    assert loaded.recipe == prior.recipe | {"gap": list(prior.recipe["gap"])}
    rows, seen = walks(1)[0][:WINDOW], np.arange(WINDOW) % 60 < 40
    np.testing.assert_allclose(
        loaded.complete(rows, seen), prior.complete(rows, seen), atol=0.02
    )  # weights are kept in half precision


@pytest.mark.parametrize("content", [b"", b"PK no archive", None])
def test_another_file_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "other.npz"
    if content is None:
        np.savez(path, head=np.zeros(3))
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match="expected a motion prior"):
        MotionPrior.load(path)


def test_clips_must_be_as_long_as_a_window() -> None:
    with pytest.raises(InputError, match="at least 4 s"):
        train(walks(2, seconds=2.0), SMALL)


def test_what_is_hidden_has_no_influence(prior: MotionPrior) -> None:
    rows, seen = walks(1)[0][:WINDOW], np.ones(WINDOW, bool)
    seen[50:80] = False
    # Rates lead from the last row seen into the hidden ones, whose sum is known: keep it.
    wild = rows.copy()
    wild[50:80, TURNS_6D] = 5.0
    np.testing.assert_allclose(prior.complete(wild, seen), prior.complete(rows, seen), atol=1e-9)


def test_the_spread_grows_with_the_distance(prior: MotionPrior) -> None:
    measured = with_spread(prior, walks(1, seconds=6.0))
    assert np.all(np.diff(measured.spread, axis=0) >= 0)
    assert np.all(np.isfinite(measured.spread)) and measured.spread[0].max() < 0.01
    assert measured.spread[-1, 3:].max() > 0.05


def test_other_styles_stay_motions_of_people() -> None:
    """Smooth, finite and not the same; rotations stay rotations."""
    rng = np.random.default_rng(0)
    walk = walks(1)[0]
    for other in (restyled(walk, rng), made_up(walk[0], rng, rows=150)):
        assert np.isfinite(other).all()
        turns = from_6d(other[:, TURNS_6D].reshape(-1, NUM_BODY, 6))
        np.testing.assert_allclose(np.linalg.det(turns), 1, atol=1e-9)
        step = np.linalg.norm(np.diff(turns, axis=0), axis=(-2, -1))
        assert step.max() < 0.9
        length = min(len(other), len(walk))
        assert np.abs(other[:length] - walk[:length]).max() > 0.05
