"""The window's errors are one clear line; the window itself is tried where a display can be had."""

import builtins
import shutil
import subprocess
import sys

import numpy as np
import pytest

from recon.core.errors import InputError, MissingDependencyError, ReconError
from tests.synthetic import make_scene
from viewer import app, system


@pytest.fixture
def complete(monkeypatch):
    """A machine with all system packages."""
    monkeypatch.setattr(system, "missing_packages", list)


def refuse(monkeypatch, error):
    real = builtins.__import__

    def replaced(name, *args, **kwargs):
        if name == "open3d":
            raise error
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", replaced)


def test_a_missing_package_names_the_extra(monkeypatch, complete):
    refuse(monkeypatch, ModuleNotFoundError("No module named 'open3d'", name="open3d"))
    with pytest.raises(MissingDependencyError, match=r"recon3d\[viewer\]"):
        system.load_open3d()


def test_a_library_that_does_not_load_names_the_apt_command(monkeypatch, complete):
    refuse(monkeypatch, OSError("libusb-1.0.so.0: cannot open shared object file"))
    with pytest.raises(ReconError, match=r"libusb-1.0.so.0.*apt-get install -y libusb-1.0-0"):
        system.load_open3d()


@pytest.mark.skipif(sys.platform != "linux", reason="system packages are checked on Linux only")
def test_missing_system_packages_are_named_before_open3d_is_loaded(monkeypatch):
    monkeypatch.setattr(system, "_loads", lambda library: "vulkan" not in library)
    monkeypatch.setattr(system.glob, "glob", lambda pattern: [])
    monkeypatch.delenv("VK_DRIVER_FILES", raising=False)
    monkeypatch.delenv("VK_ICD_FILENAMES", raising=False)
    with pytest.raises(ReconError, match="apt-get install -y libvulkan1 mesa-vulkan-drivers") as e:
        system.load_open3d()
    assert "\n" not in str(e.value) and "--screenshot" in str(e.value)


@pytest.mark.skipif(sys.platform != "linux", reason="displays are checked on Linux only")
def test_no_display_points_to_the_screenshot(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(ReconError, match="--screenshot"):
        system.check_display()


WINDOW = """
import sys, threading, time
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from recon.core.scene import Scene
from viewer import app
from viewer.recording import Recorder
from viewer.stage import Content
from viewer.world import World

open3d = app.load_open3d()
gui = open3d.visualization.gui.Application.instance
gui.initialize()
scenes = [Scene.open(path) for path in sys.argv[1:]]
contents = [
    Content(
        world=World.from_scene(scene), joint_std={1: np.full((24, 22, 3), 0.02)},
        picture=lambda frame: np.full((24, 32, 3), 10 * frame, np.uint8),
    )
    for scene in scenes
]
recorder = Recorder(Path(sys.argv[1]), None)
window = app.ViewerWindow(open3d, contents, recorder=recorder, size=(480, 320))
seen = []


def has(viewport, *names):
    return [viewport.target.scene.has_geometry(name) for name in names]


def press(name):
    kinds = open3d.visualization.gui
    event = SimpleNamespace(type=kinds.KeyEvent.Type.DOWN, key=int(getattr(kinds.KeyName, name)))
    return window._key(event)


def act():
    seen.append([press("END"), window.frame, press("F"), press("Z")])
    seen.append(window.viewports[0].target.scene.geometry_is_visible("floor"))
    press("F")
    window.show(12)
    first, second = window.viewports
    seen.append(has(first, "mesh1", "mesh2", "bones1", "frustum", "floor"))
    seen.append([first.frame, second.frame])
    window.switch_person("mesh", 1, False)
    window.switch_person("skeleton", None, True)
    window.switch_person("contacts", 1, True)
    window.switch_person("uncertainty", 1, True)
    seen.append(has(first, "mesh1", "mesh2", "bones1", "bones2", "contacts1", "uncertainty1"))
    window.show(0)
    seen.append(has(first, "bones1", "bones2"))
    for view in ("camera", "person", "video", "free"):
        window.choose(view)
        window.show(window.frame + 1)
    window.show(10_000)
    seen.append(window.frame)
    window.toggle()
    seen.append((window.playing, window.frame))
    print(seen, flush=True)
    window.window.close()


def drive():
    time.sleep(1)
    gui.post_to_main_thread(window.window, act)


threading.Thread(target=drive, daemon=True).start()
gui.run()
"""


def test_the_window_shows_steps_looks_and_plays(tmp_path):
    pytest.importorskip("open3d", reason="the viewer extra is not installed")
    if sys.platform != "linux" or shutil.which("xvfb-run") is None:
        pytest.skip("needs xvfb-run for a display")
    if missing := system.missing_packages():
        pytest.skip(f"needs the system packages {' '.join(missing)}")
    make_scene(tmp_path / "s", num_people=2, num_frames=24)
    make_scene(tmp_path / "half", times=np.arange(12) / 15)
    done = subprocess.run(
        ["xvfb-run", "-a", sys.executable, "-c", WINDOW, str(tmp_path / "s"),
         str(tmp_path / "half")],
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    expected = [
        [True, 23, True, False], False,
        [True, True, False, True, True], [12, 6], [False, True, True, True, True, True],
        [True, False], 23, (True, 0),
    ]  # fmt: skip
    assert str(expected) in done.stdout, done.stderr[-2000:]


@pytest.mark.parametrize("number", [0, 3])
def test_more_than_two_scenes_or_none_are_refused(tmp_path, number):
    with pytest.raises(InputError, match="one scene or two"):
        app.view([None] * number, folder=tmp_path, open_video=None)  # type: ignore[arg-type]
