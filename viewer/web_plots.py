"""Curves of one person under a web page's timeline, with a mark at the present moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recon.core.geometry import Array
from viewer.measures import floor_speed
from viewer.svg import Line, css, time_plot
from viewer.web_world import WebContent
from viewer.world import WorldPerson

if TYPE_CHECKING:
    from viser import GuiApi  # pyright: ignore[reportMissingImports]

_LEFT, _RIGHT, _NOW = (0, 114, 178), (213, 94, 0), (40, 42, 48)
_SPEED = "speed, m/s"
_HEIGHT, _DRAWN = 95, (300, 90)
_MOST_DRAWN = 8
"""People; a file to share has no room for the curves of a crowd."""
_CERTAIN = 1.05
"""Top of the plots of probabilities, so that 1 is not cut off."""
_STYLE = """
#plots { position: fixed; top: 8px; right: 8px; z-index: 9; max-height: calc(100% - 72px);
  overflow-y: auto; padding: 6px 12px; border-radius: 6px; background: #fffffff0; color: #28292f;
  font: 13px system-ui, sans-serif; box-shadow: 0 1px 5px #0004 }
#plots summary { cursor: pointer } #plots h4 { margin: 8px 0 0 } #plots figure { margin: 4px 0 }
#plots svg { display: block; width: 300px; font-size: 10px } #plots .line { fill: none;
  stroke-width: 1.5 } #plots .grid { stroke: #ddd } #plots .legend { display: none }
"""


def curves(content: WebContent, person: WorldPerson) -> dict[str, list[Line]]:
    """Speed, contact and confidence of a person over seconds of the clip, by title."""
    motion, times = person.motion, content.world.times
    own = times[motion.frame_idx]
    speed = floor_speed(motion.joints_world[:, 0, :2], own)
    left, right = (motion.contacts[:, columns].max(axis=1) for columns in ((0, 1), (2, 3)))
    values = {
        _SPEED: [("speed", speed, person.color)],
        "feet standing: left blue, right red": [("left", left, _LEFT), ("right", right, _RIGHT)],
    }
    confidence = content.confidence.get(motion.track_id)
    if confidence is not None:
        values["confidence"] = [("confidence", confidence, person.color)]
    return {
        title: [Line(name=n, x=own - times[0], y=y, color=color) for n, y, color in lines]
        for title, lines in values.items()
    }


def drawn_plots(content: WebContent) -> str:
    """The curves of the first people as HTML that folds away, over a page's upper right corner."""
    times, people = content.world.times, content.world.people[:_MOST_DRAWN]
    if not people:
        return ""
    span = 0.0, float(times[-1] - times[0])
    parts = [
        f"<h4>person {person.motion.track_id}</h4>"
        + "".join(
            time_plot(lines, title=title, unit="", span=span, size=_DRAWN)
            for title, lines in curves(content, person).items()
        )
        for person in people
    ]
    folded = f'<details id="plots"><summary>Over time</summary>{"".join(parts)}</details>'
    return f"<style>{_STYLE}</style>{folded}"


class PersonPlots:
    """The curves of a person over the clip; `mark` moves the present moment."""

    def __init__(self, gui: GuiApi, content: WebContent, person: WorldPerson) -> None:
        self._gui = gui
        self._times, self._rows = content.world.times, person.motion.frame_idx
        self._plots = [
            self._add(title, lines, top=None if title == _SPEED else _CERTAIN)
            for title, lines in curves(content, person).items()
        ]

    def mark(self, frame: int) -> None:
        """Moves the mark to a frame."""
        for plot, data, top in self._plots:
            plot.data = (*data, self._marks(frame, top))

    def remove(self) -> None:
        """Takes the plots off the page."""
        for plot, _, _ in self._plots:
            plot.remove()

    def _add(
        self, title: str, lines: list[Line], *, top: float | None
    ) -> tuple[Any, tuple[Array, ...], float]:
        data = [self._times - self._times[0]]
        for line in lines:
            full = np.full(len(self._times), np.nan)
            full[self._rows] = line.y
            data.append(full)
        highest = top or max(float(np.nanmax(data[1])) * 1.1, 0.5)
        series = [
            {"label": "time, s"},
            *({"label": n.name, "stroke": css(n.color), "width": 2} for n in lines),
            {"label": "now", "stroke": css(_NOW), "width": 1},
        ]
        plot = self._gui.add_uplot(
            data=(*data, self._marks(0, highest)), series=tuple(series), title=title,
            height=_HEIGHT, scales={"x": {"time": False}, "y": {"range": (0.0, highest)}},
            legend={"show": False}, padding=(8, 12, 0, 0), axes=({"size": 24}, {"size": 36}),
        )  # fmt: skip
        return plot, tuple(data), highest

    def _marks(self, frame: int, top: float) -> Array:
        """A spike (T,) at the frame: a curve from the floor to the top, and nothing elsewhere."""
        out = np.full(len(self._times), np.nan)
        out[max(frame - 1, 0) : frame + 1] = 0.0
        out[frame] = top
        return out
