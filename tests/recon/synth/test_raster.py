"""The kernels that draw: geometry against formulas, light against what it should do."""

from __future__ import annotations

import numpy as np

from recon.core.camera import Intrinsics
from recon.core.raster import Raster, Surface
from recon.synth.raster import draw, draw_heights

K = Intrinsics(fx=100, fy=110, cx=40, cy=30, width=80, height=60)
LENS = np.array([K.fx, K.fy, K.cx, K.cy])


def drawn(
    points: np.ndarray, faces: np.ndarray, *, closed: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    inverse_depth = np.zeros((K.height, K.width), np.float32)
    owner = np.full((K.height, K.width), -1, np.int32)
    edges = np.zeros((len(faces), 3, 3))
    draw(points, faces, closed, LENS, edges, inverse_depth, owner, 0)
    return inverse_depth, owner


def test_depth_of_a_plane_that_passes_under_the_camera() -> None:
    """A floor from behind the camera to far away: no clipping, exact depth at every pixel."""
    floor = np.array([[-50.0, 1.5, -20.0], [50, 1.5, -20], [50, 1.5, 200], [-50, 1.5, 200]])
    inverse_depth, owner = drawn(floor, np.array([[0, 1, 2], [0, 2, 3]]))
    rows = np.arange(K.height) + 0.5
    expected = np.maximum((rows - K.cy) / K.fy / 1.5, 0)  # 1 / z of the ray that meets y = 1.5
    below = expected > 1 / 100
    np.testing.assert_allclose(
        inverse_depth[below], np.repeat(expected[below, None], K.width, axis=1), rtol=1e-5
    )
    assert (owner[rows < K.cy] == -1).all()


def test_it_agrees_with_the_viewers_rasteriser_on_a_closed_mesh() -> None:
    rng = np.random.default_rng(0)
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    points = corners * rng.uniform(0.5, 0.9, (8, 3)) + [0.2, -0.1, 5.0]
    faces = np.array([
        [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6],
        [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3],
    ])  # fmt: skip
    inverse_depth, owner = drawn(points, faces, closed=True)
    other = Raster(K)
    other.draw_surfaces([Surface(vertices_camera=points, faces=faces, color=(255, 255, 255))])
    both = (owner >= 0) & (other.owner >= 0)
    assert (owner >= 0).sum() > 300
    assert ((owner >= 0) != (other.owner >= 0)).sum() < 8  # on the edge itself they may differ
    np.testing.assert_allclose(inverse_depth[both], other.inverse_depth[both], rtol=1e-4)


def test_the_nearer_of_two_hides_the_other() -> None:
    near, far = ([[-1.0, -1, z], [1, -1, z], [0, 1, z]] for z in (2.0, 4.0))
    points = np.array(far + near)
    for faces in ([[0, 1, 2], [3, 4, 5]], [[3, 4, 5], [0, 1, 2]]):
        inverse_depth, owner = drawn(points, np.array(faces))
        assert inverse_depth[30, 40] == np.float32(0.5)
        assert faces[owner[30, 40]] == [3, 4, 5]


def test_heights_are_the_highest_over_every_cell() -> None:
    heights = np.full((20, 20), -np.inf, np.float32)
    points = np.array([[2.0, 2, 1], [17, 2, 1], [2, 17, 1], [2, 2, 3], [17, 2, 3], [2, 17, 5.0]])
    draw_heights(points, np.array([[3, 4, 5], [0, 1, 2]]), heights)
    assert heights[2, 3] == 3
    assert np.isclose(heights[12, 3], 3 + 2 * 10 / 15)
    assert heights[18, 18] == -np.inf
