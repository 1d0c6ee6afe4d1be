"""The Open3D window: people, camera, points and floor of a scene, played in time."""

from __future__ import annotations

import ctypes
import glob
import os
import sys
import time
from types import ModuleType
from typing import Any

import numpy as np

from recon.core.errors import MissingDependencyError, ReconError
from recon.core.geometry import Array
from recon.core.scene import Scene
from recon.core.splat_view import SplatCloud, SplatStage
from viewer.screenshot import BACKGROUND, CAMERA_COLOR, FOV_DEG, GRID_COLOR
from viewer.world import Segments, World, WorldPerson

_LIBRARIES = {
    "libusb-1.0.so.0": "libusb-1.0-0",
    "libGL.so.1": "libgl1",
    "libgomp.so.1": "libgomp1",
    "libvulkan.so.1": "libvulkan1",
}
"""What Open3D loads on Linux, and the package that holds it."""

_HELP = "space: play or pause, arrows: one frame, mouse: turn, with Ctrl: move"

_SOLID = 0.3
"""Opacity above which a Gaussian is shown as a point."""

_REDRAW_SECONDS = 1.5
"""Filament drops a redraw while the graphics card is busy, and a software one always is: the
window is drawn again for this long after its last change."""


def view(scene: Scene, splats: SplatStage | None = None) -> None:
    """Opens a window with the scene's world and returns when it is closed.

    Args:
        splats: the place and the avatars, shown as points.

    Raises:
        MissingDependencyError: Open3D is not installed.
        ReconError: a system library or a display is missing.
        StaleSceneError: a stage has not run.
    """
    world = World.from_scene(scene)
    open3d = load_open3d()
    check_display()
    application = open3d.visualization.gui.Application.instance
    application.initialize()
    ViewerWindow(open3d, world, splats=splats)
    application.run()


def load_open3d() -> ModuleType:
    """The package open3d with its system libraries.

    Raises:
        MissingDependencyError: it is not installed. ReconError: a system library is missing.
    """
    missing = missing_packages() if sys.platform == "linux" else []
    if missing:
        raise ReconError(
            f"expected the system packages that Open3D draws with, {' '.join(missing)} missing; "
            f"install with: sudo apt-get install -y {' '.join(missing)}  "
            "(or make a picture without them: recon view SCENE --screenshot out.png)"
        )
    try:
        import open3d  # an optional extra
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "open3d":
            raise
        raise MissingDependencyError("open3d", "viewer") from error
    except (ImportError, OSError) as error:
        raise ReconError(
            f"expected Open3D to load, got: {error}; install its system packages with: "
            "sudo apt-get install -y libusb-1.0-0 libvulkan1 mesa-vulkan-drivers libgl1"
        ) from error
    return open3d


def missing_packages() -> list[str]:
    """Debian packages that Open3D's window needs and this Linux machine lacks."""
    missing = [package for library, package in _LIBRARIES.items() if not _loads(library)]
    drivers = [f"{d}/vulkan/icd.d/*.json" for d in ("/usr/share", "/etc", "/usr/local/share")]
    named = os.environ.get("VK_DRIVER_FILES") or os.environ.get("VK_ICD_FILENAMES")
    if not named and not any(glob.glob(pattern) for pattern in drivers):
        missing.append("mesa-vulkan-drivers")
    return missing


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def check_display() -> None:
    """Raises ReconError where no window can be opened."""
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform == "linux" and not shown:
        raise ReconError(
            "expected a display to open a window on, got none (DISPLAY is not set); "
            "make a picture instead: recon view SCENE --screenshot out.png --frame N"
        )


def _linear(color: Any) -> np.ndarray:
    """Linear light 0-1, which Filament computes with, from sRGB 0-255."""
    return (np.asarray(color) / 255) ** 2.2


class ViewerWindow:
    """The window's widgets, and what they show at one frame."""

    def __init__(
        self, open3d: ModuleType, world: World, *,
        splats: SplatStage | None = None, size: tuple[int, int] = (1280, 800),
    ) -> None:  # fmt: skip
        self.splats = splats
        self._o3d, self._gui = open3d, open3d.visualization.gui
        self._rendering = open3d.visualization.rendering
        self.world = world
        self.frame = 0
        self.playing = False
        self._played_since = (0.0, 0.0)
        self._redraw_until = 0.0
        self.window = self._gui.Application.instance.create_window(
            f"{world.name}   ({_HELP})", *size
        )
        self._materials()
        self._build_scene()
        self._build_panel()
        self.window.set_on_layout(self._layout)
        self.window.set_on_tick_event(self._tick)
        self.window.set_on_key(self._key)
        self.show(0)

    # What is seen ----------------------------------------------------------------------------

    def _materials(self) -> None:
        def material(shader: str, **values: Any) -> Any:
            record = self._rendering.MaterialRecord()
            record.shader = shader
            for name, value in values.items():
                setattr(record, name, value)
            return record

        scaling = self.window.scaling
        self._body = material("defaultLit", base_roughness=0.75)
        self._thin = material("unlitLine", line_width=1.5 * scaling)
        self._thick = material("unlitLine", line_width=4.0 * scaling)
        self._dots = material("defaultUnlit", point_size=3.0 * scaling)
        self._blobs = material("defaultUnlit", point_size=4.0 * scaling)

    def _build_scene(self) -> None:
        world = self.world
        self.widget = self._gui.SceneWidget()
        self.widget.scene = self._rendering.Open3DScene(self.window.renderer)
        scene = self.widget.scene
        scene.set_background([*_linear(BACKGROUND), 1.0])
        grading = self._rendering.ColorGrading
        scene.view.set_color_grading(grading(grading.Quality.HIGH, grading.ToneMapping.LINEAR))
        scene.scene.set_sun_light([0.35, 0.5, -0.8], [1, 1, 1], 60_000)
        scene.scene.enable_sun_light(True)
        self._add_lines("floor", world.floor_grid(), GRID_COLOR, self._thin)
        self._add_lines("path", world.camera_path(), CAMERA_COLOR, self._thin)
        for person in world.people:
            name = f"trail{person.motion.track_id}"
            self._add_lines(name, world.person_path(person), person.color, self._thick)
        self._add_points("points", world.points, world.point_colors, self._dots)
        if self.splats is not None and (place := self.splats.place()) is not None:
            self._add_splats("place", place)
        eye, target = world.overview(0, fov_deg=FOV_DEG)
        low, high = world.bounds
        box = self._o3d.geometry.AxisAlignedBoundingBox(low - 1, high + 1)
        self.widget.setup_camera(FOV_DEG, box, target.astype(np.float32))
        self.widget.look_at(target, eye, [0, 0, 1])

    def _add_points(self, name: str, points: Array, colors: np.ndarray, material: Any) -> None:
        if not len(points) or not np.ptp(points, axis=0).any():
            return
        cloud = self._o3d.geometry.PointCloud()
        cloud.points = self._o3d.utility.Vector3dVector(points)
        cloud.colors = self._o3d.utility.Vector3dVector(_linear(colors))
        self.widget.scene.add_geometry(name, cloud, material)

    def _add_splats(self, name: str, cloud: SplatCloud) -> None:
        """The centres of Gaussians that one can see, in their colours."""
        solid = cloud.opacities > _SOLID
        self._add_points(name, cloud.means[solid], 255 * cloud.colors[solid], self._blobs)

    def _add_lines(
        self, name: str, segments: Segments, color: tuple[int, int, int], material: Any
    ) -> None:
        starts, ends = segments
        # Open3D crashes on a set of lines without any extent, as the path of a camera on a tripod.
        long = np.linalg.norm(ends - starts, axis=1) > 1e-6
        starts, ends = starts[long], ends[long]
        if len(starts) == 0:
            return
        lines = self._o3d.geometry.LineSet()
        lines.points = self._o3d.utility.Vector3dVector(np.concatenate([starts, ends]))
        pairs = np.arange(2 * len(starts)).reshape(2, -1).T
        lines.lines = self._o3d.utility.Vector2iVector(pairs)
        lines.paint_uniform_color(_linear(color))
        self.widget.scene.add_geometry(name, lines, material)

    def _add_mesh(self, name: str, person: WorldPerson, row: int) -> None:
        mesh = self._o3d.geometry.TriangleMesh(
            self._o3d.utility.Vector3dVector(person.vertices(row).astype(np.float64)),
            self._o3d.utility.Vector3iVector(person.rig.faces),
        )
        mesh.compute_vertex_normals()
        mesh.paint_uniform_color(_linear(person.color))
        self.widget.scene.add_geometry(name, mesh, self._body)

    def show(self, frame: int) -> None:
        """Draws a frame of the clip; frames outside it are clipped to its ends."""
        self.frame = int(np.clip(frame, 0, len(self.world.times) - 1))
        scene = self.widget.scene
        # Filament's meshes have no update in place (only point clouds do): replace them.
        for person in self.world.people:
            row = person.row(self.frame)
            for kind, box, add in (
                ("mesh", self.meshes, self._add_mesh), ("bones", self.skeletons, self._add_bones)
            ):  # fmt: skip
                name = f"{kind}{person.motion.track_id}"
                scene.remove_geometry(name)
                hidden = kind == "mesh" and person.motion.track_id in self._avatars()
                if row is not None and box.checked and not hidden:
                    add(name, person, row)
        scene.remove_geometry("avatars")
        if self._avatars() and self.splats is not None:
            people = self.splats.cast(self.frame)
            if people is not None:
                self._add_splats("avatars", people)
        scene.remove_geometry("frustum")
        self._add_lines("frustum", self.world.frustum(self.frame), CAMERA_COLOR, self._thin)
        self.slider.int_value = self.frame
        self._set_clock()
        self._redraw_until = time.monotonic() + _REDRAW_SECONDS

    def _avatars(self) -> frozenset[int]:
        """People who are shown as avatars now, and so without a mesh."""
        shown = self.splats is not None and self.gaussians.checked
        return self.splats.people if shown and self.splats is not None else frozenset()

    def _add_bones(self, name: str, person: WorldPerson, row: int) -> None:
        self._add_lines(name, person.bones(row), person.color, self._thick)

    # Widgets ---------------------------------------------------------------------------------

    def _build_panel(self) -> None:
        gui = self._gui
        em = self.window.theme.font_size
        self.panel = gui.Horiz(em / 2, gui.Margins(em / 2, em / 2, em / 2, em / 2))
        self.button = gui.Button("Play")
        self.button.set_on_clicked(self.toggle)
        self.slider = gui.Slider(gui.Slider.INT)
        self.slider.set_limits(0, max(len(self.world.times) - 1, 1))
        self.slider.set_on_value_changed(self._slide)
        self.clock = gui.Label("")
        self.meshes, self.skeletons = gui.Checkbox("meshes"), gui.Checkbox("skeletons")
        self.cloud, self.gaussians = gui.Checkbox("points"), gui.Checkbox("splats")
        self.meshes.checked = self.gaussians.checked = True
        self.cloud.checked = self.splats is None
        for box in (self.meshes, self.skeletons):
            box.set_on_checked(lambda _: self.show(self.frame))
        self.cloud.set_on_checked(self._toggle_points)
        self.gaussians.set_on_checked(self._toggle_splats)
        boxes = [self.meshes, self.skeletons, self.cloud]
        boxes += [self.gaussians] if self.splats is not None else []
        for child in (self.button, self.slider, self.clock, *boxes):
            self.panel.add_child(child)
        self._toggle_points(self.cloud.checked)
        for widget in (self.widget, self.panel):
            self.window.add_child(widget)

    def _layout(self, context: Any) -> None:
        rect, gui = self.window.content_rect, self._gui
        wanted = self.panel.calc_preferred_size(context, gui.Widget.Constraints())
        height = wanted.height
        self.widget.frame = gui.Rect(rect.x, rect.y, rect.width, rect.height - height)
        self.panel.frame = gui.Rect(rect.x, rect.get_bottom() - height, rect.width, height)

    def _set_clock(self) -> None:
        last = len(self.world.times) - 1
        text = f"{self.world.times[self.frame]:.2f} s    frame {self.frame} of {last}"
        grown = len(text) != len(self.clock.text)
        self.clock.text = text
        if grown:
            self.window.set_needs_layout()

    def _toggle_points(self, shown: bool) -> None:
        self.widget.scene.show_geometry("points", shown)
        self.widget.force_redraw()

    def _toggle_splats(self, shown: bool) -> None:
        self.widget.scene.show_geometry("place", shown)
        self.show(self.frame)

    def toggle(self) -> None:
        """Plays or pauses; from the last frame it plays from the start."""
        self.playing = not self.playing
        self.button.text = "Pause" if self.playing else "Play"
        if self.playing and self.frame == len(self.world.times) - 1:
            self.show(0)
        self._played_since = (time.monotonic(), float(self.world.times[self.frame]))

    def _slide(self, value: float) -> None:
        self.show(round(value))
        self._played_since = (time.monotonic(), float(self.world.times[self.frame]))

    def _tick(self) -> bool:
        if not self.playing:
            redraw = time.monotonic() < self._redraw_until
            if redraw:
                self.widget.force_redraw()
            return redraw
        started, from_time = self._played_since
        now = from_time + time.monotonic() - started
        frame = int(np.searchsorted(self.world.times, now, side="right")) - 1
        if frame != self.frame:
            self.show(frame)
        if now > self.world.times[-1]:
            self.toggle()
        self.widget.force_redraw()
        return True

    def _key(self, event: Any) -> bool:
        gui = self._gui
        if event.type != gui.KeyEvent.DOWN:
            return False
        if event.key == gui.KeyName.SPACE:
            self.toggle()
        elif event.key in (gui.KeyName.LEFT, gui.KeyName.RIGHT):
            self._slide(self.frame + (1 if event.key == gui.KeyName.RIGHT else -1))
        else:
            return False
        self.window.post_redraw()
        return True
