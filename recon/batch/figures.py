"""What a finished scene is in a few numbers and one picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from recon.core.scene import Scene
from recon.core.storage import write_atomic
from recon.runner import output_files
from recon.video import VideoConfig, open_source, recorded_clip

_WIDTH = 480


def figures(scene: Scene) -> dict[str, Any]:
    """The scene's numbers as JSON-native values; None where there is none."""
    video, camera, people = scene.video, scene.camera, scene.tracks
    motions = scene.camera_motions
    errors = [m.reprojection_px[m.observed] for m in motions]
    pixels = np.concatenate(errors) if errors else np.zeros(0)
    deviation = scene.placement.scale_log_std if motions else math.inf
    stages = scene.manifest["stages"]
    return {
        "width": video.width,
        "height": video.height,
        "frames": len(video.times),
        "fps": round(video.fps, 3),
        "duration_s": round(float(video.times[-1] - video.times[0]), 3),
        "people": len(people),
        "longest_person_frames": max((len(t.frame_idx) for t in people), default=0),
        "camera": camera.kind,
        "camera_tracked_percent": round(100 * float(camera.tracked.mean()), 1),
        "reprojection_px": round(float(np.median(pixels)), 2) if len(pixels) else None,
        "scale_std_percent": round(100 * deviation, 1) if math.isfinite(deviation) else None,
        "warnings": sum(len(scene.report(stage).warnings) for stage in stages),
        "work_s": round(sum(scene.seconds(stage) or 0.0 for stage in stages), 1),
        "outputs": {
            name: [str(Path(file).relative_to(scene.path)) for file in files]
            for name, files in output_files(scene).items()
        },
    }


def write_thumbnail(scene: Scene, path: str | Path) -> None:
    """Writes a small JPEG of the clip's middle: of the overlay where there is one."""
    times = scene.video.times
    middle = float(times[len(times) // 2])
    config, since = recorded_clip(scene), middle
    overlay = scene.path / "overlay.mp4"
    if overlay.exists():
        config, since = VideoConfig(path=str(overlay)), middle - float(times[0])
    else:
        since = middle / config.playback_speed
    pictures = open_source(config).pictures(since=since, until=math.inf)
    picture = next((p for p in pictures if p.intact and p.time >= since - 1e-3), None)
    if picture is None:
        return
    image = picture.rgb()
    height = max(1, round(image.shape[0] * _WIDTH / image.shape[1]))
    small = cv2.resize(image, (_WIDTH, height), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    write_atomic(Path(path), lambda file: file.write(data.tobytes()))
