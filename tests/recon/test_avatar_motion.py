"""A refined motion: where it changes the scene's, how it stands, and when it is used."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recon.avatar_motion import in_refined_motion, motion_file, save_motion
from recon.core.people import FOOT_POINTS
from recon.core.scene import Scene
from recon.core.skeletons import CANONICAL_JOINTS
from recon.export.motion import ExportPerson, export_people
from recon.performers import scene_performers
from recon.runner import Silent
from splatting.avatars.motion import RefinedMotion
from tests.recon.avatars import add_avatars
from tests.recon.test_splat import call
from tests.synthetic import make_scene

FRAMES = 60
LEGS = [CANONICAL_JOINTS.index(f"{side}_{part}") for side in ("left", "right")
        for part in ("knee", "ankle", "foot")]  # fmt: skip
SEEN = np.arange(10, 31, 2)
"""Frames with pictures: the others between them are refined too, the last seconds are not."""


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return make_scene(tmp_path / "scene", num_frames=FRAMES, size=(64, 48))


def person_of(scene: Scene) -> ExportPerson:
    """Somebody with one foot in contact at a time, who walks."""
    (person,) = export_people(scene)
    contacts = np.zeros((FRAMES, len(FOOT_POINTS)))
    for start in range(0, FRAMES, 12):
        contacts[start : start + 12, :2] = start % 24 == 0
        contacts[start : start + 12, 2:] = start % 24 != 0
    return replace(person, motion=replace(person.motion, contacts=contacts))


def corrections(person: ExportPerson, *, seed: int = 0) -> RefinedMotion:
    """Of every picture another: 1 degree a joint, 5 mm and, alike in all, 4 cm sideways."""
    motion = RefinedMotion(person.motion.poses_world, turn_rate=0, shift_rate=0)
    motion.turns = torch.nn.Embedding(len(SEEN), motion.turns.embedding_dim)
    motion.shifts = torch.nn.Embedding(len(SEEN), 3)
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        motion.turns.weight[:] = torch.tensor(rng.normal(0, 0.017, motion.turns.weight.shape))
        motion.shifts.weight[:] = torch.tensor(rng.normal([0, 0.04, 0], 0.005, (len(SEEN), 3)))
    motion.root = motion.root[: len(SEEN)]
    return motion


def test_frames_far_from_any_picture_stay_and_nothing_jumps_on_the_way(scene: Scene) -> None:
    person = person_of(scene)
    after = in_refined_motion(person, corrections(person), SEEN).motion
    moved = after.joints_world - person.motion.joints_world
    length = np.linalg.norm(moved, axis=-1)
    assert length[SEEN].mean() > 0.03
    upper = [j for j in range(52) if j not in LEGS]
    assert length[51:, upper].max() < 1e-4, "0.7 s after the last picture"
    assert length[52:].max() < 1e-4, "and after the contact in which it was over"
    steps = np.linalg.norm(np.diff(moved[SEEN[-1] + 1 :], axis=0), axis=-1)
    assert steps[:, upper].max() < 0.012 and steps.max() < 0.03, "metres a frame"


def test_feet_stand_as_in_the_scene_but_for_one_step_a_contact(scene: Scene) -> None:
    person = person_of(scene)
    free = in_refined_motion(
        replace(person, motion=replace(person.motion, contacts=np.zeros((FRAMES, 4)))),
        corrections(person), SEEN,
    ).motion  # fmt: skip
    after = in_refined_motion(person, corrections(person), SEEN).motion
    on = person.motion.contacts > 0.5
    whole = on[1:] & on[:-1]

    def shift(feet: np.ndarray) -> np.ndarray:
        return feet - person.motion.feet_world

    drift = np.linalg.norm(np.diff(shift(after.feet_world), axis=0), axis=-1)[whole]
    loose = np.linalg.norm(np.diff(shift(free.feet_world), axis=0), axis=-1)[whole]
    assert drift.mean() < 0.1 * loose.mean() and np.quantile(drift, 0.9) < 2e-3
    height = np.abs(shift(after.feet_world)[..., 2][on])
    assert np.median(height) < 1e-3 and np.quantile(height, 0.9) < 5e-3
    level = np.linalg.norm(shift(after.feet_world)[SEEN, :, :2][on[SEEN]], axis=-1)
    assert level.mean() > 0.02, "it goes along with the person"


def test_what_its_file_holds_is_what_avatars_do(scene: Scene, tmp_path: Path) -> None:
    add_avatars(scene)
    person = person_of(scene)
    after = in_refined_motion(person, corrections(person), SEEN)
    file = motion_file(scene.path / "avatars", 1)
    save_motion(file, after, scene)
    with np.load(file) as data:
        assert data["track_id"] == 1 and "metres" in json.loads(str(data["conventions"]))["units"]
        np.testing.assert_array_equal(data["frame_idx"], after.motion.frame_idx)
        np.testing.assert_array_equal(data["root_world"], after.motion.poses_world.root)
    (shown,) = scene_performers(scene)
    np.testing.assert_array_equal(shown.times, person.times)
    np.testing.assert_array_equal(shown.clip.poses.root, after.motion.poses_world.root)
    np.testing.assert_array_equal(shown.clip.poses.rotations, after.motion.poses_world.rotations)
    out = tmp_path / "own.npz"
    assert call(["animate", scene.path, scene.path, "-o", out]) == 0
    with np.load(out) as data:
        np.testing.assert_array_equal(data["root_world"], after.motion.poses_world.root)
        assert np.abs(data["feet_world"] - after.motion.feet_world).max() < 0.1


def test_a_motion_of_another_run_is_left_out_and_told(scene: Scene) -> None:
    add_avatars(scene)
    person = person_of(scene)
    file = motion_file(scene.path / "avatars", 1)
    save_motion(file, in_refined_motion(person, corrections(person), SEEN), scene)
    scene.manifest["stages"]["world"]["output"] = "of another run"
    told: list[str] = []

    class Notes(Silent):
        def note(self, text: str) -> None:
            told.append(text)

    (shown,) = scene_performers(scene, watcher=Notes())
    np.testing.assert_array_equal(shown.clip.poses.root, person.motion.poses_world.root)
    (line,) = told
    assert "another run" in line and "recon avatar" in line


def test_a_damaged_motion_is_refused_in_one_line(
    scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_avatars(scene)
    motion_file(scene.path / "avatars", 1).write_bytes(b"nonsense")
    assert call(["compose", scene.path, "--no-background", "-o", tmp_path / "out.mp4"]) == 2
    err = capsys.readouterr().err
    assert "person_1_motion.npz" in err and "Traceback" not in err
    assert not (tmp_path / "out.mp4").exists()
