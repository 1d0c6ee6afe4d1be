import dataclasses

import numpy as np
import pytest
import trimesh

from body.models.anny import AnnyModel
from body.shape_evidence import BODY_DENSITY, MassEvidence, body_mass, rig_volume

ANNY = AnnyModel()
MEAN = ANNY.param_spec.mean


def test_volume_is_that_of_known_solids_wherever_they_stand() -> None:
    rig = ANNY.skinning_spec(MEAN)
    box = trimesh.creation.box((0.2, 0.3, 1.5))
    n = len(box.vertices)
    as_rig = dataclasses.replace(
        rig,
        bind_vertices=np.asarray(box.vertices) + np.array([3.0, -2.0, 5.0]),
        faces=np.asarray(box.faces, np.int32),
        weights=np.ones((n, 1), np.float32),
        indices=np.zeros((n, 1), np.int32),
    )
    assert rig_volume(as_rig) == pytest.approx(0.2 * 0.3 * 1.5)
    mesh = trimesh.Trimesh(rig.bind_vertices, rig.faces, process=False)
    assert rig_volume(rig) == pytest.approx(mesh.volume, rel=1e-4)


def test_an_adult_weighs_what_adults_weigh() -> None:
    assert 55 < body_mass(ANNY, MEAN) < 75  # 1.70 m
    heavier = MEAN + np.array([0, 0, 0, 0.4, 0, 0])
    assert body_mass(ANNY, heavier) > body_mass(ANNY, MEAN) + 3
    litres = 1000 * rig_volume(ANNY.skinning_spec(MEAN))
    assert body_mass(ANNY, MEAN) == pytest.approx(litres * BODY_DENSITY / 1000)


def test_slopes_are_those_of_the_mass() -> None:
    evidence = MassEvidence(ANNY, 80.0, std=2.0)
    shape = MEAN + np.array([0.1, 0.02, 0.1, 0.2, 0.05, 0.1])
    error, slopes = evidence.residual(shape)
    assert error == pytest.approx((body_mass(ANNY, shape) - 80) / 2)
    step = 0.005 * np.array([1, -1, 1, 1, -1, 1])
    moved, _ = evidence.residual(shape + step)
    assert moved - error == pytest.approx(slopes @ step, rel=0.05)
    assert evidence.residual(shape)[0] == error


def test_slopes_at_a_limit_point_back_inside() -> None:
    light = MEAN.copy()
    light[ANNY.param_spec.names.index("weight")] = 1.0
    light[ANNY.param_spec.names.index("muscle")] = 0.0
    _, slopes = MassEvidence(ANNY, 60.0).residual(light)
    assert abs(slopes[ANNY.param_spec.names.index("weight")]) > 10
