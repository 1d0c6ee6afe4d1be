"""The plan of the world: right places, right scale, and trails that grow with time."""

from dataclasses import replace

import av
import numpy as np
import pytest

from recon.core.errors import StaleSceneError
from recon.core.palette import person_color
from recon.export.overlay import open_frames
from recon.export.topview import PlanPainter, write_topview
from tests.synthetic import make_scene

SIZE = (400, 400)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("topview")
    return make_scene(
        folder / "scene", num_people=2, num_frames=24, camera="moving", video_path=folder / "v.mp4"
    )


def colored(image, track_id, tolerance=40):
    difference = np.abs(image.astype(int) - person_color(track_id)).sum(axis=2)
    return difference < tolerance


def test_the_plan_has_equal_axes_with_y_up(scene):
    plan = PlanPainter(scene, SIZE)
    origin, east, north = plan.to_px(np.array([[0.0, 0], [1, 0], [0, 1]]))
    assert (east - origin)[1] == (north - origin)[0] == 0
    assert (east - origin)[0] == pytest.approx((origin - north)[1])
    assert (east - origin)[0] > 20


def test_everybody_and_the_camera_fit_on_the_plan(scene):
    plan = PlanPainter(scene, SIZE)
    points = [scene.placement.Ts_world_camera[:, :3, 3]]
    points += [m.joints_world[:, 0] for m in scene.world_motions]
    px = plan.to_px(np.concatenate(points))
    assert px.min() > 20 and (px.max(axis=0) < np.array(SIZE) - 20).all()


def test_each_person_stands_at_the_pelvis(scene):
    plan = PlanPainter(scene, SIZE)
    image = plan.draw(12)
    for motion in scene.world_motions:
        row = int(12 - motion.frame_idx[0])
        x, y = plan.to_px(motion.joints_world[row, 0]).astype(int)
        assert colored(image, motion.track_id)[y - 2 : y + 3, x - 2 : x + 3].all()


def test_trails_grow_and_do_not_depend_on_how_the_frames_were_reached(scene):
    plan = PlanPainter(scene, SIZE)
    early, late = plan.draw(2), plan.draw(20)
    assert colored(late, 1).sum() > colored(early, 1).sum() + 20
    direct = PlanPainter(scene, SIZE).draw(20)
    assert (late == direct).all()


def test_no_line_joins_the_worlds_of_two_shots(tmp_path):
    scene = make_scene(tmp_path / "s", num_frames=24, camera="moving")
    camera, placement, motion = scene.camera, scene.placement, scene.world_motions[0]
    far = 40.0 * (np.arange(24) >= 9)[:, None] * [1, 0, 0]
    Ts = placement.Ts_world_camera.copy()
    Ts[:, :3, 3] += far
    scene.save("placement.npz", [replace(placement, Ts_world_camera=Ts)])
    scene.save("world.npz", [replace(motion, joints_world=motion.joints_world + far[:, None])])
    scene.save("camera.npz", [replace(camera, shot_starts=np.array([0, 9]))])
    plan = PlanPainter(scene, SIZE)
    apart = plan.draw(23).astype(int)
    scene.save("camera.npz", [camera])
    joined = PlanPainter(scene, SIZE).draw(23).astype(int)
    ways = plan.to_px(np.stack([motion.joints_world[8, 0, :2], Ts[8, :2, 3]]))[:, 1]
    first, last = plan.to_px(np.array([[15.0, 0], [30.0, 0]]))[:, 0].astype(int)
    for y in np.round(ways).astype(int):
        rows = slice(y - 6, y + 7)
        drawn = np.abs(joined - apart)[rows, first:last].sum(axis=2) > 100
        assert drawn.any(axis=0).mean() > 0.9
    assert not colored(apart, 1)[:, first:last].any()


def test_a_footprint_is_left_where_a_foot_came_down(scene):
    motion = scene.world_motions[0]
    down = int(np.flatnonzero((motion.contacts[1:, 2] > 0.5) & (motion.contacts[:-1, 2] <= 0.5))[0])
    row = down + 1
    assert row < 23
    plan = PlanPainter(scene, SIZE)
    x, y = plan.to_px(motion.feet_world[row, 2:].mean(axis=0)).astype(int)
    before = plan.draw(row - 1)[y - 1 : y + 2, x - 1 : x + 2].astype(int)
    after = plan.draw(23)[y - 1 : y + 2, x - 1 : x + 2].astype(int)
    assert np.abs(before - after).sum(axis=2).max() > 100


def test_the_video_shows_both_sides_with_all_frames(scene, tmp_path):
    write_topview(scene, open_frames(scene), tmp_path / "t.mp4")
    with av.open(str(tmp_path / "t.mp4")) as container:
        frames = [(float(f.time), f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    assert [t for t, _ in frames] == pytest.approx(scene.video.times, abs=1e-3)
    image = frames[10][1]
    assert image.shape == (360, 320 + 360, 3)  # a small video is centred beside a 360 px plan
    assert (image[:50, :300] < 40).all()
    assert np.median(image[:, 330:]) > 235


def test_a_scene_without_people_still_has_a_plan(tmp_path):
    scene = make_scene(tmp_path / "s", num_people=0, num_frames=3)
    assert PlanPainter(scene, SIZE).draw(2).shape == (400, 400, 3)


def test_without_the_world_stage_it_says_so(tmp_path):
    scene = make_scene(tmp_path / "s", num_frames=3)
    scene.forget("world")
    with pytest.raises(StaleSceneError, match="'world'"):
        PlanPainter(scene, SIZE)


def test_a_far_away_walk_is_drawn_as_the_same_walk_nearby(tmp_path):
    scene = make_scene(tmp_path / "s", num_frames=5)
    near = PlanPainter(scene, SIZE).to_px(scene.world_motions[0].joints_world[:, 0])
    shift = np.array([1e4, -2e4, 0])
    placement = scene.placement
    Ts = placement.Ts_world_camera.copy()
    Ts[:, :3, 3] += shift
    scene.save("placement.npz", [replace(placement, Ts_world_camera=Ts)])
    moved = [replace(m, joints_world=m.joints_world + shift) for m in scene.world_motions]
    scene.save("world.npz", moved)
    far = PlanPainter(scene, SIZE)
    assert far.to_px(moved[0].joints_world[:, 0]) == pytest.approx(near, abs=1e-6)
