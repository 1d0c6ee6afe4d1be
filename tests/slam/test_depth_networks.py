"""Metric depth networks: reading them, their refusals, and the scale that follows from them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from body.world import WorldConfig, person_evidence, run
from recon.core.camera import CameraTrajectory, Intrinsics
from recon.core.depth import KeyframeDepth
from recon.core.errors import InputError, MissingDependencyError
from recon.core.geometry import Array
from recon.core.scene import Scene
from recon.core.video import Frame, VideoInfo
from slam.depth_networks import (
    TransformersDepth,
    depth_evidence,
    frames_to_look_at,
    metric_depth,
)
from slam.depth_scale import DepthEvidence, MetricDepth, network_scale
from slam.ground import place_world
from tests.synthetic import make_scene
from tests.walking_world import WalkingWorld, walking_world

W, H = 320, 180
SCALE = 2.5


class FakeNetwork:
    """Says that depth is 2 m on the left, 6 m on the right, 79 m in the sky above."""

    name = "fake"
    max_depth = 80.0

    def depth(self, image: np.ndarray) -> Array:
        out = np.full((45, 80), 2.0)
        out[:, 40:] = 6.0
        out[:10] = 79.0
        return out


def frames(count: int) -> Iterator[Frame]:
    for i in range(count):
        yield Frame(index=i, time=i / 30, image=np.zeros((H, W, 3), np.uint8))


def nobody(_frame: int, _height: int, _width: int) -> None:
    return None


def left_edge(_frame: int, height: int, width: int) -> np.ndarray:
    out = np.zeros((height, width), bool)
    out[:, : width // 4] = True
    return out


def trajectory(num: int, points: Array | None = None) -> CameraTrajectory:
    points = np.zeros((0, 3)) if points is None else points
    return CameraTrajectory(
        kind="moving",
        backend="synthetic",
        intrinsics=Intrinsics(fx=300, fy=300, cx=W / 2, cy=H / 2, width=W, height=H),
        Ts_slam_camera=np.tile(np.eye(4), (num, 1, 1)),
        tracked=np.ones(num, bool),
        points_slam=points,
        point_colors=np.zeros((len(points), 3), np.uint8),
    )


def slam_depth(num: int) -> KeyframeDepth:
    """What the fake network sees, in slam units; the sky is measured as near, which is wrong."""
    z = np.full((9, 16), 2.0 / SCALE)
    z[:, 8:] = 6.0 / SCALE
    z[:2] = 0.1
    return KeyframeDepth(
        frame_idx=np.arange(num),
        inverse_depth=np.tile(1 / z, (num, 1, 1)).astype(np.float16),
        weights=np.ones((num, 9, 16), np.float16),
    )


def test_a_network_is_sampled_where_it_can_be_trusted() -> None:
    found = metric_depth(FakeNetwork(), frames(4), np.array([1, 3]), masks=left_edge)
    assert found.frame_idx.tolist() == [1, 3]
    h, w = found.depth.shape[1:]
    assert h / w == pytest.approx(H / W, rel=0.02)
    assert found.depth[0, h // 2, w // 3] == 2.0
    assert found.depth[0, h // 2, w // 2 + 2] == 6.0
    assert not found.valid[:, : h // 5].any()  # sky
    assert not found.valid[:, :, : w // 4].any()  # people
    assert found.valid[:, h // 2, w // 3 :].all()


def test_dense_depth_and_a_network_give_the_scale() -> None:
    found = metric_depth(FakeNetwork(), frames(3), np.arange(3), masks=nobody)
    scale = network_scale(found, trajectory(3), [], slam_depth(3))
    assert scale is not None
    assert scale.scale == pytest.approx(SCALE, rel=0.005)
    assert 0.08 < scale.log_std < 0.15


def test_wrong_pixels_and_a_wrong_frame_do_not_pull_the_scale() -> None:
    found = metric_depth(FakeNetwork(), frames(5), np.arange(5), masks=nobody)
    depth = found.depth.copy()
    depth[:, 80:, :50] *= 3  # a corner
    depth[4] *= 2
    scale = network_scale(replace(found, depth=depth), trajectory(5), [], slam_depth(5))
    assert scale is not None
    assert scale.scale == pytest.approx(SCALE, rel=0.03)


def test_sparse_points_do_where_there_is_no_dense_depth() -> None:
    rng = np.random.default_rng(0)
    px, z = rng.uniform([0, 50], [W, H], (400, 2)), np.zeros(400)
    z[:] = np.where(px[:, 0] < W / 2, 2.0, 6.0) / SCALE
    points = trajectory(1).intrinsics.unproject(px, z)
    found = metric_depth(FakeNetwork(), frames(1), np.arange(1), masks=nobody)
    scale = network_scale(found, trajectory(1, points), [], None)
    assert scale is not None
    assert scale.scale == pytest.approx(SCALE, rel=0.01)
    assert network_scale(found, trajectory(1, points[:20]), [], None) is None


def network_of(world: WalkingWorld, bias: float, *, stature_known: bool) -> MetricDepth:
    """A network whose every depth is `bias` times too large, before a flat wall 9 m away."""
    frame_idx = np.arange(0, len(world.times), 40)
    depth = np.full((len(frame_idx), 90, 160), 9.0)
    joints = person_evidence(world.motion, world.rig).joints_camera
    pelvis = joints[frame_idx, 0]
    px = world.camera.intrinsics.project(joints[frame_idx]) / 8
    for k in range(len(frame_idx)):
        x0, y0, x1, y1 = (*px[k].min(axis=0).astype(int), *px[k].max(axis=0).astype(int) + 1)
        depth[k, max(y0, 0) : y1, max(x0, 0) : x1] = pelvis[k, 2] - 0.1
    return MetricDepth(
        frame_idx=frame_idx, depth=bias * depth, valid=depth == 9.0, source="biased",
        stature_known=stature_known,
    )  # fmt: skip


def wall_depth(world: WalkingWorld, frame_idx: np.ndarray) -> KeyframeDepth:
    shape = (len(frame_idx), 45, 80)
    return KeyframeDepth(
        frame_idx=frame_idx,
        inverse_depth=np.full(shape, world.scale / 9.0, np.float16),
        weights=np.ones(shape, np.float16),
    )


def test_a_known_stature_corrects_the_network() -> None:
    world = walking_world("side", noise=0, seconds=4)
    people = [person_evidence(world.motion, world.rig)]
    for known, expected in ((False, 1.3), (True, 1.0)):
        network = network_of(world, 1.3, stature_known=known)
        slam = wall_depth(world, network.frame_idx)
        scale = network_scale(network, world.camera, people, slam)
        assert scale is not None
        assert scale.scale == pytest.approx(expected * world.scale, rel=0.03)


def test_a_network_that_contradicts_the_feet_is_left_out_and_said() -> None:
    world = walking_world("side", noise=0.5, seconds=5)
    network = network_of(world, 3.0, stature_known=False)
    depth = DepthEvidence(keyframes=wall_depth(world, network.frame_idx), network=network)
    people = [person_evidence(world.motion, world.rig)]
    placement, report = place_world(world.camera, people, world.times, depth=depth)
    assert placement.scale == pytest.approx(world.scale, rel=0.05)
    used = {s["source"]: s["used"] for s in report.numbers["scales"]}
    assert used["standing feet"]
    assert not used["depth network biased"]
    assert any("biased" in w for w in report.warnings)


def test_a_scene_with_a_network_keeps_every_estimate(tmp_path: Path) -> None:
    """From the files of a scene to the record of its world stage, with a network given as such."""
    scene = make_scene(tmp_path, camera="moving", num_frames=45)
    placement = scene.placement
    scene.save("depth.npz", [floor_depth(scene)])
    none = depth_evidence(scene, NoFrames(scene.video), None)
    assert none.network is None
    assert none.keyframes is not None
    height, width = none.keyframes.inverse_depth.shape[1:]
    metric = MetricDepth(
        frame_idx=none.keyframes.frame_idx,
        depth=placement.scale / none.keyframes.inverse_depth.astype(float).clip(1e-3),
        valid=np.ones((len(none.keyframes.frame_idx), height, width), bool),
        source="perfect",
    )
    place = partial(place_world, depth=replace(none, network=metric))
    report = run(scene, WorldConfig(), place=place)
    found = {s["source"]: s for s in report.numbers["scales"]}
    assert {"standing feet", "depth network perfect"} <= set(found)
    assert found["depth network perfect"]["scale"] == pytest.approx(placement.scale, rel=0.02)
    assert all(s["used"] for s in found.values())


class NoFrames:
    """A clip that must not be read."""

    def __init__(self, info: VideoInfo) -> None:
        self.info = info

    def __iter__(self) -> Iterator[Frame]:
        raise AssertionError("no network was asked for, so no frame is needed")


def floor_depth(scene: Scene) -> KeyframeDepth:
    """Exact depth of the empty floor in three keyframes; nothing is measured above it."""
    frame_idx = np.array([0, 20, 40])
    K, placement = scene.camera.intrinsics, scene.placement
    y, x = np.mgrid[:18, :24]
    px = np.stack([(x + 0.5) / 24 * K.width, (y + 0.5) / 18 * K.height], axis=-1)
    Ts = placement.Ts_world_camera[frame_idx]
    rays = np.einsum("kij,hwj->khwi", Ts[:, :3, :3], K.unproject(px, np.ones(px.shape[:2])))
    inverse = np.maximum(-rays[..., 2], 0) / Ts[:, 2, 3, None, None] * placement.scale
    return KeyframeDepth(
        frame_idx=frame_idx,
        inverse_depth=inverse.astype(np.float16),
        weights=(inverse > 0.1).astype(np.float16),
    )


def test_looks_at_few_frames() -> None:
    assert len(frames_to_look_at(3000, None)) == 12
    assert frames_to_look_at(3, None).tolist() == [0, 1, 2]
    assert set(frames_to_look_at(90, slam_depth(5))) <= set(range(5))


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingDependencyError, match=r"recon3d\[depth\]"):
        TransformersDepth("anything")


def test_weights_that_are_not_there_are_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers", reason="needs the extra 'depth'")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for model in (str(tmp_path), str(tmp_path / "absent"), "nobody/no-such-depth"):
        with pytest.raises(InputError, match="--depth-model: expected a folder") as error:
            TransformersDepth(model)
        assert "\n" not in str(error.value)
        assert model in str(error.value)


def test_a_tiny_depth_anything_answers_in_its_range_and_covers_the_picture(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="needs the extra 'depth'")
    backbone = transformers.Dinov2Config(
        image_size=70, patch_size=14, hidden_size=32, num_hidden_layers=4, num_attention_heads=2,
        out_indices=[1, 2, 3, 4], reshape_hidden_states=False,
    )  # fmt: skip
    sizes = {
        "backbone_config": backbone, "reassemble_hidden_size": 32, "max_depth": 20,
        "neck_hidden_sizes": [8, 8, 16, 16], "fusion_hidden_size": 8, "head_hidden_size": 8,
    }  # fmt: skip
    save(
        transformers.DepthAnythingForDepthEstimation(
            transformers.DepthAnythingConfig(**sizes, depth_estimation_type="metric")
        ),
        tmp_path / "metric", kind="DPTImageProcessor", size=70, multiple=14,
    )  # fmt: skip
    network = TransformersDepth(str(tmp_path / "metric"))
    assert network.max_depth == 20
    depth = network.depth(np.full((90, 160, 3), 128, np.uint8))
    assert depth.shape == (70, 126)  # the shorter side is the network's, the shape the picture's
    assert ((depth >= 0) & (depth <= 20)).all()
    relative = transformers.DepthAnythingConfig(**sizes, depth_estimation_type="relative")
    relative.save_pretrained(tmp_path / "relative")
    with pytest.raises(InputError, match=r"got .*relative depth_anything"):
        TransformersDepth(str(tmp_path / "relative"))


def test_a_tiny_zoedepth_answers_in_its_range(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="needs the extra 'depth'")
    backbone = transformers.BeitConfig(
        image_size=64, hidden_size=32, num_hidden_layers=4, num_attention_heads=2,
        intermediate_size=64, out_features=["stage1", "stage2", "stage3", "stage4"],
        reshape_hidden_states=False, use_relative_position_bias=True,
    )  # fmt: skip
    config = transformers.ZoeDepthConfig(
        backbone_config=backbone, neck_hidden_sizes=[8, 8, 16, 16], fusion_hidden_size=8,
        bottleneck_features=8, num_attractors=[4, 2, 2, 1], bin_embedding_dim=8,
        num_relative_features=4,
        bin_configurations=[{"name": "nyu", "n_bins": 8, "min_depth": 0.001, "max_depth": 10.0}],
    )  # fmt: skip
    model = transformers.ZoeDepthForDepthEstimation(config)
    save(model, tmp_path, kind="ZoeDepthImageProcessor", size=64, multiple=32)
    network = TransformersDepth(str(tmp_path))
    assert network.max_depth == 10
    depth = network.depth(np.full((64, 96, 3), 128, np.uint8))
    assert depth.shape == (64, 96)
    assert (depth > 0).all()


def save(model: object, folder: Path, *, kind: str, size: int, multiple: int) -> None:
    """A checkpoint as the hub has it: weights, config and the picture's preparation."""
    import json

    model.save_pretrained(folder)  # type: ignore[attr-defined]
    settings = {
        "image_processor_type": kind, "do_resize": True, "size": {"height": size, "width": size},
        "keep_aspect_ratio": True, "ensure_multiple_of": multiple, "do_rescale": True,
        "do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
