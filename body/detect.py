"""People's boxes in one picture: the detector seam, tiles for small people, and merging."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from recon.core.checks import check_array
from recon.core.errors import InputError
from recon.core.geometry import Array


@dataclass(frozen=True, kw_only=True)
class Detections:
    """Boxes (N, 4) xyxy px and scores (N,), 0-1, of one picture, best first."""

    boxes: Array
    scores: Array

    def __post_init__(self) -> None:
        check_array("boxes", self.boxes, (len(self.boxes), 4))
        check_array("scores", self.scores, (len(self.boxes),))

    def __len__(self) -> int:
        return len(self.boxes)


class Detector(Protocol):
    """Finds people in one picture."""

    def detect(self, image: np.ndarray) -> Detections:
        """Overlapping boxes merged already; scores comparable between pictures.

        Args:
            image: (H, W, 3) uint8 RGB.
        """
        ...


DETECTORS = {"ssd": "body.backends.ssd:SsdDetector"}


def load_backend(table: dict[str, str], name: str, option: str) -> type:
    """The class that a table of `module:Class` strings holds under `name`.

    Raises:
        InputError: there is no such name; the message names the `option`.
    """
    if name not in table:
        raise InputError(f"expected {option} to be one of {', '.join(table)}; got {name!r}")
    module, _, attribute = table[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def pairwise_overlap(a: Array, b: Array) -> tuple[Array, Array]:
    """Intersection over union, and over the smaller box, both (N, M), of boxes (N, 4), (M, 4)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    intersection = np.clip(high - low, 0, None).prod(axis=-1)
    area_a = np.clip(a[:, 2:] - a[:, :2], 0, None).prod(axis=-1)[:, None]
    area_b = np.clip(b[:, 2:] - b[:, :2], 0, None).prod(axis=-1)[None]
    union = np.maximum(area_a + area_b - intersection, 1e-9)
    smaller = np.maximum(np.minimum(area_a, area_b), 1e-9)
    return intersection / union, intersection / smaller


def suppress(found: Detections, *, iou: float = 0.5, inside: float = 1.1) -> Detections:
    """The best boxes: one goes where a better one overlaps it by `iou` or contains `inside` of it.

    `inside` is a share of the smaller box; above 1 it never applies.
    """
    order = np.argsort(-found.scores, kind="stable")
    overlap, contained = pairwise_overlap(found.boxes, found.boxes)
    clash = (overlap > iou) | (contained > inside)
    keep: list[int] = []
    for i in order:
        if not clash[i, keep].any():
            keep.append(int(i))
    return Detections(boxes=found.boxes[keep], scores=found.scores[keep])


def tile_grid(width: int, height: int, grid: int, *, overlap: float = 0.25) -> np.ndarray:
    """Tiles (grid * grid, 4) int xyxy px that cover the picture, each grown by `overlap`."""

    def spans(length: int) -> list[tuple[int, int]]:
        side = min(length, int(np.ceil(length / grid * (1 + overlap))))
        starts = np.linspace(0, length - side, grid).round().astype(int)
        return [(int(s), int(s) + side) for s in starts]

    return np.array(
        [(x0, y0, x1, y1) for y0, y1 in spans(height) for x0, x1 in spans(width)], dtype=int
    )


def tile_detections(detector: Detector, image: np.ndarray, grid: int) -> Detections:
    """People found in the tiles of a grid x grid division, in the whole picture's pixels.

    A box that a tile's inner border cuts is dropped: its neighbour, or the whole picture, sees
    the person entire.

    Args:
        image: (H, W, 3) uint8 RGB.
    """
    height, width = image.shape[:2]
    boxes, scores = [np.zeros((0, 4))], [np.zeros(0)]
    for tile in tile_grid(width, height, grid):
        x0, y0, x1, y1 = tile
        found = detector.detect(image[y0:y1, x0:x1])
        margin = 0.02 * np.array([x1 - x0, y1 - y0, x1 - x0, y1 - y0])
        near = np.abs(found.boxes - [0, 0, x1 - x0, y1 - y0]) < margin
        cut = (near & (tile != [0, 0, width, height])).any(axis=1)
        boxes.append(found.boxes[~cut] + [x0, y0, x0, y0])
        scores.append(found.scores[~cut])
    return Detections(boxes=np.concatenate(boxes), scores=np.concatenate(scores))


def merge(parts: list[Detections]) -> Detections:
    """Several passes over one picture as one: of boxes that overlap or nest, the best stays."""
    boxes = np.concatenate([p.boxes for p in parts])
    scores = np.concatenate([p.scores for p in parts])
    return suppress(Detections(boxes=boxes, scores=scores), iou=0.45, inside=0.8)


class TiledDetector:
    """Looks at the whole picture, and at tiles where they find people whom the whole does not.

    A network that squeezes the picture to 300 px misses small people. Tiles cost 4 and 9 more
    runs, so all of them run only as a probe, at the first picture and then every `probe_every`
    seconds; between probes the coarsest division runs that found everybody.

    Args:
        strong: score from which a box counts as a person.
    """

    def __init__(
        self, detector: Detector, *, strong: float = 0.45, probe_every: float = 2.0
    ) -> None:
        self._detector = detector
        self._strong = strong
        self._probe_every = probe_every
        self._next_probe = -np.inf
        self.grids: tuple[int, ...] = ()
        """The divisions that run between probes."""

    def detect(self, image: np.ndarray, time: float) -> Detections:
        """People in `image` (H, W, 3) uint8 RGB; `time` in seconds never decreases."""
        probe = time >= self._next_probe
        parts = [self._detector.detect(image)]
        grids: tuple[int, ...] = ()
        for grid in (2, 3) if probe else self.grids:
            tiles = tile_detections(self._detector, image, grid)
            if self._adds(tiles, merge(parts)):
                grids = (*grids, grid)
            parts.append(tiles)
        if probe:
            self.grids, self._next_probe = grids, time + self._probe_every
        return merge(parts)

    def _adds(self, tiles: Detections, known: Detections) -> bool:
        new = tiles.boxes[tiles.scores >= self._strong]
        old = known.boxes[known.scores >= self._strong]
        iou, nested = pairwise_overlap(new, old)
        return bool((~((iou > 0.4) | (nested > 0.8)).any(axis=1)).any())
