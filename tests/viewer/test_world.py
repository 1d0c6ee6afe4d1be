"""What a viewer draws: paths of people and cameras."""

import dataclasses

import numpy as np

from tests.synthetic import make_scene
from viewer.world import World


def test_paths_join_frames_but_not_shots(tmp_path):
    scene = make_scene(tmp_path / "s", num_people=2, num_frames=24, camera="moving")
    whole = World.from_scene(scene)
    cut = dataclasses.replace(scene.camera, shot_starts=np.array([0, 9]))
    scene.save("camera.npz", [cut])
    world = World.from_scene(scene)
    centers = world.Ts_world_camera[:, :3, 3]
    np.testing.assert_array_equal(whole.camera_path(), (centers[:-1], centers[1:]))
    starts, ends = world.camera_path()
    np.testing.assert_array_equal(starts, np.delete(centers[:-1], 8, axis=0))
    np.testing.assert_array_equal(ends, np.delete(centers[1:], 8, axis=0))
    for person in world.people:
        idx, path = person.motion.frame_idx, person.motion.joints_world[:, 0]
        kept = np.flatnonzero(idx[1:] != 9)
        for points, frames in zip(world.person_path(person), (kept, kept + 1), strict=True):
            np.testing.assert_allclose(points[:, :2], path[frames, :2])
