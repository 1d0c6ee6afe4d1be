"""Trains a motion prior on features of clips: blank stretches and errors in, the clean window out.

Loss per window (all rows, those hidden twice): squared error of rotations times the length of the
limb that they move, of height, velocities and turning; the same of their differences in time; the
cross entropy of contacts; and beta times the divergence of the code from a standard normal
(Higgins 2017). The share of hidden rows is as in Kaufmann 2020, section 4.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import torch
from torch import Tensor

from body.motion_augment import made_up, restyled
from body.motion_features import (
    CONTACTS,
    NUM_BODY,
    NUM_POSE,
    RATE,
    limb_weights,
    mirrored,
)
from body.motion_prior import WINDOW, MotionPrior, NetworkSize, PriorNetwork, fill
from recon.core.errors import InputError
from recon.core.geometry import Array
from recon.core.stage import Progress, no_progress


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How long and on what a prior is trained.

    Args:
        steps: optimiser steps. batch: windows a step. learning_rate: highest, of a cosine.
        beta: weight of the code's divergence. hidden: share of windows with blank stretches.
        gap: shortest and longest blank stretch, seconds.
        noise: largest error put on the rows seen, in their own scale; wanders in `noise_seconds`.
        restyles: other styles made of every clip. made_up: made-up movements per clip.
        seed: of everything random.
    """

    steps: int = 3000
    batch: int = 48
    learning_rate: float = 2e-3
    beta: float = 1e-3
    hidden: float = 0.85
    gap: tuple[float, float] = (0.25, 2.2)
    noise: float = 0.35
    noise_seconds: float = 0.2
    restyles: int = 3
    made_up: float = 1.0
    seed: int = 0
    size: NetworkSize = field(default_factory=NetworkSize)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A network with its normalisation and the mean loss of every 25 steps."""

    prior: MotionPrior
    losses: tuple[float, ...]


def train(
    clips: Sequence[Array], config: TrainingConfig, *, progress: Progress = no_progress
) -> Trained:
    """A prior of clips, its spread not yet measured.

    Args:
        clips: features (T, 140) each, see `body.motion_features.encode`.

    Raises:
        InputError: no clip is as long as a window.
    """
    long_enough = [c for c in clips if len(c) >= WINDOW]
    if not long_enough:
        raise InputError(
            f"expected clips of at least {WINDOW / RATE:g} s, got {len(clips)} shorter ones; "
            "give longer motions"
        )
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    whole = augmented(long_enough, rng, config=config)
    mean, scale = normalisation(whole)
    network = PriorNetwork(config.size)
    optimiser = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.learning_rate, total_steps=config.steps + 1, pct_start=0.1
    )
    weights = torch.as_tensor((scale * limb_weights())[:NUM_POSE] ** 2, dtype=torch.float32)
    starts = np.array([len(c) - WINDOW + 1 for c in whole], dtype=float)
    started, sums, losses = time.process_time(), 0.0, []
    for step in range(config.steps):
        picked = rng.choice(len(whole), config.batch, p=starts / starts.sum())
        windows = np.stack([_window(whole[i], rng) for i in picked])
        rows, seen = _spoiled(windows, mean, scale, rng=rng, config=config)
        clean = torch.as_tensor((windows - mean) / scale, dtype=torch.float32)
        clean[..., CONTACTS] = torch.as_tensor(windows[..., CONTACTS])
        loss = _loss(network, rows, seen, clean=clean, weights=weights, beta=config.beta)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        sums += float(loss.detach())
        if (step + 1) % 25 == 0 or step + 1 == config.steps:
            losses.append(sums / (step % 25 + 1))
            sums = 0.0
            progress(step + 1, config.steps)
    recipe = {
        **asdict(config),
        "clips": len(long_enough),
        "seconds": round(sum(len(c) for c in long_enough) / RATE),
        "cpu_seconds": round(time.process_time() - started),
    }
    prior = MotionPrior(
        network=network.eval(), mean=mean, scale=scale, recipe=recipe,
        spread_seconds=np.zeros(1), spread=np.full((1, 3 + 3 * NUM_BODY), np.inf),
    )  # fmt: skip
    return Trained(prior=prior, losses=tuple(losses))


def augmented(
    clips: Sequence[Array], rng: np.random.Generator, *, config: TrainingConfig
) -> list[np.ndarray]:
    """The clips, their other styles and made-up movements, in single precision.

    Of many hours only some clips get other styles, so that memory stays near that of the clips.
    """
    whole = [c.astype(np.float32) for c in clips]
    budget = _MOST_EXTRA_ROWS
    for _ in range(config.restyles):
        for k in rng.permutation(len(clips)):
            if (budget := budget - len(clips[k])) > 0:
                whole.append(restyled(clips[k], rng).astype(np.float32))
    for k in rng.integers(len(clips), size=round(config.made_up * len(clips))):
        if (budget := budget - 2 * WINDOW) > 0:
            pose = clips[k][rng.integers(len(clips[k]))]
            whole.append(made_up(pose, rng, rows=2 * WINDOW).astype(np.float32))
    return [c for c in whole if len(c) >= WINDOW]


_MOST_EXTRA_ROWS = 2_000_000


def normalisation(clips: Sequence[np.ndarray]) -> tuple[Array, Array]:
    """Mean and scale (140,) of features and their mirror images; contacts keep theirs."""
    count = 2 * sum(len(c) for c in clips)
    mean = sum(c.sum(axis=0, dtype=float) + mirrored(c).sum(axis=0, dtype=float) for c in clips)
    mean = np.asarray(mean / count)
    square = sum(
        ((c - mean) ** 2).sum(axis=0, dtype=float)
        + ((mirrored(c) - mean) ** 2).sum(axis=0, dtype=float)
        for c in clips
    )
    scale = np.maximum(np.sqrt(square / count), 0.05)
    mean[CONTACTS], scale[CONTACTS] = 0.0, 1.0
    return mean, scale


def _window(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random window (120, 140) of a clip, or its mirror image."""
    start = rng.integers(0, len(clip) - WINDOW + 1)
    window = clip[start : start + WINDOW]
    return mirrored(window) if rng.uniform() < 0.5 else window


def _spoiled(
    windows: Array, mean: Array, scale: Array, *, rng: np.random.Generator, config: TrainingConfig
) -> tuple[Tensor, Tensor]:
    """Windows with wandering errors and blank stretches, filled and normalised; what is seen."""
    count = len(windows)
    seen = np.stack([_visible(rng, config) for _ in range(count)])
    size = config.noise * rng.uniform(0, 1, (count, 1, 1)) ** 2
    noisy = windows + size * _wandering(rng, windows.shape, config.noise_seconds) * scale
    rows = np.stack([fill(w, s) for w, s in zip(noisy, seen, strict=True)])
    rows = ((rows - mean) / scale)[..., :NUM_POSE]
    return torch.as_tensor(rows, dtype=torch.float32), torch.as_tensor(seen, dtype=torch.float32)


def _visible(rng: np.random.Generator, config: TrainingConfig) -> np.ndarray:
    """(120,) bool: a window with a blank stretch or two, or one that begins or ends late."""
    seen = np.ones(WINDOW, bool)
    if rng.uniform() > config.hidden:
        return seen
    for _ in range(1 + (rng.uniform() < 0.25)):
        length = round(rng.uniform(*config.gap) * RATE)
        start = rng.integers(5, WINDOW - length - 5)
        seen[start : start + length] = False
    if rng.uniform() < 0.3:
        edge = rng.integers(1, 30)
        seen[slice(None, edge) if rng.uniform() < 0.5 else slice(WINDOW - edge, None)] = False
    return seen


def _wandering(rng: np.random.Generator, shape: tuple[int, ...], seconds: float) -> Array:
    """Unit-variance noise that forgets itself after `seconds` (Ornstein-Uhlenbeck), over axis 1."""
    from scipy.signal import lfilter

    keep = np.exp(-1 / (RATE * seconds))
    white = rng.standard_normal(shape)
    white[:, 1:] *= np.sqrt(1 - keep**2)
    return np.asarray(lfilter([1.0], [1.0, -keep], white, axis=1))


def _loss(
    network: PriorNetwork, rows: Tensor, seen: Tensor, *, clean: Tensor, weights: Tensor,
    beta: float,
) -> Tensor:  # fmt: skip
    context, mean, log_std = network.encode(rows, seen)
    code = mean + log_std.exp() * torch.randn_like(mean)
    out = network.decode(code, context, rows)
    error = out[..., :NUM_POSE] - clean[..., :NUM_POSE]
    importance = (2 - seen)[..., None]
    place = (importance * weights * error**2).mean()
    change = (weights * error.diff(dim=1) ** 2).mean()
    contact = torch.nn.functional.binary_cross_entropy_with_logits(
        out[..., CONTACTS], clean[..., CONTACTS].clamp(0, 1)
    )
    divergence = 0.5 * (mean**2 + (2 * log_std).exp() - 2 * log_std - 1).mean()
    scale = 1 / weights.mean()
    return scale * (place + 2 * change) + 0.05 * contact + beta * divergence
