"""A rendered world as files: a video, and the scene folder that a faultless run would leave."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

import recon
from recon.core.errors import InputError
from recon.core.geometry import Array
from recon.core.people import RoiMasks
from recon.core.scene import Scene, StageName
from recon.core.stage import Progress, StageReport, no_progress
from recon.core.storage import write_atomic
from recon.core.video import VideoInfo
from recon.synth.keypoints import TrueWorld, in_sight, true_world
from recon.synth.render import Picture, Renderer
from recon.synth.world import StagedWorld, WorldSpec, stage_world, true_track

VIDEO, CONFIG, FLOOR, DEPTH, MASKS = "video.mp4", "synth.json", "floor.json", "depth", "masks"
MASK_SIZE = 256
_CLOCK = 90000
"""Ticks a second of the video's times."""


@dataclass(frozen=True, kw_only=True)
class SynthConfig:
    """What the records of a truth scene state as every stage's config."""

    seed: int
    camera: str
    people: int
    place: str


def make_world(
    spec: WorldSpec, out: str | Path, *, pixels: bool = True, progress: Progress = no_progress
) -> Scene:
    """Stages a world, draws it and writes its truth; deterministic by the seed.

    The folder is a finished scene (video, tracks, camera, bodies, placement) beside `video.mp4`,
    `depth/NNNNNN.png` (uint16, millimetres, 0 where there is nothing), `masks/NNNNNN.png` (uint8,
    0 or the person's number), `floor.json` (floor and props) and `synth.json`.

    Args:
        out: a folder that is empty or does not exist. pixels: False writes the truth and no
            pictures, depth or masks.

    Raises:
        InputError: the folder is in use, or the spec cannot be staged.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"expected a new or empty folder to write, got {out}; choose another")
    world = stage_world(spec)
    scene = Scene.create(out)
    seen = in_sight(world)
    truth = true_world(world, seen=seen)
    sha256 = hashlib.sha256(repr(spec).encode()).hexdigest()
    if pixels:
        found = _draw(world, out, progress)
        truth = _with_pictures(world, truth, found, seen)
        sha256 = hashlib.sha256((out / VIDEO).read_bytes()).hexdigest()
    _save(scene, world, truth, sha256)
    _write_json(out / FLOOR, {
        "plane": {"normal": [0.0, 0.0, 1.0], "offset": 0.0},
        "props": [
            {"person": k + 1, "kind": b.kind, "center": b.center.tolist(), "size": b.size.tolist(),
             "yaw": float(b.yaw)}
            for k, p in enumerate(world.performers) for b in p.props
        ],
    })  # fmt: skip
    _write_json(out / CONFIG, {
        "spec": dataclasses.asdict(spec) | {"motions": [str(m) for m in spec.motions]},
        "seed": spec.seed,
        "version": recon.__version__,
        "kind": truth.camera.kind,
        "fov_deg": world.intrinsics.fov_deg,
        "people": [
            {"track_id": k + 1, "action": p.action, "stature": p.stature,
             "shape": dict(zip(p.shape.names, p.shape.values.tolist(), strict=True))}
            for k, p in enumerate(world.performers)
        ],
        "depth": {"folder": DEPTH, "unit": "mm", "empty": 0} if pixels else None,
        "masks": {"folder": MASKS} if pixels else None,
    })  # fmt: skip
    return scene


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was drawn of each person: boxes (P, T, 4) px of what is visible, bits and crops."""

    boxes: Array
    masks: list[RoiMasks]


def _draw(world: StagedWorld, out: Path, progress: Progress) -> Found:
    """Writes the video, depth and masks; the people's boxes and masks."""
    (out / DEPTH).mkdir()
    (out / MASKS).mkdir()
    num, people = len(world.times), len(world.performers)
    boxes = np.zeros((people, num, 4))
    bits = np.zeros((people, num, MASK_SIZE * MASK_SIZE // 8), np.uint8)
    crops = np.zeros((people, num, 2, 3))

    def pictures() -> Iterator[np.ndarray]:
        renderer = Renderer(world)
        for index in range(num):
            progress(index, num)
            picture = renderer.frame(index)
            _write_truth(out, index, picture)
            for k in range(people):
                mask = picture.owner == k + 1
                boxes[k, index], crops[k, index] = _crop(mask)
                bits[k, index] = _packed(mask, crops[k, index])
            yield picture.image

    write_video(out / VIDEO, pictures(), world.times)
    progress(num, num)
    return Found(
        boxes=boxes,
        masks=[
            RoiMasks(bits=b, Ts_image_roi=c, size=MASK_SIZE)
            for b, c in zip(bits, crops, strict=True)
        ],
    )


def _crop(mask: np.ndarray) -> tuple[Array, Array]:
    """Box (4,) round a mask and the square crop (2, 3) that holds it; empty without any."""
    ys, xs = np.nonzero(mask)
    if len(ys) == 0:
        return np.zeros(4), np.array([[1.0, 0, 0], [0, 1, 0]])
    box = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], float)
    side = 1.05 * (box[2:] - box[:2]).max() + 2
    corner = 0.5 * (box[:2] + box[2:]) - 0.5 * side
    scale = side / MASK_SIZE
    return box, np.array([[scale, 0, corner[0]], [0, scale, corner[1]]])


def _packed(mask: np.ndarray, crop: Array) -> np.ndarray:
    """A mask as the bits of its crop."""
    at = (np.arange(MASK_SIZE) + 0.5) * crop[0, 0]
    columns = np.floor(at + crop[0, 2]).astype(int)
    rows = np.floor(at + crop[1, 2]).astype(int)
    height, width = mask.shape
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    part = mask[np.clip(rows, 0, height - 1)[:, None], np.clip(columns, 0, width - 1)]
    return np.packbits(part & inside)


def _write_truth(out: Path, index: int, picture: Picture) -> None:
    depth = np.where(np.isfinite(picture.depth), 1000 * picture.depth, 0)
    png = np.clip(depth + 0.5, 0, 65535).astype(np.uint16)
    cv2.imwrite(str(out / DEPTH / f"{index:06d}.png"), png, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    cv2.imwrite(str(out / MASKS / f"{index:06d}.png"), picture.owner.astype(np.uint8))


def read_depth(folder: str | Path, index: int) -> np.ndarray:
    """Depth z (H, W) float32 in metres of one frame of a truth scene, inf where nothing is.

    Raises:
        InputError: the folder holds none for this frame.
    """
    found = _read_truth(folder, DEPTH, index)
    return np.where(found > 0, found.astype(np.float32) / 1000, np.float32(np.inf))


def read_masks(folder: str | Path, index: int) -> np.ndarray:
    """Whom each pixel of one frame shows: (H, W) uint8, 0 or the person's number.

    Raises:
        InputError: the folder holds none for this frame.
    """
    return _read_truth(folder, MASKS, index)


def _read_truth(folder: str | Path, kind: str, index: int) -> np.ndarray:
    path = Path(folder) / kind / f"{index:06d}.png"
    found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if found is None:
        raise InputError(f"expected a picture of {kind} {path}; make it with: recon synth")
    return found


def write_video(path: Path, pictures: Iterator[np.ndarray], times: Array) -> None:
    """An H.264 file of (H, W, 3) uint8 RGB pictures at exactly these times (1/90000 s)."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", options={"crf": "21", "preset": "veryfast"})
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, _CLOCK)
        stream.codec_context.thread_count = 1
        for k, (time, image) in enumerate(zip(times, pictures, strict=True)):
            if k == 0:
                stream.height, stream.width = image.shape[:2]
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(time * _CLOCK), Fraction(1, _CLOCK)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _with_pictures(
    world: StagedWorld, truth: TrueWorld, found: Found, seen: list[np.ndarray]
) -> TrueWorld:
    """The truth with tracks that have boxes and masks of what was drawn."""
    tracks = []
    for k, masks in enumerate(found.masks):
        shown = found.boxes[k, :, 2] > 0
        tracks.append(true_track(
            world, k, masks=masks, boxes=found.boxes[k], seen=seen[k] & shown[:, None]
        ))  # fmt: skip
    return dataclasses.replace(truth, tracks=tracks)


def _save(scene: Scene, world: StagedWorld, truth: TrueWorld, sha256: str) -> None:
    spec = world.spec
    info = VideoInfo(
        path=str((scene.path / VIDEO).resolve()), width=spec.size[0], height=spec.size[1],
        times=world.times, focal_px=world.intrinsics.fx, sha256=sha256,
    )  # fmt: skip
    results: dict[StageName, dict[str, list]] = {
        "video": {"video.npz": [info]},
        "tracking": {"tracking.npz": truth.tracks},
        "people": {"people.npz": truth.tracks},
        "camera": {"camera.npz": [truth.camera]},
        "body": {"body.npz": truth.motions, "rigs.npz": truth.rigs},
        "world": {"placement.npz": [truth.placement], "world.npz": truth.world_motions},
    }
    config = SynthConfig(seed=spec.seed, camera=spec.camera, people=spec.people, place=spec.place)
    for stage, files in results.items():
        for name, items in files.items():
            scene.save(name, items)
        scene.record(
            stage, config, StageReport(backend="synthetic"), seconds=0.0,
            code_version=recon.__version__,
        )  # fmt: skip


def _write_json(path: Path, value: Any) -> None:
    write_atomic(path, lambda file: file.write(json.dumps(value, indent=1).encode()))
