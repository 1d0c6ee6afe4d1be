"""Camera paths for video generators: RealEstate10K's text, Plücker rays, and paths to take."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recon.core.camera import Intrinsics
from recon.core.checks import check_array, check_poses
from recon.core.errors import InputError
from recon.core.geometry import Array, invert_transform
from recon.core.untrusted import read_json
from recon.export.resample import transforms_at

_COLUMNS = 19
_MICRO = 1e6


def realestate10k(times: Array, intrinsics: Intrinsics, Ts_world_camera: Array, title: str) -> str:
    """The path as RealEstate10K and CameraCtrl read it: a title, then one line a frame.

    A line holds microseconds, fx fy cx cy in widths and heights of the picture, two zeros and the
    3 x 4 matrix from the world to the camera (OpenCV axes) by rows.
    Source: Zhou et al., "Stereo Magnification", 2018.

    Args:
        times: (T,) seconds. Ts_world_camera: (T, 4, 4).
    """
    k = intrinsics
    focal = (k.fx / k.width, k.fy / k.height, k.cx / k.width, k.cy / k.height, 0, 0)
    lines = [title]
    for time, T in zip(times, invert_transform(Ts_world_camera), strict=True):
        values = (*focal, *T[:3].ravel())
        lines.append(f"{round(time * _MICRO)} " + " ".join(f"{v:.9g}" for v in values))
    return "\n".join(lines) + "\n"


def plucker(intrinsics: Intrinsics, T_frame_camera: Array) -> Array:
    """Plücker coordinates of the rays through all pixel centres, (6, H, W).

    Moment o x d, then the unit direction d, o the camera's centre: the order of CameraCtrl (He et
    al. 2024, section 3.2).

    Args:
        T_frame_camera: (4, 4), the frame that the rays are given in.
    """
    k, T = intrinsics, T_frame_camera
    xs, ys = np.arange(k.width) + 0.5, np.arange(k.height) + 0.5
    px = np.stack(np.meshgrid(xs, ys), axis=-1).astype(float)
    rays = k.unproject(px, np.ones(px.shape[:2])) @ T[:3, :3].T
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    moment = np.cross(T[:3, 3], rays)
    return np.moveaxis(np.concatenate([moment, rays], axis=-1), -1, 0)


def read_path(path: Path, times: Array) -> Array:
    """Cameras (T, 4, 4) in the world from a file, at the seconds `times` (T,) of the clip.

    A file with as many cameras as there are frames is taken as it is; any other number is spread
    evenly over the clip, or by its own times where it has them, turned on the shortest arc. The
    lens stays the video's, whatever the file says of its own.

    Args:
        path: RealEstate10K's text as `camera.txt` here, or the cameras.json of `recon render`.

    Raises:
        InputError: no such file, or something else in it.
    """
    try:
        if path.suffix.lower() == ".json":
            Ts = np.array(read_json(path)["Ts_world_camera"], float)
            own = np.linspace(times[0], times[-1], max(len(Ts), 1))
        else:
            own, Ts = _parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"--camera: expected original, orbit, a RealEstate10K .txt or a cameras.json of recon "
            f"render, got {path}: {error}"
        ) from error
    try:
        check_array("poses", Ts, (len(own), 4, 4))
        check_poses("poses", Ts)
    except InputError as error:
        raise InputError(f"--camera: {error} in {path}") from error
    return Ts if len(Ts) == len(times) else transforms_at(times, own, Ts, np.zeros(0))


def _parse(text: str) -> tuple[Array, Array]:
    """Seconds (N,) and cameras (N, 4, 4) of RealEstate10K's text."""
    rows = [line.split() for line in text.splitlines()[1:] if line.strip()]
    if not rows or any(len(row) != _COLUMNS for row in rows):
        raise ValueError(f"lines of {_COLUMNS} numbers after the first were expected")
    values = np.array(rows, float)
    if not np.all(np.diff(values[:, 0]) > 0):  # nor NaN
        raise ValueError("rising microseconds were expected")
    Ts = np.tile(np.eye(4), (len(values), 1, 1))
    Ts[:, :3] = values[:, 7:].reshape(-1, 3, 4)
    return values[:, 0] / _MICRO, invert_transform(Ts)
