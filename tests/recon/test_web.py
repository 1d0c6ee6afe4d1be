"""`recon serve` and `recon share`: what of a scene reaches the page, and what is refused."""

import numpy as np
import pytest

from recon.core.errors import InputError
from recon.core.video import VideoInfo
from recon.runner import Silent
from recon.web import MOST_PICTURES, open_scenes, share, wanted_frames, web_content
from tests.synthetic import make_scene


class Listener(Silent):
    """Keeps what the user is told."""

    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


def info(times):
    return VideoInfo(path="v", width=64, height=48, times=times, focal_px=None, sha256="0")


@pytest.mark.parametrize("rate", [2.0, 5.0, 12.5, 100.0])
def test_pictures_are_evenly_spaced_in_time_whatever_the_frame_rate(rate):
    times = 3 + np.cumsum(np.random.default_rng(0).uniform(0.01, 0.09, 200))
    chosen = wanted_frames(info(times), rate)
    assert chosen[0] == 0 and np.all(np.diff(chosen) > 0) and chosen[-1] < 200
    seconds = times[-1] - times[0]
    assert len(chosen) <= min(seconds * rate + 1, MOST_PICTURES)
    # Frames lie up to 0.09 s apart, so that each picture may come so much too late.
    assert np.diff(times[chosen]).max() < 1 / rate + 0.18
    assert wanted_frames(info(times), 0) == []
    assert len(wanted_frames(info(np.arange(90_000) / 30), 12.5)) <= MOST_PICTURES


def test_pictures_come_from_the_scenes_own_video(tmp_path):
    scene = make_scene(tmp_path / "s", num_frames=12, video_path=tmp_path / "clip.mp4")
    listener = Listener()
    content = web_content(scene, listener, pictures_per_second=5, picture_width=100)
    assert set(content.pictures) == set(wanted_frames(scene.video, 5)) and not listener.notes
    assert all(data.startswith(b"\xff\xd8") for data in content.pictures.values())
    assert set(content.confidence) == {1} and content.splats is None


def test_a_video_that_is_gone_is_told_and_the_rest_is_shown(tmp_path):
    scene = make_scene(tmp_path / "s", num_frames=6)
    listener = Listener()
    content = web_content(scene, listener)
    assert not content.pictures and len(content.world.people) == 1
    (note,) = listener.notes
    assert "pictures are left out" in note and content.notes == (note,)


def test_scenes_are_named_after_their_folders_and_told_apart(tmp_path):
    paths = [tmp_path / "a" / "walk", tmp_path / "b" / "walk", tmp_path / "run"]
    for path in paths:
        make_scene(path, num_frames=3)
    assert list(open_scenes(paths)) == [str(paths[0]), str(paths[1]), "run"]
    with pytest.raises(InputError, match="every scene once"):
        open_scenes([paths[1], paths[1].parent / ".." / "b" / "walk"])
    with pytest.raises(InputError, match=r"scene\.json"):
        open_scenes([tmp_path / "none"])
    with pytest.raises(InputError, match="got none"):
        open_scenes([])


@pytest.mark.parametrize(
    ("name", "fps", "max_mb", "why"),
    [
        ("page.txt", None, 10.0, r"ends in \.html"),
        ("page.html", -1.0, 10.0, "--fps"),
        ("page.html", None, float("nan"), "--max-mb"),
    ],
)
def test_what_cannot_be_shared_leaves_no_file(tmp_path, name, fps, max_mb, why):
    make_scene(tmp_path / "s", num_frames=3)
    with pytest.raises(InputError, match=why):
        share(tmp_path / "s", tmp_path / name, fps=fps, max_mb=max_mb, watcher=Silent())
    assert not (tmp_path / name).exists()


def test_a_scene_becomes_one_file_and_says_what_is_in_it(tmp_path):
    pytest.importorskip("viser")
    make_scene(tmp_path / "s", num_frames=12, video_path=tmp_path / "clip.mp4")
    listener, out = Listener(), tmp_path / "deep" / "s.html"
    share(tmp_path / "s", out, fps=None, max_mb=10.0, watcher=listener)
    assert [p.name for p in out.parent.iterdir()] == ["s.html"]
    assert "12 of 12 frames" in listener.notes[-1] and out.stat().st_size < 10e6
