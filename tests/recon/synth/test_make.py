"""A rendered world: its pictures, depth and masks show what its truth says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recon.core.errors import InputError
from recon.core.geometry import transform_points
from recon.core.scene import Scene
from recon.synth import WorldSpec, make_world, read_depth, read_masks, stage_world
from recon.synth.render import Renderer
from recon.video import VideoReader

SPEC = WorldSpec(
    seed=4, camera="orbiting", people=2, frames=6, fps=25, size=(320, 180), actions=("walk", "sit")
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_world(SPEC, tmp_path_factory.mktemp("synth") / "world")


def test_the_video_has_the_frames_that_were_asked_for(scene: Scene) -> None:
    reader = VideoReader.open(scene.path / "video.mp4")
    assert (reader.info.width, reader.info.height) == SPEC.size
    np.testing.assert_allclose(reader.info.times, scene.video.times, atol=1e-4)
    assert reader.info.sha256 == scene.video.sha256
    frames = [f.image.astype(float) for f in reader]
    assert len(frames) == SPEC.frames
    assert all(40 < f.mean() < 215 and f.std() > 20 for f in frames)


def test_every_stage_of_the_truth_can_be_read(scene: Scene) -> None:
    again = Scene.open(scene.path)
    assert len(again.tracks) == len(again.camera_motions) == len(again.rigs) == 2
    assert [m.track_id for m in again.world_motions] == [1, 2]
    assert all(again.is_current(stage) for stage in ("people", "camera", "body", "world"))
    made = json.loads((scene.path / "synth.json").read_text())
    assert [p["action"] for p in made["people"]] == ["walk", "sit"]
    props = json.loads((scene.path / "floor.json").read_text())["props"]
    assert {(p["person"], p["kind"]) for p in props} == {(2, "chair")}


def test_depth_of_the_floor_lies_in_the_floor(scene: Scene) -> None:
    """Where the ray through a pixel of the lower border meets z = 0, unless something stands."""
    k, placement = scene.camera.intrinsics, scene.placement
    depth, people = read_depth(scene.path, 3), read_masks(scene.path, 3)
    rows, columns = np.mgrid[150:180:5, 0:320:20]
    pixels = np.stack([columns + 0.5, rows + 0.5], axis=-1)
    points = k.unproject(pixels, depth[rows, columns].astype(float)).reshape(-1, 3)
    height = transform_points(placement.Ts_world_camera[3], points)[:, 2].reshape(rows.shape)
    free = people[rows, columns] == 0
    assert np.median(np.abs(height[free])) < 0.004


def test_masks_and_depth_show_the_people_where_they_are(scene: Scene) -> None:
    k, shares = scene.camera.intrinsics, []
    for track, motion in zip(scene.tracks, scene.camera_motions, strict=True):
        masks, depth = read_masks(scene.path, 2), read_depth(scene.path, 2)
        row = int(np.flatnonzero(track.frame_idx == 2)[0])
        shown = masks == track.track_id
        ys, xs = np.nonzero(shown)
        box = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        np.testing.assert_allclose(track.boxes[row], box, atol=1e-9)
        crop = track.masks.render(row, height=180, width=320)
        assert (crop & shown).sum() / (crop | shown).sum() > 0.9
        joints = motion.joints_camera[2][[0, 3, 6, 9]]
        px = np.floor(k.project(joints)).astype(int)
        on = masks[px[:, 1], px[:, 0]] == track.track_id
        inside = joints[:, 2] - depth[px[:, 1], px[:, 0]]
        shares.append(on.mean())
        assert inside.min() > -0.02  # what is seen there is the body's surface, or before it
        assert (inside[on] < 0.3).all()
    assert max(shares) > 0.5


def test_a_frame_depends_on_nothing_but_the_seed() -> None:
    """Neither on chance nor on the frames that were drawn before it."""
    world = stage_world(replace(SPEC, size=(128, 72), people=1))
    one, other = Renderer(world), Renderer(world)
    one.frame(0)
    np.testing.assert_array_equal(one.frame(5).image, other.frame(5).image)


def test_a_truth_without_pictures(tmp_path: Path) -> None:
    spec = replace(SPEC, people=1, actions=("walk",))
    scene = make_world(spec, tmp_path / "w", pixels=False)
    assert not (scene.path / "video.mp4").exists()
    assert len(scene.world_motions) == 1
    with pytest.raises(InputError, match="depth"):
        read_depth(scene.path, 0)


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="empty folder"):
        make_world(SPEC, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_an_unknown_action_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--action"):
        make_world(replace(SPEC, actions=("fly",)), tmp_path / "w")
    assert not (tmp_path / "w").exists()
