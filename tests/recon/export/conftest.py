"""Scenes that the export tests share, and the Khronos glTF validator."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recon.core.scene import Scene
from tests.synthetic import make_scene

GLTF_VALIDATOR = "gltf-validator@2.0.0-dev.3.10"

_VALIDATE = """
const validator = require('gltf-validator');
const bytes = new Uint8Array(require('fs').readFileSync(process.argv[2]));
validator.validateBytes(bytes).then(report => console.log(JSON.stringify(report.issues)));
"""


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


def npm_install(folder: Path, packages: tuple[str, ...]) -> str:
    """Installs npm packages to a folder, or skips; the program node."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip(f"{packages[0]} needs node and npm, which are not on this machine")
    install = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), *packages]
    try:
        done = subprocess.run(install, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not install {packages[0]} within a minute")
    if done.returncode != 0:
        pytest.skip(f"npm could not install {packages[0]}: {done.stderr[-300:]}")
    return node


@pytest.fixture(scope="session")
def gltf_issues(tmp_path_factory) -> Callable[[Path], dict]:
    """The Khronos validator: the issues of a .glb file."""
    folder = tmp_path_factory.mktemp("gltf-validator")
    node = npm_install(folder, (GLTF_VALIDATOR,))
    script = folder / "validate.js"
    script.write_text(_VALIDATE, encoding="utf-8")

    def issues(path: Path) -> dict:
        command = [node, str(script), str(path)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return json.loads(result.stdout)

    return issues
