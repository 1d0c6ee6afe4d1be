"""Scenes that the export tests share, and the Khronos glTF validator."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recon.core.scene import Scene
from tests.recon.export.readers import gltf_issues_of
from tests.synthetic import make_scene


@pytest.fixture(scope="session")
def scene(tmp_path_factory) -> Scene:
    """Two people (the second only in the middle of the clip) before a moving camera."""
    path = tmp_path_factory.mktemp("scene") / "moving"
    return make_scene(path, num_people=2, camera="moving")


@pytest.fixture(scope="session")
def vfr_times() -> np.ndarray:
    """Frame times as a phone records them, not starting at 0."""
    steps = np.random.default_rng(3).choice([1 / 30, 1 / 24, 1 / 15], 59, p=[0.7, 0.2, 0.1])
    return 0.2 + np.concatenate([[0.0], np.cumsum(steps)])


@pytest.fixture(scope="session")
def vfr_scene(tmp_path_factory, vfr_times) -> Scene:
    """One person, a tripod, a variable frame rate."""
    return make_scene(tmp_path_factory.mktemp("scene") / "vfr", times=vfr_times)


@pytest.fixture(scope="session")
def empty_scene(tmp_path_factory) -> Scene:
    """Nobody in sight."""
    return make_scene(tmp_path_factory.mktemp("scene") / "empty", num_people=0, num_frames=5)


@pytest.fixture(scope="session")
def gltf_issues(tmp_path_factory) -> Callable[[Path], dict]:
    """The Khronos validator: the issues of a .glb file."""
    return gltf_issues_of(tmp_path_factory.mktemp("gltf-validator"))
