"""A stand-in for `mhr_model.pt` in the layout of MHR's release: names, shapes, units, axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from body.models.anny import AnnyModel
from body.models.mhr import _bone_of
from recon.core.geometry import Array, make_transform
from recon.core.skeletons import CANONICAL_JOINTS
from tests.body.models.bodies import rest_poses

NUM_VERTICES = 3000
ROOT_SCALE = 0
"""The scale parameter that scales the whole body of the stand-in, as a binary logarithm."""


def _twists(bone: str, first: int) -> list[tuple[str, str]]:
    return [(f"{bone}_twist{k}_proc", bone) for k in range(first, 5)]


def _limb(side: str, part: str) -> list[tuple[str, str]]:
    """Bones of a leg or an arm with their parents."""
    s = f"{side}_"
    if part == "leg":
        chain = ["upleg", "lowleg", "foot", "talocrural", "subtalar", "transversetarsal", "ball"]
        pairs = [(s + a, s + b if b else "root") for a, b in zip(chain, ["", *chain], strict=False)]
        return [*pairs, *_twists(s + "lowleg", 1), *_twists(s + "upleg", 0)]
    chain = ["clavicle", "uparm", "lowarm", "wrist_twist", "wrist"]
    pairs = [(s + a, s + b if b else "c_spine3") for a, b in zip(chain, ["", *chain], strict=False)]
    for finger, links in (
        ("pinky", "0123"), ("ring", "123"), ("middle", "123"), ("index", "123"), ("thumb", "0123"),
    ):  # fmt: skip
        names = [f"{s}{finger}{k}" for k in links] + [f"{s}{finger}_null"]
        pairs += list(zip(names, [s + "wrist", *names], strict=False))
    return [*pairs, *_twists(s + "lowarm", 1), *_twists(s + "uparm", 0)]


def _bones() -> list[tuple[str, str]]:
    """The 127 bones in the order of the release, each with its parent."""
    spine = ["root", "c_spine0", "c_spine1", "c_spine2", "c_spine3"]
    head = [
        ("c_neck", "c_spine3"), ("c_neck_twist1_proc", "c_neck"), ("c_neck_twist0_proc", "c_neck"),
        ("c_head", "c_neck"), ("c_jaw", "c_head"), ("c_teeth", "c_jaw"), ("c_jaw_null", "c_jaw"),
        *[(f"c_tongue{k}", f"c_tongue{k - 1}" if k else "c_jaw") for k in range(5)],
        ("r_eye", "c_head"), ("r_eye_null", "r_eye"), ("l_eye", "c_head"), ("l_eye_null", "l_eye"),
        ("c_head_null", "c_head"),
    ]  # fmt: skip
    return [
        ("body_world", ""), ("root", "body_world"), *_limb("l", "leg"), *_limb("r", "leg"),
        *zip(spine[1:], spine, strict=False), *_limb("r", "arm"), *_limb("l", "arm"), *head,
    ]  # fmt: skip


def _positions(bones: list[tuple[str, str]]) -> tuple[Array, Array, np.ndarray, np.ndarray]:
    """Bone positions (J, 3) and vertices (V, 3) in centimetres, y up; weights' bones and values."""
    anny = AnnyModel()
    shape = anny.param_spec.mean
    rig = anny.skinning_spec(shape)
    mesh, joints = rig.vertices(rest_poses())[0], rig.joints(rest_poses())[1][0]
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.permutation(len(mesh))[:NUM_VERTICES])
    lowest, highest = mesh[:, 1].argmin(), mesh[:, 1].argmax()
    chosen[[0, -1]] = lowest, highest
    at = {_bone_of(name): 100 * joints[j] for j, name in enumerate(CANONICAL_JOINTS)}
    out: list[Array] = []
    names = [name for name, _ in bones]
    for name, parent in bones:
        base = out[names.index(parent)] if parent else np.zeros(3)
        out.append(at.get(name, base + rng.normal(0, 0.3, 3)))
    weights = rig.dense_weights()[chosen]
    owner = np.array([names.index(_bone_of(name)) for name in CANONICAL_JOINTS])
    return np.stack(out), 100 * mesh[chosen].astype(float), weights, owner


class _Part(torch.nn.Module):
    def __init__(self, names: list[str] | None = None, **buffers: np.ndarray) -> None:
        super().__init__()
        self.joint_names = names or [""]
        for name, value in buffers.items():
            self.register_buffer(name, torch.as_tensor(np.ascontiguousarray(value)))

    def forward(self) -> list[str]:
        return self.joint_names


class _Parts(torch.nn.Module):
    def __init__(self, **parts: torch.nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def write_mhr(path: Path) -> None:
    """Anny's mean body as MHR: turned bone axes, 45 identity vectors, 68 scale parameters."""
    bones = _bones()
    names = [name for name, _ in bones]
    parents = [names.index(parent) if parent else -1 for _, parent in bones]
    positions, vertices, weights, owner = _positions(bones)
    rng, j = np.random.default_rng(1), len(names)
    frames = make_transform(Rotation.from_rotvec(rng.normal(0, 1, (j, 3))).as_matrix(), positions)
    local = np.stack(
        [
            np.linalg.inv(frames[p]) @ f if p >= 0 else f
            for f, p in zip(frames, parents, strict=True)
        ]
    )
    inverse = np.linalg.inv(frames)
    bind = np.concatenate(
        [inverse[:, :3, 3], Rotation.from_matrix(inverse[:, :3, :3]).as_quat(), np.ones((j, 1))], 1
    )
    parameters = np.zeros((j, 7, 136 + 68 + 45))
    parameters[2:, 3:6, :136] = rng.normal(0, 0.3, (j - 2, 3, 136))
    parameters[1, 6, 136 + ROOT_SCALE] = 1.0
    for k in range(1, 68):
        parameters[2 + k, 6, 136 + k] = 1.0
        parameters[3 + k, :3, 136 + k] = rng.normal(0, 1, 3)
    rows, columns = np.nonzero(weights)
    maps = rng.normal(0, 0.01, (45, 3, 3))
    character = _Parts(
        blend_shape=_Part(
            base_shape=vertices.astype(np.float32),
            shape_vectors=np.einsum("vb,kab->kva", vertices, maps).astype(np.float32),
        ),
        skeleton=_Part(
            names,
            joint_translation_offsets=local[:, :3, 3].astype(np.float32),
            joint_prerotations=Rotation.from_matrix(local[:, :3, :3]).as_quat().astype(np.float32),
            joint_parents=np.array(parents, np.int32),
        ),
        linear_blend_skinning=_Part(
            inverse_bind_pose=bind.astype(np.float32),
            skin_indices_flattened=owner[columns].astype(np.int32),
            skin_weights_flattened=weights[rows, columns],
            vert_indices_flattened=rows.astype(np.int64),
        ),
        mesh=_Part(faces=rng.integers(0, NUM_VERTICES, (500, 3)).astype(np.int32)),
        parameter_transform=_Part(parameter_transform=parameters.reshape(7 * j, -1).astype("f4")),
    )
    expressions = _Part(shape_vectors=np.zeros((72, NUM_VERTICES, 3), np.float32))
    module = _Parts(character_torch=character, face_expressions_model=expressions)
    torch.jit.script(module).save(str(path))
