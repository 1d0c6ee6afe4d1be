"""Control videos for video generators: skeleton, depth, normals, people and camera, pixel by pixel.

Every picture is as large as the video's frames and stands at their times. `controls.json` beside
them says what their colours and numbers mean.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np

from recon.core.geometry import invert_transform
from recon.core.raster import NEAR
from recon.core.scene import Scene
from recon.core.stage import Progress, no_progress
from recon.core.storage import write_atomic, write_bytes
from recon.core.video import VideoInfo
from recon.export.controls.arrays import ArrayStream
from recon.export.controls.background import SceneDepth
from recon.export.controls.cameras import plucker, realestate10k
from recon.export.controls.cast import Cast, cast
from recon.export.controls.maps import (
    depth_picture,
    draw_bodies,
    mask_colors,
    mask_picture,
    normal_picture,
)
from recon.export.controls.pose import BODY_POINTS, NUM_POINTS, draw_pose, seen_px
from recon.export.mp4 import Mp4Writer
from recon.export.options import DEFAULTS, ExportOptions

PLUCKER_SHARE = 8
"""Of the video's size: where generators' latent pictures have their cells."""
_FARTHEST_GREY = 0.25
"""Of full white, for the farthest body where nothing is known behind the bodies."""
_LIMB = 0.35
"""Metres by which a body reaches out of its joints."""

CONVENTIONS = {
    "frames": "frame k of every file is frame k of the video; mp4 times start at 0",
    "pixels": "the video's own; an odd width or height is padded by one px in the mp4s",
    "pose": "OpenPose COCO-18 body, 21 points a hand (left, right) where hands were looked for, "
    "68 iBUG face points where a face was seen by the original camera; keypoints_px "
    "(T, P, 18 + 2 x 21 + 68, 2), NaN where absent",
    "depth": "npz: metres along the optical axis, float16, 0 where unknown; mp4: linear in 1 / z "
    "between the two distances in `grey`, near is bright",
    "normals": "npz: int8, 127 times the outward unit normal in OpenCV's camera (x right, y down, "
    "z forward), 0 where no body is; mp4: BAE's colours (red left, green up, blue towards the "
    "camera), blue where no body is",
    "people": "npz: uint8, the person's row in `track_ids` plus 1, 0 where nobody is",
    "camera.txt": "RealEstate10K: microseconds, fx fy cx cy in picture widths and heights, 0 0, "
    "world to camera 3 x 4 by rows; OpenCV camera, metric world with z up",
    "camera.npz": "Ts_world_camera (T, 4, 4), K (3, 3) px; plucker (T, 6, h, w) float16: o x d, "
    "then unit d, at the centres of cells, in the first frame's camera, metres",
}


def export(scene: Scene, out: Path, options: ExportOptions = DEFAULTS) -> list[Path]:
    """Writes the folder `controls` into `out`; its files."""
    chosen = cast(scene, camera=options.camera, body=options.body)
    return write_controls(scene, chosen, Path(out) / "controls")


def write_controls(
    scene: Scene, cast: Cast, folder: Path, *, progress: Progress = no_progress
) -> list[Path]:
    """Writes all control maps of the people before their camera; the files.

    Memory does not grow with the length of the clip, but for the camera's path.

    Raises:
        InputError: the folder cannot be made. StaleSceneError: a stage has not run.
    """
    times, background = scene.video.times, SceneDepth.of(scene, as_filmed=cast.as_filmed)
    colors = mask_colors([actor.person.track_id for actor in cast.actors])
    grey = _grey(cast, background)
    with ExitStack() as stack:
        videos, arrays = _open(stack, folder, scene.video, cast)
        for frame, time in enumerate(times):
            made = _draw(frame, cast, background, grey, colors)
            for name, (picture, row) in made.items():
                videos[name].write(_even(picture), float(time))
                arrays[name].write(row)
            progress(frame + 1, len(times))
        files = [out.path for out in (*videos.values(), *arrays.values())]
    return files + _write_camera(scene, cast, folder) + _write_words(scene, cast, folder, grey)


def _open(
    stack: ExitStack, folder: Path, video: VideoInfo, cast: Cast
) -> tuple[dict[str, Mp4Writer], dict[str, ArrayStream]]:
    """The videos and arrays to write, by control, closed with the stack."""
    k, count = cast.intrinsics, len(video.times)
    ids = [actor.person.track_id for actor in cast.actors]
    people = {"track_ids": np.array(ids, int), "colors": mask_colors(ids)}
    points = {**people, "body_points": np.array(BODY_POINTS)}
    kinds: dict[str, tuple[str, tuple[int, ...], type, dict[str, np.ndarray]]] = {
        "pose": ("keypoints_px", (len(ids), NUM_POINTS, 2), np.float32, points),
        "depth": ("depth", (k.height, k.width), np.float16, {}),
        "normals": ("normals", (k.height, k.width, 3), np.int8, {}),
        "people": ("people", (k.height, k.width), np.uint8, people),
    }
    size = (k.width + k.width % 2, k.height + k.height % 2)
    videos = {n: Mp4Writer(folder / f"{n}.mp4", size, fps=video.fps) for n in kinds}
    arrays = {
        file: ArrayStream(
            folder / f"{file}.npz", name, (count, *shape), kind, times=video.times, **beside
        )
        for file, (name, shape, kind, beside) in kinds.items()
    }
    for out in (*videos.values(), *arrays.values()):
        stack.enter_context(out)
    return videos, arrays


def _draw(
    frame: int, cast: Cast, background: SceneDepth | None, grey: tuple[float, float],
    colors: np.ndarray,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:  # fmt: skip
    """Picture (H, W, 3) uint8 and array of every control at a frame."""
    k = cast.intrinsics
    meshes = {i: v for i, a in enumerate(cast.actors) if (v := a.vertices(frame)) is not None}
    bodies = [(v, cast.actors[i].person.rig.faces) for i, v in meshes.items()]
    behind = background and background.inverse_depth(frame, cast.Ts_world_camera[frame], k)
    layers = draw_bodies(bodies, k, behind=behind)
    nearness = np.where(layers.owner >= 0, layers.inverse_depth, 0)
    owner = np.array([*meshes, -1])[layers.owner]
    points = np.full((len(cast.actors), NUM_POINTS, 2), np.nan, np.float32)
    skeletons = np.zeros((k.height, k.width, 3), np.uint8)
    depths = {i: float(np.median(vertices[:, 2])) for i, vertices in meshes.items()}
    for i in sorted(depths, key=depths.__getitem__, reverse=True):  # far ones first
        points[i, :60] = seen_px(cast.actors[i].points_camera(frame), k, nearness)
        points[i, 60:] = cast.actors[i].face_px(frame)
        draw_pose(skeletons, points[i, :60].astype(float), points[i, 60:].astype(float))
    return {
        "pose": (skeletons, points),
        "depth": (depth_picture(layers.inverse_depth, *grey), layers.depth),
        "normals": (normal_picture(layers.normals), np.round(127 * layers.normals)),
        "people": (mask_picture(owner, colors), owner + 1),
    }


def _grey(cast: Cast, background: SceneDepth | None) -> tuple[float, float]:
    """Inverse depths (1 / metres) that are black and white, the same for the whole clip."""
    z = [np.zeros(0)]
    for person in (actor.person for actor in cast.actors):
        T, root = person.Ts_camera_poses[:, 2], person.poses.root
        z.append(np.einsum("nj,nj->n", T[:, :3], root) + T[:, 3])
    seen = np.concatenate(z)
    seen = seen[seen > _LIMB + NEAR]
    if background is not None:
        least, most = 0.0, background.nearest
        return least, max(most, 1 / float(seen.min() - _LIMB)) if len(seen) else most
    if len(seen) == 0:
        return 0.0, 1.0
    most, farthest = 1 / float(seen.min() - _LIMB), 1 / float(seen.max() + _LIMB)
    # The farthest body shall be seen before the black of what is not known.
    return max((farthest - _FARTHEST_GREY * most) / (1 - _FARTHEST_GREY), 0.0), most


def _even(picture: np.ndarray) -> np.ndarray:
    odd_rows, odd_columns = (side % 2 for side in picture.shape[:2])
    return cv2.copyMakeBorder(picture, 0, odd_rows, 0, odd_columns, cv2.BORDER_REPLICATE)


def _write_camera(scene: Scene, cast: Cast, folder: Path) -> list[Path]:
    """camera.txt and camera.npz."""
    k, times, Ts = cast.intrinsics, scene.video.times, cast.Ts_world_camera
    text = realestate10k(times, k, Ts, f"recon {scene.path.name}")
    write_bytes(folder / "camera.txt", text.encode())
    small = k.resized(max(k.width // PLUCKER_SHARE, 1), max(k.height // PLUCKER_SHARE, 1))
    Ts_first_camera = invert_transform(Ts[0]) @ Ts
    shape = (len(times), 6, small.height, small.width)
    with ArrayStream(
        folder / "camera.npz", "plucker", shape, np.float16, Ts_world_camera=Ts, K=k.matrix,
        times=times, size=np.array([k.width, k.height]),
    ) as stream:  # fmt: skip
        for T in Ts_first_camera:
            stream.write(plucker(small, T))
    return [folder / "camera.txt", folder / "camera.npz"]


def _write_words(
    scene: Scene, cast: Cast, folder: Path, grey: tuple[float, float]
) -> list[Path]:  # fmt: skip
    least, most = grey
    words = {
        "video": {"width": cast.intrinsics.width, "height": cast.intrinsics.height,
                  "frames": len(scene.video.times), "fps": round(scene.video.fps, 6)},
        "people": [actor.person.track_id for actor in cast.actors],
        "grey": {"white_m": round(1 / most, 4), "black_m": round(1 / least, 4) if least else None},
        "conventions": CONVENTIONS,
    }  # fmt: skip
    path = folder / "controls.json"
    write_atomic(path, lambda file: file.write(json.dumps(words, indent=1).encode()))
    return [path]
