"""The window's errors are one clear line; the window itself is tried where a display can be had."""

import builtins
import shutil
import subprocess
import sys

import pytest

from recon.core.errors import MissingDependencyError, ReconError
from tests.synthetic import make_scene
from viewer import app


@pytest.fixture
def complete(monkeypatch):
    """A machine with all system packages."""
    monkeypatch.setattr(app, "missing_packages", list)


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
        app.load_open3d()


def test_a_library_that_does_not_load_names_the_apt_command(monkeypatch, complete):
    refuse(monkeypatch, OSError("libusb-1.0.so.0: cannot open shared object file"))
    with pytest.raises(ReconError, match=r"libusb-1.0.so.0.*apt-get install -y libusb-1.0-0"):
        app.load_open3d()


@pytest.mark.skipif(sys.platform != "linux", reason="system packages are checked on Linux only")
def test_missing_system_packages_are_named_before_open3d_is_loaded(monkeypatch):
    monkeypatch.setattr(app, "_loads", lambda library: "vulkan" not in library)
    monkeypatch.setattr(app.glob, "glob", lambda pattern: [])
    monkeypatch.delenv("VK_DRIVER_FILES", raising=False)
    monkeypatch.delenv("VK_ICD_FILENAMES", raising=False)
    with pytest.raises(ReconError, match="apt-get install -y libvulkan1 mesa-vulkan-drivers") as e:
        app.load_open3d()
    assert "\n" not in str(e.value) and "--screenshot" in str(e.value)


@pytest.mark.skipif(sys.platform != "linux", reason="displays are checked on Linux only")
def test_no_display_points_to_the_screenshot(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(ReconError, match="--screenshot"):
        app.check_display()


WINDOW = """
import sys, threading, time
from recon.core.scene import Scene
from viewer import app
from viewer.world import World

open3d = app.load_open3d()
gui = open3d.visualization.gui.Application.instance
gui.initialize()
window = app.ViewerWindow(open3d, World.from_scene(Scene.open(sys.argv[1])), size=(320, 240))
seen = []


def act():
    window.show(12)
    scene = window.widget.scene
    seen.append([scene.has_geometry(n) for n in ("mesh1", "mesh2", "bones1", "frustum", "floor")])
    window.meshes.checked, window.skeletons.checked = False, True
    window.show(0)
    seen.append([scene.has_geometry(n) for n in ("mesh1", "bones1", "bones2")])
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


def test_the_window_shows_steps_and_plays(tmp_path):
    pytest.importorskip("open3d", reason="the viewer extra is not installed")
    if sys.platform != "linux" or shutil.which("xvfb-run") is None:
        pytest.skip("needs xvfb-run for a display")
    if missing := app.missing_packages():
        pytest.skip(f"needs the system packages {' '.join(missing)}")
    make_scene(tmp_path / "s", num_people=2, num_frames=24)
    done = subprocess.run(
        ["xvfb-run", "-a", sys.executable, "-c", WINDOW, str(tmp_path / "s")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    expected = [[True, True, False, True, True], [False, True, False], 23, (True, 0)]
    assert str(expected) in done.stdout, done.stderr[-2000:]
