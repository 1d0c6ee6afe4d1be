"""A run's result in a few words, for people and for scripts."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from recon.core.placed import placed_camera
from recon.core.scene import Scene, StageName
from recon.runner import STAGES, output_files


def summary(scene: Scene) -> dict[str, Any]:
    """What a scene holds, as JSON-native values: video, people, stages, output files."""
    done: list[StageName] = [stage for stage in STAGES if stage in scene.manifest["stages"]]
    return {
        "scene": str(scene.path),
        "video": {k: v for k, v in scene.manifest.get("video", {}).items() if k != "times"},
        "people": _people(scene) if "people" in done else [],
        "stages": {
            name: {"seconds": scene.seconds(name), **asdict(scene.report(name))} for name in done
        },
        "outputs": output_files(scene),
        "frame": placed_camera(scene).frame_words if "camera" in done else None,
    }


def _people(scene: Scene) -> list[dict[str, Any]]:
    return [
        {
            "track_id": track.track_id,
            "frames": len(track.frame_idx),
            "first": int(track.frame_idx[0]),
            "last": int(track.frame_idx[-1]),
        }
        for track in scene.tracks
    ]
