"""Who covers which pixels: the landmark network's mask and the fitted body, drawn to the edges.

The network's mask is a coarse grid, the body's silhouette knows no clothes. Their weighted mean is
filtered along the picture's edges (guided filter, He et al. 2010). GrabCut was measured and left
out: on rendered people it moved masks away from the truth. A SAM-family network can draw the masks
instead, prompted by ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from recon.core.people import row_at
from recon.core.raster import Raster, Surface
from recon.core.scene import Scene
from recon.core.video import Frame
from recon.export.overlay import CameraPerson, camera_people
from recon.mask_networks import MaskNetwork, load_mask_network

BODY_SHARE = 0.3  # of the silhouette in the mean with the network's mask
RADIUS, SMOOTHNESS = 0.03, 1e-4  # of the filter: share of the person's height; colours 0 to 1
MARGIN = 0.15  # of the person's size around them
WORKING_SIDE = 512  # px, longer side of what is filtered
LEAST_AGREEMENT = 0.5  # IoU, below which a prompted network found something else
MIN_PIXELS = 16


@dataclass(frozen=True, kw_only=True)
class PersonMask:
    """One person in one frame, (H, W) bool at the frame's own size.

    Args:
        person: pixels that show them. others: pixels that show somebody else.
    """

    person: np.ndarray
    others: np.ndarray


class SceneMasks:
    """Masks of the people of a scene, frame by frame.

    Args:
        scene: with tracks and fitted bodies. model: folder or name of a SAM-family network that
            draws the masks; None for none.

    Attributes:
        disagreed: (track, frame) pairs where the network's answer was so far from the prompt
            that the mask without it was kept.

    Raises:
        MissingDependencyError, InputError: the network cannot be used.
        StaleSceneError: the scene's stages have not run.
    """

    def __init__(self, scene: Scene, model: str | None = None, *, device: str = "cpu") -> None:
        self._tracks = {track.track_id: track for track in scene.tracks}
        self._people = [p for p in camera_people(scene) if p.track_id in self._tracks]
        self._intrinsics = scene.camera.intrinsics
        self._network: MaskNetwork | None = None
        if model is not None:
            self._network = load_mask_network(model, device=device)
        self.disagreed: list[tuple[int, int]] = []

    def of(self, frame: Frame, track_id: int) -> PersonMask | None:
        """The person's mask in this frame, or None where they were not tracked or not fitted."""
        height, width = frame.image.shape[:2]
        networks = self._network_masks(frame.index, height, width)
        bodies = self._silhouettes(frame.index, height, width)
        if track_id not in networks or track_id not in bodies:
            return None
        mine, others = share_out(track_id, networks, bodies)
        person = refined(frame.image, mine, bodies[track_id]) & ~others
        if self._network is not None and person.sum() >= MIN_PIXELS:
            drawn = prompted(self._network, frame.image, person)
            if drawn is None:
                self.disagreed.append((track_id, frame.index))
            else:
                person = drawn & ~others
        return PersonMask(person=person, others=others & ~person)

    def _network_masks(self, frame: int, height: int, width: int) -> dict[int, np.ndarray]:
        rows = {i: row_at(track.frame_idx, frame) for i, track in self._tracks.items()}
        return {
            i: self._tracks[i].masks.render(row, height=height, width=width)
            for i, row in rows.items()
            if row is not None
        }

    def _silhouettes(self, frame: int, height: int, width: int) -> dict[int, np.ndarray]:
        """What each fitted body covers, hidden behind nearer ones."""
        shown = [(p, seen[0]) for p in self._people if (seen := p.at(frame)) is not None]
        raster = Raster(self._intrinsics.resized(width, height))
        raster.draw_surfaces([_surface(person, vertices) for person, vertices in shown])
        return {p.track_id: raster.owner == k for k, (p, _) in enumerate(shown)}


def share_out(
    track_id: int, networks: Mapping[int, np.ndarray], bodies: Mapping[int, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """The person's network mask without what is somebody else's, and what is somebody else's.

    The network masks everybody near the person that it looks at. A pixel that another mask claims
    too, or that lies well inside another drawn body, goes to the body that it lies deeper in.

    Args:
        networks, bodies: (H, W) bool by track, bodies as they hide one another.
    """
    mine, none = networks[track_id], np.zeros_like(networks[track_id])
    rivals = [body for i, body in bodies.items() if i != track_id]
    claims = [mask for i, mask in networks.items() if i != track_id]
    silhouette = np.logical_or.reduce([none, *rivals])
    claimed = np.logical_or.reduce([none, *claims])
    if not silhouette.any():
        return mine, claimed & ~mine
    theirs = _depth_inside(silhouette)
    deeper = theirs > _depth_inside(bodies[track_id])
    lost = deeper & (claimed | (theirs > 0.01 * _height(mine)))
    return mine & ~lost, (claimed & ~mine) | lost


def refined(image: np.ndarray, network: np.ndarray, body: np.ndarray) -> np.ndarray:
    """The mask (H, W) bool whose outline follows the picture's edges near both given ones.

    Args:
        image: (H, W, 3) uint8. network, body: (H, W) bool; the silhouette may be empty.
    """
    if network.sum() < MIN_PIXELS:
        return network.copy()
    box = _box_around(network | body)
    mean = (1 - BODY_SHARE) * network[box] + BODY_SHARE * body[box].astype(np.float32)
    part = np.ascontiguousarray(image[box])
    shrink = min(1.0, WORKING_SIDE / max(mean.shape))
    size = (max(1, round(mean.shape[1] * shrink)), max(1, round(mean.shape[0] * shrink)))
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    mean_small = cv2.resize(mean.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    radius = max(1, round(RADIUS * _height(network) * shrink))
    a, b = guided_coefficients(small, mean_small, radius=radius, smoothness=SMOOTHNESS)
    whole = mean.shape[::-1]
    # The coefficients are smooth: enlarged, they meet the picture's own edges (He & Sun 2015).
    a, b = (np.asarray(cv2.resize(x, whole, interpolation=cv2.INTER_LINEAR)) for x in (a, b))
    out = np.zeros_like(network)
    out[box] = (a * part).sum(axis=-1) / 255 + b > 0.5
    return out


def guided_coefficients(
    guide: np.ndarray, values: np.ndarray, *, radius: int, smoothness: float
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients a (H, W, 3), b (H, W): `a . guide + b` are the values with the guide's edges.

    Guided filter for colour (He et al. 2010, equations 19 to 21).

    Args:
        guide: (H, W, 3) float32 in 0 to 1. values: (H, W) float32. radius: of the window, px.
        smoothness: epsilon, variance of colour below which nothing is an edge.
    """

    def mean(x: np.ndarray) -> np.ndarray:
        side = (2 * radius + 1, 2 * radius + 1)
        return np.asarray(cv2.boxFilter(x, -1, side, borderType=cv2.BORDER_REFLECT))

    mean_guide, mean_values = mean(guide), mean(values)
    covariance = mean(guide * values[..., None]) - mean_guide * mean_values[..., None]
    variance = np.empty((*values.shape, 3, 3), np.float32)
    for i in range(3):
        for j in range(3):
            product = mean(guide[..., i] * guide[..., j])
            variance[..., i, j] = product - mean_guide[..., i] * mean_guide[..., j]
    variance += smoothness * np.eye(3, dtype=np.float32)
    a = np.linalg.solve(variance, covariance[..., None])[..., 0]
    return mean(a), mean(mean_values - (a * mean_guide).sum(axis=-1))


def prompted(network: MaskNetwork, image: np.ndarray, person: np.ndarray) -> np.ndarray | None:
    """What a promptable network draws for this mask, None where its best answer is another thing.

    The prompt is the mask's box and the innermost point of each third of it.
    """
    rows, columns = np.nonzero(person)
    box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], float)
    candidates = network.masks(image, box, _inner_points(person))
    agreements = [(c & person).sum() / max((c | person).sum(), 1) for c in candidates]
    best = int(np.argmax(agreements))
    return candidates[best] if agreements[best] >= LEAST_AGREEMENT else None


def _inner_points(mask: np.ndarray) -> np.ndarray:
    """The pixels (P, 2) farthest from the outline in the upper, middle and lower third, px."""
    rows = np.flatnonzero(mask.any(axis=1))
    depth = np.maximum(_depth_inside(mask), 0)
    points: list[Sequence[float]] = []
    for part in np.array_split(np.arange(rows[0], rows[-1] + 1), 3):
        if len(part) and depth[part].max() > 0:
            y, x = divmod(int(np.argmax(depth[part])), mask.shape[1])
            points.append((x + 0.5, part[0] + y + 0.5))
    return np.array(points)


def _surface(person: CameraPerson, vertices_camera: np.ndarray) -> Surface:
    return Surface(vertices_camera=vertices_camera, faces=person.rig.faces, color=(255, 255, 255))


def _depth_inside(mask: np.ndarray) -> np.ndarray:
    """Distance to the outline (H, W), px: positive inside, negative outside."""
    inside = mask.astype(np.uint8)
    deep = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    return np.asarray(deep - cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5))


def _height(mask: np.ndarray) -> int:
    rows = np.flatnonzero(mask.any(axis=1))
    return int(rows[-1] - rows[0] + 1) if len(rows) else 1


def _box_around(mask: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of what is set, with a margin."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    margin = max(2, round(MARGIN * max(np.ptp(rows), np.ptp(columns))))
    return (
        slice(max(rows[0] - margin, 0), rows[-1] + 1 + margin),
        slice(max(columns[0] - margin, 0), columns[-1] + 1 + margin),
    )
