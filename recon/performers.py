"""Avatars that move: whose motion, on whose body, at which moment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recon.avatar_motion import motion_file, refines
from recon.core.errors import InputError
from recon.core.geometry import Array, make_transform
from recon.core.rig import Rig
from recon.core.scene import Scene
from recon.core.skeletons import CANONICAL_JOINTS
from recon.motion.clip import MotionClip
from recon.motion.sources import find_motion
from recon.runner import Silent, Watcher

if TYPE_CHECKING:
    from splatting.avatars.avatar import Avatar
    from splatting.gaussians import Gaussians
    from splatting.people_paths import Subject

AVATARS = "avatars"
_FEET = tuple(
    (CANONICAL_JOINTS.index(f"{side}_ankle"), CANONICAL_JOINTS.index(f"{side}_foot"))
    for side in ("left", "right")
)
_HEAD, _NECK = CANONICAL_JOINTS.index("head"), CANONICAL_JOINTS.index("neck")
_CROWN = 1.6
"""From the head's joint to the crown, in lengths of the neck."""
_OTHER_BODY = 0.02
"""Metres by which an avatar's joints may differ from the scene's own body."""
_ENDS = (0.01, 0.99)
"""Quantiles of a foot's Gaussians where it ends below, behind and ahead: some float off it."""
_SOLE = (0.07, 0.91)
"""Where along a foot the body models' heels and toes touch the floor."""


@dataclass(frozen=True, kw_only=True)
class Performer:
    """An avatar and the motion that it makes, at M moments.

    Args:
        rows: (M,) int into the clip's frames: time may stand still. present: (M,) bool, False
            where the person is not there.
    """

    avatar: Avatar
    clip: MotionClip
    rows: np.ndarray
    present: np.ndarray

    @property
    def times(self) -> Array:
        """(M,) seconds."""
        return self.clip.times[self.rows]

    def gaussians(self, moment: int) -> Gaussians | None:
        """The avatar at a moment, in the world; None where the person is not there."""
        if not self.present[moment]:
            return None
        return self.avatar.posed(self.clip.poses, int(self.rows[moment]))

    def at(self, times: Array) -> Performer:
        """The same at other times (M,), which may not go back; absent outside the motion's own."""
        own = self.clip.times
        slack = 0.5 * float(np.median(np.diff(own))) if len(own) > 1 else np.inf
        inside = (times >= own[0] - slack) & (times <= own[-1] + slack)
        different, rows = np.unique(times, return_inverse=True)
        clip = self.clip.at(different)
        return Performer(avatar=self.avatar, clip=clip, rows=rows, present=inside)

    @property
    def roots(self) -> Array:
        """(M, 3) metres, world, of the pelvis."""
        return self.clip.poses.root[self.rows]

    @property
    def joints(self) -> Array:
        """(M, 52, 3) metres, world."""
        return self.clip.rig.joints(self.clip.poses)[1][self.rows]

    @property
    def outline(self) -> Array:
        """What stands out of the body (M, P, 3), metres: joints, soles and the crown."""
        joints, feet = self.joints, self.clip.rig.soles(self.clip.poses)[self.rows]
        head, neck = joints[:, [_HEAD]], joints[:, [_NECK]]
        return np.concatenate([joints, feet, head + _CROWN * (head - neck)], axis=1)


def performer(avatar: Avatar, clip: MotionClip) -> Performer:
    """The avatar in a clip that fits its body, all the time."""
    count = len(clip.times)
    return Performer(avatar=avatar, clip=clip, rows=np.arange(count), present=np.ones(count, bool))


def subject_of(performers: list[Performer]) -> Subject:
    """What a camera must see of people at moments that all of them share."""
    from splatting.people_paths import Subject, facing

    first = performers[0]
    points = np.concatenate([one.outline for one in performers], axis=1)
    forward = facing(first.clip.poses.rotations[:, 0])
    return Subject(times=first.times, points=points, forward=forward)


def rig_of(avatar: Avatar) -> Rig:
    """The avatar's skeleton with its Gaussians' centres for a mesh without faces.

    Soles are as low as its feet are, from heel to toe: shoes count.
    """
    means = avatar.gaussians.means.numpy().astype(float)
    binds = make_transform(np.tile(np.eye(3), (len(avatar.rest_joints), 1, 1)), -avatar.rest_joints)
    skinning, soles = avatar.skinning.numpy(), np.empty((4, 3))
    for side, foot in enumerate(_FEET):
        on = skinning[:, list(foot)].sum(axis=1) > 0.5
        if not on.any():
            raise InputError("expected an avatar with feet, got no Gaussians there; make it again")
        middle, low = np.median(means[on, 0]), np.quantile(means[on, 1], _ENDS[0])
        back, front = np.quantile(means[on, 2], _ENDS)
        for end, share in enumerate(_SOLE):
            soles[2 * side + end] = middle, low, back + share * (front - back)
    joints = np.repeat([foot[0] for foot in _FEET], 2)
    return Rig(
        model=avatar.model, licence=avatar.licence, rest_joints=avatar.rest_joints,
        bind_vertices=means, Ts_joint_bind=binds, faces=np.zeros((0, 3), int),
        weights=avatar.weights, indices=avatar.indices, sole_joints=joints,
        sole_points=soles - avatar.rest_joints[joints],
    )  # fmt: skip


def find_avatar(source: Path, person: int | None = None) -> Avatar:
    """The avatar of a file, or of a scene's person (default the first that has one).

    Raises:
        InputError: there is none.
    """
    from splatting.avatars.files import load_avatar

    if not (source / "scene.json").exists():
        if source.is_dir():
            raise InputError(
                f"expected an avatar's .npz or a scene, got the folder {source}; "
                "make an avatar with: recon avatar SCENE"
            )
        return load_avatar(source)
    return load_avatar(next(iter(_chosen_files(source, person).values())))


def avatar_files(scene: Path) -> dict[int, Path]:
    """The avatars that `recon avatar` left in a scene, by person."""
    found = {}
    for file in (scene / AVATARS).glob("person_*.npz"):
        number = file.stem.removeprefix("person_")
        if number.isdecimal():
            found[int(number)] = file
    return dict(sorted(found.items()))


def _chosen_files(scene: Path, person: int | None) -> dict[int, Path]:
    """The scene's avatars, or that of one person; InputError where there is none."""
    files = avatar_files(scene)
    chosen = files if person is None else {k: f for k, f in files.items() if k == person}
    if not chosen:
        who = "" if person is None else f" of person {person}"
        made = ", ".join(map(str, files))
        raise InputError(
            f"expected an avatar{who} in {scene / AVATARS}, got "
            f"{f'those of {made}' if made else 'none'}; "
            f"make it with: recon avatar {scene} --person {person or 1}"
        )
    return chosen


def scene_performers(
    scene: Scene, person: int | None = None, *, watcher: Watcher | None = None
) -> list[Performer]:
    """The scene's avatars (or one person's), each in its own motion, where they are there.

    See `own_motion` for which motion that is.

    Raises:
        InputError: no avatars, or one of somebody who is not in the scene or is another body.
        StaleSceneError: the people have not been placed in the world.
    """
    from splatting.avatars.files import load_avatar

    watcher = watcher or Silent()
    files = _chosen_files(scene.path, person)
    rigs, out = scene.rigs_by_id, []
    for number, file in files.items():
        if number not in rigs:
            raise InputError(
                f"expected avatars of people of {scene.path} ({', '.join(map(str, rigs))}), "
                f"got {file}; delete it"
            )
        avatar = load_avatar(file)
        if np.abs(rigs[number].rest_joints - avatar.rest_joints).max() > _OTHER_BODY:
            raise InputError(
                f"expected an avatar of the body that {scene.path} holds now, {file.name} is of "
                f"another run; make it again with: recon avatar {scene.path} --person {number}"
            )
        out.append(performer(avatar, own_motion(scene, number, rig_of(avatar), watcher)))
    return out


def own_motion(scene: Scene, number: int, rig: Rig, watcher: Watcher) -> MotionClip:
    """What a person does in the scene, on their body: as `recon avatar` refined it, if it did.

    The watcher is told of a motion that was refined in another run of the scene and is left out.

    Raises:
        InputError: the person is not in the scene, or the refined motion's file is damaged.
    """
    file = motion_file(scene.path / AVATARS, number)
    if file.exists():
        if refines(file, scene):
            return replace(find_motion(str(file), rig), name=f"person {number}")
        watcher.note(
            f"person {number} moves as the scene holds it: {file.name} was refined in another run; "
            f"again with: recon avatar {scene.path} --person {number}"
        )
    return find_motion(str(scene.path), rig, person=number)
