"""Rendered clips of a furnished room with a known camera, for the study of the camera stage."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np

from benchmarks.common import DATA
from recon.core.geometry import Array, make_transform, rotvec_to_matrix
from recon.core.video import Frame, VideoInfo

WIDTH, HEIGHT, SUPERSAMPLED = 320, 180, 1.5
SCENE_DEPTH = 5.0
"""Metres from the first camera to the far wall, about."""

_TILE_PX, _TILE_M = 512, 3.5
_ROOM = (np.array([-4.0, -2.0, -3.0]), np.array([4.0, 1.5, 5.5]))
_CORRIDOR = (np.array([-1.1, -1.3, -3.0]), np.array([1.1, 1.4, 14.0]))
# Low corner and high corner in metres; x right, y down, z ahead of the first camera.
_FURNITURE = (
    ((-2.6, 0.3, 2.5), (-1.5, 1.5, 3.4)),
    ((0.9, 0.6, 2.0), (2.1, 1.5, 2.8)),
    ((-0.6, 0.9, 3.6), (0.5, 1.5, 4.6)),
    ((2.6, -1.0, 3.6), (3.4, 1.5, 4.6)),
    ((-3.6, -1.2, 4.2), (-2.9, 1.5, 5.2)),
)
_TEXTURES = (
    "handheld_rgb/0000.jpg", "handheld_rgb/0150.jpg", "handheld_rgb/0290.jpg", 
    "fox/images/0001.jpg", "fox/images/0025.jpg", "fox/images/0085.jpg",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A `FrameSource` with truth.

    Args:
        kinds: the true class of each shot. cuts: first frames of the shots after the first.
        corridor: a narrow one instead of the room.
        poses: (T, 4, 4) camera to room, metres. focals: (T,) px. times: (T,) seconds.
        person: horizontal centre (share of the width) of a person per frame, or None.
        person_width: share of the picture's width. noise: grey levels. gains: (T,) exposure.
        blur: pictures averaged over half a frame time, 1 for none.
        focal_known: whether the stage is told the focal length of the first frame.
        depthless: little but a flat wall is in view and comes nearer, as under a zoom: what is
            asked of the stage is the truth, or to say that it cannot tell and claim no path.
    """

    name: str
    kinds: tuple[str, ...]
    poses: Array
    focals: Array
    times: Array
    seed: int = 0
    corridor: bool = False
    cuts: tuple[int, ...] = ()
    person: Array | None = None
    person_width: float = 0.2
    noise: float = 2.0
    gains: Array | None = None
    blur: int = 1
    focal_known: bool = True
    depthless: bool = False
    cache: dict[bytes, np.ndarray] = field(default_factory=dict, repr=False)

    @property
    def info(self) -> VideoInfo:
        return VideoInfo(
            path=self.name, width=WIDTH, height=HEIGHT, times=self.times, focal_px=None,
            sha256=self.name,
        )  # fmt: skip

    def __iter__(self) -> Iterator[Frame]:
        rng = np.random.default_rng(self.seed)
        for i, time in enumerate(self.times):
            image = self._picture(i).astype(np.float32)
            if self.person is not None:
                inside = _person(self.person[i], self.person_width, i)
                image[inside] = _cloth(self.seed)[inside]
            if self.gains is not None:
                image = image * self.gains[i]
            image += rng.normal(0, self.noise, image.shape).astype(np.float32)
            yield Frame(index=i, time=float(time), image=np.clip(image, 0, 255).astype(np.uint8))

    def masks(self, frame_idx: int, height: int, width: int) -> np.ndarray | None:
        """The person, with the margin that the masks of real people get."""
        if self.person is None:
            return None
        inside = _person(self.person[frame_idx], self.person_width, frame_idx).astype(np.uint8)
        return cv2.dilate(inside, np.ones((9, 9), np.uint8))[:height, :width] > 0

    def _picture(self, i: int) -> np.ndarray:
        room = sum(i >= cut for cut in self.cuts) + self.seed
        key = self.poses[i].tobytes() + self.focals[i].tobytes() + bytes([room])
        if self.blur == 1 and key in self.cache:
            return self.cache[key]
        follower = min(i + 1, len(self.poses) - 1)
        images = []
        for k in range(self.blur):
            share = 0.5 * k / self.blur
            pose = self.poses[i].copy()
            turn = self.poses[i, :3, :3].T @ self.poses[follower, :3, :3]
            pose[:3, :3] = pose[:3, :3] @ rotvec_to_matrix(share * _rotvec(turn))
            pose[:3, 3] += share * (self.poses[follower, :3, 3] - pose[:3, 3])
            images.append(
                render(
                    pose, float(self.focals[i]), room, walls=_CORRIDOR if self.corridor else _ROOM
                )
            )
        image = np.asarray(np.mean(images, axis=0), np.float32)
        self.cache.clear()
        self.cache[key] = image
        return image


def _rotvec(rotation: Array) -> Array:
    return np.asarray(cv2.Rodrigues(rotation)[0], float).reshape(3)


_ATLASES: dict[int, np.ndarray] = {}


def _atlas(room: int) -> np.ndarray:
    """Six textures one above the other, other ones for another room."""
    if room not in _ATLASES:
        tiles = []
        for k in range(6):
            image = cv2.imread(str(DATA / _TEXTURES[(k + room) % 6]), cv2.IMREAD_COLOR_RGB)
            assert image is not None
            tile = cv2.resize(image, (_TILE_PX, _TILE_PX), interpolation=cv2.INTER_AREA)
            tint = np.random.default_rng(10 * room + k).uniform(0.65, 1.0, 3)
            tiles.append(cv2.GaussianBlur(tile, (0, 0), 0.8) * tint)
        _ATLASES[room] = np.concatenate(tiles).astype(np.float32)
    return _ATLASES[room]


Box = tuple[np.ndarray, np.ndarray]


def render(T_room_camera: Array, focal: float, room: int, *, walls: Box) -> np.ndarray:
    """The room without people, (HEIGHT, WIDTH, 3) float32, by ray casting against boxes."""
    w, h = round(WIDTH * SUPERSAMPLED), round(HEIGHT * SUPERSAMPLED)
    xs, ys = np.meshgrid(np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32))
    f = focal * SUPERSAMPLED
    rays = np.stack([(xs + 0.5 - w / 2) / f, (ys + 0.5 - h / 2) / f, np.ones_like(xs)], axis=0)
    rays = np.tensordot(T_room_camera[:3, :3].astype(np.float32), rays, axes=1).reshape(3, -1)
    eye = T_room_camera[:3, 3].astype(np.float32)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1 / rays
    low, high = (side[:, None].astype(np.float32) for side in walls)
    exits = np.maximum((low - eye) * inverse, (high - eye) * inverse)
    depth, face = exits.min(axis=0), exits.argmin(axis=0)
    for k, (corner, other) in enumerate(_FURNITURE):
        a = (np.array(corner, np.float32)[:, None] - eye) * inverse
        b = (np.array(other, np.float32)[:, None] - eye) * inverse
        near, far = np.minimum(a, b), np.maximum(a, b).min(axis=0)
        enter = near.max(axis=0)
        hit = (enter < far) & (enter > 0.05) & (enter < depth)
        depth = np.where(hit, enter, depth)
        face = np.where(hit, near.argmax(axis=0) + 3 * (k + 1), face)
    points = eye + rays * depth
    axis = face % 3
    u = np.where(axis == 0, points[2], points[0]) + 0.7 * face
    v = np.where(axis == 1, points[2], points[1]) + 0.3 * face
    u, v = (_mirrored(c / _TILE_M) * (_TILE_PX - 1) for c in (u, v))
    v += (face * 5 % 6) * _TILE_PX
    image = cv2.remap(
        _atlas(room), u.reshape(h, w).astype(np.float32), v.reshape(h, w).astype(np.float32),
        cv2.INTER_LINEAR,
    )  # fmt: skip
    return cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def _mirrored(c: np.ndarray) -> np.ndarray:
    return np.abs(np.mod(c, 2) - 1)


def _person(centre: float, width: float, i: int) -> np.ndarray:
    """Where a walking person-shaped cut-out is, (HEIGHT, WIDTH) bool."""
    out = np.zeros((HEIGHT, WIDTH), np.uint8)
    x, half = centre * WIDTH, 0.5 * width * WIDTH
    bob = 2 * math.sin(0.5 * i)
    cv2.ellipse(out, (int(x), int(38 + bob)), (int(0.45 * half), 24), 0, 0, 360, 1, -1)
    cv2.ellipse(out, (int(x), int(105 + bob)), (int(half), 50), 0, 0, 360, 1, -1)
    stride = 0.5 * half * math.sin(0.35 * i)
    for side in (-1, 1):
        foot = (int(x + side * stride), HEIGHT)
        cv2.line(out, (int(x), 130), foot, 1, max(2, int(0.6 * half)))
    return out > 0


def _cloth(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed + 99)
    coarse = rng.uniform(20, 235, (HEIGHT // 6, WIDTH // 6, 3)).astype(np.float32)
    return cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


# The clips ------------------------------------------------------------------------------------


def _times(num: int, fps: float, *, variable: bool = False, seed: int = 0) -> Array:
    if not variable:
        return np.arange(num) / fps
    steps = np.random.default_rng(seed).choice([0.6, 1.0, 1.0, 1.9], num - 1) / fps
    return np.concatenate([[0.0], np.cumsum(steps)])


def _path(times: Array, move: Callable[[Array], Array], turn: Callable[[Array], Array]) -> Array:
    """Poses from metres (T, 3) and rotation vectors (T, 3) as functions of seconds (T, 1)."""
    t = times[:, None]
    return make_transform(rotvec_to_matrix(turn(t) + 0 * t), move(t) + 0 * t)


def _xyz(x: Array | float = 0.0, y: Array | float = 0.0, z: Array | float = 0.0) -> Array:
    return np.concatenate(np.broadcast_arrays(x, y, z), axis=-1)


def _still(t: Array) -> Array:
    return _xyz(0 * t, 0 * t, 0 * t)


def _clip(name: str, kind: str, seed: int, **options) -> Clip:
    """A clip of `seconds` at `fps`, with `move` and `turn`; all else as in `Clip`."""
    fps, seconds = options.pop("fps", 30.0), options.pop("seconds", 2.6)
    times = _times(
        max(40, round(fps * seconds)) if fps >= 15 else round(fps * seconds), fps,
        variable=options.pop("variable", False), seed=seed,
    )  # fmt: skip
    # The prior is 60 degrees.
    fov = (62.0, 48.0, 74.0, 54.0, 67.0)[seed % 5]
    focal = 0.5 * WIDTH / math.tan(math.radians(fov) / 2)
    zoom = options.pop("zoom", lambda t: 1 + 0 * t)
    poses = _path(times, options.pop("move", _still), options.pop("turn", _still))
    gains = options.pop("gains", None)
    person = options.pop("person", None)
    return Clip(
        name=f"{name} #{seed}", kinds=(kind,), seed=seed, poses=poses, times=times,
        focals=focal * zoom(times), gains=None if gains is None else gains(times),
        person=None if person is None else person(times), focal_known=seed % 2 == 0, **options,
    )  # fmt: skip


def _joined(name: str, first: Clip, second: Clip) -> Clip:
    """Two clips one after the other, the second in another room."""
    count, step = len(first.times), 1 / 30
    return Clip(
        name=name, kinds=first.kinds + second.kinds, seed=first.seed, cuts=(count,),
        poses=np.concatenate([first.poses, second.poses]),
        times=np.concatenate([first.times, first.times[-1] + step + second.times]),
        focals=np.full(count + len(second.times), first.focals[0]), focal_known=first.focal_known,
    )  # fmt: skip


def _jolt(t: Array) -> Array:
    """A knock against the tripod: four degrees and back within a fifth of a second."""
    bump = np.exp(-(((t - 1.3) / 0.06) ** 2))
    return _xyz(0.07 * bump, 0.03 * bump, 0 * t)


def _shaky(t: Array) -> Array:
    return _xyz(0.02 * np.sin(5 * t), 0.04 * np.sin(2.3 * t), 0.01 * np.sin(7 * t))


def _walk(direction: Array, speed: float) -> Callable[[Array], Array]:
    bob = np.array([0.015, 0.03, 0.0])
    return lambda t: speed * t * direction + bob * np.sin(11 * t + np.array([0, 1, 0]))


def _orbit(rate: float) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """Around a point three metres ahead, looking at it."""
    return (
        lambda t: _xyz(3 * np.sin(rate * t), 0 * t, 3 - 3 * np.cos(rate * t)),
        lambda t: _xyz(0 * t, -rate * t, 0 * t),
    )


def _walker(t: Array) -> Array:
    return 0.05 + 0.9 * t / t[-1]


def _in_front(t: Array) -> Array:
    return 0.5 + 0.06 * np.sin(2 * t)


_AHEAD, _SIDE = np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.15])


def study_clips(seed: int) -> list[Clip]:
    """One clip of every family; another seed changes the room, the lens and the speeds."""
    fast = 1 + 0.25 * (seed % 3)

    def pan(rate: float) -> Callable[[Array], Array]:
        return lambda t: _xyz(0.02 * np.sin(3 * t), rate * fast * (t - 1.2), 0 * t)

    orbit_move, orbit_turn = _orbit(0.18 * fast)
    still = _clip("static half", "static", seed, seconds=1.5)
    sideways = _clip("moving half", "moving", seed, seconds=1.8, move=_walk(_SIDE, 0.5 * fast))
    return [
        _clip("static, noise", "static", seed, noise=7.0),
        _clip("static, exposure drifts", "static", seed,
              gains=lambda t: 1 + 0.35 * np.sin(1.5 * t)),
        _clip("static, exposure jumps", "static", seed, gains=lambda t: np.where(t > 1.2, 1.4, 1)),
        _clip("static, a person fills a third", "static", seed, person=_in_front,
              person_width=0.45, noise=4.0),
        _clip("static, a walker", "static", seed, person=_walker),
        _clip("static, 10 frames per second", "static", seed, fps=10, seconds=6),
        _clip("static but for one jolt", "rotating", seed, turn=_jolt, seconds=3.2),
        _clip("tripod pan", "rotating", seed, turn=pan(0.25)),
        _clip("tripod pan, a walker", "rotating", seed, turn=pan(0.25), person=_walker),
        _clip("tripod, shaky", "rotating", seed, turn=_shaky),
        _clip("fast pan with blur", "rotating", seed, turn=pan(0.7), blur=4, seconds=1.6),
        _clip("pan, variable frame rate", "rotating", seed, turn=pan(0.25), variable=True),
        _clip("zoom in", "zooming", seed, zoom=lambda t: 1 + 0.17 * fast * t),
        _clip("zoom out with a pan", "zooming", seed, zoom=lambda t: 1.6 - 0.15 * fast * t,
              turn=pan(0.1)),
        _clip("sway by hand", "moving", seed, turn=_shaky,
              move=lambda t: _xyz(0.25 * np.sin(1.7 * t), 0.06 * np.sin(3 * t), 0.1 * np.sin(t))),
        _clip("orbit", "moving", seed, move=orbit_move, turn=orbit_turn),
        _clip("forward walk", "moving", seed, move=_walk(_AHEAD, 0.5 * fast),
              corridor=True),
        _clip("walk towards a wall", "moving", seed, move=_walk(_AHEAD, 0.5 * fast),
              depthless=True),
        _clip("forward walk, variable frame rate", "moving", seed, move=_walk(_AHEAD, 0.5 * fast),
              corridor=True, variable=True),
        _clip("follow-cam behind a walker", "moving", seed, move=_walk(_AHEAD, 0.5 * fast),
              corridor=True, person=_in_front, person_width=0.3),
        _clip("follow-cam beside a walker", "moving", seed, move=_walk(_SIDE, 0.6 * fast),
              person=_in_front, person_width=0.3),
        _clip("sideways, 60 frames per second", "moving", seed, fps=60, seconds=1.6,
              move=_walk(_SIDE, 0.6 * fast)),
        _joined(f"a cut, static to moving #{seed}", still, sideways),
    ]  # fmt: skip
