"""Avatars with a network (GaussianAvatar) on the rendered people of `benchmarks.avatars`.

On a CPU the network gets as much CPU time as the fast mode took on the same pictures; with
`--device cuda` it has the paper's sizes and number of steps. Poses of held-out pictures are given.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import recon  # noqa: F401  (first: it tells OpenMP's threads not to spin)

# isort: split
import numpy as np

from benchmarks.avatar_subjects import Subject
from benchmarks.avatars import (
    SEEDS,
    config_of,
    find_lpips,
    frame_rate,
    score_rows,
    staged,
    write_pairs,
)
from benchmarks.common import Row, main, row
from splatting.avatars.binding import SurfaceBinding, bind_surface
from splatting.avatars.evaluation import score
from splatting.avatars.network_training import NetworkConfig, NetworkTraining, paper_config
from splatting.avatars.training import train_avatar

PROBE = 40
"""Pictures that tell how long one takes."""


def measure(quick: bool, pictures: Path | None, *, device: str = "cpu") -> Iterator[Row]:
    """Rows of each subject, then their means."""
    found = []
    for seed in SEEDS[:1] if quick else SEEDS:
        subject = staged(seed, quick)
        label = f"network, subject {seed}, {device}"
        scores, rows = subject_rows(subject, label, quick, pictures, device)
        found.append(scores)
        yield from rows
    if len(found) > 1:
        means = {name: float(np.mean([f[name] for f in found])) for name in found[0]}
        yield from score_rows(f"network, mean of subjects, {device}", means, target=None)


def subject_rows(
    subject: Subject, label: str, quick: bool, pictures: Path | None, device: str
) -> tuple[dict[str, float], list[Row]]:
    """The figures of held-out pictures, and all rows."""
    lpips, rows = find_lpips(), []
    if device == "cpu":
        plain = config_of(quick)
        burnt = time.process_time()
        fast = train_avatar(subject.rig, subject.train, plain)
        burnt = time.process_time() - burnt
        rows += score_rows(
            f"{label}: fast mode beside it", score(fast.avatar, subject.test), target=None
        )
        binding = bind_surface(subject.rig, plain.resolution)
        steps = steps_in(burnt, binding, subject)
        config = NetworkConfig(steps=steps, resolution=plain.resolution)
    else:
        config = paper_config()
        binding = bind_surface(subject.rig, config.resolution)
    training = NetworkTraining(binding, subject.train, config, device=device)
    burnt = time.process_time()
    training.run()
    burnt = time.process_time() - burnt
    result = training.result(subject.rig, track_id=1, source=label)
    scores = score(result.avatar, subject.test, distance=lpips)
    without = score(replace(result.avatar, neural=None), subject.test)
    rows += score_rows(label, scores, target=None)
    rows += [
        row(f"{label}: gained by the pose encoder", scores["psnr"] - without["psnr"], "dB"),
        row(f"{label}: pictures looked at", result.steps, ""),
        row(f"{label}: training", result.seconds / 60, "min"),
        row(f"{label}: training, CPU time", burnt, "s"),
        row(f"{label}: posed and drawn", frame_rate(result, subject.test), "Hz"),
    ]
    if pictures is not None:
        name = f"avatars_{label.replace(', ', '_').replace(' ', '_')}.jpg"
        write_pairs(result, subject.test, pictures / name)
    return scores, rows


def steps_in(cpu_seconds: float, binding: SurfaceBinding, subject: Subject) -> int:
    """How many pictures the network looks at in this CPU time, by looking at a few."""
    probe = NetworkTraining(
        binding,
        subject.train,
        NetworkConfig(steps=PROBE, resolution=binding.resolution, coarse_until=0.0),
    )
    probe.step()  # what is compiled at first use does not count
    burnt, done = time.process_time(), probe.steps_done
    probe.run()
    each = (time.process_time() - burnt) / (probe.steps_done - done)
    return max(PROBE, round(cpu_seconds / each))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    known, rest = parser.parse_known_args()
    sys.argv[1:] = rest
    main("Avatars with a network", partial(measure, device=known.device))
