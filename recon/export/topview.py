"""The video with its people beside a plan of where they and the camera went, in metres."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recon.core.camera import Intrinsics
from recon.core.geometry import Array, transform_points
from recon.core.palette import nice_step, person_color
from recon.core.people import WorldMotion, row_at
from recon.core.scene import Scene
from recon.core.stage import Progress, no_progress
from recon.core.video import FrameSource
from recon.export.draw import Color, dot, label, polygon, polyline
from recon.export.mp4 import Mp4Writer
from recon.export.options import DEFAULTS, ExportOptions
from recon.export.overlay import OverlayPainter, check_frames, open_frames

_PAPER: Color = (248, 248, 245)
_GRID: Color = (222, 222, 217)
_AXIS: Color = (150, 150, 145)
_INK: Color = (60, 60, 60)
_CAMERA: Color = (90, 90, 100)
_CONTACT = 0.5
_MARGIN_PX = 48


class PlanPainter:
    """Draws the world from above, +x right and +y up, with trails that grow frame by frame.

    Frames must come in order: what has passed stays on the paper, so that neither time nor memory
    of a frame grows with the clip's length.

    Args:
        size: width and height of the picture, px.

    Raises:
        StaleSceneError: the world stage has not run.
    """

    def __init__(self, scene: Scene, size: tuple[int, int]) -> None:
        self.motions = scene.world_motions
        self._cuts = set(scene.camera.shot_starts[1:].tolist())
        self.Ts_world_camera = scene.placement.Ts_world_camera
        self.size = size
        xy = [self.Ts_world_camera[:, :2, 3], *(m.joints_world[:, 0, :2] for m in self.motions)]
        low, high = np.min([p.min(0) for p in xy], 0), np.max([p.max(0) for p in xy], 0)
        self._center = (low + high) / 2
        extent = np.maximum(high - low, 2.0)
        self._px_per_metre = float(np.min((np.array(size) - 2 * _MARGIN_PX) / (extent + 0.6)))
        self._frustum = _frustum_plan(scene.camera.intrinsics, depth=0.12 * float(extent.max()))
        self._next = 0
        self._paper = np.full((size[1], size[0], 3), _PAPER, np.uint8)
        self._draw_grid()
        for motion in self.motions:
            faint = _mix(person_color(motion.track_id), _PAPER, 0.25)
            starts = np.flatnonzero(np.isin(motion.frame_idx, list(self._cuts)))
            for shot in np.split(motion.joints_world[:, 0], starts):
                polyline(self._paper, self.to_px(shot), faint, width=1)

    def to_px(self, points_world: Array) -> Array:
        """Pixels (..., 2) of world points (..., 2 or 3), metres."""
        offset = (np.asarray(points_world)[..., :2] - self._center) * self._px_per_metre
        return offset * [1, -1] + np.array(self.size) / 2

    def draw(self, frame: int) -> np.ndarray:
        """The plan (H, W, 3) uint8 RGB at a frame of the video, which is not before the last."""
        for passed in range(self._next, frame + 1):
            self._leave_trails(passed)
        self._next = frame + 1
        image = self._paper.copy()
        self._draw_camera(image, frame)
        for motion in self.motions:
            row = row_at(motion.frame_idx, frame)
            if row is not None:
                self._draw_person(image, motion, row)
        return image

    def _leave_trails(self, frame: int) -> None:
        # The worlds of shots have nothing in common: no line joins them.
        back = 0 if frame in self._cuts or frame == 0 else 1
        polyline(
            self._paper, self.to_px(self.Ts_world_camera[frame - back : frame + 1, :3, 3]), _CAMERA,
            width=1,
        )  # fmt: skip
        for motion in self.motions:
            row = row_at(motion.frame_idx, frame)
            if row is None:
                continue
            color = person_color(motion.track_id)
            trail = motion.joints_world[max(row - back, 0) : row + 1, 0]
            polyline(self._paper, self.to_px(trail), color, width=2)
            before = motion.contacts[row - 1] if row and back else np.zeros(4)
            new = (motion.contacts[row] > _CONTACT) & (before <= _CONTACT)
            for foot in range(2):
                if new[2 * foot : 2 * foot + 2].any():
                    self._stamp_foot(motion.feet_world[row, 2 * foot : 2 * foot + 2], color)

    def _stamp_foot(self, heel_toe: Array, color: Color) -> None:
        """Leaves a footprint; the sole is drawn at least 7 px long to stay visible."""
        heel, toe = self.to_px(heel_toe)
        along = toe - heel
        length = max(float(np.linalg.norm(along)), 1e-6)
        along = along / length * max(length, 7.0) / 2
        print_px = (heel + toe) / 2 + np.array([-along, along])
        polyline(self._paper, print_px, _mix(color, (0, 0, 0), 0.75), width=4)

    def _draw_person(self, image: np.ndarray, motion: WorldMotion, row: int) -> None:
        color = person_color(motion.track_id)
        for point, contact in zip(motion.feet_world[row], motion.contacts[row], strict=True):
            if contact > _CONTACT:
                dot(image, self.to_px(point), (200, 30, 30), radius=2.5)
        position = self.to_px(motion.joints_world[row, 0])
        facing = motion.poses_world.rotations[row, 0] @ [0.0, 0.0, 1.0]
        ahead = facing[:2] * [1, -1] / max(float(np.linalg.norm(facing[:2])), 1e-6)
        polyline(image, np.stack([position, position + 20 * ahead]), _INK, width=2)
        dot(image, position, _INK, radius=8)
        dot(image, position, color, radius=6.5)
        label(
            image,
            f"id {motion.track_id}",
            position + np.array([8, -14]),
            _INK,
            scale=0.5,
            plate=None,
        )

    def _draw_camera(self, image: np.ndarray, frame: int) -> None:
        T = self.Ts_world_camera[frame]
        outline = self.to_px(transform_points(T, self._frustum))
        polygon(image, outline, (140, 140, 160), opacity=0.35)
        polyline(image, outline, _CAMERA, width=1, closed=True)
        dot(image, self.to_px(T[:3, 3]), _CAMERA, radius=4)

    def _draw_grid(self) -> None:
        width, height = self.size
        step = nice_step(90 / self._px_per_metre)
        half = np.array(self.size) / 2 / self._px_per_metre
        low = np.ceil((self._center - half) / step).astype(int)
        high = np.floor((self._center + half) / step).astype(int)
        for axis in range(2):
            for k in range(low[axis], high[axis] + 1):
                at = self.to_px(np.full(2, k * step))[axis]
                ends = np.array([[at, 0], [at, height]] if axis == 0 else [[0, at], [width, at]])
                polyline(self._paper, ends.astype(float), _AXIS if k == 0 else _GRID, width=1)
                text = f"{k * step:g}"
                place = [at + 3, height - 6] if axis == 0 else [4, at - 4]
                label(self._paper, text, np.array(place), _AXIS, scale=0.38, plate=None)
        title = "seen from above, metres"
        label(self._paper, title, np.array([14, 26]), _INK, scale=0.5, plate=None)
        bar = np.array([[width - 24 - step * self._px_per_metre, 22], [width - 24, 22]])
        polyline(self._paper, bar, _INK, width=3)
        label(self._paper, f"{step:g} m", bar[0] + [0, 20], _INK, scale=0.45, plate=None)


def write_topview(
    scene: Scene, frames: FrameSource, path: Path, *, progress: Progress = no_progress
) -> None:
    """Writes an mp4: on the left the overlay, on the right the plan of the world.

    Args:
        frames: the video that the scene was made from. path: the .mp4 to write.

    Raises:
        StaleSceneError: the world stage has not run. InputError: the frames are not the scene's.
    """
    check_frames(scene, frames)
    overlay = OverlayPainter(scene)
    width, height = overlay.size
    side = max(height, 360)
    side += side % 2
    plan = PlanPainter(scene, (side, side))
    left = np.full((side, width, 3), 20, np.uint8)
    top = (side - height) // 2
    total = len(frames.info.times)
    with Mp4Writer(path, (width + side, side), fps=frames.info.fps) as video:
        for frame in frames:
            left[top : top + height] = overlay.draw(frame)
            video.write(np.concatenate([left, plan.draw(frame.index)], axis=1), frame.time)
            progress(frame.index + 1, total)


def export(scene: Scene, out: Path, _: ExportOptions = DEFAULTS) -> list[Path]:
    """Writes `topview.mp4` into the folder `out`, reading the scene's video again."""
    path = Path(out) / "topview.mp4"
    write_topview(scene, open_frames(scene), path)
    return [path]


def _frustum_plan(intrinsics: Intrinsics, *, depth: float) -> Array:
    """A triangle (3, 3) in the camera frame: the camera and the middle of its image's sides."""
    sides = np.array([[0, intrinsics.cy], [intrinsics.width, intrinsics.cy]], float)
    return np.concatenate([np.zeros((1, 3)), intrinsics.unproject(sides, np.full(2, depth))])


def _mix(a: Color, b: Color, share: float) -> Color:
    """The colour with `share` of a and the rest of b."""
    return [round(share * x + (1 - share) * y) for x, y in zip(a, b, strict=True)]
