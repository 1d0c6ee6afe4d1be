"""`recon view`: the frames behind the people, and what is told of those that cannot be had."""

import time

import numpy as np
import pytest

from recon.core.errors import InputError
from recon.runner import Silent
from recon.window import FrameStore, open_window, window_content
from tests.synthetic import make_scene


class Listener(Silent):
    """Keeps what the user is told."""

    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def scene(tmp_path):
    return make_scene(tmp_path / "s", num_frames=12, video_path=tmp_path / "clip.mp4")


def wait_for(done):
    end = time.monotonic() + 10
    while not done() and time.monotonic() < end:
        time.sleep(0.01)
    assert done()


def test_frames_come_small_and_none_is_there_after_the_last(scene):
    store = FrameStore(scene, Silent())
    wait_for(lambda: store.at(11) is not None)
    picture = store.at(3)
    assert picture is not None and picture.dtype == np.uint8 and picture.shape[0] <= 720
    assert store.at(12) is None


def test_a_video_that_breaks_off_is_told(scene, monkeypatch):
    class Torn:
        def __init__(self, frames):
            self.frames = frames

        def __iter__(self):
            for frame in self.frames:
                if frame.index == 5:
                    raise InputError("torn")
                yield frame

    from recon.export import overlay

    whole = overlay.open_frames
    monkeypatch.setattr(overlay, "open_frames", lambda scene: Torn(whole(scene)))
    listener = Listener()
    store = FrameStore(scene, listener)
    wait_for(lambda: listener.notes)
    assert listener.notes == ["The video ends at frame 5: torn"]
    assert store.at(4) is not None and store.at(5) is None


def test_a_video_that_is_gone_is_told_and_the_rest_is_shown(tmp_path):
    listener = Listener()
    content = window_content(make_scene(tmp_path / "s", num_frames=6), listener)
    assert content.picture is None and len(content.world.people) == 1
    assert len(listener.notes) == 1 and "left out" in listener.notes[0]


def test_a_frame_that_the_scene_lacks_is_named_before_anything_opens(scene):
    with pytest.raises(InputError, match="--frame: expected 0 to 11, got 12"):
        open_window([scene.path], Silent(), frame=12)
