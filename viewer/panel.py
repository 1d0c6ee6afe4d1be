"""The window's switches and time line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from viewer.playback import SPEEDS
from viewer.stage import PERSON_KINDS, SCENE_KINDS
from viewer.views import VIEW_WORDS, VIEWS

if TYPE_CHECKING:
    from viewer.app import ViewerWindow

_MANY = 8
"""People with switches of their own; all are switched by the keys."""


class Panel:
    """`side`: how to look and what to show; `bar`: play, slider, speed and clock."""

    def __init__(self, gui: Any, em: float, window: ViewerWindow) -> None:
        self._gui, self._window = gui, window
        stage = window.viewports[0].stage
        self.people: dict[tuple[str, int], Any] = {}
        self.scene: dict[str, Any] = {}
        margin = gui.Margins(em / 2, em / 2, em / 2, em / 2)
        self.side = gui.ScrollableVert(em / 4, margin)
        self._build_views()
        self.side.add_child(gui.Label("show"))
        for kind in SCENE_KINDS:
            if kind == "splats" and stage.content.splats is None:
                continue
            box = self.scene[kind] = gui.Checkbox(kind)
            box.set_on_checked(lambda on, kind=kind: window.switch_scene(kind, on))
            self.side.add_child(box)
        for person in stage.world.people[:_MANY]:
            self._build_person(person.motion.track_id, person.color)
        if len(stage.world.people) > _MANY:
            self.side.add_child(gui.Label(f"and {len(stage.world.people) - _MANY} more"))
        self._note = gui.Label("")
        self.side.add_child(self._note)
        self._build_bar(em, margin)

    def say(self, text: str) -> None:
        """A line at the end of the panel, as where a screenshot went."""
        self._note.text = text
        self._window.window.set_needs_layout()

    def update(self) -> None:
        """Makes the widgets tell what the window shows."""
        window, stage = self._window, self._window.viewports[0].stage
        playback, last = window.playback, len(window.times) - 1
        self._play.text = "Pause" if playback.playing else "Play"
        self._slider.int_value = window.frame
        self._speed.text = f"x {playback.speed:g}{'' if playback.loop else ', once'}"
        self._views.selected_index = VIEWS.index(window.viewports[0].view)
        for kind, box in self.scene.items():
            box.checked = kind in stage.scene_kinds
        for (kind, track_id), box in self.people.items():
            box.checked = track_id in stage.shown[kind]
        text = f"{window.times[window.frame]:.2f} s    frame {window.frame} of {last}"
        if len(text) != len(self._clock.text):
            window.window.set_needs_layout()
        self._clock.text = text

    def _build_views(self) -> None:
        self._views = self._gui.Combobox()
        for view in VIEWS:
            self._views.add_item(VIEW_WORDS[view])
        self._views.set_on_selection_changed(lambda _, index: self._window.choose(VIEWS[index]))
        self.side.add_child(self._gui.Label("look"))
        self.side.add_child(self._views)

    def _build_person(self, track_id: int, color: tuple[int, int, int]) -> None:
        label = self._gui.Label(f"person {track_id}")
        label.text_color = self._gui.Color(*(c / 255 for c in color))
        self.side.add_child(label)
        content = self._window.viewports[0].content
        for kind in PERSON_KINDS:
            if kind == "uncertainty" and track_id not in content.joint_std:
                continue
            box = self.people[kind, track_id] = self._gui.Checkbox(kind)
            box.set_on_checked(lambda on, kind=kind: self._window.switch_person(kind, track_id, on))
            self.side.add_child(box)

    def _build_bar(self, em: float, margin: Any) -> None:
        gui, window = self._gui, self._window
        self.bar = gui.Horiz(em / 2, margin)
        self._play = gui.Button("Play")
        self._play.set_on_clicked(window.toggle)
        self._slider = gui.Slider(gui.Slider.INT)
        self._slider.set_limits(0, max(len(window.times) - 1, 1))
        self._slider.set_on_value_changed(lambda value: window.show(round(value)))
        self._speed, self._clock = gui.Button("x 1"), gui.Label("")
        self._speed.set_on_clicked(self._next_speed)
        for child in (self._play, self._slider, self._speed, self._clock):
            self.bar.add_child(child)

    def _next_speed(self) -> None:
        """Faster at every click, and from the fastest to the slowest."""
        fastest = self._window.playback.speed == SPEEDS[-1]
        self._window.change_speed(-len(SPEEDS) if fastest else 1)
