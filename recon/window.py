"""`recon view`: finished scenes in a window, with the video and the Gaussians that they have."""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np

from recon.core.errors import ReconError
from recon.core.scene import Scene
from recon.runner import Watcher
from viewer.stage import Content
from viewer.world import World, check_frame

_MOST_HEIGHT, _JPEG_QUALITY = 720, 88


class FrameStore:
    """A scene's video frames by index, decoded in the background and kept as small JPEGs.

    About 60 kB a frame: two minutes of video are 200 MB.

    Raises:
        InputError: the video is gone or has changed. What goes wrong later is told the watcher.
    """

    def __init__(self, scene: Scene, watcher: Watcher) -> None:
        from recon.export.overlay import open_frames

        self._source, self._watcher = open_frames(scene), watcher
        self._jpegs: list[bytes] = []
        threading.Thread(target=self._read, daemon=True).start()

    def at(self, frame: int) -> np.ndarray | None:
        """The frame (H, W, 3) uint8 RGB, at most 720 px high; None while it is not read yet."""
        if frame >= len(self._jpegs):
            return None
        data = np.frombuffer(self._jpegs[frame], np.uint8)
        return cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)

    def _read(self) -> None:
        from recon.export.draw import small_jpeg

        try:
            for frame in self._source:
                scale = _MOST_HEIGHT / frame.image.shape[0]
                self._jpegs.append(small_jpeg(frame.image, scale, quality=_JPEG_QUALITY))
        except (ReconError, OSError) as error:  # the window goes on without the rest
            self._watcher.note(f"The video ends at frame {len(self._jpegs)}: {error}")


def window_content(scene: Scene, watcher: Watcher) -> Content:
    """What the window shows of a finished scene; what cannot be had is told the watcher.

    Raises:
        StaleSceneError: a stage has not run.
    """
    from recon.scene_splats import find_scene_splats

    world, frames = World.from_scene(scene), None
    try:
        frames = FrameStore(scene, watcher)
    except ReconError as error:
        watcher.note(f"The video behind the bodies is left out: {error}")
    spreads = {m.track_id: m.body_joint_std for m in scene.camera_motions}
    return Content(
        world=world, picture=frames and frames.at, splats=find_scene_splats(scene, watcher),
        joint_std={track_id: std for track_id, std in spreads.items() if std is not None},
    )  # fmt: skip


def open_window(paths: list[Path], watcher: Watcher, *, frame: int = 0) -> None:
    """Shows a scene from a frame on, or two side by side, until the window is closed.

    Screenshots and videos of the window are written where it was opened.

    Raises:
        InputError: no scene there, more than two, or no such frame.
        ReconError: no window can be opened.
    """
    from recon.export.mp4 import Mp4Writer
    from viewer.app import view
    from viewer.system import check_display, load_open3d

    scenes = [Scene.open(path) for path in paths]
    check_frame(scenes[0], frame)
    load_open3d()  # before the work, so that what is missing is said at once
    check_display()
    contents = [window_content(scene, watcher) for scene in scenes]
    view(
        contents, folder=Path.cwd(), frame=frame,
        open_video=lambda path, size, fps: Mp4Writer(path, size, fps=fps),
    )  # fmt: skip
