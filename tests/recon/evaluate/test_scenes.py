"""What `evaluate_scenes` reports of errors that are known."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from recon.core.camera import Intrinsics
from recon.core.errors import InputError
from recon.core.geometry import make_transform, rotvec_to_matrix
from recon.core.scene import Scene
from recon.evaluate.figures import FIGURES
from recon.evaluate.recording import Recording, read_recording
from recon.evaluate.scenes import Evaluation, evaluate_scenes
from recon.motion.clip import Box
from tests.recon.evaluate.recordings import changed, in_another_world, walk, with_people
from tests.synthetic import make_scene

ZERO = (
    "pa_mpjpe_mm", "mpjpe_mm", "pve_mm", "accel", "wa_mpjpe_mm", "w_mpjpe_mm", "rte_percent",
    "erve_mm", "ate_m", "ate_s_m", "rotation_deg", "gravity_deg", "focal_percent",
    "scale_percent", "size_percent", "id_switches", "penetration_mm",
)  # fmt: skip
HEADING = make_transform(rotvec_to_matrix(np.array([0.0, 0.0, 1.1])), np.array([4.0, -2.0, 0.0]))


@pytest.fixture(scope="module")
def truth() -> Recording:
    return walk()


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Scene:
    path = tmp_path_factory.mktemp("evaluate") / "truth"
    return make_scene(path, num_people=2, num_frames=60, camera="moving")


def assert_perfect(result: Evaluation) -> None:
    for name in ZERO:
        assert result.summary[name] == pytest.approx(0, abs=1e-5), name
    for name in ("contact_f1", "contact_precision", "contact_recall"):
        assert result.summary[name] == 1
    for name in ("coverage_percent", "mota_percent", "idf1_percent"):
        assert result.summary[name] == pytest.approx(100)


def test_a_scene_against_itself_has_no_error(scene: Scene) -> None:
    result = evaluate_scenes(scene, scene)
    assert_perfect(result)
    assert [p.truth_id for p in result.people] == [1, 2] and not result.missed
    assert [len(p.frames) for p in result.people] == [60, 40]
    assert set(result.summary) == set(FIGURES)
    assert result.summary["foot_sliding_mm"] == result.summary["foot_sliding_truth_mm"]
    assert result.summary["jitter"] == result.summary["jitter_truth"] > 0


def test_the_choice_of_world_does_not_matter(truth: Recording) -> None:
    assert_perfect(evaluate_scenes(in_another_world(truth, HEADING), truth))


def test_a_wrong_scale_is_told_and_costs_where_it_should(truth: Recording) -> None:
    result = evaluate_scenes(in_another_world(truth, HEADING, scale=1.2), truth).summary
    for name in ("scale_percent", "camera_scale_percent", "path_scale_percent", "size_percent"):
        assert result[name] == pytest.approx(20, abs=1e-5), name
    for name in ("wa_mpjpe_mm", "w_mpjpe_mm", "ate_m", "mpjpe_mm", "gravity_deg"):
        assert result[name] == pytest.approx(0, abs=1e-5), name
    assert result["rte_percent"] > 1 and result["ate_s_m"] > 0.1


def test_a_tilted_world_is_a_gravity_error_only(truth: Recording) -> None:
    tilt = make_transform(rotvec_to_matrix(np.radians(5) * np.array([1.0, 0, 0])), np.zeros(3))
    result = evaluate_scenes(in_another_world(truth, tilt), truth).summary
    assert result["gravity_deg"] == pytest.approx(5, abs=1e-6)
    for name in ("rotation_deg", "rte_percent", "ate_s_m", "w_mpjpe_mm"):
        assert result[name] == pytest.approx(0, abs=1e-4)


def test_figures_of_one_person_by_hand(truth: Recording) -> None:
    """Everything 3 cm too high and sliding 8 mm a frame sideways, contacts all claimed."""
    true = truth.people[0]
    slide = np.zeros((len(true.frame_idx), 1, 3))
    slide[:, 0, 1] = 0.008 * np.arange(len(slide))
    slide[..., 2] = 0.03
    found = changed(
        true, joints_world=true.joints_world + slide, feet_world=true.feet_world + slide,
        contacts=np.ones_like(true.feet_world[..., 0]),
    )  # fmt: skip
    figures = evaluate_scenes(with_people(truth, found), truth).people[0].figures
    assert figures["erve_mm"] == pytest.approx(8, abs=1e-6)
    still = np.linalg.norm(np.diff(true.feet_world, axis=0), axis=-1) < 1e-6
    assert still.any()
    assert figures["foot_sliding_mm"] == pytest.approx(8, abs=0.5)
    assert figures["float_mm"] == pytest.approx(30, abs=3)
    assert figures["penetration_mm"] == 0
    assert true.contacts is not None
    share = float((true.contacts > 0.5).mean())
    assert figures["contact_recall"] == 1
    assert figures["contact_precision"] == pytest.approx(share)
    assert figures["contact_f1"] == pytest.approx(2 * share / (1 + share))
    assert figures["mpjpe_mm"] == 0


def test_the_ground_holds_the_truths_boxes(truth: Recording) -> None:
    """The walk on a stage 0.4 m high: it does not float on its boards, over the floor it does."""
    stage = Box(
        kind="step", center=np.array([0.0, 0.0, 0.2]), size=np.array([40.0, 40, 0.4]), yaw=0.3
    )
    up = make_transform(np.eye(3), np.array([0.0, 0.0, 0.4]))
    high = in_another_world(truth, up)
    on_stage = dataclasses.replace(high, ground=(stage,))
    on_floor = dataclasses.replace(high, ground=())
    assert evaluate_scenes(high, on_stage).summary["float_mm"] < 5
    assert evaluate_scenes(high, on_floor).summary["float_mm"] > 395
    unknown = evaluate_scenes(high, dataclasses.replace(high, ground=None))
    assert np.isnan(unknown.summary["float_mm"])
    assert any("where the floor is" in note for note in unknown.notes)


def test_frames_are_weighted_alike(scene: Scene) -> None:
    """The mean over two people is that over their frames, not that over people."""
    truth = read_recording(scene)
    shifts = (0.0, 0.06)
    people = []
    for person, shift in zip(truth.people, shifts, strict=True):
        assert person.joints_camera is not None
        joints = person.joints_camera.copy()
        joints[:, 5] += shift
        people.append(changed(person, joints_camera=joints))
    result = evaluate_scenes(with_people(truth, *people), truth)
    each = [p.figures["mpjpe_mm"] for p in result.people]
    assert each == pytest.approx([0, 1000 * 0.06 * np.sqrt(3) / 22])
    assert result.summary["mpjpe_mm"] == pytest.approx(each[1] * 40 / 100)


def test_invalid_frames_of_the_truth_do_not_count(truth: Recording) -> None:
    true = truth.people[0]
    valid = np.ones(len(true.frame_idx), bool)
    valid[20:30] = False
    assert true.joints_camera is not None
    wild = true.joints_camera.copy()
    wild[20:30, 7] += 5.0
    found = with_people(truth, changed(true, joints_camera=wild))
    masked = with_people(truth, changed(true, valid=valid), name="truth")
    assert evaluate_scenes(found, truth).summary["mpjpe_mm"] > 10
    result = evaluate_scenes(found, masked)
    assert result.summary["mpjpe_mm"] == pytest.approx(0, abs=1e-9)
    assert len(result.people[0].frames) == len(true.frame_idx) - 10


def test_a_gap_is_no_jump_unless_asked_for(truth: Recording) -> None:
    """Over ten invalid frames the prediction moves on: no jerk, but one where the gap is closed."""
    true = truth.people[0]
    valid = np.ones(len(true.frame_idx), bool)
    valid[20:30] = False
    masked = with_people(truth, changed(true, valid=valid), name="truth")
    whole = evaluate_scenes(truth, truth).people[0]
    skipped = evaluate_scenes(truth, masked).people[0]
    closed = evaluate_scenes(truth, masked, gaps="close").people[0]
    frames = len(valid) - 10
    for name, width in (("accel", 5), ("erve_mm", 2), ("jitter", 4)):
        assert len(closed.values[name]) == frames - width + 1
        lost = 3 if name == "accel" else width
        assert len(skipped.values[name]) == frames - width + 1 - lost + 1
    kept = np.delete(whole.values["jitter"], np.arange(17, 30))
    assert np.allclose(skipped.values["jitter"], kept)
    assert closed.values["jitter"].max() > 10 * whole.values["jitter"].max()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_very_short_clips_have_the_figures_that_they_can_have(truth: Recording, count) -> None:
    true = truth.people[0]
    valid = np.arange(len(true.frame_idx)) < count
    short = with_people(truth, changed(true, valid=valid), name="truth")
    result = evaluate_scenes(truth, short)
    assert result.summary["mpjpe_mm"] == 0
    assert np.isnan(result.summary["jitter"]) and np.isnan(result.summary["accel"])
    json.dumps(result.to_json(), allow_nan=False)


def test_protocols_differ_as_the_scripts_do(truth: Recording) -> None:
    rng = np.random.default_rng(0)
    true = truth.people[0]
    assert true.joints_camera is not None
    found = with_people(truth, changed(
        true, joints_world=true.joints_world + 0.01 * rng.normal(size=true.joints_world.shape),
        joints_camera=true.joints_camera + 0.01 * rng.normal(size=true.joints_camera.shape),
    ))  # fmt: skip
    got = {p: evaluate_scenes(found, truth, protocol=p) for p in ("wham", "gvhmr", "tram")}
    frames = len(true.frame_idx)
    sizes = {p: len(e.people[0].values["w_mpjpe_mm"]) for p, e in got.items()}
    assert sizes == {"wham": frames, "gvhmr": frames, "tram": frames - 1}
    sizes = {p: len(e.people[0].values["accel"]) for p, e in got.items()}
    assert sizes == {"wham": frames - 4, "gvhmr": frames - 2, "tram": frames - 4}
    # TRAM smooths the root before it measures, so that a noisy pelvis costs less.
    assert got["tram"].summary["erve_mm"] < 0.5 * got["wham"].summary["erve_mm"]
    assert any("Gaussian" in note for note in got["tram"].notes)
    with pytest.raises(InputError, match="expected one of wham, gvhmr, tram; got 'slahmr'"):
        evaluate_scenes(found, truth, protocol="slahmr")  # type: ignore[arg-type]


def test_hands_are_added_on_request(truth: Recording) -> None:
    true = truth.people[0]
    assert true.joints_camera is not None
    bent = true.joints_camera.copy()
    bent[:, 20] += 0.022  # the left wrist: the hand follows it, 1.3438 times as far
    found = with_people(truth, changed(true, joints_camera=bent))
    without = evaluate_scenes(found, truth).summary["mpjpe_mm"]
    assert without == pytest.approx(22 * np.sqrt(3) / 22, abs=1e-6)
    with_them = evaluate_scenes(found, truth, joints=24).summary["mpjpe_mm"]
    assert with_them == pytest.approx(22 * np.sqrt(3) * 2.3438 / 24, abs=1e-6)


def test_vertices_are_compared_only_on_one_mesh(truth: Recording) -> None:
    true = truth.people[0]
    other = with_people(truth, changed(true, mesh=("smpl", 6890)))
    result = evaluate_scenes(other, truth)
    assert np.isnan(result.summary["pve_mm"]) and "pve_mm" not in result.people[0].values
    assert any("PVE is left out" in note for note in result.notes)


def test_the_three_dpw_protocol_regresses_its_joints_from_vertices(truth: Recording) -> None:
    num_vertices = truth.people[0].mesh[1]
    regressor = np.random.default_rng(1).dirichlet(np.ones(num_vertices), 17)
    result = evaluate_scenes(truth, truth, regressor=regressor)
    assert result.summary["mpjpe_mm"] == pytest.approx(0, abs=1e-3)
    with pytest.raises(InputError, match="14-joint protocol"):
        evaluate_scenes(truth, truth, regressor=np.ones((17, 6890)))


def test_a_still_camera_has_no_scale_and_no_ate() -> None:
    truth = walk("static")
    result = evaluate_scenes(in_another_world(truth, HEADING, scale=0.9), truth)
    assert np.isnan(result.summary["ate_m"]) and np.isnan(result.summary["camera_scale_percent"])
    assert result.summary["ate_s_m"] == pytest.approx(0, abs=1e-9)
    assert result.summary["scale_percent"] == pytest.approx(10, abs=1e-6)


def test_a_resized_video_has_the_same_focal_length(truth: Recording) -> None:
    assert truth.camera is not None
    k: Intrinsics = truth.camera.intrinsics.resized(640, 360)
    small = dataclasses.replace(truth, camera=dataclasses.replace(truth.camera, intrinsics=k))
    assert_perfect(evaluate_scenes(small, truth))
    longer = dataclasses.replace(k, fx=1.1 * k.fx)
    off = dataclasses.replace(truth, camera=dataclasses.replace(truth.camera, intrinsics=longer))
    assert evaluate_scenes(off, truth).summary["focal_percent"] == pytest.approx(10)


def test_missed_and_extra_people_are_told(scene: Scene) -> None:
    truth = read_recording(scene)
    one, two = truth.people
    result = evaluate_scenes(with_people(truth, one), truth)
    assert result.missed == (2,) and result.summary["coverage_percent"] == pytest.approx(60)
    assert result.summary["misses"] == 40
    result = evaluate_scenes(truth, with_people(truth, two, name="truth"))
    assert result.extra == (1,) and result.summary["coverage_percent"] == pytest.approx(100)
    nobody = evaluate_scenes(with_people(truth), truth)
    assert nobody.missed == (1, 2) and nobody.summary["coverage_percent"] == 0
    assert np.isnan(nobody.summary["mpjpe_mm"])


def test_json_holds_every_figure_and_no_nan(truth: Recording) -> None:
    other = with_people(truth, changed(truth.people[0], mesh=("smpl", 6890)))
    text = json.dumps(evaluate_scenes(other, truth).to_json(), allow_nan=False)
    back = json.loads(text)
    assert back["summary"]["pve_mm"] is None
    assert back["people"][0]["truth"] == 1 and back["camera"]["ate_s_m"] == pytest.approx(0)


def test_another_frame_rate_is_noted() -> None:
    slow = walk(fps=15.0)
    assert any("15 frames a second" in note for note in evaluate_scenes(slow, slow).notes)
