"""The web viewer's server: whom it answers, what it plays, how it changes scenes."""

import socket
import sys
import time
from functools import partial
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import pytest

from recon.core.errors import InputError, MissingDependencyError, StaleSceneError
from tests.synthetic import make_scene
from viewer.share import share
from viewer.web import WebViewer
from viewer.web_world import WebContent
from viewer.world import World

pytest.importorskip("viser")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    worlds = {
        "one": World.from_scene(make_scene(folder / "one", num_frames=40)),
        "two": World.from_scene(make_scene(folder / "two", num_people=2, num_frames=24)),
    }
    loads = []

    def load(name):
        loads.append(name)
        return WebContent(world=worlds[name], confidence={1: np.full(len(worlds[name].times), 0.5)})

    return {name: partial(load, name) for name in worlds}, loads


def wait_until(done, seconds=5.0):
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.01)
    assert done()


def test_it_answers_this_machine_alone_plays_and_stops(scenes, capsys):
    with WebViewer(scenes[0], port=8310) as viewer:
        with urlopen(viewer.url) as page:
            assert page.status == 200 and b"<html" in page.read()
        port = int(viewer.url.rsplit(":", 1)[1])
        with socket.socket() as other, pytest.raises(OSError):
            other.settimeout(2)
            other.connect((own_address(), port))
        assert viewer.frame == 0
        viewer.play()
        wait_until(lambda: viewer.frame > 2)
        viewer.pause()
        stopped = viewer.frame
        time.sleep(0.1)
        assert viewer.frame == stopped
        viewer.seek(7)
        wait_until(lambda: viewer.frame == 7)
    with pytest.raises(URLError):
        urlopen(viewer.url)
    assert capsys.readouterr().out == ""


def own_address():
    """An address of this machine that is not the loopback's."""
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None)}
    except OSError:
        found = set()
    addresses = sorted(a for a in found if ":" not in a and not a.startswith("127."))
    # In 127.0.0.0/8 too the server listens on one address only.
    return addresses[0] if addresses else "127.0.0.2"


def test_scenes_are_loaded_once_when_chosen(scenes):
    sources, loads = scenes
    loads.clear()
    with WebViewer(sources, port=8310) as viewer:
        assert loads == ["one"]
        viewer.seek(30)
        viewer.choose("two")
        assert loads == ["one", "two"] and viewer.frame == 0
        viewer.seek(30)
        wait_until(lambda: viewer.frame == 23)
        names = [n for n in viewer._server.scene._handle_from_node_name if n.startswith("/person")]
        assert {n.split("/")[1] for n in names} == {"person 1", "person 2"}
        viewer.choose("one")
        assert loads == ["one", "two"]
        names = [n for n in viewer._server.scene._handle_from_node_name if n.startswith("/person")]
        assert {n.split("/")[1] for n in names} == {"person 1"}


def test_a_scene_that_cannot_be_shown_leaves_the_one_before(scenes):
    def broken():
        raise StaleSceneError("expected the stage 'world'")

    with WebViewer({"one": scenes[0]["one"], "broken": broken}, port=8310) as viewer:
        viewer.seek(30)
        with pytest.raises(StaleSceneError):
            viewer.choose("broken")
        wait_until(lambda: viewer.frame == 30)
        viewer.seek(31)
        wait_until(lambda: viewer.frame == 31)


def test_a_host_that_is_not_ours_is_one_clear_line(scenes):
    with pytest.raises(InputError, match=r"--host.*192\.0\.2\.1"):
        WebViewer(scenes[0], host="192.0.2.1", port=8310)
    with pytest.raises(InputError, match="--port"):
        WebViewer(scenes[0], port=70_000)


def test_without_the_package_it_says_what_to_install(scenes, monkeypatch):
    monkeypatch.setitem(sys.modules, "viser", None)
    with pytest.raises(MissingDependencyError, match=r"recon3d\[viewer\]"):
        WebViewer(scenes[0])


@pytest.mark.parametrize(("people", "frames"), [(0, 5), (1, 1)])
def test_nobody_and_a_single_frame_are_shown_too(tmp_path, people, frames):
    world = World.from_scene(make_scene(tmp_path / "s", num_people=people, num_frames=frames))
    with WebViewer({"s": lambda: WebContent(world=world)}, port=8310) as viewer:
        viewer.seek(3)
        assert viewer.frame == min(3, frames - 1)
    page = share(WebContent(world=world))
    assert page.num_moments == frames and (page.num_faces > 0) == (people > 0)
