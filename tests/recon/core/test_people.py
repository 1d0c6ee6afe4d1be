from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recon.core.errors import InputError
from recon.core.people import RoiMasks
from recon.core.scene import Scene
from tests.synthetic import make_scene

SIZE = 64


def disc() -> np.ndarray:
    """A disc off the centre of the crop, so that a flip or a swap of axes shows."""
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    return (x - 20) ** 2 + (y - 40) ** 2 < 12**2


def masks(*Ts_image_roi: np.ndarray) -> RoiMasks:
    crop = np.packbits(disc().ravel())
    return RoiMasks(
        bits=np.tile(crop, (len(Ts_image_roi), 1)), Ts_image_roi=np.stack(Ts_image_roi), size=SIZE
    )


def crop_to_image(scale: float, angle: float, shift: tuple[float, float]) -> np.ndarray:
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[c, -s, shift[0]], [s, c, shift[1]]])


PLACES = [
    crop_to_image(1.0, 0.0, (100, 50)),
    crop_to_image(3.0, 0.7, (200, 40)),
    crop_to_image(0.5, -2.0, (150, 150)),
    crop_to_image(2.0, 0.2, (-60, -70)),  # partly outside
]


@pytest.mark.parametrize("row", range(len(PLACES)))
def test_a_mask_stands_where_its_crop_came_from(row: int) -> None:
    height, width = 240, 320
    mask = masks(*PLACES).render(row, height=height, width=width)
    y, x = np.mgrid[:height, :width] + 0.5
    a, b = PLACES[row][:, :2], PLACES[row][:, 2]
    centre = a @ [20, 40] + b
    radius = 12 * np.sqrt(np.linalg.det(a))
    distance = np.hypot(x - centre[0], y - centre[1])
    # The crop's own pixels are the resolution of the answer.
    slack = 1 + np.sqrt(np.linalg.det(a))
    assert mask.shape == (height, width) and mask.dtype == bool
    assert mask[distance < radius - slack].all()
    assert not mask[distance > radius + slack].any()


def test_an_integer_place_gives_the_crop_back() -> None:
    out = masks(crop_to_image(1.0, 0.0, (7, 5))).render(0, height=100, width=90)
    np.testing.assert_array_equal(out[5 : 5 + SIZE, 7 : 7 + SIZE], disc())
    assert out.sum() == disc().sum()


@pytest.mark.parametrize("scale", [0.25, 0.5, 2.0])
def test_a_smaller_picture_has_the_smaller_mask(scale: float) -> None:
    """A render at `scale` is the full render resized, up to the edge pixels."""
    full = masks(PLACES[1]).render(0, height=240, width=320)
    height, width = int(240 * scale), int(320 * scale)
    small = masks(PLACES[1]).render(0, height=height, width=width, scale=scale)
    y, x = np.mgrid[:height, :width] + 0.5
    expected = full[(y / scale).astype(int), (x / scale).astype(int)]
    overlap = (small & expected).sum() / (small | expected).sum()
    assert overlap > 0.9


def test_a_crop_outside_the_picture_is_empty() -> None:
    for shift in [(-500, 0), (500, 0), (0, -500), (0, 500)]:
        out = masks(crop_to_image(1.0, 0.3, shift)).render(0, height=100, width=100)
        assert not out.any()


def test_masks_of_the_wrong_size_are_rejected() -> None:
    with pytest.raises(InputError, match="bits"):
        RoiMasks(bits=np.zeros((2, 5), np.uint8), Ts_image_roi=np.zeros((2, 2, 3)), size=SIZE)
    with pytest.raises(InputError, match="Ts_image_roi"):
        RoiMasks(bits=np.zeros((2, 512), np.uint8), Ts_image_roi=np.zeros((1, 2, 3)), size=SIZE)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_scene(tmp_path_factory.mktemp("scene") / "s", num_frames=8)


def arrays_by_frame(item: Any) -> list[str]:
    """Array fields whose first axis is the frames of the item."""
    n = len(item.frame_idx)
    values = {f.name: getattr(item, f.name) for f in fields(item)}
    return [k for k, v in values.items() if isinstance(v, np.ndarray) and len(v) == n]


@pytest.mark.parametrize("kind", ["tracks", "camera_motions", "world_motions"])
def test_arrays_of_another_length_are_rejected(scene: Scene, kind: str) -> None:
    """Whatever one array says, the others must agree: no field may be a frame short."""
    item = getattr(scene, kind)[0]
    names = arrays_by_frame(item)
    assert len(names) >= 5
    for name in names:
        with pytest.raises(InputError):
            replace(item, **{name: getattr(item, name)[:-1]})


@pytest.mark.parametrize("kind", ["camera_motions", "world_motions"])
def test_nan_never_crosses_a_seam(scene: Scene, kind: str) -> None:
    item = getattr(scene, kind)[0]
    name = "joints_camera" if kind == "camera_motions" else "joints_world"
    broken = getattr(item, name).copy()
    broken[3, 7, 1] = np.nan
    with pytest.raises(InputError, match="finite"):
        replace(item, **{name: broken})


def test_hands_are_optional_and_checked(scene: Scene) -> None:
    track = scene.tracks[0]
    n = len(track.frame_idx)
    with_hands = replace(track, hands_px=np.zeros((n, 2, 21, 2)), hands_conf=np.zeros((n, 2)))
    assert with_hands.hands_px is not None
    with pytest.raises(InputError, match="hands_px"):
        replace(track, hands_px=np.zeros((n, 2, 20, 2)))
    assert Path(scene.path / "people.npz").exists() and scene.tracks[0].hands_px is None
