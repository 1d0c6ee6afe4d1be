"""Draws docs/frames.png: the frames of the conventions in a drawn world.

python docs/tools/frames.py [FILE]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from recon.core.camera import Intrinsics
from recon.core.geometry import Array, invert_transform, make_transform, transform_points
from recon.synth.make import make_world
from recon.synth.world import WorldSpec
from viewer.screenshot import FOV_DEG, render
from viewer.world import World, look_at

SIZE = (1200, 640)
FRAME = 59
AXES = ((208, 44, 44), (38, 148, 62), (40, 84, 208))
INK = (31, 36, 48)


def draw(path: Path) -> None:
    """Writes the picture."""
    spec = WorldSpec(seed=4, camera="swaying", people=1, actions=("walk",), frames=60)
    with tempfile.TemporaryDirectory() as name:
        scene = make_world(spec, Path(name) / "s", pixels=False)
        world, motion = World.from_scene(scene), scene.world_motions[0]
        camera = scene.placement.Ts_world_camera[FRAME]
    pelvis = make_transform(motion.poses_world.rotations[FRAME, 0], motion.poses_world.root[FRAME])
    middle = (camera[:3, 3] + pelvis[:3, 3]) / 2
    away = pelvis[:3, 3] - camera[:3, 3]
    side = np.array([-away[1], away[0], 0]) / np.linalg.norm(away[:2])
    up = np.array([0.0, 0.0, 1.0])
    eye = middle + np.linalg.norm(away) * (0.75 * side - 0.1 * away / np.linalg.norm(away))
    T_world_eye = look_at(eye + 0.9 * up, middle - 0.35 * up)
    width, height = SIZE
    image = render(world, FRAME, width=width, height=height, T_world_eye=T_world_eye)
    image[-40:, :260] = image[-41, 5]  # the time means nothing here
    frames = (
        ("world: z up, floor at 0", make_transform(np.eye(3), np.zeros(3)), 0.6),
        ("camera: z forward, y down", camera, 0.5),
        ("root: y up, z to the front", pelvis, 0.45),
    )
    focal = 0.5 * min(SIZE) / np.tan(np.deg2rad(FOV_DEG) / 2)
    lens = Intrinsics(fx=focal, fy=focal, cx=width / 2, cy=height / 2, width=width, height=height)
    for label, T_world_frame, length in frames:
        _axes(
            image, lens, invert_transform(T_world_eye) @ T_world_frame, length=length, label=label
        )
    cv2.imwrite(str(path), image[..., ::-1])


def _axes(
    image: np.ndarray, lens: Intrinsics, T_eye_frame: Array, *, length: float, label: str
) -> None:
    ends = transform_points(T_eye_frame, np.vstack([np.zeros(3), length * np.eye(3)]))
    origin, *tips = np.round(lens.project(ends)).astype(int)
    for name, color, tip in zip("xyz", AXES, tips, strict=True):
        cv2.arrowedLine(image, origin.tolist(), tip.tolist(), color, 4, cv2.LINE_AA, tipLength=0.12)
        _text(image, name, tip + np.sign(tip - origin) * 12, color)
    (wide, _), _ = cv2.getTextSize(label, cv2.FONT_HERSHEY_SIMPLEX, 0.62, 2)
    x = np.clip(origin[0] + 14, 10, image.shape[1] - wide - 10)
    _text(image, label, np.array([x, max(p[1] for p in (origin, *tips)) + 32]), INK)


def _text(image: np.ndarray, text: str, place: Array, color: tuple[int, int, int]) -> None:
    x, y = (int(v) for v in place)
    for thickness, shade in ((5, (255, 255, 255)), (2, color)):
        cv2.putText(
            image, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.62, shade, thickness, cv2.LINE_AA
        )


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "frames.png")
