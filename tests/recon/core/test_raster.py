"""The rasteriser against shapes whose picture is known in closed form."""

import numpy as np
import pytest
import trimesh

from recon.core.camera import Intrinsics
from recon.core.errors import InputError
from recon.core.raster import NEAR, Raster, Surface, vertex_normals

K = Intrinsics(fx=400, fy=400, cx=160, cy=120, width=320, height=240)
RED, BLUE = (220, 40, 40), (40, 40, 220)


def sphere(center, radius, color=RED, subdivisions=4):
    mesh = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return Surface(
        vertices_camera=np.asarray(mesh.vertices) + center, faces=np.asarray(mesh.faces),
        color=color,
    )  # fmt: skip


def box(center, size, color=RED):
    mesh = trimesh.creation.box(extents=[size] * 3)
    return Surface(
        vertices_camera=np.asarray(mesh.vertices) + center, faces=np.asarray(mesh.faces),
        color=color,
    )  # fmt: skip


def draw(*surfaces, intrinsics=K):
    raster = Raster(intrinsics)
    raster.draw_surfaces(surfaces)
    return raster


def test_a_sphere_covers_its_disc_and_has_its_depth():
    radius, distance = 0.5, 4.0
    raster = draw(sphere([0, 0, distance], radius))
    outline = K.fx * radius / np.sqrt(distance**2 - radius**2)
    covered = raster.owner == 0
    assert covered.sum() == pytest.approx(np.pi * outline**2, rel=0.01)
    assert raster.depth[120, 160] == pytest.approx(distance - radius, rel=1e-3)
    assert np.isinf(raster.depth[~covered]).all()
    assert (raster.color[covered].max(axis=1) > 0).all() and not raster.color[~covered].any()


def test_a_box_covers_exactly_the_pixels_whose_centres_its_front_covers():
    raster = draw(box([0, 0, 2.5], 1.0))  # front face at z = 2, 200 px wide
    ys, xs = np.nonzero(raster.owner == 0)
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == (60, 259, 20, 219)
    assert len(xs) == 200 * 200
    assert raster.depth[20:220, 60:260] == pytest.approx(2.0, rel=1e-5)


def test_depth_is_exact_on_a_slanted_triangle():
    corners = np.array([[-1.0, -1, 2], [1, 1.2, 5], [1, -1, 3]])
    normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
    raster = draw(Surface(vertices_camera=corners, faces=np.array([[0, 1, 2]]), color=RED))
    if not (raster.owner == 0).any():
        raster = draw(Surface(vertices_camera=corners, faces=np.array([[0, 2, 1]]), color=RED))
    ys, xs = np.nonzero(raster.owner == 0)
    assert len(xs) > 1000
    centres = np.stack([xs, ys], axis=1).astype(np.float64) + 0.5
    rays = K.unproject(centres, np.ones(len(xs)))
    expected = normal @ corners[0] / (rays @ normal)
    assert raster.depth[ys, xs] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearer_person_hides_the_farther_whatever_the_order(order):
    people = [sphere([0, 0, 3], 0.3, RED), sphere([0, 0, 5], 1.2, BLUE)]
    raster = draw(*(people[i] for i in order))
    assert raster.owner[120, 160] == order.index(0)
    assert raster.color[120, 160].argmax() == 0
    assert raster.owner[120, 160 + 80] == order.index(1)


def test_intersecting_people_are_split_where_they_meet():
    raster = draw(sphere([-0.2, 0, 4], 0.5), sphere([0.2, 0, 4], 0.5, BLUE))
    assert (raster.owner[100:140, 125:158] == 0).all()
    assert (raster.owner[100:140, 163:195] == 1).all()


def test_the_silhouette_is_the_projection_of_the_vertices():
    surface = sphere([0.3, -0.2, 3], 0.4)
    px = K.project(surface.vertices_camera)
    ys, xs = np.nonzero(draw(surface).owner == 0)
    assert np.array([xs.min(), ys.min()]) == pytest.approx(px.min(axis=0), abs=1.0)
    assert np.array([xs.max(), ys.max()]) + 1 == pytest.approx(px.max(axis=0), abs=1.0)


def test_light_comes_from_above():
    raster = draw(sphere([0, 0, 3], 0.5))
    assert raster.color[80, 160, 0] > 1.5 * raster.color[160, 160, 0]


def test_large_triangles_are_drawn_in_pieces_with_the_same_result(monkeypatch):
    surfaces = box([0, 0, 2.5], 1.0), sphere([0, 0, 2.4], 0.62, BLUE)
    whole = draw(*surfaces)
    monkeypatch.setattr("recon.core.raster._MAX_CANDIDATES", 500)
    pieces = draw(*surfaces)
    assert (whole.owner == pieces.owner).all() and (whole.color == pieces.color).all()


@pytest.mark.parametrize("center", [[0, 0, -3], [0, 0, NEAR / 2], [40, 0, 3]])
def test_what_the_camera_cannot_see_is_not_drawn(center):
    assert not (draw(sphere(center, 0.02)).owner >= 0).any()


def test_normals_of_a_sphere_point_outward():
    surface = sphere([0, 0, 0], 1.0, subdivisions=3)
    normals = vertex_normals(surface.vertices_camera, surface.faces)
    assert normals == pytest.approx(surface.vertices_camera, abs=0.02)


def test_points_and_lines_hide_behind_meshes():
    raster = draw(sphere([0, 0, 3], 0.4))
    starts, ends = np.array([[-1.0, 0, 4], [0, -1, 2]]), np.array([[1.0, 0, 4], [0, 1, 2]])
    raster.draw_lines(starts, ends, BLUE)
    assert raster.color[120, 100].tolist() == list(BLUE)  # beside the sphere
    assert raster.color[122, 170].tolist() != list(BLUE)
    assert raster.owner[120, 170] == 0  # behind it
    assert raster.color[100, 160].tolist() == list(BLUE)  # in front of it
    raster.draw_points(np.array([[0.0, 0, 1], [0, 0, -1]]), np.array(RED), size=3)
    assert (raster.color[119:122, 159:162] == RED).all()


def test_a_line_is_unbroken_and_clipped_at_the_camera():
    raster = Raster(K)
    raster.draw_lines(np.array([[0.0, 0.1, -1]]), np.array([[0.0, 0.1, 6]]), RED)
    rows = np.nonzero(raster.color[:, 160, 0])[0]
    assert rows.min() == 126 and rows.max() == 239 and len(rows) == 239 - 126 + 1


def test_faces_of_another_mesh_are_refused():
    surface = sphere([0, 0, 3], 0.5)
    with pytest.raises(InputError, match="expected indices below 10"):
        Surface(vertices_camera=surface.vertices_camera[:10], faces=surface.faces, color=RED)
