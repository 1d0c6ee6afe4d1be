"""Twelve frames of the dancer with the fitted body and hands over them: a picture to judge."""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np

from benchmarks.common import DATA
from recon.core.geometry import Array
from recon.export.overlay import OverlayPainter
from recon.options import RunOptions
from recon.pipeline import run
from recon.video import VideoConfig, VideoReader

COLUMNS, ROWS, TILE = 4, 3, 480


def save_overlays(file: Path) -> None:
    """Runs the clip with hands and writes the sheet of frames, evenly spread, as a PNG."""
    with tempfile.TemporaryDirectory() as folder:
        video = DATA / "videos" / "dancer_static.mp4"
        scene = run(video, Path(folder) / "scene", RunOptions(overlay=False, hands=True))
        painter = OverlayPainter(scene)
        chosen = set(np.linspace(0, len(scene.video.times) - 1, COLUMNS * ROWS).astype(int))
        frames = VideoReader(VideoConfig(path=str(video)), scene.video)
        track = scene.tracks[0]
        scale = painter.size[0] / scene.camera.intrinsics.width
        boxes = dict(zip(track.frame_idx.tolist(), scale * track.boxes, strict=True))
        tiles = [_cut(painter.draw(f), boxes.get(f.index)) for f in frames if f.index in chosen]
    sheet = np.vstack([np.hstack(tiles[r : r + COLUMNS]) for r in range(0, len(tiles), COLUMNS)])
    cv2.imwrite(str(file), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


def _cut(picture: np.ndarray, box: Array | None) -> np.ndarray:
    """A square TILE px wide around the box, or around the middle where nobody is seen."""
    height, width = picture.shape[:2]
    box = np.array([0.0, 0.0, width, height]) if box is None else box
    side = min(1.25 * float(max(box[2:] - box[:2])), height)
    x, y = np.clip((box[:2] + box[2:] - side) / 2, 0, [width - side, height - side]).astype(int)
    square = picture[y : y + int(side), x : x + int(side)]
    return cv2.resize(square, (TILE, TILE), interpolation=cv2.INTER_AREA)
