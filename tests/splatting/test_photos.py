"""Photographs from COLMAP's models and from lenses that bend."""

from __future__ import annotations

import json
import struct
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pycolmap
import pytest
from PIL import Image

from recon.core.errors import InputError
from splatting.photos import load_colmap, load_nerf, undistorted
from tests.splatting.test_triangulation import wall_photos


def write_colmap(folder: Path) -> Path:
    """The pictures of a wall with their model, as COLMAP leaves them."""
    photos, model = wall_photos(3), pycolmap.Reconstruction()
    (folder / "images").mkdir(parents=True)
    (folder / "sparse" / "0").mkdir(parents=True)
    params = [120.0, 120.0, 80.0, 60.0]
    camera = pycolmap.Camera(model="PINHOLE", width=160, height=120, params=params, camera_id=1)
    model.add_camera_with_trivial_rig(camera)
    for i, T in enumerate(photos.Ts_world_camera):
        cv2.imwrite(str(folder / "images" / f"{i}.png"), photos.images[i][..., ::-1])
        image = pycolmap.Image(name=f"{i}.png", camera_id=1, image_id=i + 1)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(np.linalg.inv(T)[:3]))
    model.add_point3D(np.array([0.0, 0, 3]), pycolmap.Track(), np.array([255, 0, 51], np.uint8))
    model.write(str(folder / "sparse" / "0"))
    return folder


def test_a_colmap_folder_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder, expected = write_colmap(tmp_path / "c"), wall_photos(3)
    photos = load_colmap(folder / "sparse" / "0", folder / "images")
    assert np.array_equal(photos.images, expected.images)
    assert np.allclose(photos.Ts_world_camera, expected.Ts_world_camera)
    assert np.allclose(photos.Ks, expected.Ks)
    assert photos.points is not None and np.allclose(photos.points, [[0, 0, 3]])
    assert photos.colours is not None and np.allclose(photos.colours, [[1, 0, 0.2]])
    half = load_colmap(folder / "sparse" / "0", folder / "images", scale=0.5)
    assert half.images.shape == (3, 60, 80, 3)
    assert np.allclose(half.Ks[:, :2] * 2, expected.Ks[:, :2])


def test_a_picture_outside_the_folder_is_refused(tmp_path: Path) -> None:
    folder = write_colmap(tmp_path / "c")
    model = pycolmap.Reconstruction(str(folder / "sparse" / "0"))
    model.images[1].name = "../../secret.png"
    model.write(str(folder / "sparse" / "0"))
    with pytest.raises(InputError, match="inside"):
        load_colmap(folder / "sparse" / "0", folder / "images")


def test_models_of_colmap_before_rigs_are_read(tmp_path: Path) -> None:
    folder = write_colmap(tmp_path / "c")
    for name in ("rigs.bin", "frames.bin"):
        (folder / "sparse" / "0" / name).unlink()
    photos = load_colmap(folder / "sparse" / "0", folder / "images")
    assert np.allclose(photos.Ts_world_camera, wall_photos(3).Ts_world_camera)


SPOILED = {
    "cut": lambda data: data[: len(data) // 2],
    "claims too many": lambda data: struct.pack("<Q", 2**40) + data[8:],
    "last one claims a terabyte": lambda data: data[:-8] + struct.pack("<Q", 2**36),
    "last one claims all there is": lambda data: data[:-8] + struct.pack("<Q", 2**63),
    "last one claims 4 billion images": lambda data: data[:-20] + b"\xff" * 4 + data[-16:],
    "a name in another encoding": lambda data: data.replace(b"1.png", b"\xe4.png"),
}


@pytest.mark.parametrize(
    ("name", "how"),
    [
        *product(("cameras", "images", "points3D", "rigs", "frames"), ("cut", "claims too many")),
        ("images", "last one claims a terabyte"),
        ("points3D", "last one claims a terabyte"),
        ("images", "a name in another encoding"),
        ("images", "last one claims all there is"),
        ("points3D", "last one claims all there is"),
        ("frames", "last one claims 4 billion images"),
    ],
)
def test_a_damaged_colmap_model_is_refused_and_takes_no_memory(
    name: str, how: str, tmp_path: Path
) -> None:
    """pycolmap alone fills the memory of any machine with the first half of a points3D.bin."""
    folder = write_colmap(tmp_path / "c")
    file = folder / "sparse" / "0" / f"{name}.bin"
    file.write_bytes(SPOILED[how](file.read_bytes()))
    with pytest.raises(InputError, match=r"COLMAP|focal length"):
        load_colmap(folder / "sparse" / "0", folder / "images")


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_picture_is_not_turned_by_its_exif(orientation: int, tmp_path: Path) -> None:
    """pycolmap's reader, and so COLMAP's cameras, leave the pixels as they lie in the file."""
    folder = write_colmap(tmp_path / "c")
    plain = load_colmap(folder / "sparse" / "0", folder / "images").images[0]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(plain).save(folder / "images" / "0.png", exif=exif)
    read_by_colmap = pycolmap.Bitmap.read(str(folder / "images" / "0.png"), True)
    assert read_by_colmap is not None and np.array_equal(read_by_colmap.to_array(), plain)
    turned = load_colmap(folder / "sparse" / "0", folder / "images").images[0]
    assert np.array_equal(turned, plain)


def write_nerf_scene(folder: Path, image: np.ndarray, **more: object) -> Path:
    """One picture, twice, with transforms.json."""
    cv2.imwrite(str(folder / "0.png"), image)
    frames = [{"file_path": "0.png", "transform_matrix": np.eye(4).tolist()}] * 2
    scene = {"fl_x": 50.0, "frames": frames, **more}
    (folder / "transforms.json").write_text(json.dumps(scene))
    return folder


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (np.full((8, 8), 200, np.uint8), 200),
        (np.full((8, 8), 200 * 257, np.uint16), 200),
        (np.full((8, 8, 3), 200 * 257, np.uint16), 200),
        (np.dstack([np.full((8, 8, 3), 200, np.uint8), np.full((8, 8), 51, np.uint8)]), 40),
        (np.dstack([np.full((8, 8, 3), 51400, np.uint16), np.full((8, 8), 13107, np.uint16)]), 40),
    ],
    ids=["grey", "16-bit grey", "16 bit", "transparent", "16 bit transparent"],
)
def test_every_depth_of_picture_becomes_rgb_over_black(
    image: np.ndarray, expected: int, tmp_path: Path
) -> None:
    found = load_nerf(write_nerf_scene(tmp_path, image)).images
    assert found.shape == (2, 8, 8, 3) and (found == expected).all()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"camera_model": "OPENCV_FISHEYE", "k1": 0.1}, "OPENCV_FISHEYE; undistort"),
        ({"is_fisheye": True}, "a fisheye; undistort"),
        ({"k1": 0.1, "k4": 0.1}, "without k4"),
        ({"k1": float("nan")}, "finite lens distortion"),
        ({"cx": None}, "finite Ks"),
        ({"fl_x": 10**400}, "focal length"),
    ],
)
def test_a_lens_that_cannot_be_undone_is_refused(
    more: dict[str, object], words: str, tmp_path: Path
) -> None:
    image = np.full((8, 8, 3), 200, np.uint8)
    with pytest.raises(InputError, match=words):
        load_nerf(write_nerf_scene(tmp_path, image, **more))


def test_a_lens_of_five_numbers_is_undone(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)
    lens = {"k1": 0.2, "k2": 0.1, "k3": 0.3, "camera_model": "OPENCV"}
    bent = load_nerf(write_nerf_scene(tmp_path, image, **lens)).images[0]
    K = np.array([[50.0, 0, 29.5], [0, 50, 19.5], [0, 0, 1]])  # as OpenCV counts pixels
    expected = cv2.undistort(image[..., ::-1], K, np.array([0.2, 0.1, 0, 0, 0.3]))
    assert np.array_equal(bent, expected)


def test_what_a_lens_left_out_is_ignored() -> None:
    K = np.array([[100.0, 0, 50], [0, 100, 40], [0, 0, 1]])
    white = np.full((80, 100, 3), 255, np.uint8)
    picture, empty = undistorted(white, K, np.array([0.3, 0, 0, 0]), 0.5)
    assert picture.shape == (40, 50, 3) and empty.shape == (40, 50)
    assert empty[0, 0] and not empty[20, 25]
    assert (picture[~empty] == 255).all()
    assert (picture[empty] < 255).all(axis=1).all()
    straight, nothing = undistorted(white, K, np.zeros(4), 1.0)
    assert np.array_equal(straight, white) and not nothing.any()


def test_a_reduced_picture_ignores_what_touches_the_ignored() -> None:
    photos = wall_photos(2)
    ignored = np.zeros(photos.images.shape[:3], bool)
    ignored[0, 7, 9] = True
    small = type(photos)(
        images=photos.images, Ts_world_camera=photos.Ts_world_camera, Ks=photos.Ks,
        names=photos.names, ignored=ignored,
    ).reduced(2)  # fmt: skip
    assert small.ignored is not None
    assert np.argwhere(small.ignored).tolist() == [[0, 3, 4]]
    assert np.allclose(small.Ks[:, :2] * 2, photos.Ks[:, :2])


def test_a_synthetic_nerf_scene_needs_no_size_and_is_black_where_transparent(
    tmp_path: Path,
) -> None:
    """NeRF's Blender scenes: an angle of view alone, names without ending, transparent pictures."""
    image = np.full((40, 60, 4), 200, np.uint8)
    image[..., 3] = 255
    image[:, :30, 3] = 0
    image[:, 30:45, 3] = 128
    (tmp_path / "train").mkdir()
    cv2.imwrite(str(tmp_path / "train" / "r_0.png"), image)
    frames = [{"file_path": "./train/r_0", "transform_matrix": np.eye(4).tolist()}]
    scene = {"camera_angle_x": np.pi / 2, "frames": frames}
    (tmp_path / "transforms.json").write_text(json.dumps(scene))
    photos = load_nerf(tmp_path)
    np.testing.assert_allclose(photos.Ks[0], [[30, 0, 30], [0, 30, 20], [0, 0, 1]])
    assert photos.images[0, 5, [0, 40, 50], 1].tolist() == [0, 100, 200]
    (tmp_path / "train" / "r_0.png").unlink()
    with pytest.raises(InputError, match="no picture to take it from"):
        load_nerf(tmp_path)
