"""A contact sheet: every person found in a video, a row of pictures over time each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from recon.core.geometry import Array
from recon.core.palette import person_color
from recon.core.people import PersonTrack
from recon.core.storage import write_atomic
from recon.core.video import FrameSource
from recon.export.draw import label, polyline

COLUMNS = 8
_WIDTH, _HEIGHT = 150, 200
_HEADER, _CAPTION, _GAP = 30, 18, 6
_BACKGROUND, _DIM, _BRIGHT = (24, 26, 30), (168, 172, 180), (235, 236, 240)
_AROUND = 1.25
"""Side of the picture relative to the person's box."""


def write_sheet(
    tracks: Sequence[PersonTrack],
    frames: FrameSource,
    path: Path,
    *,
    remarks: Mapping[int, str],
) -> None:
    """Writes a JPEG with up to COLUMNS pictures per person; one walk through the frames.

    Args:
        frames: the clip that the tracks are of. remarks: what to add behind people's numbers.
    """
    rows = [np.unique(np.linspace(0, len(t.frame_idx) - 1, COLUMNS).round().astype(int))
            for t in tracks]  # fmt: skip
    wanted: dict[int, list[tuple[int, int, int]]] = {}
    for k, (track, chosen) in enumerate(zip(tracks, rows, strict=True)):
        for column, row in enumerate(chosen):
            wanted.setdefault(int(track.frame_idx[row]), []).append((k, column, int(row)))
    sheet = _blank(tracks, frames.info.times, remarks)
    last = max(wanted, default=-1)
    for frame in frames:
        if frame.index > last:
            break
        for k, column, row in wanted.get(frame.index, ()):
            x, y = _corner(k, column)
            track = tracks[k]
            picture = crop(frame.image, track.boxes[row], person_color(track.track_id))
            sheet[y : y + _HEIGHT, x : x + _WIDTH] = picture
            text = f"{frame.index}  {frame.time:.2f} s  {track.keypoint_conf[row].mean():.2f}"
            below = np.array([x + 2, y + _HEIGHT + 13])
            label(sheet, text, below, _DIM, scale=0.36, plate=None)
    ok, data = cv2.imencode(".jpg", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    assert ok
    write_atomic(path, lambda file: file.write(data.tobytes()))


def crop(image: np.ndarray, box: Array, color: tuple[int, int, int]) -> np.ndarray:
    """The surroundings of a box (4,) px, scaled to one size, with the box drawn in.

    Black where the picture ends.
    """
    centre, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    scale = min(_WIDTH / max(size[0], 1), _HEIGHT / max(size[1], 1)) / _AROUND
    # From picture to crop; OpenCV counts pixels from their centres.
    shift = np.array([_WIDTH, _HEIGHT]) / 2 - scale * centre
    matrix = np.column_stack([scale * np.eye(2), shift + 0.5 * scale - 0.5])
    shrinking = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    out = np.ascontiguousarray(cv2.warpAffine(image, matrix, (_WIDTH, _HEIGHT), flags=shrinking))
    corners = np.array([[0, 1], [2, 1], [2, 3], [0, 3]])
    polyline(out, scale * box[corners] + shift, color, width=1, closed=True)
    return out


def _corner(k: int, column: int) -> tuple[int, int]:
    """Left and top of a person's picture."""
    left = _GAP + column * (_WIDTH + _GAP)
    return left, k * (_HEADER + _HEIGHT + _CAPTION + _GAP) + _HEADER


def _blank(tracks: Sequence[PersonTrack], times: Array, remarks: Mapping[int, str]) -> np.ndarray:
    """The sheet with everybody's header and no pictures yet."""
    _, bottom = _corner(len(tracks), 0)
    sheet = np.empty((bottom, _GAP + COLUMNS * (_WIDTH + _GAP), 3), np.uint8)
    sheet[:] = _BACKGROUND
    for k, track in enumerate(tracks):
        x, y = _corner(k, 0)
        remark = remarks.get(track.track_id, "")
        first, last = times[track.frame_idx[[0, -1]]]
        text = (
            f"person {track.track_id}{f' ({remark})' if remark else ''}: "
            f"{len(track.frame_idx)} frames, {first:.2f} s to {last:.2f} s, "
            f"keypoint confidence {track.keypoint_conf.mean():.2f}"
        )
        sheet[y - _HEADER + 9 : y - 7, x : x + 14] = person_color(track.track_id)
        label(sheet, text, np.array([x + 22, y - 9]), _BRIGHT, scale=0.48, plate=None)
    if not tracks:
        place = np.array([_GAP, _HEADER - 8])
        label(sheet, "nobody was found", place, _BRIGHT, scale=0.48, plate=None)
    return sheet
