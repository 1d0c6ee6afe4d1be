"""Metric depth networks through transformers: ZoeDepth and Depth Anything V2 metric."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from recon.core.depth import KeyframeDepth
from recon.core.errors import InputError
from recon.core.geometry import Array
from recon.core.hub import check_transformers, pretrained
from recon.core.scene import Scene
from recon.core.video import Frame, FrameSource
from slam.depth_scale import DepthEvidence, MetricDepth
from slam.masks import people_masks
from slam.tracks import MaskFunction

NUM_FRAMES = 12
"""Frames that a network looks at: their medians agree long before."""

_LONG_SIDE = 160  # cells of the kept depth map; ratios need no more
_METRIC = ("zoedepth", "depth_anything")
_TOP = 0.95  # of the greatest depth a network can say: sky and what is too far for it
_EXAMPLES = "Intel/zoedepth-nyu-kitti or depth-anything/Depth-Anything-V2-Metric-Outdoor-Small-hf"
_EXPECTED = (
    "--depth-model: expected a folder with config.json, preprocessor_config.json and weights, "
    f"or a name that can be fetched such as {_EXAMPLES}"
)


def check_depth_model(model: str) -> None:
    """Refuses at once what a stage would miss only after minutes of work.

    Raises:
        MissingDependencyError: transformers is not installed. InputError: a folder is not there.
    """
    check_transformers(model, expected=_EXPECTED)


class DepthNetwork(Protocol):
    """Depth of one picture; `max_depth` is what the network can say at most, in metres."""

    name: str
    max_depth: float

    def depth(self, image: np.ndarray) -> Array: ...


class TransformersDepth:
    """A metric depth network of transformers, from a folder or by its name on the model hub.

    Raises:
        MissingDependencyError: transformers is not installed.
        InputError: the weights are not there and cannot be fetched, or are not of a metric network.
    """

    def __init__(self, model: str, *, device: str = "cpu") -> None:
        with pretrained(model, expected=_EXPECTED) as source:
            from transformers import AutoConfig, AutoImageProcessor, AutoModelForDepthEstimation
            from transformers.utils.logging import disable_progress_bar

            disable_progress_bar()
            config = AutoConfig.from_pretrained(source)
            self.max_depth = _greatest_depth(config, model)
            processor = AutoImageProcessor.from_pretrained(source)
            network = AutoModelForDepthEstimation.from_pretrained(source)
        self.name = Path(model).name if Path(source).is_dir() else model
        self.device = device
        self._processor: Any = processor
        self._network: Any = network.to(device).eval()

    def depth(self, image: np.ndarray) -> Array:
        """Metres (h, w) along z over the whole picture, at the network's own resolution.

        Args:
            image: (H, W, 3) uint8 RGB.
        """
        import torch

        # Without ZoeDepth's mirrored border, input and output both cover the picture exactly.
        inputs = self._processor(images=image, do_pad=False, return_tensors="pt").to(self.device)
        with torch.inference_mode():
            out = self._network(**inputs).predicted_depth[0]
        return out.float().cpu().numpy().astype(float)


def _greatest_depth(config: Any, model: str) -> float:
    """Metres a network can say at most.

    Raises:
        InputError: it is none of the known metric ones.
    """
    kind = config.model_type
    if kind not in _METRIC or getattr(config, "depth_estimation_type", "metric") != "metric":
        raise InputError(
            f"--depth-model: expected a network of metric depth ({' or '.join(_METRIC)}), got "
            f"{model!r} of {getattr(config, 'depth_estimation_type', 'type')} {kind}; "
            f"use for example {_EXAMPLES}"
        )
    if kind == "zoedepth":
        return float(max(head["max_depth"] for head in config.bin_configurations))
    return float(config.max_depth)


def frames_to_look_at(num_frames: int, keyframes: KeyframeDepth | None) -> np.ndarray:
    """At most NUM_FRAMES frame indices: keyframes with dense depth if there are, else evenly."""
    known = np.arange(num_frames) if keyframes is None else keyframes.frame_idx
    if len(known) == 0:
        known = np.arange(num_frames)
    pick = np.linspace(0, len(known) - 1, min(NUM_FRAMES, len(known))).round().astype(int)
    return np.asarray(known[np.unique(pick)])


def metric_depth(
    network: DepthNetwork,
    frames: Iterable[Frame],
    frame_idx: np.ndarray,
    *,
    masks: MaskFunction,
    stature_known: bool = False,
) -> MetricDepth:
    """What the network sees in some frames, resized; people, sky and the too far are invalid.

    Args:
        frames: the whole clip. frame_idx: (K,) the frames to look at. masks: people, per frame.
    """
    wanted = set(frame_idx.tolist())
    found: dict[int, tuple[Array, np.ndarray]] = {}
    for frame in frames:
        if frame.index not in wanted:
            continue
        height, width = frame.image.shape[:2]
        shrink = _LONG_SIDE / max(height, width)
        w, h = max(1, round(width * shrink)), max(1, round(height * shrink))
        # Nearest: a mean of near and far is the depth of nothing.
        raw = cv2.resize(network.depth(frame.image), (w, h), interpolation=cv2.INTER_NEAREST)
        depth = np.asarray(raw, dtype=float)
        people = masks(frame.index, h, w)
        valid = np.isfinite(depth) & (depth > 0) & (depth < _TOP * network.max_depth)
        found[frame.index] = np.nan_to_num(depth), valid if people is None else valid & ~people
        if len(found) == len(wanted):
            break
    seen = sorted(found)
    return MetricDepth(
        frame_idx=np.array(seen, dtype=int),
        depth=np.stack([found[i][0] for i in seen]),
        valid=np.stack([found[i][1] for i in seen]),
        source=network.name,
        stature_known=stature_known,
    )


def depth_evidence(scene: Scene, frames: FrameSource, model: str | None) -> DepthEvidence:
    """Everything that depth tells about a scene whose bodies are fitted.

    Args:
        model: folder or name of a metric depth network, or None to ask none.

    Raises:
        MissingDependencyError, InputError: the network cannot be used.
    """
    keyframes = scene.keyframe_depth
    body = scene.manifest["stages"].get("body", {}).get("config", {})
    stature_known = body.get("stature") is not None
    network = None
    has_path = scene.camera.kind == "moving" and bool(scene.camera.tracked.any())
    if model is not None and has_path:  # others have no scale to find
        network = metric_depth(
            TransformersDepth(model),
            frames,
            frames_to_look_at(len(scene.video.times), keyframes),
            masks=people_masks(scene.tracks, scene.video),
            stature_known=stature_known,
        )
    return DepthEvidence(
        keyframes=keyframes, network=network, stature_known=stature_known, ground=scene.ground
    )
