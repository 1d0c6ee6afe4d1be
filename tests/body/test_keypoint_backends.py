"""Keypoint networks that the user brings: tiny ones, made here, see what was painted."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from body.backends.cores import thread_count
from body.fit import fit_track
from body.landmarks import (
    LANDMARKERS,
    LICENCES,
    Landmarks,
    Roi,
    check_landmarker,
    load_landmarker,
)
from body.models import load_body_model
from body.people import PeopleConfig, run
from recon.core.errors import InputError, MissingDependencyError
from recon.core.people import PersonTrack
from recon.core.scene import Scene
from recon.core.storage import load_items
from tests.body.test_landmarks import blob
from tests.body.test_people import RED, Actor, World, walk

WIDTH, HEIGHT, SPLIT = 48, 64, 2


def tiny_rtmpose(path: Path, count: int, *, outputs: int = 2) -> Path:
    """An ONNX file whose every keypoint stands on the brightest place of the crop."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, kinds = onnx.helper, onnx.TensorProto
    nodes, constants, results = [], [], []
    for axis, (name, length) in enumerate((("x", WIDTH), ("y", HEIGHT), ("z", HEIGHT))[:outputs]):
        # Bin k reads the light around pixel k / SPLIT.
        at = np.arange(length * SPLIT) / SPLIT
        reader = np.exp(-((np.arange(length)[:, None] - at) ** 2) / 8).astype(np.float32)
        constants += [
            onnx.numpy_helper.from_array(reader, f"reader_{name}"),
            onnx.numpy_helper.from_array(np.array([1, count, 1], np.int64), f"times_{name}"),
        ]
        nodes += [
            helper.make_node("ReduceMean", ["picture"], [f"grey_{name}"], axes=[1], keepdims=0),
            helper.make_node(
                "ReduceMax", [f"grey_{name}"], [f"profile_{name}"],
                axes=[1 if axis == 0 else 2], keepdims=0,
            ),
            helper.make_node("MatMul", [f"profile_{name}", f"reader_{name}"], [f"bins_{name}"]),
            helper.make_node("Unsqueeze", [f"bins_{name}", "one"], [f"row_{name}"]),
            helper.make_node("Tile", [f"row_{name}", f"times_{name}"], [f"simcc_{name}"]),
        ]  # fmt: skip
        results.append(
            helper.make_tensor_value_info(
                f"simcc_{name}", kinds.FLOAT, [None, count, length * SPLIT]
            )
        )
    constants.append(onnx.numpy_helper.from_array(np.array([1], np.int64), "one"))
    picture = helper.make_tensor_value_info("picture", kinds.FLOAT, [None, 3, HEIGHT, WIDTH])
    graph = helper.make_graph(nodes, "tiny", [picture], results, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))
    return path


def tiny_vitpose(path: Path, *, num_experts: int = 1) -> Path:
    """A folder with a random ViTPose of 48 x 64 px."""
    transformers = pytest.importorskip("transformers")
    backbone = transformers.VitPoseBackboneConfig(
        image_size=(HEIGHT, WIDTH), patch_size=(16, 16), hidden_size=16, num_hidden_layers=1,
        num_attention_heads=2, num_experts=num_experts, part_features=4, out_indices=[1],
    )  # fmt: skip
    config = transformers.VitPoseConfig(backbone_config=backbone, num_labels=17)
    transformers.VitPoseForPoseEstimation(config).save_pretrained(path)
    return path


@pytest.mark.parametrize("count", [17, 26, 133])
@pytest.mark.parametrize("angle", [0.0, 0.6])
def test_rtmpose_sees_a_spot_where_it_was_painted(tmp_path: Path, count: int, angle: float):
    network = load_landmarker("rtmpose", tiny_rtmpose(tmp_path / "tiny.onnx", count), threads=1)
    place = np.array([301.3, 197.8])
    roi = Roi(centre=np.array([320.0, 210.0]), side=160.0, angle=angle)
    found = network.landmarks(blob(place, 8.0), roi)
    assert not found.metric and found.presence == 1.0
    seen = found.keypoints_px[found.keypoint_conf > 0]
    assert np.abs(seen - place).max() < 0.25  # a tenth of a pixel of the crop
    assert (found.hands_px is not None) == (found.face_px is not None) == (count == 133)


def test_nobody_in_the_dark(tmp_path: Path):
    network = load_landmarker("rtmpose", tiny_rtmpose(tmp_path / "tiny.onnx", 17), threads=1)
    roi = Roi(centre=np.array([320.0, 210.0]), side=160.0, angle=0.0)
    assert network.landmarks(np.zeros((480, 640, 3), np.uint8), roi).presence == 0


@pytest.mark.parametrize("num_experts", [1, 3])
def test_vitpose_reads_the_heatmaps_of_its_network(tmp_path: Path, num_experts: int):
    import torch

    network = load_landmarker("vitpose", tiny_vitpose(tmp_path, num_experts=num_experts))
    roi = Roi(centre=np.array([320.0, 210.0]), side=160.0, angle=0.0)
    maps = torch.zeros(1, 17, 16, 12)
    for k in range(17):
        maps[0, k] = 0.9 * torch.exp(
            -((torch.arange(16)[:, None] - 7.25) ** 2 + (torch.arange(12) - 3.5 - k / 10) ** 2) / 8
        )
    image = blob(np.array([300.0, 200.0]), 8.0)
    random = network.landmarks(image, roi)  # the real network runs, on the crop
    assert np.isfinite(random.keypoints_px).all()

    network._network.head.forward = lambda *_args, **_options: maps  # type: ignore[attr-defined]
    found = network.landmarks(image, roi)
    scale = 160 / HEIGHT
    expected = (
        320 + ((3.5 * 47 / 11 + 0.5) - WIDTH / 2) * scale,
        210 + (7.25 * 63 / 15 + 0.5 - HEIGHT / 2) * scale,
    )
    np.testing.assert_allclose(found.keypoints_px[0], expected, atol=1e-3)
    assert 0.85 < found.presence <= 0.9


@pytest.mark.parametrize(
    ("name", "model", "says"),
    [
        ("rtmpose", None, "expected the network of rtmpose, got none"),
        ("vitpose", None, "expected the network of vitpose, got none"),
        ("blazepose-heavy", "x.onnx", "expected none, got x.onnx"),
        ("rtmpose", "absent.onnx", "absent.onnx, which is no file"),
        ("vitpose", "absent", "no config.json"),
        ("openpose", None, "expected --keypoints to be one of"),
    ],
)
def test_wrong_choices_are_refused_before_any_work(name: str, model: str | None, says: str):
    with pytest.raises(InputError, match=says):
        check_landmarker(name, Path(model) if model else None)


@pytest.mark.parametrize(
    ("name", "package"), [("rtmpose", "onnxruntime"), ("vitpose", "transformers")]
)
def test_missing_package_names_the_extra(
    name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=rf"recon3d\[{name}\]"):
        check_landmarker(name, tmp_path)


def test_other_files_are_one_clear_error(tmp_path: Path):
    (tmp_path / "text.onnx").write_text("no network")
    three = tiny_rtmpose(tmp_path / "rtmw3d.onnx", 133, outputs=3)
    hand = tiny_rtmpose(tmp_path / "hand.onnx", 21)
    for path, says in ((tmp_path / "text.onnx", "RTMPose"), (three, "outputs"), (hand, "got 21")):
        with pytest.raises(InputError, match=says):
            load_landmarker("rtmpose", path)


def test_another_network_in_the_folder_is_refused(tmp_path: Path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(InputError, match="type bert"):
        load_landmarker("vitpose", tmp_path)


def test_a_body_is_fitted_to_2d_keypoints_alone():
    """Where landmarks are a guess, they must not be taken for evidence."""
    from tests.body.test_fit import INTRINSICS, moving_body, track_of

    model = load_body_model("anny")
    times = np.arange(20) / 30
    truth = moving_body(model, times, model.param_spec.mean)
    track = track_of(model, truth, noise_px=1.0)
    rng = np.random.default_rng(0)
    wrong = track.landmarks + rng.normal(0, 0.05, track.landmarks.shape)
    bent = wrong * [1.0, 1.0, 0.3]
    motion = fit_track(replace(track, landmarks=bent, metric=False), times, INTRINSICS, model)
    assert np.median(motion.reprojection_px) < 3
    seen = fit_track(replace(track, landmarks=bent, metric=True), times, INTRINSICS, model)
    assert np.median(motion.reprojection_px) < np.median(seen.reprojection_px)


def test_threads_are_those_asked_for_or_the_cores_that_this_process_may_use():
    assert thread_count(3) == 3
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("this system does not tell which cores a process may use")
    mine = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(mine)})
        assert thread_count(0) == 1
    finally:
        os.sched_setaffinity(0, mine)


def test_a_scene_says_that_its_keypoints_were_2d_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Flat(World):
        def landmarks(self, image: np.ndarray, roi: Roi) -> Landmarks:
            return replace(super().landmarks(image, roi), metric=False)

    for kind, metric in ((World, True), (Flat, False)):
        world = kind([Actor(RED, walk(100, 30))], 1)
        monkeypatch.setattr("body.people.load_backend", lambda *_, w=world: lambda threads: w)
        monkeypatch.setattr("body.people.load_landmarker", lambda *_, threads, w=world: w)
        scene = Scene.create(tmp_path / kind.__name__)
        report = run(scene, PeopleConfig(), frames=world)
        (track,) = load_items(scene.path / "tracking.npz", PersonTrack)
        assert track.metric is metric
        assert report.backend == "ssd + blazepose-heavy (Apache-2.0)"
        assert LICENCES.keys() == LANDMARKERS.keys()
        assert ("depth and masks" in [d.name for d in report.decisions]) is not metric
