"""One scene in the web viewer: timeline, views, plots and switches over its nodes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from recon.core.geometry import Array
from viewer.playback import SPEEDS, Playback
from viewer.web_plots import PersonPlots
from viewer.web_world import HIDDEN_AT_FIRST, WebContent, WebWorld, vertical_fov
from viewer.world import NUM_BODY_JOINTS, WorldPerson

if TYPE_CHECKING:
    from viser import ClientHandle, ViserServer  # pyright: ignore[reportMissingImports]

FOV_DEG = 45.0
FOV, UP = float(np.deg2rad(FOV_DEG)), np.array([0.0, 0.0, 1.0])
LARGEST_START = 7.0
"""Metres that a first view holds; where people go farther it follows the first of them."""
_SPEEDS = {f"{speed:g}x": speed for speed in SPEEDS}
_MARK_SECONDS = 0.2
"""Plots are sent anew for every step of their mark: no oftener than this while playing."""
_FREE, _VIDEO = "free", "the video's"


class ShownScene:
    """One scene on a page: its nodes, and the widgets that move, choose and hide them.

    Args:
        lock: held while anything changes; callbacks come from viser's own threads.
    """

    def __init__(self, server: ViserServer, content: WebContent, lock: Any) -> None:
        self._server, self._content, self._lock = server, content, lock
        self.playback = Playback(times=content.world.times)
        self.web_world = WebWorld(server.scene, content)
        self._plots: PersonPlots | None = None
        self._on_show, self._marked, self._marked_at = 0, 0, 0.0
        self._widgets: list[Any] = []
        self._add_timeline()
        self._add_views()
        self._add_plots()
        self._add_switches()

    def remove(self) -> None:
        """Takes its nodes and widgets off the page."""
        self.web_world.remove()
        for widget in self._widgets:
            widget.remove()

    def tick(self, now: float) -> None:
        """Shows what is due at `now`, in seconds of a rising clock."""
        playing = self.playback.playing
        frame = self.playback.tick(now)
        if frame != self._on_show:
            self._show(frame, now)
        if playing and not self.playback.playing:
            self._set_button()
        if self._marked != self._on_show and now - self._marked_at > _MARK_SECONDS:
            self._mark(now)

    def play(self) -> None:
        """Plays on."""
        self.playback.play(time.monotonic())
        self._set_button()

    def pause(self) -> None:
        """Stands still."""
        self.playback.pause()
        self._set_button()

    def seek(self, frame: int) -> None:
        """Goes to a frame."""
        now = time.monotonic()
        self.playback.seek(frame, now)
        self._show(self.playback.frame, now)

    # Widgets ---------------------------------------------------------------------------------

    def _add_timeline(self) -> None:
        gui, last = self._server.gui, len(self._content.world.times) - 1
        self._slider = gui.add_slider("Frame", min=0, max=max(last, 1), step=1, initial_value=0)
        self._clock = gui.add_markdown("")
        self._button = gui.add_button("Play")
        speed = gui.add_dropdown("Speed", tuple(_SPEEDS), initial_value="1x")
        loop = gui.add_checkbox("Loop", True)
        self._keep(self._slider, self._clock, self._button, speed, loop)

        def slide(event: Any) -> None:
            if event.client is not None:  # else it is our own doing
                with self._lock:
                    self.seek(self._slider.value)

        def toggle(_: Any) -> None:
            with self._lock:
                (self.pause if self.playback.playing else self.play)()

        def change_speed(_: Any) -> None:
            with self._lock:
                self.playback.change_speed(_SPEEDS[speed.value], time.monotonic())

        def change_loop(_: Any) -> None:
            self.playback.loop = loop.value

        self._slider.on_update(slide)
        self._button.on_click(toggle)
        speed.on_update(change_speed)
        loop.on_update(change_loop)
        self._set_clock(0)

    def _add_views(self) -> None:
        gui = self._server.gui
        names = [f"person {p.track_id}" for p in self.web_world.people]
        first = names[0] if self._content.world.reach > LARGEST_START else _FREE
        self._camera = gui.add_dropdown("Camera", (_FREE, _VIDEO, *names), initial_value=first)
        overview = gui.add_button("Look at everybody", color="gray")
        self._keep(self._camera, overview)

        def change(_: Any) -> None:
            with self._lock:
                from_video = self._camera.value == _VIDEO
                self.web_world.set_backdrop(from_video)
                for client in self._server.get_clients().values():
                    if not from_video:
                        client.camera.up_direction, client.camera.fov = UP, FOV
                    self._look_at_followed(client)
                self._move_eyes(self._on_show, self._on_show)

        def look(event: Any) -> None:
            self._camera.value = _FREE
            if event.client is not None:
                world = self._content.world
                look_from(event.client, *world.overview(self._on_show, fov_deg=FOV_DEG))

        self._camera.on_update(change)
        overview.on_click(look)

    def _add_plots(self) -> None:
        gui, people = self._server.gui, self._content.world.people
        if not people:
            return
        folder = gui.add_folder("Over time")
        self._keep(folder)
        by_name = {f"person {p.motion.track_id}": p for p in people}
        with folder:
            if len(people) > 1:
                who = gui.add_dropdown("Of", tuple(by_name))

                def change(_: Any) -> None:
                    with self._lock, folder:
                        if self._plots is not None:
                            self._plots.remove()
                        self._plots = PersonPlots(gui, self._content, by_name[who.value])
                        self._plots.mark(self._on_show)

                who.on_update(change)
            self._plots = PersonPlots(gui, self._content, next(iter(by_name.values())))

    def _add_switches(self) -> None:
        gui, web_world = self._server.gui, self.web_world
        set_shown, set_person = web_world.set_shown, web_world.set_person
        shown = gui.add_folder("Show")
        self._keep(shown)
        with shown:
            for kind in web_world.kinds:
                box = gui.add_checkbox(kind, kind not in HIDDEN_AT_FIRST)
                box.on_update(lambda _, k=kind, b=box: self._switch(set_shown, k, b))
        if len(web_world.people) > 1:
            folder = gui.add_folder("People")
            self._keep(folder)
            with folder:
                for person in web_world.people:
                    track = person.track_id
                    box = gui.add_checkbox(f"person {track}", True)
                    box.on_update(lambda _, t=track, b=box: self._switch(set_person, t, b))
        for note in self._content.notes:
            self._keep(gui.add_markdown(f"*{note}*"))

    def _switch(self, show: Callable[[Any, bool], None], what: Any, box: Any) -> None:
        with self._lock:
            show(what, box.value)

    def _keep(self, *widgets: Any) -> None:
        self._widgets += widgets

    # Moments ---------------------------------------------------------------------------------

    def _show(self, frame: int, now: float) -> None:
        before, self._on_show = self._on_show, frame
        with self._server.atomic():
            self.web_world.show(frame)
            self._slider.value = frame
            self._set_clock(frame)
        self._move_eyes(before, frame)
        if not self.playback.playing:
            self._mark(now)

    def _mark(self, now: float) -> None:
        self._marked, self._marked_at = self._on_show, now
        if self._plots is not None:
            self._plots.mark(self._on_show)

    def _set_button(self) -> None:
        self._button.label = "Pause" if self.playback.playing else "Play"

    def _set_clock(self, frame: int) -> None:
        times = self._content.world.times
        self._clock.content = f"**{times[frame]:.2f} s** of {times[-1]:.2f} s"

    def _move_eyes(self, before: int, frame: int) -> None:
        """Moves who looks along with whom or what they follow."""
        if self._camera.value == _FREE:
            return
        step = self._followed_step(before, frame)
        for client in self._server.get_clients().values():
            if self._camera.value == _VIDEO:
                self._look_as_video(client, frame)
            elif step is not None:
                client.camera.position = client.camera.position + step

    def _followed(self) -> WorldPerson | None:
        return next((p for p in self._content.world.people
                     if self._camera.value == f"person {p.motion.track_id}"), None)  # fmt: skip

    def _look_at_followed(self, client: ClientHandle) -> None:
        person = self._followed()
        row = None if person is None else person.row(self._on_show)
        if person is not None and row is not None:
            joints = person.motion.joints_world[row, :NUM_BODY_JOINTS]
            look_from(client, *self._content.world.aside(joints, self._on_show, fov_deg=FOV_DEG))

    def _followed_step(self, before: int, frame: int) -> Array | None:
        """How far (3,) the followed person went over the floor; None where it is not there."""
        person = self._followed()
        if person is None:
            return None
        first, second = person.row(before), person.row(frame)
        if first is None or second is None:
            return None
        pelvis = person.motion.joints_world[:, 0]
        return (pelvis[second] - pelvis[first]) * [1, 1, 0]

    def _look_as_video(self, client: ClientHandle, frame: int) -> None:
        world = self._content.world
        T = world.Ts_world_camera[frame]
        eye, axes = T[:3, 3], T[:3, :3]
        look_from(client, eye, eye + 3 * axes[:, 2], up=-axes[:, 1], fov=vertical_fov(world))


def look_from(
    client: ClientHandle, eye: Array, target: Array, *, up: Array = UP, fov: float = FOV
) -> None:
    """Lets somebody look from `eye` to `target`, (3,) metres; `fov`: vertical, radians."""
    with client.atomic():
        camera = client.camera
        # In this order: the direction is never along `up`, nor without a length.
        camera.position, camera.look_at = eye, target
        camera.up_direction, camera.fov = up, fov
