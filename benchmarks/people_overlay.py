"""Twelve frames of the dancer with the fitted body and hands over them: a picture to judge."""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np

from benchmarks.common import DATA
from recon.export.overlay import OverlayPainter
from recon.options import RunOptions
from recon.pipeline import run
from recon.video import VideoConfig, VideoReader

COLUMNS, ROWS = 4, 3


def save_overlays(file: Path) -> None:
    """Runs the clip with hands and writes the sheet of frames, evenly spread, as a PNG."""
    with tempfile.TemporaryDirectory() as folder:
        video = DATA / "videos" / "dancer_static.mp4"
        scene = run(video, Path(folder) / "scene", RunOptions(overlay=False, hands=True))
        painter = OverlayPainter(scene)
        chosen = set(np.linspace(0, len(scene.video.times) - 1, COLUMNS * ROWS).astype(int))
        frames = VideoReader(VideoConfig(path=str(video)), scene.video)
        tiles = [painter.draw(f) for f in frames if f.index in chosen]
    sheet = np.vstack([np.hstack(tiles[r : r + COLUMNS]) for r in range(0, len(tiles), COLUMNS)])
    small = cv2.resize(sheet, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(file), cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
