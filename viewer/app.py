"""The Open3D window: people, camera, points and floor of scenes, played in time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from recon.core.errors import InputError
from viewer.panel import Panel
from viewer.playback import SPEEDS, Playback
from viewer.recording import OpenVideo, Recorder
from viewer.stage import PERSON_KINDS, SCENE_KINDS, Content
from viewer.system import check_display, load_open3d, missing_packages
from viewer.viewport import Viewport
from viewer.views import VIEWS, View, frame_at

__all__ = ["ViewerWindow", "load_open3d", "missing_packages", "view"]

HELP = """space  play or pause          left, right  one frame
home, end  first, last frame      up, down  speed
1 free   2 follow the camera   3 follow a person   4 as filmed
N  next person to follow          L  loop
M meshes   B bones   T trajectories   C contacts   U uncertainty
F floor   K camera   P points   G splats   X axes
S  screenshot     R  record until R again     H  this help
mouse: turn; with Ctrl: move; wheel: nearer"""
_MOST_SCENES = 2
_PERSON_KEYS = dict(zip("MBTCU", PERSON_KINDS, strict=True))
_SCENE_KEYS = dict(zip("FKPGX", SCENE_KINDS, strict=True))

_REDRAW_SECONDS = 1.5
"""Filament drops a redraw while the graphics card is busy, and a software one always is: the
window is drawn again for this long after its last change."""


def view(
    contents: Sequence[Content], *, folder: Path, open_video: OpenVideo, frame: int = 0
) -> None:
    """Opens a window with a scene's world, or two side by side, and returns when it is closed.

    Args:
        folder: for screenshots and videos of the window. open_video: makes the latter.
        frame: of the first scene, on show at the start.

    Raises:
        InputError: no scene, or more than two. MissingDependencyError: Open3D is not installed.
        ReconError: a system library or a display is missing.
    """
    if not 1 <= len(contents) <= _MOST_SCENES:
        raise InputError(f"expected one scene or two side by side, got {len(contents)}")
    open3d = load_open3d()
    check_display()
    application = open3d.visualization.gui.Application.instance
    application.initialize()
    ViewerWindow(open3d, contents, recorder=Recorder(folder, open_video)).show(frame)
    application.run()


class ViewerWindow:
    """The window: viewports side by side, a panel of switches, and a time line below.

    Time is that of the first scene; the second one shows its frame of the same moment.
    """

    def __init__(
        self, open3d: ModuleType, contents: Sequence[Content], *, recorder: Recorder,
        size: tuple[int, int] = (1280, 800),
    ) -> None:  # fmt: skip
        self._gui = open3d.visualization.gui
        self._redraw_until = 0.0
        self.recorder = recorder
        names = " | ".join(content.world.name for content in contents)
        self.window = self._gui.Application.instance.create_window(f"{names}   (H: help)", *size)
        self.viewports = [Viewport(open3d, self.window, content) for content in contents]
        self.times = contents[0].world.times
        self.playback = Playback(self.times)
        self.panel = Panel(self._gui, self.window.theme.font_size, self)
        self._help = self._gui.Label(HELP)
        self._help.visible = False
        for widget in (*(v.widget for v in self.viewports), self.panel.side, self.panel.bar,
                       self._help):  # fmt: skip
            self.window.add_child(widget)
        self.window.set_on_layout(self._layout)
        self.window.set_on_tick_event(self._tick)
        self.window.set_on_key(self._key)
        self.show(0)

    @property
    def frame(self) -> int:
        return self.playback.frame

    @property
    def playing(self) -> bool:
        return self.playback.playing

    # What the panel and the keys do ----------------------------------------------------------

    def show(self, frame: int) -> None:
        """Goes to a frame of the first scene; frames outside it are clipped to its ends."""
        self.playback.seek(frame, time.monotonic())
        self._show()

    def toggle(self) -> None:
        """Plays or pauses; from the last frame it plays from the start."""
        if self.playing:
            self.playback.pause()
        else:
            self.playback.play(time.monotonic())
        self._show()

    def change_speed(self, steps: int) -> None:
        """Plays faster (1) or slower (-1)."""
        k = int(np.argmin(np.abs(np.array(SPEEDS) - self.playback.speed))) + steps
        speed = SPEEDS[int(np.clip(k, 0, len(SPEEDS) - 1))]
        self.playback.change_speed(speed, time.monotonic())
        self._show()

    def choose(self, view: View, followed: int | None = None) -> None:
        """How all viewports look at their scenes; `followed` is a person's track id."""
        for viewport in self.viewports:
            viewport.choose(view, followed)
        self._show()

    def follow_next(self) -> None:
        """Follows the next person of the first scene."""
        ids = [p.motion.track_id for p in self.viewports[0].world.people]
        if ids:
            now = self.viewports[0].followed
            after = ids[(ids.index(now) + 1) % len(ids)] if now in ids else ids[0]
            self.choose("person", after)

    def switch_person(self, kind: str, track_id: int | None, on: bool) -> None:
        """Shows or hides something of one person, or of everybody (None)."""
        for viewport in self.viewports:
            ids = {p.motion.track_id for p in viewport.world.people}
            chosen = ids if track_id is None else ids & {track_id}
            shown = viewport.stage.shown[kind]
            shown.update(chosen) if on else shown.difference_update(chosen)
            viewport.stage.refresh()
        self._show()

    def switch_scene(self, kind: str, on: bool) -> None:
        """Shows or hides a part of the scenes."""
        for viewport in self.viewports:
            kinds = viewport.stage.scene_kinds
            kinds.add(kind) if on else kinds.discard(kind)
            viewport.stage.refresh()
        self._show()

    def screenshot(self) -> None:
        """Writes what the viewports show as a PNG."""
        self.recorder.screenshot(self.viewports, self.panel.say)
        self._redraw()

    def record(self) -> None:
        """Starts a video of what the viewports show, frame by frame, or ends it."""
        if self.recorder.busy:
            self.recorder.stop(self.panel.say)
            return
        self.playback.pause()
        self.recorder.start(self.viewports, self.times, self.show, self.panel.say)
        self._redraw()

    # Drawing ---------------------------------------------------------------------------------

    def _show(self) -> None:
        first, *others = self.viewports
        first.show(self.frame)
        seconds = float(self.times[self.frame] - self.times[0])
        for other in others:
            other.show(frame_at(other.world.times, seconds))
        for viewport in self.viewports:
            viewport.smooth(not self.playing)
        self.panel.update()
        self._redraw()

    def _redraw(self) -> None:
        self._redraw_until = time.monotonic() + _REDRAW_SECONDS
        self.window.post_redraw()

    def _tick(self) -> bool:
        was, before = self.playing, self.frame
        changed = self.playback.tick(time.monotonic()) != before or self.playing != was
        if changed:
            self._show()
        for other in self.viewports[1:]:
            if self.viewports[0].view != "video":
                other.copy_camera(self.viewports[0])
        # While it plays, the next frame takes the place of a redraw that was dropped.
        again = self.recorder.busy or time.monotonic() < self._redraw_until
        again |= any([viewport.place_wall() for viewport in self.viewports])
        if changed or (again and not self.playing):
            for viewport in self.viewports:
                viewport.widget.force_redraw()
            return True
        return False

    def _layout(self, context: Any) -> None:
        rect, gui = self.window.content_rect, self._gui
        free = gui.Widget.Constraints()
        bar = self.panel.bar.calc_preferred_size(context, free).height
        side = min(self.panel.side.calc_preferred_size(context, free).width, rect.width // 3)
        height, width = rect.height - bar, rect.width - side
        share = width // len(self.viewports)
        for k, viewport in enumerate(self.viewports):
            viewport.widget.frame = gui.Rect(rect.x + k * share, rect.y, share, height)
            viewport.fit()
        self.panel.side.frame = gui.Rect(rect.x + width, rect.y, side, height)
        self.panel.bar.frame = gui.Rect(rect.x, rect.y + height, rect.width, bar)
        size = self._help.calc_preferred_size(context, free)
        self._help.frame = gui.Rect(rect.x + 12, rect.y + 12, size.width, size.height)

    def _key(self, event: Any) -> bool:
        if event.type != self._gui.KeyEvent.Type.DOWN:
            return False
        names = self._gui.KeyName
        last = len(self.times) - 1
        actions = {
            names.SPACE: self.toggle, names.N: self.follow_next, names.S: self.screenshot,
            names.R: self.record, names.H: self._toggle_help, names.L: self._toggle_loop,
            names.LEFT: lambda: self.show(self.frame - 1),
            names.RIGHT: lambda: self.show(self.frame + 1),
            names.UP: lambda: self.change_speed(1), names.DOWN: lambda: self.change_speed(-1),
            names.HOME: lambda: self.show(0), names.END: lambda: self.show(last),
        }  # fmt: skip
        for key, view in zip((names.ONE, names.TWO, names.THREE, names.FOUR), VIEWS, strict=True):
            actions[key] = lambda view=view: self.choose(view)
        stage = self.viewports[0].stage
        for letter, kind in _PERSON_KEYS.items():
            on = not stage.shown[kind]
            actions[getattr(names, letter)] = (
                lambda kind=kind, on=on: self.switch_person(kind, None, on)
            )  # fmt: skip
        for letter, kind in _SCENE_KEYS.items():
            on = kind not in stage.scene_kinds
            actions[getattr(names, letter)] = (
                lambda kind=kind, on=on: self.switch_scene(kind, on)
            )  # fmt: skip
        if event.key not in actions:
            return False
        actions[event.key]()
        self.window.post_redraw()
        return True

    def _toggle_help(self) -> None:
        self._help.visible = not self._help.visible
        self.window.set_needs_layout()

    def _toggle_loop(self) -> None:
        self.playback.loop = not self.playback.loop
        self.panel.update()
