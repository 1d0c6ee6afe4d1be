"""Masks of people: they follow edges, respect other people; a prompted network may draw them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recon.avatar_masks import SceneMasks, guided_coefficients, prompted, refined, share_out
from recon.core.errors import InputError
from recon.core.scene import Scene
from recon.export.overlay import open_frames
from recon.mask_networks import TransformersSam
from recon.synth.make import make_world, read_masks
from recon.synth.world import WorldSpec

H, W = 160, 120


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def person() -> np.ndarray:
    """A trunk and two legs."""
    out = np.zeros((H, W), bool)
    out[20:90, 40:80] = True
    out[90:140, 40:55] = out[90:140, 65:80] = True
    return out


def picture(mask: np.ndarray) -> np.ndarray:
    generator = np.random.default_rng(0)
    colours = np.where(mask[..., None], [150, 60, 50], [80, 110, 90])
    return np.clip(colours + generator.normal(0, 6, (H, W, 3)), 0, 255).astype(np.uint8)


def test_a_coarse_mask_snaps_to_the_pictures_edges() -> None:
    truth = person()
    coarse = truth[3::6, 3::6].repeat(6, 0).repeat(6, 1)[:H, :W]
    coarse = np.roll(coarse, 2, axis=1)
    found = refined(picture(truth), coarse, truth)
    assert iou(coarse, truth) < 0.91
    assert iou(found, truth) > 0.94


def test_a_mask_in_a_flat_picture_stays_what_it_was() -> None:
    grey = np.full((H, W, 3), 128, np.uint8)
    assert iou(refined(grey, person(), person()), person()) > 0.95


def test_nothing_in_nothing_out() -> None:
    none = np.zeros((H, W), bool)
    assert not refined(picture(person()), none, person()).any()


def test_the_guided_filter_keeps_what_the_guide_explains() -> None:
    generator = np.random.default_rng(1)
    guide = generator.uniform(size=(40, 50, 3)).astype(np.float32)
    values = guide @ np.array([0.5, -0.2, 0.3], np.float32) + 0.1
    a, b = guided_coefficients(guide, values, radius=4, smoothness=1e-6)
    np.testing.assert_allclose((a * guide).sum(-1) + b, values, atol=1e-3)


def test_what_two_masks_claim_goes_to_the_body_it_lies_in() -> None:
    left, right = np.zeros((H, W), bool), np.zeros((H, W), bool)
    left[20:140, 30:60] = True
    right[20:140, 60:90] = True
    greedy = left.copy()
    greedy[:, 60:75] = right[:, 60:75]  # the network took half of the other person too
    mine, others = share_out(1, {1: greedy, 2: right}, {1: left, 2: right})
    np.testing.assert_array_equal(mine, left)
    assert others[right].all() and not others[left].any()
    alone, nobody = share_out(1, {1: greedy}, {1: left})
    assert np.array_equal(alone, greedy) and not nobody.any()


class FakeSam:
    """Offers the top of the picture, and an answer if it has one."""

    name = "fake"
    answer: np.ndarray | None = None

    def masks(self, image: np.ndarray, box: np.ndarray, points: np.ndarray) -> np.ndarray:
        out = np.zeros((2, *image.shape[:2]), bool)
        out[0, : len(image) // 10] = True
        if self.answer is not None:
            out[1] = self.answer
        self.box, self.points = box, points
        return out


def test_of_a_networks_candidates_the_one_that_fits_the_prompt_is_taken() -> None:
    truth, network = person(), FakeSam()
    assert prompted(network, picture(truth), truth) is None
    network.answer = np.roll(truth, 3, axis=0)
    found = prompted(network, picture(truth), truth)
    assert found is not None and np.array_equal(found, network.answer)
    np.testing.assert_array_equal(network.box, [40, 20, 80, 140])
    rows, columns = np.floor(network.points[:, ::-1]).astype(int).T
    assert len(rows) == 3 and truth[rows, columns].all()


@pytest.fixture(scope="module")
def tiny_sam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SAM of a few thousand random weights, as transformers saves it."""
    pytest.importorskip("transformers")
    import torch
    from transformers import SamConfig, SamModel, SamProcessor
    from transformers.models.sam import image_processing_pil_sam

    folder = tmp_path_factory.mktemp("sam")
    small = {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "mlp_dim": 16}
    grid = {"image_size": 64, "patch_size": 16}
    config = SamConfig(
        vision_config={**small, **grid, "output_channels": 8, "global_attn_indexes": [0],
                       "window_size": 2, "num_pos_feats": 4},
        prompt_encoder_config={**grid, "hidden_size": 8, "mask_input_channels": 4},
        mask_decoder_config={**small, "iou_head_hidden_dim": 8},
    )  # fmt: skip
    torch.manual_seed(0)
    SamModel(config).save_pretrained(folder)
    images = image_processing_pil_sam.SamImageProcessorPil(
        size={"longest_edge": 64}, pad_size={"height": 64, "width": 64},
        mask_size={"longest_edge": 16}, mask_pad_size={"height": 16, "width": 16},
    )  # fmt: skip
    SamProcessor(images).save_pretrained(folder)
    return folder


def test_a_sam_checkpoint_is_read_and_prompted(tiny_sam: Path) -> None:
    network = TransformersSam(str(tiny_sam))
    image = picture(person())
    box, points = np.array([40.0, 20, 80, 140]), np.array([[60.5, 50.5], [47.5, 120.5]])
    found = network.masks(image, box, points)
    assert network.name == tiny_sam.name
    assert found.shape == (3, H, W) and found.dtype == bool
    np.testing.assert_array_equal(found, network.masks(image, box, points))


def test_what_is_no_mask_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--mask-model.*no folder"):
        TransformersSam(str(tmp_path / "nowhere"))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(InputError, match=r"--mask-model.*type bert"):
        TransformersSam(str(tmp_path))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    spec = WorldSpec(seed=5, camera="static", people=2, frames=2, size=(480, 270))
    return make_world(spec, tmp_path_factory.mktemp("masks") / "world")


def test_a_scenes_people_are_masked_where_they_are_seen(scene: Scene) -> None:
    masks, frame = SceneMasks(scene), next(iter(open_frames(scene)))
    truth = read_masks(scene.path, frame.index)
    for track in scene.tracks:
        mask = masks.of(frame, track.track_id)
        assert mask is not None and mask.person.shape == frame.image.shape[:2]
        assert iou(mask.person, truth == track.track_id) > 0.75
        assert not (mask.person & mask.others).any()
    assert masks.of(frame, 99) is None


def test_a_network_that_draws_something_else_is_counted(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, frame = FakeSam(), next(iter(open_frames(scene)))
    monkeypatch.setattr("recon.avatar_masks.load_mask_network", lambda *_a, **_k: network)
    plain, watched = SceneMasks(scene).of(frame, 1), SceneMasks(scene, "a/network")
    kept = watched.of(frame, 1)
    assert plain is not None and kept is not None
    assert np.array_equal(kept.person, plain.person) and watched.disagreed == [(1, frame.index)]
    network.answer = plain.person | np.roll(plain.person, 1, axis=0)
    drawn = watched.of(frame, 1)
    assert drawn is not None and drawn.person.sum() > plain.person.sum()
    assert len(watched.disagreed) == 1
