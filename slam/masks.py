"""People as masks that keep a camera tracker's points off them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from recon.core.people import PersonTrack
from recon.core.video import VideoInfo
from slam.tracks import MaskFunction

# Hair, loose clothes, carried things and motion blur reach beyond a segmentation.
DILATION_OF_BOX_HEIGHT = 0.05
MIN_DILATION_PX = 5
# A mask that fills less of its box than this has failed; the box stands in.
MIN_FILL = 0.1
# The ground at the feet moves with shadow and reflection: this share of the box is masked whole.
FEET_SHARE = 0.12


def people_masks(tracks: Sequence[PersonTrack], video: VideoInfo) -> MaskFunction:
    """A function (frame, height, width) that masks all people, dilated; None where nobody is.

    In the gaps of a track the person's box is interpolated and masked whole.

    Args:
        tracks: people, in the video's own pixels. video: its size.
    """
    rows = [{int(f): row for row, f in enumerate(track.frame_idx)} for track in tracks]

    def masks(frame_idx: int, height: int, width: int) -> np.ndarray | None:
        scale = width / video.width
        out: np.ndarray | None = None
        for track, row_of in zip(tracks, rows, strict=True):
            if not track.frame_idx[0] <= frame_idx <= track.frame_idx[-1]:
                continue
            row = row_of.get(frame_idx)
            box = _box_at(track, frame_idx) * scale
            person = (
                _fill_box(box, height, width)
                if row is None
                else _person(track, row, box=box, height=height, width=width, scale=scale)
            )
            out = person if out is None else out | person
        return out

    return masks


def _person(
    track: PersonTrack, row: int, *, box: np.ndarray, height: int, width: int, scale: float
) -> np.ndarray:
    mask = track.masks.render(row, height=height, width=width, scale=scale)
    whole_box = _fill_box(box, height, width)
    if (mask & whole_box).sum() < MIN_FILL * whole_box.sum():
        mask = mask | whole_box
    feet = box.copy()
    feet[1] = box[3] - FEET_SHARE * (box[3] - box[1])
    mask = mask | _fill_box(feet, height, width)
    radius = max(MIN_DILATION_PX, round(DILATION_OF_BOX_HEIGHT * float(box[3] - box[1])))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return cv2.dilate(mask.astype(np.uint8), kernel) > 0


def _box_at(track: PersonTrack, frame_idx: int) -> np.ndarray:
    return np.array([np.interp(frame_idx, track.frame_idx, side) for side in track.boxes.T])


def _fill_box(box: np.ndarray, height: int, width: int) -> np.ndarray:
    out = np.zeros((height, width), bool)
    x0, y0 = np.maximum(np.floor(box[:2]), 0).astype(int)
    x1, y1 = np.maximum(np.ceil(box[2:]), 0).astype(int)
    out[y0:y1, x0:x1] = True
    return out
