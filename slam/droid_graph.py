"""Keyframes and the links between them, as DROID-SLAM keeps them: which pairs of pictures are
compared, what the learned matcher says of them, and the bundle adjustment that follows.

Everything is measured in cells, 1/8 of the network's pictures, the unit of DROID's constants.

Source: Teed and Deng 2021, DROID-SLAM, section 3.3; the numbers are its released defaults.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from recon.core.camera import Intrinsics
from recon.core.geometry import Array, invert_transform, make_transform
from slam.dense_ba import Damping, DenseEdges, DenseState, adjust_rows, reproject
from slam.droid_network import CELL, FlowUpdate

# The matcher's weights are this much information per squared cell.
INFORMATION = 0.001
DAMPING_SHARE, MIN_DAMPING = 0.2, 1e-7
STEPS_PER_UPDATE = 2
# Of a frame's distance: share of the flow with the turn in it; the rest is without.
TURN_SHARE = 0.3
MIN_IN_FRONT = 0.75
MAX_FLOW = 100.0
SPARSE = 3


class Matcher(Protocol):
    """What compares pictures; codes and links are its own business. See NetworkMatcher."""

    def encode(self, image: np.ndarray) -> Any: ...

    def link(self, source: Any, target: Any) -> Any: ...

    def update(self, links: Sequence[Any], at: np.ndarray, motion: np.ndarray) -> FlowUpdate: ...


@dataclass(frozen=True, kw_only=True)
class CellGrid:
    """The cells of all pictures.

    Args: camera: intrinsics for a picture of one pixel per cell.
    """

    camera: Intrinsics

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.camera.height, self.camera.width

    @property
    def places(self) -> Array:
        """(N, 2) row by row. A cell of the network looks at the first pixel of its 8x8."""
        rows, columns = self.shape
        x, y = np.meshgrid(np.arange(columns), np.arange(rows))
        return np.stack([x.ravel(), y.ravel()], axis=-1).astype(np.float64) + 0.5 / CELL

    @property
    def sparse(self) -> np.ndarray:
        """Numbers of a third of the cells in each direction, for means over all of them."""
        rows, columns = self.shape
        return np.arange(rows * columns).reshape(rows, columns)[::SPARSE, ::SPARSE].ravel()


@dataclass(frozen=True, kw_only=True)
class Keyframes:
    """K pictures with their poses and depths.

    Args:
        frame_idx: of the clip. codes: the matcher's. background: (K, N) bool, nobody there.
        state: poses and inverse depths. damping: (K, N) of the depths, as the matcher wants it.
    """

    frame_idx: list[int]
    codes: list[Any]
    background: np.ndarray
    state: DenseState
    damping: Array

    def __len__(self) -> int:
        return len(self.frame_idx)

    @classmethod
    def none(cls, grid: CellGrid) -> Keyframes:
        cells = len(grid.places)
        state = DenseState(
            Ts_camera_slam=np.zeros((0, 4, 4)), inverse_depth=np.zeros((0, cells)),
            focal_px=grid.camera.fx,
        )  # fmt: skip
        return cls(
            frame_idx=[], codes=[], background=np.zeros((0, cells), bool), state=state,
            damping=np.zeros((0, cells)),
        )  # fmt: skip

    def take(self, rows: Sequence[int]) -> Keyframes:
        """Some of the keyframes."""
        chosen = np.asarray(rows, int)
        return Keyframes(
            frame_idx=[self.frame_idx[row] for row in rows],
            codes=[self.codes[row] for row in rows],
            background=self.background[chosen],
            state=replace(
                self.state,
                Ts_camera_slam=self.state.Ts_camera_slam[chosen],
                inverse_depth=self.state.inverse_depth[chosen],
            ),
            damping=self.damping[chosen],
        )

    def plus(
        self, frame: int, code: Any, background: np.ndarray, T_camera_slam: Array, depth: float
    ) -> Keyframes:
        """These, and one whose inverse depth is the same everywhere."""
        state = self.state
        flat = np.full((1, background.size), depth)
        return Keyframes(
            frame_idx=[*self.frame_idx, frame],
            codes=[*self.codes, code],
            background=np.concatenate([self.background, background[None]]),
            state=replace(
                state,
                Ts_camera_slam=np.concatenate([state.Ts_camera_slam, T_camera_slam[None]]),
                inverse_depth=np.concatenate([state.inverse_depth, flat]),
            ),
            damping=np.concatenate([self.damping, 0 * flat + 1e-6]),
        )

    def rescaled(self) -> Keyframes:
        """The same with a mean inverse depth of 1."""
        unit = float(self.state.inverse_depth.mean())
        poses = self.state.Ts_camera_slam.copy()
        poses[:, :3, 3] *= unit
        depths = self.state.inverse_depth / unit
        return replace(self, state=replace(self.state, Ts_camera_slam=poses, inverse_depth=depths))


@dataclass
class LinkGraph:
    """Links between keyframes. Those at work are updated by the matcher; those at rest keep what
    they last said and still hold the poses.

    Args: max_links: at work at once; the oldest go to rest.
    """

    matcher: Matcher
    keys: Keyframes
    grid: CellGrid
    max_links: int
    links: list[Any] = field(default_factory=list)
    edges: DenseEdges = field(init=False)
    ages: np.ndarray = field(init=False)
    at_rest: DenseEdges = field(init=False)

    def __post_init__(self) -> None:
        cells = len(self.grid.places)
        none, nowhere = np.zeros(0, int), np.zeros((0, 2, cells), np.float32)
        self.edges = DenseEdges(sources=none, targets=none, seen_px=nowhere, weights=nowhere)
        self.at_rest, self.ages = self.edges, none

    def add(self, pairs: Sequence[tuple[int, int]], *, make_room: bool = False) -> None:
        """Links these pairs (source, target) where they are not linked already."""
        known = self._pairs()
        new = [pair for pair in dict.fromkeys(pairs) if pair not in known]
        if not new:
            return
        excess = len(self.links) + len(new) - self.max_links
        if make_room and excess > 0:
            oldest = np.argsort(-self.ages, kind="stable")[:excess]
            self.drop(np.isin(np.arange(len(self.links)), oldest), rest=True)
        sources, targets = np.array(new).T
        codes = self.keys.codes
        self.links += [self.matcher.link(codes[i], codes[j]) for i, j in new]
        seen = self._predict(sources, targets)
        added = DenseEdges(sources=sources, targets=targets, seen_px=seen, weights=0 * seen)
        self.edges = self.edges.joined(added)
        self.ages = np.concatenate([self.ages, np.zeros(len(new), int)])

    def add_near(
        self, first: int, first_other: int, *, radius: int, apart: int, max_flow: float,
        make_room: bool = False,
    ) -> None:  # fmt: skip
        """Links every keyframe from `first` on with those just before it, and, nearest first, with
        earlier ones from `first_other` on that see the same place.

        Args:
            radius: neighbours up to one more than this are always linked. apart: how far, in
                keyframes, another link of two distant ones must be. max_flow: cells.
        """
        count = len(self.keys)
        distance = np.full((count, count), np.inf)
        for i in range(first, count):
            others = np.arange(first_other, i - radius + 1)
            if len(others):
                distance[i, others] = self.flow_between(i, others)
        distance[distance > min(max_flow, MAX_FLOW)] = np.inf
        for i, j in self._pairs():
            _suppress(distance, i, j, apart)
        pairs: list[tuple[int, int]] = []
        for i in range(first, count):
            for j in range(max(i - radius - 1, 0), i):
                pairs += [(i, j), (j, i)]
                distance[i, j] = np.inf
        for flat in np.argsort(distance, axis=None):
            i, j = divmod(int(flat), count)
            if not np.isfinite(distance[i, j]):
                continue
            if len(pairs) > self.max_links:
                break
            pairs += [(i, j), (j, i)]
            _suppress(distance, i, j, apart)
        self.add(pairs, make_room=make_room)

    def flow_between(self, i: int, others: np.ndarray) -> Array:
        """Mean flow (m,), cells, between keyframe i and others, both ways, people left out; inf
        where too little of one is in front of the other."""
        there = [self._flow(i, others)]
        back = [self._flow(int(j), np.array([i])) for j in others]
        return 0.5 * (there[0] + np.concatenate(back))

    def drop(self, gone: np.ndarray, *, rest: bool) -> None:
        """Takes links (mask) out of work, either to rest or for good."""
        if rest:
            self.at_rest = self.at_rest.joined(self.edges.take(gone))
        self.links = [link for link, out in zip(self.links, gone, strict=True) if not out]
        self.edges, self.ages = self.edges.take(~gone), self.ages[~gone]

    def remove_keyframe(self, row: int) -> None:
        """Forgets a keyframe and its links."""
        self.drop((self.edges.sources == row) | (self.edges.targets == row), rest=False)
        rows = [k for k in range(len(self.keys)) if k != row]
        self.edges, self.at_rest = (e.among(np.array(rows)) for e in (self.edges, self.at_rest))
        self.keys = self.keys.take(rows)

    def update(self, *, first_free: int | None = None, pose: float = 0.1,
               pose_relative: float = 1e-4, only_poses: bool = False) -> None:  # fmt: skip
        """Asks the matcher once about all links at work, then adjusts poses and depths.

        Args:
            first_free: keyframes before it keep their pose; by default those before the first
                source at work, and it. pose, pose_relative: damping of the poses.
            only_poses: depths stay.
        """
        self._ask()
        if first_free is None:
            first_free = max(1, int(self.edges.sources.min()) + 1)
        old = self.at_rest
        near = (old.sources >= first_free - 3) & (old.targets >= first_free - 3)
        edges = old.take(near).joined(self.edges)
        rows = np.unique(np.concatenate([edges.sources, edges.targets]))
        keys = self.keys
        cells = (
            np.full(keys.damping.shape, np.inf)
            if only_poses
            else DAMPING_SHARE * keys.damping + MIN_DAMPING
        )
        damping = Damping(
            kernel_px=np.inf, pose=pose, pose_relative=pose_relative, depth=0, cells=cells
        )
        edges = replace(edges, weights=INFORMATION * edges.weights)
        state = keys.state
        for _ in range(STEPS_PER_UPDATE):
            state, _ = adjust_rows(
                state, edges, rows, cells_px=self.grid.places, intrinsics=self.grid.camera,
                free=rows >= first_free, damping=damping,
            )  # fmt: skip
        self.keys = replace(keys, state=state)
        self.ages = self.ages + 1

    def _ask(self) -> None:
        """One step of the matcher for every link, source by source."""
        edges, shape = self.edges, self.grid.shape
        places = self.grid.places.T
        at = self._predict(edges.sources, edges.targets)
        motion = np.concatenate([at - places, edges.seen_px - at], axis=1)
        seen, weights, links = at.copy(), np.zeros_like(at), list(self.links)
        damping = self.keys.damping.copy()
        for source in np.unique(edges.sources).tolist():
            rows = np.flatnonzero(edges.sources == source)
            said = self.matcher.update(
                [links[row] for row in rows],
                (at[rows] - 0.5 / CELL).reshape(-1, 2, *shape),
                motion[rows].reshape(-1, 4, *shape),
            )
            seen[rows] += said.delta.reshape(len(rows), 2, -1)
            weights[rows] = said.weights.reshape(len(rows), 2, -1)
            damping[source] = said.damping.ravel()
            for row, link in zip(rows, said.links, strict=True):
                links[row] = link
        weights *= self._nobody(edges, seen)[:, None]
        self.links, self.keys = links, replace(self.keys, damping=damping)
        self.edges = replace(edges, seen_px=seen, weights=weights)

    def _nobody(self, edges: DenseEdges, seen: np.ndarray) -> np.ndarray:
        """Where neither end of a cell's match is on a person, (E, N) bool."""
        rows, columns = self.grid.shape
        cell = np.rint(np.clip(np.nan_to_num(seen), -1, max(rows, columns)) - 0.5 / CELL)
        x, y = np.moveaxis(cell.astype(int), 1, 0)
        inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
        flat = np.clip(y, 0, rows - 1) * columns + np.clip(x, 0, columns - 1)
        there = np.take_along_axis(self.keys.background[edges.targets], flat, axis=1)
        return self.keys.background[edges.sources] & (there | ~inside)

    def _predict(self, sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Where poses and depths put the sources' cells in the targets, (E, 2, N) float32."""
        T, d = self.keys.state.Ts_camera_slam, self.keys.state.inverse_depth
        places, camera = self.grid.places, self.grid.camera
        out = np.zeros((len(sources), 2, len(places)), np.float32)
        for source in np.unique(sources).tolist():
            rows = np.flatnonzero(sources == source)
            relative = T[targets[rows]] @ invert_transform(T[source])
            out[rows], _ = reproject(relative, d[source], cells_px=places, intrinsics=camera)
        return out

    def _flow(self, source: int, targets: np.ndarray) -> Array:
        """Mean length (m,) of the flow from one keyframe to others, one way."""
        keys, chosen = self.keys, self.grid.sparse
        free = keys.background[source][chosen]
        places, d = self.grid.places[chosen], keys.state.inverse_depth[source][chosen]
        T = keys.state.Ts_camera_slam
        whole = T[targets] @ invert_transform(T[source])
        moved = make_transform(np.eye(3), whole[:, :3, 3])
        length, share = np.zeros(len(targets)), np.zeros(len(targets))
        for relative, part in ((whole, TURN_SHARE), (moved, 1 - TURN_SHARE)):
            seen, front = reproject(relative, d, cells_px=places, intrinsics=self.grid.camera)
            counts = front & free
            length += part * (np.linalg.norm(seen - places.T, axis=1) * counts).sum(axis=1)
            share += part * counts.sum(axis=1)
        enough = share >= MIN_IN_FRONT * max(free.sum(), 1)
        return np.where(enough, length / np.maximum(share, 1e-9), np.inf)

    def _pairs(self) -> set[tuple[int, int]]:
        both = (self.edges, self.at_rest)
        return {p for e in both for p in zip(e.sources.tolist(), e.targets.tolist(), strict=True)}


def _suppress(distance: Array, i: int, j: int, apart: int) -> None:
    """Rules out the pairs near (i, j), the more of them the further apart i and j are."""
    reach = max(min(abs(i - j) - 2, apart), 0)
    for di in range(-reach, reach + 1):
        for dj in range(-(reach - abs(di)), reach - abs(di) + 1):
            if 0 <= i + di < len(distance) and 0 <= j + dj < len(distance):
                distance[i + di, j + dj] = np.inf
