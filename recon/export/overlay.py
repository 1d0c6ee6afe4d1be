"""The fitted bodies and the detected keypoints drawn over the video: the honest first look."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from recon.core.camera import Intrinsics
from recon.core.errors import InputError
from recon.core.geometry import Array, invert_transform, transform_points
from recon.core.palette import person_color
from recon.core.people import BodyPoses, PersonTrack, row_at
from recon.core.raster import NEAR, Raster, Surface
from recon.core.rig import Rig
from recon.core.scene import Scene
from recon.core.skeletons import CANONICAL_PARENTS, FACE_LINES, HAND_LINES
from recon.core.stage import Progress, no_progress
from recon.core.video import Frame, FrameSource
from recon.export.draw import dot, label, polyline
from recon.export.mp4 import Mp4Writer
from recon.export.options import DEFAULTS, ExportOptions
from recon.video import VideoReader, open_source, recorded_clip

MAX_HEIGHT = 720
OPACITY = 0.65
_SHOWN_CONFIDENCE = 0.5
_NUM_BODY_JOINTS = 22


@dataclass(frozen=True, kw_only=True)
class CameraPerson:
    """A person as each frame's camera sees them; skinned one frame at a time.

    Args:
        frame_idx: (N,) int. poses: of the rig, in the frame `Ts_camera_poses` maps from.
        Ts_camera_poses: (N, 4, 4), the identity where the poses are in the camera frame.
    """

    track_id: int
    rig: Rig
    frame_idx: np.ndarray
    poses: BodyPoses
    Ts_camera_poses: Array

    def at(self, frame: int) -> tuple[Array, Array] | None:
        """Vertices (V, 3) and joints (52, 3) in the camera, or None where the person is absent."""
        row = row_at(self.frame_idx, frame)
        if row is None:
            return None
        pose = BodyPoses(
            root=self.poses.root[row : row + 1], rotations=self.poses.rotations[row : row + 1]
        )
        T_camera_poses = self.Ts_camera_poses[row]
        vertices = transform_points(T_camera_poses, self.rig.vertices(pose)[0])
        return vertices, transform_points(T_camera_poses, self.rig.joints(pose)[1][0])


def camera_people(scene: Scene) -> list[CameraPerson]:
    """The people of a scene seen by its cameras.

    Where the world stage ran, it is the world motion seen through the world camera: the final
    result, so that its errors show. Otherwise the motion fitted in the camera frame.

    Raises:
        StaleSceneError: the body stage has not run.
    """
    rigs = scene.rigs_by_id
    if "world" not in scene.manifest["stages"]:
        return [
            CameraPerson(
                track_id=motion.track_id, rig=rigs[motion.track_id],
                frame_idx=motion.frame_idx, poses=motion.poses_camera,
                Ts_camera_poses=np.broadcast_to(np.eye(4), (len(motion.frame_idx), 4, 4)),
            )
            for motion in scene.camera_motions
        ]  # fmt: skip
    Ts_camera_world = invert_transform(scene.placement.Ts_world_camera)
    return [
        CameraPerson(
            track_id=motion.track_id, rig=rigs[motion.track_id], frame_idx=motion.frame_idx,
            poses=motion.poses_world, Ts_camera_poses=Ts_camera_world[motion.frame_idx],
        )
        for motion in scene.world_motions
    ]  # fmt: skip


class OverlayPainter:
    """Draws a scene's people over its frames, at most 720 px high.

    Raises:
        StaleSceneError: the camera or the body stage has not run.
    """

    def __init__(self, scene: Scene) -> None:
        full = scene.camera.intrinsics
        scale = min(1.0, MAX_HEIGHT / full.height)
        width, height = (max(2, round(s * scale / 2) * 2) for s in (full.width, full.height))
        self.intrinsics = full.resized(width, height)
        self.people = camera_people(scene)
        self.tracks = {track.track_id: track for track in scene.tracks}
        self._to_output = np.array([width / full.width, height / full.height])

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the pictures, px, both even."""
        return self.intrinsics.width, self.intrinsics.height

    def draw(self, frame: Frame) -> np.ndarray:
        """The frame (H, W, 3) uint8 RGB with meshes, skeletons, keypoints and labels."""
        image = cv2.resize(frame.image, self.size, interpolation=cv2.INTER_AREA)
        seen = [(p, s) for p in self.people if (s := p.at(frame.index)) is not None]
        surfaces = [
            Surface(vertices_camera=v, faces=p.rig.faces, color=person_color(p.track_id))
            for p, (v, _) in seen
        ]
        raster = Raster(self.intrinsics)
        raster.draw_surfaces(surfaces)
        image = blend(image, raster, opacity=OPACITY)
        seen.sort(key=lambda item: -item[1][1][0, 2])  # nearer people last, on top
        for person, (_, joints) in seen:
            _draw_skeleton(image, joints, self.intrinsics, person_color(person.track_id))
        for track in self.tracks.values():
            _draw_keypoints(image, track, frame.index, self._to_output)
        for person, (vertices, _) in seen:
            _draw_id(image, vertices, self.intrinsics, person.track_id)
        text = f"{frame.time:.2f} s   frame {frame.index}"
        label(image, text, np.array([12, 30]), scale=self.size[1] / 1100)
        return image


def blend(image: np.ndarray, raster: Raster, *, opacity: float) -> np.ndarray:
    """The picture (H, W, 3) under the drawn surfaces, their edges softened by one pixel."""
    ys, xs = np.nonzero(raster.owner >= 0)
    out = image.copy()
    if len(ys) == 0:
        return out
    rows = slice(max(ys.min() - 1, 0), ys.max() + 2)
    columns = slice(max(xs.min() - 1, 0), xs.max() + 2)
    covered = np.where(raster.owner[rows, columns] >= 0, np.float32(opacity), np.float32(0))
    alpha = cv2.blur(covered, (3, 3))[..., None]
    premultiplied = cv2.blur(raster.color[rows, columns] * covered[..., None], (3, 3))
    out[rows, columns] = np.round(image[rows, columns] * (1 - alpha) + premultiplied)
    return out


def _draw_skeleton(
    image: np.ndarray, joints: Array, intrinsics: Intrinsics, color: tuple[int, int, int]
) -> None:
    front = joints[:, 2] > NEAR
    px = intrinsics.project(np.where(front[:, None], joints, [0.0, 0.0, 1.0]))
    dark = tuple(int(0.45 * c) for c in color)
    width = 2 if image.shape[0] >= 480 else 1
    for joint in range(1, _NUM_BODY_JOINTS):
        parent = CANONICAL_PARENTS[joint]
        if front[joint] and front[parent]:
            polyline(image, px[[parent, joint]], dark, width=width)
    for point in px[:_NUM_BODY_JOINTS][front[:_NUM_BODY_JOINTS]]:
        dot(image, point, dark, radius=width + 0.5)


def _draw_keypoints(
    image: np.ndarray, track: PersonTrack, frame: int, to_output: np.ndarray
) -> None:
    row = row_at(track.frame_idx, frame)
    if row is None:
        return
    shown = track.keypoint_conf[row] >= _SHOWN_CONFIDENCE
    for point in track.keypoints_px[row][shown] * to_output:
        dot(image, point, (255, 255, 255), radius=image.shape[0] / 360)
    for points, lines in _seen_parts(track, row):
        for line in lines:
            polyline(image, points[list(line)] * to_output, (255, 255, 255), width=1)


def _seen_parts(track: PersonTrack, row: int) -> list[tuple[Array, tuple[tuple[int, ...], ...]]]:
    """Points (K, 2) px and lines through them of the hands and the face that were seen."""
    parts: list[tuple[Array, tuple[tuple[int, ...], ...]]] = []
    if track.hands_px is not None and track.hands_conf is not None:
        seen = track.hands_conf[row] >= _SHOWN_CONFIDENCE
        parts += [(hand, HAND_LINES) for hand in track.hands_px[row][seen]]
    if track.face_px is not None and track.face_conf is not None:
        if track.face_conf[row] >= _SHOWN_CONFIDENCE:
            parts.append((track.face_px[row], FACE_LINES[track.face_px.shape[1]]))
    return parts


def _draw_id(image: np.ndarray, vertices: Array, intrinsics: Intrinsics, track_id: int) -> None:
    front = vertices[vertices[:, 2] > NEAR]
    if len(front) == 0:
        return
    px = intrinsics.project(front)
    height, width = image.shape[:2]
    at = np.array([px[:, 0].mean() - 16, px[:, 1].min() - 10])
    if -20 < at[0] < width and px[:, 1].max() > 0 and at[1] < height:
        at = np.clip(at, [4, 44], [max(width - 60, 4), height - 6])
        label(image, f"id {track_id}", at, person_color(track_id), scale=height / 1100)


def check_frames(scene: Scene, frames: FrameSource) -> None:
    """Raises InputError unless `frames` are those of the scene."""
    expected, actual = scene.video, frames.info
    if (expected.width, expected.height, len(expected.times)) != (
        actual.width, actual.height, len(actual.times),
    ):  # fmt: skip
        raise InputError(
            f"expected the scene's own video ({len(expected.times)} frames of "
            f"{expected.width}x{expected.height}), got {len(actual.times)} frames of "
            f"{actual.width}x{actual.height} from {actual.path}; run again on this video"
        )


def write_overlay(
    scene: Scene, frames: FrameSource, path: Path, *, progress: Progress = no_progress
) -> None:
    """Writes an mp4 of the video with every person's mesh, skeleton and keypoints over it.

    Frames keep their times; memory does not grow with the clip's length.

    Args:
        frames: the video that the scene was made from. path: the .mp4 to write.

    Raises:
        StaleSceneError: the camera or the body stage has not run.
        InputError: the frames are not those of the scene.
    """
    check_frames(scene, frames)
    painter = OverlayPainter(scene)
    total = len(frames.info.times)
    with Mp4Writer(path, painter.size, fps=frames.info.fps) as video:
        for frame in frames:
            video.write(painter.draw(frame), frame.time)
            progress(frame.index + 1, total)


def check_filmed(scene: Scene) -> None:
    """Raises InputError for a scene that was imported, which has no pictures."""
    if imported := scene.manifest.get("imported"):
        raise InputError(
            f"expected the scene of a video, got {scene.path}, which was imported from "
            f"{imported['from']} and has no pictures"
        )


def open_frames(scene: Scene) -> VideoReader:
    """The frames that a scene was made from, read again from the video.

    Raises:
        InputError: the video is gone or has changed.
    """
    info, clip = scene.video, recorded_clip(scene)
    if open_source(clip).sha256() != info.sha256:
        raise InputError(
            f"expected the video that {scene.path} was made from, got another one in {info.path}; "
            "bring it back, or run again on this one"
        )
    return VideoReader(clip, info)


def export(scene: Scene, out: Path, _: ExportOptions = DEFAULTS) -> list[Path]:
    """Writes `overlay.mp4` into the folder `out`, reading the scene's video again."""
    path = Path(out) / "overlay.mp4"
    write_overlay(scene, open_frames(scene), path)
    return [path]
