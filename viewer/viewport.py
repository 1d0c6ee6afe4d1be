"""One scene's 3D widget in the window: its stage, its camera and the video behind it."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from recon.core.geometry import Array, invert_transform
from recon.core.palette import BACKGROUND
from viewer import views
from viewer.screenshot import FOV_DEG
from viewer.stage import Content, Stage

_SAMPLES = 4
_LARGEST = 12.0
"""Metres of people's ways that the first view still holds."""
_UNDECODED = np.round(255 * (np.arange(256) / 255) ** (1 / 2.2)).astype(np.uint8)
"""Of what stands behind a scene, and only of that, Filament takes sRGB to be linear light."""
_PLAIN = [*(_UNDECODED[list(BACKGROUND)] / 255), 1.0]
_PICTURE = "__background"
"""Open3D's name for what it draws behind a scene."""
_WALL, _WALL_DEPTH, _WALL_SIZE = "wall", 0.8, 4.0
"""Its depth by that of the far plane, which lies 2.5 times as far as the scene; half its side by
its depth."""


def draw_plainly(target: Any) -> None:
    """Plain colours straight to the screen: no light, tones, shadows or textured backdrop.

    A software graphics card draws an Open3DScene at four times the rate without the former, and
    a still picture of two people in 41 instead of 75 ms without the backdrop.
    """
    target.view.set_post_processing(False)
    target.view.set_ambient_occlusion(False)
    target.view.set_shadowing(False)
    target.scene.enable_sun_light(False)
    target.scene.enable_indirect_light(False)
    target.scene.show_geometry(_PICTURE, False)


class Viewport:
    """A SceneWidget with a stage.

    Args:
        window: Open3D's, that the widget will be in.
    """

    def __init__(self, open3d: ModuleType, window: Any, content: Content) -> None:
        self._window = window
        self._o3d = open3d
        self.content, self.world = content, content.world
        self.widget = open3d.visualization.gui.SceneWidget()
        self.target = open3d.visualization.rendering.Open3DScene(window.renderer)
        self.widget.scene = self.target
        draw_plainly(self.target)
        self.stage = Stage(open3d, self.target, content, window.scaling)
        self._add_wall()
        low, high = self.world.bounds
        self._bounds = open3d.geometry.AxisAlignedBoundingBox(low - 1, high + 1)
        self.view: views.View = "free"
        self._fitted = (0, 0)
        self._T_wall = np.eye(4)
        self.followed = self.world.people[0].motion.track_id if self.world.people else None
        self._plain_background()
        self.stage.refresh()
        self.look(*self.world.start(fov_deg=FOV_DEG, largest=_LARGEST))

    @property
    def frame(self) -> int:
        return self.stage.frame

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, px, at least 1."""
        frame = self.widget.frame
        return max(frame.width, 1), max(frame.height, 1)

    def look(self, eye: Array, target: Array) -> None:
        """Looks from `eye` to `target`, (3,) each, level."""
        self._target = np.asarray(target, float)
        self._set_lens()
        self.widget.look_at(self._target, np.asarray(eye, float), [0, 0, 1])
        self.place_wall()

    def fit(self) -> None:
        """Looks as before in a widget that has another size now."""
        if self.size == self._fitted:
            return
        self._fitted = self.size
        if self.view == "video":
            self._look_as_video()
            return
        model = np.asarray(self.target.camera.get_model_matrix(), float)
        self._set_lens()
        self._look_along(model)

    def _set_lens(self) -> None:
        """The same angle across the shorter side, whatever the widget's shape."""
        width, height = self.size
        half = np.tan(np.deg2rad(FOV_DEG) / 2) * max(1.0, height / width)
        fov_deg = 2 * float(np.rad2deg(np.arctan(half)))
        self.widget.setup_camera(fov_deg, self._bounds, self._target.astype(np.float32))

    def choose(self, view: views.View, followed: int | None = None) -> None:
        """Changes how the window looks at the scene."""
        was, self.view = self.view, view
        self.stage.through_camera = view == "video"
        self.stage.refresh()
        self.followed = self.followed if followed is None else followed
        if was == "video":
            self._plain_background()
        if view == "video":
            self._look_as_video()
        elif view == "camera":
            self.look(*views.behind_camera(self.world, self.frame))
        elif view == "person" and self.followed is not None:
            place = views.beside_person(self.world, self.followed, self.frame)
            self.look(*(place or self.world.overview(self.frame, fov_deg=FOV_DEG)))
        elif was == "video":
            self.look(*self.world.overview(self.frame, fov_deg=FOV_DEG))

    def show(self, frame: int) -> None:
        """Goes to a frame, and along with what is followed."""
        before = self.frame
        self.stage.show(frame)
        if self.view == "video":
            self._look_as_video()
            return
        step = views.step_of(self.world, self.view, self.followed, before, self.frame)
        if step.any():
            model = np.asarray(self.target.camera.get_model_matrix(), float)
            self._target = self._target + step
            self.widget.center_of_rotation = self._target.astype(np.float32)
            model[:3, 3] += step
            self._look_along(model)

    def copy_camera(self, other: Viewport) -> None:
        """Looks as another viewport does, from the same place beside the first filming camera.

        Two worlds made of one video differ in origin and heading, their first cameras do not.
        """
        first = self.world.Ts_world_camera[0] @ invert_transform(other.world.Ts_world_camera[0])
        self._look_along(first @ np.asarray(other.target.camera.get_model_matrix(), float))

    def _look_along(self, model: Array) -> None:
        """Takes a camera's model matrix (4, 4), OpenGL axes."""
        eye, up = model[:3, 3], model[:3, 1]
        self.target.camera.look_at(
            (eye - model[:3, 2]).astype(np.float32), eye.astype(np.float32), up.astype(np.float32)
        )
        self.place_wall()

    def smooth(self, on: bool) -> None:
        """Smooth edges, at three times the cost, or jagged ones."""
        self.target.view.set_sample_count(_SAMPLES if on else 1)

    def picture(self, done: Callable[[np.ndarray], None]) -> None:
        """Calls `done` with the next drawn picture (H, W, 3) uint8 RGB, when it is drawn."""
        application = self._o3d.visualization.gui.Application.instance

        def drawn(image: Any) -> None:
            picture = np.array(image)[..., :3]
            # Not at once: what asks for another picture amid the drawing never gets it.
            application.post_to_main_thread(self._window, lambda: done(picture))

        self.target.scene.render_to_image(drawn)
        self.widget.force_redraw()

    # Behind the scene ------------------------------------------------------------------------

    def _add_wall(self) -> None:
        """One colour behind everything: Filament does not clear a window."""
        wall = self._o3d.geometry.TriangleMesh()
        corners = [[x, y, -1.0] for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        wall.vertices = self._o3d.utility.Vector3dVector(
            np.multiply(corners, [_WALL_SIZE] * 2 + [1])
        )
        wall.triangles = self._o3d.utility.Vector3iVector([[0, 1, 2], [0, 2, 3]])
        material = self._o3d.visualization.rendering.MaterialRecord()
        material.shader = "unlitSolidColor"
        material.base_color = _PLAIN
        self.target.add_geometry(_WALL, wall, material)

    def place_wall(self) -> bool:
        """Behind what the camera sees now; whether it had to move (the mouse turns the camera)."""
        camera = self.target.camera
        scale = np.diag([*[_WALL_DEPTH * camera.get_far()] * 3, 1.0])
        T = np.asarray(camera.get_model_matrix(), float) @ scale
        moved = not np.array_equal(T, self._T_wall)
        if moved:
            self._T_wall = T
            self.target.set_geometry_transform(_WALL, T)
        return moved

    def _plain_background(self) -> None:
        self.target.scene.show_geometry(_PICTURE, False)
        self.target.show_geometry(_WALL, True)

    def _look_as_video(self) -> None:
        """The filming camera, and its picture behind the bodies."""
        size = self.size
        lens = views.letterboxed(self.world.intrinsics, size)
        T = invert_transform(self.world.Ts_world_camera[self.frame])
        self.widget.setup_camera(lens.matrix, T, *size, self._bounds)
        picture = self.content.picture and self.content.picture(self.frame)
        if picture is not None:
            behind = _UNDECODED[views.letterbox(picture, size, BACKGROUND)]
            self.target.set_background(_PLAIN, self._o3d.geometry.Image(behind))
            self.target.show_geometry(_WALL, False)
            self.target.scene.show_geometry(_PICTURE, True)
