"""A person's shape and motion in another body model."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from body.models.base import BodyModel
from body.registration import JOINT_STD, Registration, register, rest_poses
from body.skinned_points import NUM_POSE, SkinnedPoints, moved
from body.surface import Surface
from recon.core.geometry import Array
from recon.core.people import BodyPoses, BodyShape, CameraMotion, WorldMotion
from recon.core.rig import Rig
from recon.core.skeletons import CANONICAL_PARENTS

_CHUNK = 16  # frames fitted at once: about 60 MB
_STEPS = 2
_MARKER, _TURN = 0.01, 0.1
"""Metres by which a marker, and radians by which a joint may miss."""
_MEASURED_FRAMES = 12
_NUM_BODY = 22
_PARENTS = np.array(CANONICAL_PARENTS)


@dataclass(frozen=True, kw_only=True)
class Residual:
    """How far a converted body is from the one it stands for, over some frames, in metres.

    Args:
        joints: mean over the 22 body joints, whose places in a torso are each model's own.
        limb_joints: mean over knees, ankles, elbows and wrists.
        vertices_mean, vertices_max: from the new body's vertices to the old body's surface, or to
            its vertices where both have the same mesh.
    """

    joints: float
    limb_joints: float
    vertices_mean: float
    vertices_max: float
    same_mesh: bool


@dataclass(frozen=True, kw_only=True)
class Converted:
    """One person in another model: both motions, the new rig and what was lost."""

    camera_motion: CameraMotion
    world_motion: WorldMotion
    rig: Rig
    residual: Residual


def convert_person(
    camera: CameraMotion, world: WorldMotion, rig: Rig, model: BodyModel
) -> Converted:
    """A person in another model. Contacts, uncertainties and what was observed stay.

    Args:
        camera, world: one person's motions. rig: the body that both move. model: the new one.
    """
    start = world.shape.values if world.shape.model == rig.model == model.name else None
    registration = register(rig, model, start=start)
    shape = BodyShape(model=model.name, names=model.param_spec.names, values=registration.shape)
    new, mine = registration.target, _local(world.poses_world)
    local = fit_poses(registration, mine)
    theirs, local_camera = _local(camera.poses_camera), local
    if not np.allclose(theirs.rotations, mine.rotations, atol=1e-6):
        local_camera = fit_poses(registration, theirs)
    in_world = _placed(local, world.poses_world)
    in_camera = _placed(local_camera, camera.poses_camera)
    return Converted(
        camera_motion=replace(
            camera, shape=shape, poses_camera=in_camera, joints_camera=new.joints(in_camera)[1]
        ),
        world_motion=replace(
            world, shape=shape, poses_world=in_world, joints_world=new.joints(in_world)[1],
            feet_world=new.soles(in_world),
        ),
        rig=new,
        residual=measure(registration, world.poses_world, in_world),
    )  # fmt: skip


def fit_poses(registration: Registration, poses: BodyPoses) -> BodyPoses:
    """The target's poses (N frames) that put it where the source is in its poses.

    Every part of the target first turns with the part of the source on which it lies at rest;
    then Gauss-Newton on the common points of the two surfaces and the limbs' joints.
    """
    rows = [slice(k, k + _CHUNK) for k in range(0, len(poses.root), _CHUNK)]
    parts = [
        _fit_chunk(registration, BodyPoses(root=poses.root[r], rotations=poses.rotations[r]))
        for r in rows
    ]
    return BodyPoses(
        root=np.concatenate([part.root for part in parts]),
        rotations=np.concatenate([part.rotations for part in parts]),
    )


def _fit_chunk(reg: Registration, poses: BodyPoses) -> BodyPoses:
    wanted = _wanted(reg, poses)
    points = SkinnedPoints(reg.target, reg.target_vertices)
    fitted = _carried_over(reg, poses)
    # Joints stay as far from the source's as in the rest pose, where surfaces were compared.
    std = np.concatenate([np.full(len(reg.target_vertices), _MARKER), JOINT_STD])
    weight = np.repeat(std**-2.0, 3)
    prior = np.full(NUM_POSE, _TURN**-2.0)
    prior[:3] = 1e-6
    for _ in range(_STEPS):
        now, jac = points.posed_with_jacobian(fitted)
        flat = jac.reshape(len(now), -1, NUM_POSE)
        weighted = np.swapaxes(flat * weight[:, None], -1, -2)
        right = weighted @ (wanted - now).reshape(len(now), -1, 1)
        step = np.linalg.solve(weighted @ flat + np.diag(prior), right)[..., 0]
        fitted = moved(fitted, np.asarray(step, dtype=np.float64))
    return fitted


def _carried_over(reg: Registration, poses: BodyPoses) -> BodyPoses:
    """The target's poses if each of its parts turned rigidly with the source's part."""
    turned, joints = reg.source.joints(poses)
    at_rest = reg.target.joints(reg.rest)[0][0]
    total = turned @ at_rest
    rotations = total.copy()
    rotations[:, 1:] = np.swapaxes(total[:, _PARENTS[1:]], -1, -2) @ total[:, 1:]
    shift = reg.rest.root[0] - reg.source.joints(rest_poses())[1][0, 0]
    return BodyPoses(root=joints[:, 0] + turned[:, 0] @ shift, rotations=rotations)


def _wanted(reg: Registration, poses: BodyPoses) -> Array:
    """Where the target's markers and joints (N, M + 52, 3) should be."""
    vertices, corner = np.unique(reg.source_vertices, return_inverse=True)
    posed = SkinnedPoints(reg.source, vertices).posed(poses)[:, : len(vertices)]
    corners = posed[:, corner.reshape(-1, 3)]
    turned, joints = reg.source.joints(poses)
    places = np.einsum("mk,nmka->nma", reg.source_weights, corners)
    places += np.einsum("nmab,mb->nma", turned[:, reg.offset_joints], reg.offsets)
    gap = reg.target.joints(reg.rest)[1][0] - reg.source.joints(rest_poses())[1][0]
    # A joint's place in the source's body moves with the part above it.
    above = turned[:, np.maximum(_PARENTS, 0)]
    return np.concatenate([places, joints + np.einsum("njab,jb->nja", above, gap)], axis=1)


def _local(poses: BodyPoses) -> BodyPoses:
    """The same poses seen from the pelvis."""
    rotations = poses.rotations.copy()
    rotations[:, 0] = np.eye(3)
    return BodyPoses(root=np.zeros_like(poses.root), rotations=rotations)


def _placed(local: BodyPoses, frame: BodyPoses) -> BodyPoses:
    """Poses seen from the pelvis of `frame`, in its frame of reference."""
    turn = frame.rotations[:, 0]
    rotations = local.rotations.copy()
    rotations[:, 0] = turn @ rotations[:, 0]
    root = frame.root + np.einsum("nab,nb->na", turn, local.root)
    return BodyPoses(root=root, rotations=rotations)


def measure(reg: Registration, old: BodyPoses, new: BodyPoses) -> Residual:
    """How far the target's poses `new` are from the source's `old`, over at most 12 frames."""
    frames = np.unique(np.linspace(0, len(old.root) - 1, _MEASURED_FRAMES).astype(int))
    before, after = (
        BodyPoses(root=p.root[frames], rotations=p.rotations[frames]) for p in (old, new)
    )
    joints = np.linalg.norm(reg.target.joints(after)[1] - reg.source.joints(before)[1], axis=-1)
    limbs = np.flatnonzero(JOINT_STD[:_NUM_BODY] < JOINT_STD.max())
    gaps = [
        np.linalg.norm(
            mine
            - (
                theirs
                if reg.same_mesh
                else Surface(theirs, reg.source.faces).closest(mine).position
            ),
            axis=-1,
        )
        for mine, theirs in zip(
            reg.target.vertices(after), reg.source.vertices(before), strict=True
        )
    ]
    return Residual(
        joints=float(joints[:, :_NUM_BODY].mean()),
        limb_joints=float(joints[:, limbs].mean()),
        vertices_mean=float(np.mean(gaps)),
        vertices_max=float(np.max(gaps)),
        same_mesh=reg.same_mesh,
    )
