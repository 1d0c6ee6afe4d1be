"""DROID-SLAM's network: its checkpoint's keys, its shapes, and the correlations it looks up.

The official weights are not ours to ship: a checkpoint of random values has their keys and shapes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from recon.core.errors import InputError
from slam.droid_network import (
    CELL,
    CHECKPOINT_KEYS,
    DroidNetwork,
    NetworkMatcher,
    correlation_pyramid,
    load_checkpoint,
    look_up,
)

Checkpoint = dict[str, Tensor]

ENCODER = {
    "conv1": (32, 3, 7, 7),
    **{f"layer1.{b}.conv{c}": (32, 32, 3, 3) for b in (0, 1) for c in (1, 2)},
    **{f"layer2.{b}.conv{c}": (64, 64, 3, 3) for b in (0, 1) for c in (1, 2)},
    "layer2.0.conv1": (64, 32, 3, 3),
    "layer2.0.downsample.0": (64, 32, 1, 1),
    **{f"layer3.{b}.conv{c}": (128, 128, 3, 3) for b in (0, 1) for c in (1, 2)},
    "layer3.0.conv1": (128, 64, 3, 3),
    "layer3.0.downsample.0": (128, 64, 1, 1),
}
UPDATE = {
    "corr_encoder.0": (128, 196, 1, 1),
    "corr_encoder.2": (128, 128, 3, 3),
    "flow_encoder.0": (128, 4, 7, 7),
    "flow_encoder.2": (64, 128, 3, 3),
    "weight.0": (128, 128, 3, 3),
    "weight.2": (3, 128, 3, 3),
    "delta.0": (128, 128, 3, 3),
    "delta.2": (3, 128, 3, 3),
    **{f"gru.conv{gate}": (128, 448, 3, 3) for gate in "zrq"},
    **{f"gru.conv{gate}_glo": (128, 128, 1, 1) for gate in "zrq"},
    "gru.w": (128, 128, 1, 1),
    "agg.conv1": (128, 128, 3, 3),
    "agg.conv2": (128, 128, 3, 3),
    "agg.eta.0": (1, 128, 3, 3),
    "agg.upmask.0": (576, 128, 1, 1),
}
LAYERS = {
    **{f"fnet.{name}": shape for name, shape in ENCODER.items()},
    "fnet.conv2": (128, 128, 1, 1),
    **{f"cnet.{name}": shape for name, shape in ENCODER.items()},
    "cnet.conv2": (256, 128, 1, 1),
    **{f"update.{name}": shape for name, shape in UPDATE.items()},
}
"""droid.pth's layers and the shapes of their weights, as its architecture fixes them."""


@pytest.fixture(scope="module")
def official() -> Checkpoint:
    """Random values under the official keys, with the prefix that data-parallel training left."""
    torch.manual_seed(0)
    values: Checkpoint = OrderedDict()
    for name, shape in LAYERS.items():
        fan_in = shape[1] * shape[2] * shape[3]
        values[f"module.{name}.weight"] = torch.randn(shape) * (2 / fan_in) ** 0.5
        values[f"module.{name}.bias"] = 0.1 * torch.randn(shape[0])
    return values


def saved(values: object, path: Path) -> Path:
    torch.save(values, path)
    return path


def test_a_checkpoint_goes_where_the_key_map_says(official: Checkpoint, tmp_path: Path) -> None:
    assert {f"module.{key}" for key in CHECKPOINT_KEYS} == set(official)
    network = load_checkpoint(saved(official, tmp_path / "droid.pth"))
    ours = network.state_dict()
    assert set(CHECKPOINT_KEYS.values()) == set(ours)
    for theirs, mine in CHECKPOINT_KEYS.items():
        value = official[f"module.{theirs}"]
        heads = theirs.startswith(("update.weight.2", "update.delta.2"))
        assert torch.equal(ours[mine], value[:2] if heads else value), theirs
    bare = {key.removeprefix("module."): value for key, value in official.items()}
    again = load_checkpoint(saved(bare, tmp_path / "bare.pth")).state_dict()
    assert all(torch.equal(ours[key], again[key]) for key in ours)


def without(key: str) -> Callable[[Checkpoint], Checkpoint]:
    return lambda values: {k: v for k, v in values.items() if k != key}


def but(key: str, value: object) -> Callable[[Checkpoint], object]:
    return lambda values: {**values, key: value}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without("module.cnet.layer2.0.downsample.0.bias"),
         "with cnet.layer2.0.downsample.0.bias, got .* which lacks it"),
        (but("module.update.gru.w.weight", torch.zeros(128, 64, 1, 1)),
         r"update.gru.w.weight of shape \(128, 128, 1, 1\), got \(128, 64, 1, 1\)"),
        (but("module.update.delta.2.bias", torch.zeros(1)), r"shape \(2,\), got \(1,\)"),
        (but("module.fnet.layer4.0.conv1.weight", torch.zeros(1)),
         "also holds fnet.layer4.0.conv1.weight"),
        (but("module.fnet.conv1.weight", "text"), "fnet.conv1.weight, got .* which lacks it"),
        (list, "holds a list"),
    ],
    ids=["a key missing", "a wrong shape", "too few channels", "a strange key", "text", "a list"],
)  # fmt: skip
def test_a_wrong_checkpoint_is_refused_in_one_line(
    official: Checkpoint, tmp_path: Path, spoil: Callable[[Checkpoint], object], message: str
) -> None:
    path = saved(spoil(official), tmp_path / "wrong.pth")
    with pytest.raises(InputError, match=message) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_no_checkpoint_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected DROID-SLAM's droid.pth, got no file"):
        load_checkpoint(tmp_path / "droid.pth")
    (tmp_path / "page.html").write_bytes(b"<html>quota exceeded</html>")
    with pytest.raises(InputError, match="which torch cannot read") as caught:
        load_checkpoint(tmp_path / "page.html")
    assert "\n" not in str(caught.value)


class Trap:
    """Pickles into a call; a reader that runs it is unsafe."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("code of the checkpoint ran",)


def test_code_in_a_checkpoint_does_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved({"module.fnet.conv1.weight": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(InputError, match="which torch cannot read"):
        load_checkpoint(path)
    assert "ran" not in capsys.readouterr().out


def test_shapes_and_ranges() -> None:
    torch.manual_seed(1)
    matcher = NetworkMatcher(DroidNetwork(), device="cpu")
    rng = np.random.default_rng(0)
    a, b, c = (matcher.encode(rng.integers(0, 255, (96, 64, 3), dtype=np.uint8)) for _ in range(3))
    assert a.features.shape == a.hidden.shape == a.context.shape == (128, 12, 8)
    assert float(a.hidden.abs().max()) <= 1
    assert float(a.context.min()) >= 0
    at = np.stack(np.meshgrid(np.arange(8.0), np.arange(12.0)))[None].repeat(2, axis=0)
    links = [matcher.link(a, b), matcher.link(a, c)]
    said = matcher.update(links, at, np.zeros((2, 4, 12, 8)))
    assert said.delta.shape == said.weights.shape == (2, 2, 12, 8)
    assert said.damping.shape == (12, 8)
    assert 0 <= said.weights.min() <= said.weights.max() <= 1
    assert said.damping.min() > 0
    assert torch.equal(links[0].hidden, a.hidden.half())  # the given links stay as they were
    assert not torch.allclose(said.links[0].hidden.float(), a.hidden, atol=0.01)
    # A link's answer does not depend on which others are asked about; the damping does.
    alone = matcher.update(links[:1], at[:1], np.zeros((1, 4, 12, 8)))
    np.testing.assert_allclose(alone.delta[0], said.delta[0], atol=1e-5)
    assert np.abs(alone.damping - said.damping).max() > 1e-7
    # Motion counts up to 64 cells.
    far = [matcher.update(links, at, np.full((2, 4, 12, 8), v)).delta for v in (64, 500)]
    np.testing.assert_array_equal(far[0], far[1])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_another_device_says_the_same() -> None:
    torch.manual_seed(1)
    network, picture = DroidNetwork(), np.random.default_rng(0).integers(0, 255, (2, 96, 64, 3))
    at = np.stack(np.meshgrid(np.arange(8.0), np.arange(12.0)))[None]
    said = []
    for device in ("cpu", "cuda"):
        matcher = NetworkMatcher(network, device=device)
        a, b = (matcher.encode(image.astype(np.uint8)) for image in picture)
        assert a.features.device.type == device
        said.append(matcher.update([matcher.link(a, b)], at, np.zeros((1, 4, 12, 8))))
    np.testing.assert_allclose(said[0].delta, said[1].delta, atol=5e-3)
    np.testing.assert_allclose(said[0].weights, said[1].weights, atol=5e-3)


def test_features_belong_to_the_first_pixel_of_their_cell() -> None:
    """Moving the picture by whole cells moves the features, and a dot is felt around its cell."""
    torch.manual_seed(2)
    encoder = DroidNetwork().context.eval()  # without norms, which would feel all of the picture
    image = torch.zeros(1, 3, 160, 160)
    image[0, :, 80, 80] = 5
    with torch.inference_mode():
        felt = (encoder(image) - encoder(torch.zeros_like(image)))[0].abs().sum(dim=0)
    rows, columns = (torch.arange(20.0)[:, None], torch.arange(20.0))
    centre = float((felt * rows).sum() / felt.sum()), float((felt * columns).sum() / felt.sum())
    assert centre == pytest.approx((80 / CELL, 80 / CELL), abs=0.25)


def test_looking_up_equals_brute_force() -> None:
    """Every level, offset and border against dot products with shifted, averaged features."""
    rng = np.random.default_rng(3)
    h, w = 9, 11
    a, b = rng.normal(size=(2, 5, h, w))
    at = rng.uniform(-4, 14, (1, 2, h, w))
    at[0, :, 0, 0] = 3, 4  # exactly on a cell
    pyramid = correlation_pyramid(torch.tensor(a)[None], torch.tensor(b)[None])
    found = look_up(pyramid, torch.tensor(at))[0].numpy()
    assert found.shape == (4 * 49, h, w)

    def value(level: int, target: np.ndarray, y: int, x: int, source: np.ndarray) -> float:
        inside = 0 <= y < target.shape[1] and 0 <= x < target.shape[2]
        return float(source @ target[:, y, x]) / 16 if inside else 0.0

    target = b
    for level in range(4):
        if level:
            rows, columns = target.shape[1] // 2, target.shape[2] // 2
            target = target[:, : 2 * rows, : 2 * columns]
            target = target.reshape(5, rows, 2, columns, 2).mean(axis=(2, 4))
        for y, x in ((0, 0), (2, 7), (8, 10), (5, 3)):
            px, py = at[0, :, y, x] / 2**level
            x0, y0 = int(np.floor(px)), int(np.floor(py))
            fx, fy = px - x0, py - y0
            for i in range(7):
                for j in range(7):
                    corners = [
                        value(level, target, y0 + j - 3 + dy, x0 + i - 3 + dx, a[:, y, x])
                        * (fx if dx else 1 - fx) * (fy if dy else 1 - fy)
                        for dy in (0, 1) for dx in (0, 1)
                    ]  # fmt: skip
                    expected = sum(corners)
                    channel = level * 49 + i * 7 + j
                    assert found[channel, y, x] == pytest.approx(expected, abs=1e-9)
