"""Keyframes to a map on synthetic points: the path, and a check that stays small on long clips."""

from __future__ import annotations

import numpy as np
import pytest

from recon.core.camera import Intrinsics
from recon.core.geometry import Array, invert_transform, make_transform, transform_points, umeyama
from slam import mapping
from slam.features import KeyframeFeatures
from slam.mapping import map_keyframes

INTRINSICS = Intrinsics.from_fov(640, 480, fov_deg=60, source="user")


def sideways(num_keyframes: int) -> tuple[Array, list[KeyframeFeatures]]:
    """Cameras (K, 4, 4) on a curved path, and the points they see, all tracked, 0.2 px of noise."""
    rng = np.random.default_rng(0)
    points = rng.uniform([-4, -2, 4], [8, 2, 9], (500, 3))
    phase = np.linspace(0, 1, num_keyframes)
    centres = np.stack([4 * phase, 0.3 * np.sin(5 * phase), phase**2], axis=-1)
    poses = make_transform(np.repeat(np.eye(3)[None], num_keyframes, axis=0), centres)
    features = []
    for pose in poses:
        pixels = INTRINSICS.project(transform_points(invert_transform(pose), points))
        pixels = pixels + rng.normal(0, 0.2, pixels.shape)
        seen = np.flatnonzero(np.all((pixels > 0) & (pixels < [640, 480]), axis=1))
        features.append(
            KeyframeFeatures(
                track_ids=seen.astype(np.int32), points=pixels[seen],
                descriptors=np.zeros((0, 128)), colors=np.zeros((len(seen), 3), np.uint8),
            )
        )  # fmt: skip
    return poses, features


@pytest.mark.parametrize("max_checked", [8, 80])
def test_all_keyframes_are_placed_though_only_some_are_checked(
    max_checked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapping, "MAX_CHECKED", max_checked)
    asked: list[list[str]] = []
    incremental = mapping.pycolmap.incremental_mapping

    def spy(database: object, images: object, output: object, options: object) -> object:
        asked.append(list(options.image_names))  # type: ignore[attr-defined]
        return incremental(database, images, output, options)  # type: ignore[arg-type]

    monkeypatch.setattr(mapping.pycolmap, "incremental_mapping", spy)
    poses, features = sideways(16)
    mapped = map_keyframes(features, INTRINSICS, focal_range=None, seed=0)
    assert mapped is not None
    assert mapped.rows.tolist() == list(range(16))
    found, truth = mapped.Ts_map_camera[:, :3, 3], poses[:, :3, 3]
    scale, rotation, offset = umeyama(found, truth)
    assert np.abs(scale * found @ rotation.T + offset - truth).max() < 0.02
    assert len(asked[0]) == min(max_checked, 16)
    assert mapped.agreement is not None
    assert mapped.agreement.shared == 1
    assert mapped.agreement.position < 0.01


def test_the_pairs_of_a_clip_grow_no_faster_than_its_length() -> None:
    """A view that never changes: every keyframe is a loop of every other."""
    rng = np.random.default_rng(0)
    descriptors = rng.uniform(0, 1, (40, 128))
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    same = KeyframeFeatures(
        track_ids=np.zeros(0, np.int32), points=np.zeros((40, 2)), descriptors=descriptors,
        colors=np.zeros((40, 3), np.uint8),
    )  # fmt: skip
    few, many = (len(mapping._pairs([same] * n)) for n in (130, 260))
    near = len(mapping.PAIR_OFFSETS)
    assert 130 * near - 200 < few <= 130 * near + mapping.MAX_LOOPS
    assert many <= 260 * near + mapping.MAX_LOOPS
    assert max(b - a for a, b in mapping._pairs([same] * 130)) > max(mapping.PAIR_OFFSETS)
