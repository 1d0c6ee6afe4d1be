import numpy as np
import trimesh

from body.surface import Surface

SPHERE = trimesh.creation.icosphere(subdivisions=3, radius=0.5)


def test_nearest_points_lie_on_the_mesh_and_nearer_than_any_vertex() -> None:
    points = np.random.default_rng(0).normal(0, 0.5, (200, 3))
    met = Surface(SPHERE.vertices, SPHERE.faces).closest(points)
    exact, distance, _ = trimesh.proximity.closest_point_naive(SPHERE, points)
    np.testing.assert_allclose(np.linalg.norm(met.position - points, axis=1), distance, atol=1e-6)
    np.testing.assert_allclose(met.position, exact, atol=1e-4)
    corners = SPHERE.vertices[SPHERE.faces[met.face]]
    blended = np.einsum("pk,pka->pa", met.barycentric, corners)
    np.testing.assert_allclose(blended, met.position, atol=1e-9)


def test_normals_point_outwards() -> None:
    points = np.random.default_rng(1).normal(0, 1, (50, 3))
    met = Surface(SPHERE.vertices, SPHERE.faces).closest(points)
    assert (np.sum(met.normal * met.position, axis=1) > 0.49).all()


def test_faces_without_area_are_never_met() -> None:
    faces = np.concatenate([[[0, 0, 1], [2, 2, 2]], SPHERE.faces])
    met = Surface(SPHERE.vertices, faces).closest(SPHERE.vertices[:5] * 1.1)
    assert (met.face >= 2).all() and np.isfinite(met.barycentric).all()
