"""`recon train-prior`: a motion prior from mocap folders, or from procedural motion."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np

from body.models import load_body_model
from body.motion_augment import restyled
from body.motion_features import encode, grid_times, leg_length
from recon.core.errors import InputError, ReconError
from recon.core.geometry import Array
from recon.core.stage import Progress
from recon.motion import ACTIONS, Action, MotionClip, load_motion, motion_files, procedural
from recon.options import TrainPriorOptions
from recon.runner import Silent, Watcher
from recon.synth.cast import random_shape

PROCEDURAL_CLIPS = 600
"""Clips that are made up where no folder is given."""
CLIP_SECONDS = 8.0
_BODIES = 12
_HELD_OUT = 20
"""One in so many clips is kept from training, to measure the prior's spread on."""


def train_prior(
    folders: Sequence[Path], options: TrainPriorOptions, *, watcher: Watcher | None = None
) -> Path:
    """Trains a motion prior, writes it with its recipe, and returns the file.

    Args:
        folders: of AMASS .npz and .bvh files, searched with all folders below; may be none.
    Raises:
        InputError: a folder without motion files, or nothing to train on.
    """
    from body.motion_prior_spread import with_spread
    from body.motion_prior_training import TrainingConfig, train

    count = options.procedural
    if count is None:
        count = 0 if folders else PROCEDURAL_CLIPS
    watcher = watcher or Silent()
    with watcher.stage("motions", "reading and making them") as progress:
        clips = _all_features(
            folders, count, seed=options.seed, progress=progress, note=watcher.note
        )
    training = [c for k, c in enumerate(clips) if k % _HELD_OUT] or clips
    held_out = in_other_styles(clips[::_HELD_OUT], seed=options.seed)
    config = TrainingConfig(steps=options.steps, seed=options.seed)
    with watcher.stage("prior", "training") as progress:
        prior = train(training, config, progress=progress).prior
    sources = [folder.name for folder in folders]
    sources += [f"{count} procedural clips"] if count else []
    replace(with_spread(prior, held_out), recipe={**prior.recipe, "sources": sources}).save(
        options.out
    )
    return options.out


def in_other_styles(clips: Sequence[Array], *, seed: int) -> list[Array]:
    """Clips and other styles of each: real people differ from those trained on, too."""
    rng = np.random.default_rng([seed, 1])
    return [*clips, *(restyled(clip, rng) for clip in clips for _ in range(2))]


def _all_features(
    folders: Sequence[Path], procedural_count: int, *, seed: int, progress: Progress,
    note: Callable[[str], None],
) -> list[Array]:  # fmt: skip
    """Features of every motion, in a random order that only the seed decides."""
    files = motion_files(folders)
    if not files and not procedural_count:
        raise InputError(
            "expected motions to train on, got none; give a folder, or --procedural with a number"
        )
    clips = chain(_read(files, note), procedural_clips(procedural_count, seed=seed))
    features = []
    for clip in clips:
        features.append(clip_features(clip))
        progress(len(features), len(files) + procedural_count)
    random.Random(seed).shuffle(features)
    return features


def _read(files: Sequence[Path], note: Callable[[str], None]) -> Iterator[MotionClip]:
    """The motions in files; those that hold none (AMASS keeps shapes beside them) are named."""
    if not files:
        return
    unread = []
    for file in files:
        try:
            yield load_motion(file)
        except ReconError as error:
            unread.append(f"{file}: {error}")
    if len(unread) == len(files):
        raise InputError(
            f"expected motions, got none in {len(files)} files; the first: {unread[0]}"
        )
    for line in unread:
        note(f"left out {line}")


def procedural_clips(
    count: int, *, seed: int = 0, actions: Sequence[Action] = ACTIONS
) -> Iterator[MotionClip]:
    """`count` made-up motions, in turn over the actions, on adults of random shape."""
    rng = np.random.default_rng(seed)
    model = load_body_model("anny")
    shapes = [random_shape(model.param_spec, rng) for _ in range(min(_BODIES, count))]
    rigs = [model.skinning_spec(shape) for shape in shapes]
    for k in range(count):
        rig = rigs[rng.integers(len(rigs))]
        clip_seed = int(rng.integers(2**31))
        yield procedural(actions[k % len(actions)], rig, seconds=CLIP_SECONDS, seed=clip_seed)


def clip_features(clip: MotionClip) -> Array:
    """A clip's features (T, 140), 30 rows a second."""
    even = clip.at(grid_times(clip.times))
    return encode(even.poses, leg=leg_length(clip.rig), contacts=even.contacts)[0]
