"""`recon splat --video`: from a video or a scene to Gaussians, tracks, films; what it refuses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest

from recon import cli
from splatting.files import read_gaussians
from splatting.video.model import load_video_gaussians
from splatting.video.training import VideoTraining
from tests.recon.clips import write_clip
from tests.splatting.video.moving_square import moving_square
from tests.synthetic import make_scene

SHORT = ["--iterations", "20", "--gaussians", "400", "--height", "56"]


def call(args: Sequence[str | Path]) -> int:
    """The exit code of `recon args`."""
    try:
        cli.main([str(a) for a in args])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def film(path: Path) -> tuple[int, int, int]:
    """Frames, width and height."""
    with av.open(str(path)) as container:
        frames = [frame for frame in container.decode(video=0)]
    return len(frames), frames[0].width, frames[0].height


def test_a_video_becomes_gaussians_tracks_and_films(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = write_clip(tmp_path / "square.mp4", images=list(moving_square().images))
    out = tmp_path / "out"
    given = ["splat", video, "--video", "-o", out, "--fps", "60", "--plys", *SHORT]
    assert call(given) == 0
    captured = capsys.readouterr()
    assert "no depth is known" in captured.err, "assumptions are told"
    assert "moving Gaussians" in captured.out
    record = json.loads((out / "video.json").read_text())
    assert record["unit"] == "assumed metres" and record["held_out"] == [4, 12]
    assert record["psnr"] > 15 and record["held_out_psnr"] > 15
    gaussians = load_video_gaussians(out / "video_gaussians.npz")
    assert len(gaussians) == record["gaussians"] <= 400
    assert len(gaussians.times) == 14
    with np.load(out / "tracks.npz") as tracks:
        assert tracks["points_px"].shape == (record["tracks"], 14, 2)
    assert film(out / "reconstruction.mp4") == (16, 72, 56)
    assert film(out / "stereo.mp4") == (16, 144, 56)
    assert film(out / "sway.mp4") == (16, 72, 56)
    assert film(out / "interpolated.mp4")[0] >= 30
    plys = sorted((out / "frames").iterdir())
    assert len(plys) == 16
    means = read_gaussians(plys[3]).means
    assert (means[:, 1] > 0).all(), "z up: what the camera sees lies along +y"


def test_a_scene_gives_its_people_and_its_depth(tmp_path: Path) -> None:
    scene = make_scene(
        tmp_path / "scene", num_frames=10, size=(96, 72), video_path=tmp_path / "v.mp4"
    )
    few = ["--stereo", "0", "--sway", "0", "--fps", "0.5"]
    assert call(["splat", scene.path, "--video", *SHORT, *few]) == 0
    out = scene.path / "video_splats"
    record = json.loads((out / "video.json").read_text())
    assert record["unit"] == "metres"
    assert not (out / "stereo.mp4").exists() and not (out / "sway.mp4").exists()
    assert film(out / "interpolated.mp4")[0] == 1, "the next would lie beyond the clip"
    gaussians = load_video_gaussians(out / "video_gaussians.npz")
    people = gaussians.foreground > 0
    assert people.any() and not people.all()
    z = np.exp(gaussians.places[:, 2].numpy())
    pelvis = scene.camera_motions[0].poses_camera.root[:, 2].mean()
    assert abs(np.median(z[people]) - pelvis) < 0.5


@pytest.mark.parametrize("shown", ["black", "noise"])
def test_what_cannot_be_followed_is_shown_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shown: str
) -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (8, 56, 72, 3)).astype(np.uint8)
    images = list(pictures if shown == "noise" else np.zeros_like(pictures))
    video, out = write_clip(tmp_path / "clip.mp4", images=images), tmp_path / "out"
    assert call(["splat", video, "--video", "-o", out, "--stereo", "0", "--sway", "0", *SHORT]) == 0
    assert "SSIM" in capsys.readouterr().out
    assert film(out / "reconstruction.mp4") == (8, 72, 56)


def test_a_stopped_training_leaves_an_earlier_result_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_training: VideoTraining) -> float:
        raise KeyboardInterrupt

    video = write_clip(tmp_path / "square.mp4", images=list(moving_square().images))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "video_gaussians.npz").write_text("an earlier one")
    monkeypatch.setattr(VideoTraining, "step", stop)
    assert call(["splat", video, "--video", "-o", tmp_path / "out", *SHORT]) == 130
    assert capsys.readouterr().err.strip().splitlines()[-1] == "recon: interrupted"
    (left,) = (tmp_path / "out").iterdir()
    assert left.read_text() == "an earlier one"


def one_frame(folder: Path) -> Path:
    return write_clip(folder / "one.mp4", 1)


REFUSED = {
    "one frame": (one_frame, [], "expected at least 2 frames"),
    "three frames": (lambda f: write_clip(f / "v.mp4", 3), [], "expected 4 frames or more"),
    "tiny": (lambda f: write_clip(f / "v.mp4", size_wh=(64, 24)), [], "32 px or more"),
    "no video": (lambda f: f / "no.mp4", [], "no such file"),
    "not a video": (lambda f: (f / "a.mp4").write_text("x") and f / "a.mp4", [], "expected a read"),
    "too late": (lambda f: write_clip(f / "v.mp4"), ["--start", "50"], "--start"),
    "few frames wanted": (lambda f: f, ["--frames", "2"], "--frames: expected 4"),
    "an option of places": (lambda f: f, ["--strategy", "classic"], "changes nothing"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_done_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    source, options, message = REFUSED[case]
    out = tmp_path / "out"
    assert call(["splat", source(tmp_path), "--video", "-o", out, *SHORT, *options]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("recon: ") and message in error
    assert not out.exists()


def test_options_of_videos_need_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["splat", tmp_path, "--fps", "60"]) == 2
    assert "expected --video beside --fps" in capsys.readouterr().err
