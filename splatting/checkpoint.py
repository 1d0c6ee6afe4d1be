"""A training on disk, to be gone on with later."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recon.core.errors import StaleSceneError
from recon.core.storage import write_atomic
from recon.core.untrusted import read_arrays
from splatting.photos import Photos
from splatting.training import Training, TrainingConfig

BUDGET = ("steps", "minutes")
"""Settings that may differ: the same training goes on, or its schedule is stretched."""
_PARTS = ("values", "first", "second")
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, RuntimeError)


def fingerprint(photos: Photos, config: TrainingConfig) -> str:
    """What a training depends on but its budget, as a hash."""
    settings = {k: v for k, v in asdict(config).items() if k not in BUDGET}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for array in (photos.images, photos.Ts_world_camera, photos.Ks, photos.ignored, photos.points):
        digest.update(b"none" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def save_checkpoint(path: Path, training: Training) -> None:
    """Writes everything that the next step depends on, atomically.

    Nothing where the training was interrupted just as it added or removed Gaussians, since some
    tables have the new number and some the old: what was saved before stays.
    """
    tables, adjust = training.parameters.tables, training.adjust
    if len({len(getattr(table, part)) for table in tables.values() for part in _PARTS}) > 1:
        return
    arrays: dict[str, Any] = {
        f"{name}.{part}": _array(getattr(table, part))
        for name, table in tables.items()
        for part in _PARTS
    }
    for name, tensor in adjust.state().items():
        arrays[f"adjust.{name}"] = _array(tensor)
    for name, tensor in training.strategy.state().items():
        arrays[f"strategy.{name}"] = _array(tensor)
    arrays["order"] = np.array(training.order, int)
    arrays["counters"] = np.array(
        [training.steps_done, training.parameters.steps, training.seconds_done]
    )
    arrays["generator"] = np.array(json.dumps(training.generator.bit_generator.state))
    arrays["fingerprint"] = np.array(fingerprint(training.photos, training.config))
    write_atomic(path, lambda file: np.savez(file, **arrays))


def load_checkpoint(path: Path, training: Training) -> bool:
    """Puts a new training where an earlier one on the same pictures and settings stopped.

    Returns:
        False if there is no checkpoint, or one of other pictures or settings.

    Raises:
        StaleSceneError: the file is damaged.
    """
    if not path.exists():
        return False
    try:
        made_for = str(read_arrays(path, re.compile("fingerprint"))["fingerprint"])
        if made_for != fingerprint(training.photos, training.config):
            return False
        _restore(training, read_arrays(path))
    except _UNREADABLE as error:
        raise StaleSceneError(
            f"expected a readable checkpoint {path}, got: {error}; delete it to start anew"
        ) from error
    return True


def _restore(training: Training, arrays: dict[str, np.ndarray]) -> None:
    def tensor(key: str) -> Tensor:
        return torch.from_numpy(arrays[key]).to(training.device)

    def group(name: str) -> dict[str, Tensor]:
        return {k.split(".", 1)[1]: tensor(k) for k in arrays if k.startswith(f"{name}.")}

    for name, table in training.parameters.tables.items():
        table.restore(*(tensor(f"{name}.{part}") for part in _PARTS))
    training.adjust.restore(group("adjust"))
    training.strategy.restore(group("strategy"))
    training.order = arrays["order"].tolist()
    steps, updates, seconds = arrays["counters"].tolist()
    training.steps_done, training.parameters.steps = int(steps), int(updates)
    training.seconds_done = float(seconds)
    training.generator.bit_generator.state = json.loads(str(arrays["generator"]))


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()
