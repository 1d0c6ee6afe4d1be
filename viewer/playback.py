"""Which frame is on show at which moment: play, pause, seek, speed and loop, without a clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recon.core.geometry import Array

SPEEDS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Clip seconds a second that a viewer offers."""


@dataclass
class Playback:
    """Frames at their own times, played by somebody else's clock: `now` is any rising seconds.

    Args:
        times: (T,) increasing seconds. speed: clip seconds a second, positive.
        loop: from the last frame to the first; else playing ends there.
    """

    times: Array
    speed: float = 1.0
    loop: bool = True
    frame: int = 0
    playing: bool = False
    _since: float = 0.0
    _from_time: float = 0.0

    def play(self, now: float) -> None:
        """Plays on; from the start where it stands on the last frame."""
        if self.frame == len(self.times) - 1:
            self.frame = 0
        self.playing = True
        self._anchor(now)

    def pause(self) -> None:
        """Stands still on the present frame."""
        self.playing = False

    def seek(self, frame: int, now: float) -> None:
        """Goes to a frame, clipped to the clip, and plays on from there if it was playing."""
        self.frame = int(np.clip(frame, 0, len(self.times) - 1))
        self._anchor(now)

    def change_speed(self, speed: float, now: float) -> None:
        """Plays on at another speed from where it is."""
        self.tick(now)
        self.speed = speed
        self._anchor(now)

    def tick(self, now: float) -> int:
        """The frame that is on show at `now`."""
        if not self.playing:
            return self.frame
        first, last = float(self.times[0]), float(self.times[-1])
        at = self._from_time + self.speed * (now - self._since)
        end = last + self._last_step
        if at >= end and self.loop:
            at = first + (at - first) % (end - first)
            self._from_time, self._since = at, now
        elif at >= end:
            self.playing = False
        # A hair late rather than a frame early: times come out of sums of floats.
        self.frame = max(int(np.searchsorted(self.times, at + 1e-9, side="right")) - 1, 0)
        return self.frame

    @property
    def _last_step(self) -> float:
        """How long the last frame stays: as long as one usually does."""
        return float(np.median(np.diff(self.times))) if len(self.times) > 1 else 1.0

    def _anchor(self, now: float) -> None:
        self._since, self._from_time = now, float(self.times[self.frame])
