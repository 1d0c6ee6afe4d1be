"""Photographs with known cameras: what Gaussians are trained on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from recon.core.errors import InputError
from recon.core.untrusted import read_json
from splatting.colmap_check import check_binary_model
from splatting.gaussians import Cameras

MIN_PHOTOS = 2
ROTATION_TOLERANCE = 0.01
OPENGL_TO_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])
LENSES = {
    "SIMPLE_PINHOLE": (3, 0), "PINHOLE": (4, 0), "SIMPLE_RADIAL": (3, 1), "RADIAL": (3, 2),
    "OPENCV": (4, 4),
}  # fmt: skip
"""COLMAP's cameras that OpenCV's k1 k2 p1 p2 describe: where those begin, and how many they are."""
_FULL = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}


@dataclass(frozen=True, kw_only=True)
class Photos:
    """Pictures of one size through undistorted pinhole cameras.

    Args:
        images: (C, H, W, 3) uint8 RGB. Ts_world_camera: (C, 4, 4) metres, OpenCV camera frame.
        Ks: (C, 3, 3) px. names: one per picture. ignored: (C, H, W) bool, pixels that show what
            is not to be learned (people); None if there are none. points, colours: (N, 3) of the
            scene, RGB in 0 to 1; None if not known. left_out: how many more were listed, but are
            missing or cannot be read.
    """

    images: np.ndarray
    Ts_world_camera: np.ndarray
    Ks: np.ndarray
    names: tuple[str, ...]
    ignored: np.ndarray | None = None
    points: np.ndarray | None = None
    colours: np.ndarray | None = None
    left_out: int = 0

    def __post_init__(self) -> None:
        count = len(self.images)
        if count == 0:
            raise InputError("expected pictures with cameras, got none")
        for name, tail in {"Ts_world_camera": (4, 4), "Ks": (3, 3)}.items():
            array = getattr(self, name)
            if array.shape != (count, *tail):
                raise InputError(f"expected {name} of shape {(count, *tail)}, got {array.shape}")
            if not np.isfinite(array).all():
                raise InputError(f"expected finite {name}, got NaN or infinity")
        self._check_cameras()
        if self.points is not None and not np.isfinite(self.points).all():
            raise InputError("expected finite points, got NaN or infinity")

    def _check_cameras(self) -> None:
        turns = self.Ts_world_camera[:, :3, :3]
        squares = np.abs(turns @ turns.swapaxes(1, 2) - np.eye(3)).max(axis=(1, 2))
        wrong = (squares > ROTATION_TOLERANCE) | (np.linalg.det(turns) < 0)
        for name, bad in {
            "a rotation (orthonormal, determinant 1)": wrong,
            "a positive focal length": (self.Ks[:, [0, 1], [0, 1]] <= 0).any(axis=1),
        }.items():
            if bad.any():
                raise InputError(
                    f"expected {name} of every camera, got {bad.sum()} without, first that of "
                    f"{self.names[int(bad.argmax())]}; correct the cameras, or take it out"
                )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def extent(self) -> float:
        """1.1 times the largest distance of a camera from their mean, metres, as in 3DGS."""
        centres = self.Ts_world_camera[:, :3, 3]
        extent = float(1.1 * np.linalg.norm(centres - centres.mean(0), axis=1).max())
        return extent if extent > 1e-6 else 1.0  # a camera that stands

    def cameras(self, rows: list[int] | slice) -> Cameras:
        """The cameras of these pictures."""
        height, width = self.images.shape[1:3]
        return Cameras.of(self.Ts_world_camera[rows], self.Ks[rows], width=width, height=height)

    def target(self, i: int, device: str | torch.device) -> tuple[Tensor, Tensor | None]:
        """Picture i (H, W, 3) in 0 to 1, and which of its pixels count, (H, W); None for all."""
        photo = torch.from_numpy(self.images[i]).to(device).float() / 255
        if self.ignored is None or not self.ignored[i].any():
            return photo, None
        return photo, torch.from_numpy(~self.ignored[i]).to(device)

    def reduced(self, factor: int) -> Photos:
        """The same at a `factor`-th of the size; a pixel that shows any of the ignored is too."""
        height, width = self.images.shape[1:3]
        size = (max(1, width // factor), max(1, height // factor))

        def shrink(image: np.ndarray) -> np.ndarray:
            return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))

        ignored = self.ignored
        if ignored is not None:
            ignored = np.stack([shrink(i.astype(np.float32)) > 0 for i in ignored])
        scale = np.diag([size[0] / width, size[1] / height, 1.0])
        images = np.stack([shrink(image) for image in self.images])
        return replace(self, images=images, Ks=scale @ self.Ks, ignored=ignored)

    def take(self, rows: np.ndarray) -> Photos:
        """Only these pictures."""
        ignored = None if self.ignored is None else self.ignored[rows]
        return replace(
            self, images=self.images[rows], Ts_world_camera=self.Ts_world_camera[rows],
            Ks=self.Ks[rows], names=tuple(self.names[i] for i in rows), ignored=ignored,
        )  # fmt: skip

    def split(self, every: int) -> tuple[Photos, Photos | None]:
        """Pictures to train on, and each `every`-th, from the first, held out (0: none).

        Raises:
            InputError: fewer than two to train on.
        """
        rows = np.arange(len(self))
        held = rows % every == 0 if every else np.zeros(len(rows), bool)
        if (~held).sum() < MIN_PHOTOS:
            raise InputError(
                f"expected {MIN_PHOTOS} pictures with cameras or more to train on, got "
                f"{(~held).sum()} of {len(self)}"
            )
        if held.sum() == 0:
            return self, None
        return self.take(rows[~held]), self.take(rows[held])


def load_nerf(folder: Path, *, scale: float = 1.0) -> Photos:
    """From a folder with transforms.json, as NeRF's tools write it (OpenGL cameras).

    Pictures that are listed but do not exist are left out; lens distortion is taken out. Where
    the file tells no size or centre (NeRF's synthetic scenes), the first picture does. What is
    transparent is black.

    Args:
        scale: of the pictures' size.

    Raises:
        InputError: not such a folder, or none of its pictures.
    """
    path = folder / "transforms.json"
    try:
        data = read_json(path)
        frames = data["frames"]
        poses = [np.array(f["transform_matrix"], float).reshape(4, 4) for f in frames]
        files = [_inside(folder, frame["file_path"]) for frame in frames]
        width, height = _nerf_size(data, files)
        fx = float(data.get("fl_x") or 0.5 * width / np.tan(0.5 * data["camera_angle_x"]))
        cx, cy = data.get("cx", width / 2), data.get("cy", height / 2)
        K = np.array([[fx, 0, cx], [0, data.get("fl_y", fx), cy], [0, 0, 1]], float)
        distortion = _nerf_distortion(data)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"expected NeRF's transforms.json with a focal length and frames, got "
            f"{path}: {type(error).__name__} {error}"
        ) from error
    images, empty, kept = [], [], []
    for i, file in enumerate(files):
        image = _read(file)
        if image is not None:
            _check_size(file, image.shape, (width, height))
            picture, outside = undistorted(image, K, distortion, scale)
            images.append(picture)
            empty.append(outside)
            kept.append(i)
    if not images:
        raise InputError(f"expected the pictures that {path} lists, got none of {len(files)}")
    stacked = _stacked(images)
    return Photos(
        images=stacked,
        Ts_world_camera=np.stack([poses[i] @ OPENGL_TO_OPENCV for i in kept]),
        Ks=np.repeat(_scaled(K, scale)[None], len(kept), axis=0),
        names=tuple(files[i].name for i in kept),
        ignored=_ignored(empty),
        left_out=len(files) - len(kept),
    )


def _nerf_distortion(data: dict[str, Any]) -> np.ndarray:
    """k1 k2 p1 p2 k3 of transforms.json, as OpenCV has them."""
    lens = str(data.get("camera_model", "OPENCV"))
    if lens not in LENSES or data.get("is_fisheye") or data.get("k4"):
        raise InputError(
            f"expected a lens of transforms.json among {', '.join(LENSES)} without k4, got "
            f"{'a fisheye' if data.get('is_fisheye') else lens}; undistort the pictures first"
        )
    return np.array([float(data.get(key, 0)) for key in ("k1", "k2", "p1", "p2", "k3")])


def _nerf_size(data: dict[str, Any], files: list[Path]) -> tuple[float, float]:
    """Width and height, px, as far as transforms.json does not tell from the first picture."""
    width, height = float(data.get("w", 0)), float(data.get("h", 0))
    if width and height:
        return width, height
    first = next((image for file in files if (image := _read(file)) is not None), None)
    if first is None:
        raise ValueError("no size (w, h), and no picture to take it from")
    return width or first.shape[1], height or first.shape[0]


def _read(file: Path) -> np.ndarray | None:
    """A picture (H, W, 3) uint8 RGB, over black where it is transparent; None if there is none.

    As its pixels lie in the file: COLMAP, whose cameras these are, does not turn it by its EXIF.
    """
    if not file.is_file():  # OpenCV would warn on its own
        return None
    image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if image is None:
        return None
    full = _FULL.get(image.dtype)
    if full is not None and image.ndim == 3 and image.shape[2] == 4:
        alpha = image[..., 3:] / full
        return np.round(image[..., 2::-1] * (alpha * 255 / full)).astype(np.uint8)
    return cv2.imread(str(file), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)


def load_colmap(model: Path, images: Path, *, scale: float = 1.0) -> Photos:
    """From a COLMAP model (binary or text) and the folder of its pictures.

    Raises:
        InputError: no model there, pictures of several sizes, or none.
    """
    import pycolmap

    check_binary_model(model)
    try:
        reconstruction = pycolmap.Reconstruction(str(model))
        views = sorted(reconstruction.images.values(), key=lambda view: view.name)
    except (ValueError, RuntimeError, OSError, LookupError, MemoryError) as error:
        raise InputError(f"expected a COLMAP model in {model}, got none: {error}") from error
    pictures, empty, Ts, Ks, names = [], [], [], [], []
    for view in views:
        file = _inside(images, view.name)
        image = _read(file)
        if image is None or not view.has_pose:
            continue
        camera = reconstruction.cameras[view.camera_id]
        _check_size(file, image.shape, (camera.width, camera.height))
        K, distortion = camera.calibration_matrix(), _opencv_distortion(camera)
        picture, outside = undistorted(image, K, distortion, scale)
        pictures.append(picture)
        empty.append(outside)
        Ts.append(np.vstack((view.cam_from_world().inverse().matrix(), [0, 0, 0, 1])))
        Ks.append(_scaled(K, scale))
        names.append(view.name)
    if not pictures:
        raise InputError(f"expected the pictures of the model in {images}, got none")
    points, stacked = list(reconstruction.points3D.values()), _stacked(pictures)
    return Photos(
        images=stacked, Ts_world_camera=np.stack(Ts), Ks=np.stack(Ks),
        names=tuple(names), ignored=_ignored(empty),
        left_out=reconstruction.num_images() - len(names),
        points=np.array([p.xyz for p in points]) if points else None,
        colours=np.array([p.color for p in points]) / 255 if points else None,
    )  # fmt: skip


def _check_size(file: Path, shape: tuple[int, ...], size: tuple[float, float]) -> None:
    """The intrinsics hold for one size (width, height) of picture alone."""
    if (shape[1], shape[0]) != size:
        raise InputError(
            f"expected {file} to be {size[0]:g}x{size[1]:g} as its camera, got "
            f"{shape[1]}x{shape[0]}; scale pictures with --scale, not beforehand"
        )


def _opencv_distortion(camera) -> np.ndarray:
    """k1 k2 p1 p2 of a COLMAP camera."""
    name = camera.model.name
    if name not in LENSES:
        raise InputError(
            f"expected a COLMAP camera among {', '.join(LENSES)}, got {name}; undistort the "
            "pictures with COLMAP's image_undistorter first"
        )
    skip, count = LENSES[name]
    out = np.zeros(4)
    out[:count] = camera.params[skip : skip + count]
    return out


def undistorted(
    image: np.ndarray, K: np.ndarray, distortion: np.ndarray, scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """A picture (H, W, 3) through the same lens without distortion (k1 k2 p1 p2, and k3 if there
    are five), scaled; and where it shows nothing, because the lens bent that out of the picture,
    (H, W) bool.

    Raises:
        InputError: NaN or infinity in the distortion.
    """
    if not np.isfinite(distortion).all():
        raise InputError(f"expected a finite lens distortion, got {distortion.tolist()}")
    filled = np.full(image.shape[:2], 255, np.uint8)
    if distortion.any():
        # OpenCV counts from the centre of the top-left pixel, we from its corner.
        moved = K - np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
        image, filled = (
            cv2.undistort(image, moved, distortion),
            cv2.undistort(filled, moved, distortion),
        )
    if scale != 1:
        size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
        image, filled = (cv2.resize(x, size, interpolation=cv2.INTER_AREA) for x in (image, filled))
    return np.asarray(image, np.uint8), np.asarray(filled) < 255


def _ignored(empty: list[np.ndarray]) -> np.ndarray | None:
    """Masks of pictures of one size; None if all is shown."""
    return np.stack(empty) if any(mask.any() for mask in empty) else None


def _scaled(K: np.ndarray, scale: float) -> np.ndarray:
    return K * np.array([[scale], [scale], [1.0]])


def _inside(folder: Path, name: str) -> Path:
    """A file named by someone else, which must lie in the folder."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise InputError(f"expected pictures inside {folder}, got '{name}'")
    return path if path.suffix else path.with_suffix(".png")


def _stacked(images: list[np.ndarray]) -> np.ndarray:
    sizes = {image.shape for image in images}
    if len(sizes) > 1:
        listed = ", ".join(f"{w}x{h}" for h, w, _ in sorted(sizes))
        raise InputError(
            f"expected pictures of one size, got {listed}; leave out all but those of one size"
        )
    return np.stack(images)
