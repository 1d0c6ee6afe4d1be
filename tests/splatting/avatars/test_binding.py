from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from body.models.smplx import SmplxModel
from recon.core.errors import InputError
from recon.core.people import BodyPoses
from recon.core.rig import Rig
from splatting.avatars.binding import SurfaceBinding, bind_surface, rest_vertices
from splatting.avatars.posing import joint_transforms
from tests.body.models.bodies import write_smplx
from tests.splatting.avatars.people import JOINT, hull_faces, small_binding, small_rig, some_poses


@pytest.fixture(scope="module")
def smplx_rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    from smplx.vertex_ids import vertex_ids

    path = tmp_path_factory.mktemp("models") / "SMPLX_NEUTRAL.npz"
    write_smplx(path, vertex_ids["smplx"])
    model = SmplxModel(path)
    rig = model.skinning_spec(model.param_spec.mean)
    return replace(rig, faces=hull_faces(rest_vertices(rig)))


def on_surface(rig: Rig, binding: SurfaceBinding, poses: BodyPoses) -> np.ndarray:
    """The texels' points (T, N, 3) on the rig's own mesh."""
    corners = rig.vertices(poses)[:, rig.faces[binding.face]]
    return np.einsum("nk,tnkd->tnd", binding.barycentric, corners)


def skinned(binding: SurfaceBinding, poses: BodyPoses) -> np.ndarray:
    arrays = (binding.rest_joints, poses.rotations, poses.root)
    transforms = joint_transforms(*(torch.tensor(a, dtype=torch.float32) for a in arrays))
    blended = torch.einsum("nj,tjab->tnab", binding.skinning, transforms).numpy()
    return np.einsum("tnab,nb->tna", blended[..., :3], binding.rest_points) + blended[..., 3]


def test_texels_lie_where_their_texture_coordinates_say() -> None:
    binding = small_binding()
    uv = np.einsum("nk,nkd->nd", binding.barycentric, binding.uvs[binding.face])
    middles = (binding.texel[:, ::-1] + 0.5) / binding.resolution
    np.testing.assert_allclose(uv, middles, atol=1e-5)
    assert len(np.unique(binding.texel, axis=0)) == len(binding) > 0.4 * binding.resolution**2


def test_texels_move_like_the_mesh_that_they_lie_on() -> None:
    poses = some_poses(3)
    moved = on_surface(small_rig(), small_binding(), poses)
    np.testing.assert_allclose(skinned(small_binding(), poses), moved, atol=3e-3)


def test_an_smplx_body_is_bound_and_turns_with_its_own_mesh(smplx_rig: Rig) -> None:
    binding, poses = bind_surface(smplx_rig, 48), some_poses(2)
    # The hull's faces span the body, so that only stiff motion tells where its texels go.
    poses.rotations[:, 1:] = np.eye(3)
    np.testing.assert_allclose(
        skinned(binding, poses), on_surface(smplx_rig, binding, poses), atol=1e-4
    )
    np.testing.assert_allclose(binding.weights.sum(axis=1), 1, atol=1e-5)


def test_texels_share_out_the_whole_surface_and_its_normals_point_outwards() -> None:
    binding, rig = small_binding(), small_rig()
    a, b, c = (rest_vertices(rig)[rig.faces[:, k]] for k in range(3))
    area = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()
    assert binding.texel_area.sum() == pytest.approx(area, rel=0.05)
    np.testing.assert_allclose(np.linalg.norm(binding.rest_normals, axis=1), 1, atol=1e-5)
    head = binding.skinning.numpy()[:, JOINT["head"]] > 0.9
    outwards = binding.rest_points[head] - binding.rest_points[head].mean(axis=0)
    assert (np.sum(outwards * binding.rest_normals[head], axis=1) > 0).mean() > 0.95


def test_hands_get_more_texels_for_their_area() -> None:
    binding = small_binding()
    skinning = binding.skinning.numpy()
    hand, thigh = (skinning[:, JOINT[j]] > 0.9 for j in ("left_wrist", "left_hip"))
    assert np.median(binding.texel_area[hand]) < 0.7 * np.median(binding.texel_area[thigh])


def test_a_resolution_out_of_range_is_refused() -> None:
    with pytest.raises(InputError, match="32 to 1024, got 8"):
        bind_surface(small_rig(), 8)
