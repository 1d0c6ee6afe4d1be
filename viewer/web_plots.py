"""Curves of one person under a web page's timeline, with a mark at the present moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recon.core.geometry import Array
from viewer.measures import floor_speed
from viewer.svg import css
from viewer.web_world import WebContent
from viewer.world import WorldPerson

if TYPE_CHECKING:
    from viser import GuiApi  # pyright: ignore[reportMissingImports]

Color = tuple[int, int, int]
_LEFT, _RIGHT, _NOW = (0, 114, 178), (213, 94, 0), (40, 42, 48)
_HEIGHT = 95
_CERTAIN = 1.05
"""Top of the plots of probabilities, so that 1 is not cut off."""


class PersonPlots:
    """Speed, contact and confidence of a person over the clip; `mark` moves the present moment."""

    def __init__(self, gui: GuiApi, content: WebContent, person: WorldPerson) -> None:
        self._gui = gui
        self._times = content.world.times
        motion = person.motion
        own = self._times[motion.frame_idx]
        idx = motion.frame_idx
        speed = floor_speed(motion.joints_world[:, 0, :2], own)
        feet = [motion.contacts[:, columns].max(axis=1) for columns in ((0, 1), (2, 3))]
        self._plots = [
            self._add("speed, m/s", idx, [("speed", speed, person.color)]),
            self._add("feet standing: left blue, right red", idx, [
                ("left", feet[0], _LEFT), ("right", feet[1], _RIGHT)], top=_CERTAIN),
        ]  # fmt: skip
        confidence = content.confidence.get(motion.track_id)
        if confidence is not None:
            series = [("confidence", confidence, person.color)]
            self._plots.append(self._add("confidence", idx, series, top=_CERTAIN))

    def mark(self, frame: int) -> None:
        """Moves the mark to a frame."""
        for plot, curves, top in self._plots:
            plot.data = (*curves, self._marks(frame, top))

    def remove(self) -> None:
        """Takes the plots off the page."""
        for plot, _, _ in self._plots:
            plot.remove()

    def _add(
        self, title: str, idx: np.ndarray, lines: list[tuple[str, Array, Color]], *,
        top: float | None = None,
    ) -> tuple[Any, tuple[Array, ...], float]:  # fmt: skip
        curves = [self._times - self._times[0]]
        for _, values, _ in lines:
            full = np.full(len(self._times), np.nan)
            full[idx] = values
            curves.append(full)
        highest = top or max(float(np.nanmax(curves[1])) * 1.1, 0.5)
        series = [
            {"label": "time, s"},
            *({"label": name, "stroke": css(color), "width": 2} for name, _, color in lines),
            {"label": "now", "stroke": css(_NOW), "width": 1},
        ]
        plot = self._gui.add_uplot(
            data=(*curves, self._marks(0, highest)), series=tuple(series), title=title,
            height=_HEIGHT, scales={"x": {"time": False}, "y": {"range": (0.0, highest)}},
            legend={"show": False}, padding=(8, 12, 0, 0), axes=({"size": 24}, {"size": 36}),
        )  # fmt: skip
        return plot, tuple(curves), highest

    def _marks(self, frame: int, top: float) -> Array:
        """A spike (T,) at the frame: a curve from the floor to the top, and nothing elsewhere."""
        out = np.full(len(self._times), np.nan)
        out[max(frame - 1, 0) : frame + 1] = 0.0
        out[frame] = top
        return out
