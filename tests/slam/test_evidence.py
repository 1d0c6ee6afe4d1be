"""The camera's class from points alone: what is decided must not hang on the tracker's noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from recon.core.camera import Intrinsics
from recon.core.geometry import Array, rotvec_to_matrix
from slam.evidence import UNDECIDED, classify, measure_motion
from slam.tracks import BackgroundTracks

LENS = Intrinsics.from_fov(640, 360, fov_deg=60, source="user")
TIMES = np.arange(50) / 30
NOISES = [0.05, 0.4, 0.8]


def still(t: float) -> Array:
    return np.zeros(3)


def pan(t: float) -> Array:
    return np.array([0.0, 0.15 * t, 0.0])


def tracks(
    *, noise: float, turn: Callable[[float], Array] = still, move: Callable[[float], Array] = still,
    zoom: Callable[[float], float] = lambda t: 1.0, flat: bool = False,
) -> BackgroundTracks:  # fmt: skip
    """A cloud of points, or a wall, seen by a camera; each point keeps its id while in view."""
    rng = np.random.default_rng(0)
    depth = 5.0 if flat else rng.uniform(2, 9, 600)
    points = LENS.unproject(rng.uniform([-200, 20], [840, 340], (600, 2)), depth + np.zeros(600))
    ids, pixels = [], []
    for t in TIMES.tolist():
        px = LENS.project((points - move(t)) @ rotvec_to_matrix(turn(t)))
        px = zoom(t) * (px - [LENS.cx, LENS.cy]) + [LENS.cx, LENS.cy]
        px += rng.normal(0, noise, px.shape)
        seen = np.all((px > 5) & (px < [635, 355]), axis=1)
        ids.append(np.flatnonzero(seen).astype(np.int32))
        pixels.append(px[seen].astype(np.float32))
    num = len(TIMES)
    return BackgroundTracks(
        width=640, height=360, ids=tuple(ids), points=tuple(pixels), people=np.zeros(num),
        looks=np.ones((num, 3)), keyframes=(),
    )  # fmt: skip


def told(made: BackgroundTracks) -> tuple[str, str]:
    kind, decision = classify(measure_motion(made, LENS, TIMES))
    return kind, decision.why


@pytest.mark.parametrize("noise", NOISES)
def test_a_noisy_pan_keeps_its_place(noise: float) -> None:
    """As of blur: at 0.8 px the residual is far above what a clean pan may have."""
    assert told(tracks(noise=noise, turn=pan))[0] == "rotating"


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("turn", [still, pan], ids=["zoom", "zoom and pan"])
def test_a_noisy_zoom_is_never_a_dolly(noise: float, turn: Callable[[float], Array]) -> None:
    kind, why = told(tracks(noise=noise, turn=turn, zoom=lambda t: 1 + 0.2 * t))
    assert kind == "zooming"
    assert UNDECIDED in why


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize(
    "direction", [[0.5, 0, 0], [0, 0, 0.6]], ids=["sideways", "straight ahead"]
)
def test_a_noisy_walk_among_things_is_moving(noise: float, direction: list[float]) -> None:
    assert told(tracks(noise=noise, move=lambda t: t * np.array(direction)))[0] == "moving"


def test_a_bare_wall_that_comes_nearer_is_said_to_be_undecided() -> None:
    kind, why = told(tracks(noise=0.2, move=lambda t: np.array([0, 0, 0.6 * t]), flat=True))
    assert kind == "zooming"
    assert UNDECIDED in why


def test_the_noise_is_reported() -> None:
    quiet, loud = (
        measure_motion(tracks(noise=noise, turn=pan), LENS, TIMES).long.noise_px
        for noise in (0.1, 0.4)
    )
    assert np.median(loud) == pytest.approx(4 * np.median(quiet), rel=0.2)
