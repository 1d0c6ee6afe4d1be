"""`recon train-prior`: what it refuses, and one small training from end to end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from body.motion_features import NUM_FEATURES, VELOCITY
from body.motion_prior import MotionPrior
from recon.train_prior import clip_features, procedural_clips
from tests.recon.test_cli import call, one_line


def test_it_trains_on_procedural_motion(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "prior.npz"
    args = ["train-prior", "--procedural", "4", "--steps", "2", "--out", out]
    assert call(args) == 0
    assert capsys.readouterr().out.strip() == str(out)
    prior = MotionPrior.load(out)
    assert prior.recipe["sources"] == ["4 procedural clips"]
    assert prior.recipe["clips"] == 3  # one is kept to measure the spread on
    assert np.isfinite(prior.spread).all()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--out", "prior.txt"], "ends with .npz"),
        (["--out", "a.npz", "--procedural", "0"], "got none"),
        (["--out", "a.npz", "--procedural", "-1"], "--procedural: expected 0 to"),
        (["--out", "a.npz", "--steps", "0"], "--steps: expected 1 to"),
        (["nowhere", "--out", "a.npz"], "expected a folder of motion files, got nowhere"),
    ],
)
def test_it_refuses_in_one_line(
    args: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert call(["train-prior", *args]) == 2
    assert message in one_line(capsys)
    assert not list(tmp_path.iterdir())


def test_files_without_motion_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "shape.npz", betas=np.zeros(16))
    assert call(["train-prior", tmp_path, "--out", tmp_path / "a.npz"]) == 2
    assert "expected .bvh or AMASS .npz files" in one_line(capsys)


def test_a_walk_goes_forward_in_leg_lengths() -> None:
    """Features of a procedural walk: about a leg length and a half a second, straight ahead."""
    (clip,) = procedural_clips(1, seed=3, actions=("walk",))
    features = clip_features(clip)
    assert features.shape == (round(clip.times[-1] * 30) + 1, NUM_FEATURES)
    sideways, backwards = features[:, VELOCITY].mean(axis=0)
    assert -3.0 < backwards < -0.5 and abs(sideways) < 0.3


def test_help_stays_light() -> None:
    probe = (
        "import sys\nfrom recon.cli import main\n"
        "try: main(['train-prior', '--help'])\nexcept SystemExit: pass\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
