"""The SSD MobileNetV2 person detector of MediaPipe's Objectron (Apache-2.0)."""

from __future__ import annotations

import math

import cv2
import numpy as np

from body.backends.litert import LiteRtNetwork
from body.detect import Detections, suppress
from recon.core.geometry import Array
from recon.core.weights import network_path

INPUT_SIZE = 300
PERSON_CLASS = 4
MIN_SCORE = 0.3
_STRIDES = (16, 32, 64, 128, 256, 512)
_MIN_SCALE, _MAX_SCALE = 0.2, 0.95


def ssd_anchors() -> Array:
    """Anchor boxes (1917, 4) as centre x, centre y, width, height in shares of the picture.

    Source: Liu et al. 2016, "SSD: Single Shot MultiBox Detector", section 2.2, with the lowest
    layer reduced to three boxes and one extra square box per cell elsewhere.
    """
    scales = np.linspace(_MIN_SCALE, _MAX_SCALE, len(_STRIDES))
    following = [*scales[1:], 1.0]
    anchors = []
    for level, (stride, scale, larger) in enumerate(zip(_STRIDES, scales, following, strict=True)):
        shapes = [(scale, ratio) for ratio in (1.0, 2.0, 0.5, 3.0, 1 / 3)]
        shapes.append((math.sqrt(scale * larger), 1.0))
        if level == 0:
            shapes = [(0.1, 1.0), (scale, 2.0), (scale, 0.5)]
        cells = math.ceil(INPUT_SIZE / stride)
        centres = (np.arange(cells) + 0.5) / cells
        sizes = [(s * math.sqrt(ratio), s / math.sqrt(ratio)) for s, ratio in shapes]
        anchors += [(x, y, w, h) for y in centres for x in centres for w, h in sizes]
    return np.array(anchors)


def decode_boxes(encodings: Array, anchors: Array) -> Array:
    """Boxes (N, 4) xyxy in shares of the picture from the network's (N, 4): y, x, h, w."""
    centre = encodings[:, [1, 0]] / 10 * anchors[:, 2:] + anchors[:, :2]
    half = np.exp(encodings[:, [3, 2]] / 5) * anchors[:, 2:] / 2
    return np.concatenate([centre - half, centre + half], axis=1)


class SsdDetector:
    """Boxes of people; about 6 ms a picture on two cores. `threads` 0 takes all cores."""

    def __init__(self, *, threads: int = 0) -> None:
        self._network = LiteRtNetwork(network_path("person_detector"), threads=threads)
        self._anchors = ssd_anchors()

    def detect(self, image: np.ndarray) -> Detections:
        """People in `image` (H, W, 3) uint8 RGB, which is squeezed to a square."""
        height, width = image.shape[:2]
        small = cv2.resize(image, (INPUT_SIZE, INPUT_SIZE), interpolation=cv2.INTER_LINEAR)
        outputs = self._network(small.astype(np.float32) / 127.5 - 1)
        logits = outputs["raw_outputs/class_predictions"][:, PERSON_CLASS].astype(float)
        scores = 1 / (1 + np.exp(-logits))
        likely = scores > MIN_SCORE
        encodings = outputs["raw_outputs/box_encodings"][likely].astype(float)
        boxes = np.clip(decode_boxes(encodings, self._anchors[likely]), 0, 1)
        found = Detections(boxes=boxes * [width, height, width, height], scores=scores[likely])
        return suppress(found, iou=0.5)
