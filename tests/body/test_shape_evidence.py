import dataclasses
from pathlib import Path

import numpy as np
import pytest
import trimesh

from body.fit import BodyConfig, build_evidence, fit_evidence, run
from body.models.anny import AnnyModel
from body.shape_evidence import (
    BODY_DENSITY,
    MASS_TOLERANCE,
    MassEvidence,
    body_mass,
    rig_volume,
)
from tests.body.test_fit import INTRINSICS, moving_body, track_of
from tests.synthetic import make_scene

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


def test_slopes_at_a_limit_look_back_inside() -> None:
    light = MEAN.copy()
    light[ANNY.param_spec.names.index("weight")] = 1.0
    light[ANNY.param_spec.names.index("muscle")] = 0.0
    _, slopes = MassEvidence(ANNY, 60.0).residual(light)
    assert abs(slopes[ANNY.param_spec.names.index("weight")]) > 10


@pytest.mark.parametrize(("mass", "stature"), [(58.0, 1.80), (75.0, None), (98.0, 1.75)])
def test_the_fitted_body_weighs_what_the_user_says(mass: float, stature: float | None) -> None:
    truth = moving_body(ANNY, np.arange(12) / 30, MEAN)
    track = track_of(ANNY, truth, noise_px=1.0)
    _, evidence = build_evidence(track, np.arange(12) / 30, INTRINSICS, stature=stature, mass=mass)
    state = fit_evidence(evidence, ANNY)
    assert body_mass(ANNY, state.shape) == pytest.approx(mass, rel=MASS_TOLERANCE)
    if stature is not None:
        assert ANNY.rest_body(state.shape).stature == pytest.approx(stature, abs=0.03)


def test_a_weight_is_mostly_build_not_stature() -> None:
    truth = moving_body(ANNY, np.arange(8) / 30, MEAN)
    track = track_of(ANNY, truth, noise_px=1.0)
    statures = {}
    for mass in (54.0, 61.0, 80.0):
        _, evidence = build_evidence(track, np.arange(8) / 30, INTRINSICS, mass=mass)
        statures[mass] = ANNY.rest_body(fit_evidence(evidence, ANNY).shape).stature
    assert abs(statures[61.0] - 1.70) < 0.03
    assert statures[54.0] > statures[61.0] - 0.06 and statures[80.0] < statures[61.0] + 0.06


def test_a_weight_that_no_such_body_has_is_told(tmp_path: Path) -> None:
    scene = make_scene(tmp_path / "s", num_frames=6)
    report = run(scene, BodyConfig(stature=1.9, mass=20.0))
    assert any("20 kg was given" in text for text in report.warnings)
    assert report.numbers["person1"]["mass"] > 25
    report = run(scene, BodyConfig(stature=1.7, mass=70.0))
    assert not report.warnings and report.numbers["person1"]["mass"] == pytest.approx(70, rel=0.03)
    assert "mass" not in run(scene, BodyConfig()).numbers["person1"]
