"""The scene that `benchmarks.viewers` measures, drawn headless and played in a window."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from body.models import load_body_model
from recon.core.camera import Intrinsics
from recon.core.geometry import Array
from recon.core.people import BodyShape, WorldMotion
from recon.motion import procedural
from viewer.app import ViewerWindow
from viewer.recording import Recorder
from viewer.screenshot import FOV_DEG
from viewer.stage import Content, Stage
from viewer.system import load_open3d
from viewer.viewport import draw_plainly
from viewer.world import World, WorldPerson, look_at

SECONDS, FPS = 4.0, 30.0


def two_people() -> World:
    """Two people of Anny's default shape who dance beside one another."""
    model = load_body_model("anny")
    shape = BodyShape(model="anny", names=model.param_spec.names, values=model.param_spec.mean)
    rig = model.skinning_spec(shape.values)
    people = []
    for k in range(2):
        clip = procedural("dance", rig, seconds=SECONDS, fps=FPS, seed=k)
        poses = type(clip.poses)(
            root=clip.poses.root + np.array([1.2 * k, 0, 0]), rotations=clip.poses.rotations
        )
        n = len(clip.times)
        motion = WorldMotion(
            track_id=k + 1, frame_idx=np.arange(n), observed=np.ones(n, bool), shape=shape,
            poses_world=poses, joints_world=rig.joints(poses)[1], feet_world=rig.soles(poses),
            contacts=np.zeros((n, 4)) if clip.contacts is None else clip.contacts,
        )  # fmt: skip
        people.append(WorldPerson(motion=motion, rig=rig))
    n = min(len(p.motion.frame_idx) for p in people)
    eye: Array = look_at(np.array([0.6, -4.0, 1.2]), np.array([0.6, 0.0, 1.0]))
    return World(
        name="two people", times=np.arange(n) / FPS, people=tuple(people),
        intrinsics=Intrinsics.from_fov(1280, 720, fov_deg=60, source="user"),
        Ts_world_camera=np.tile(eye, (n, 1, 1)), points=np.zeros((0, 3)),
        point_colors=np.zeros((0, 3), np.uint8),
    )  # fmt: skip


def headless(out: Path) -> dict[str, float]:
    """Milliseconds of processor time of an update and of a whole picture, without a window."""
    world, open3d = two_people(), load_open3d()
    rendering = open3d.visualization.rendering
    renderer = rendering.OffscreenRenderer(1280, 800)
    draw_plainly(renderer.scene)
    stage = Stage(open3d, renderer.scene, Content(world=world), 1.0)
    stage.refresh()
    eye, target = world.overview(0, fov_deg=FOV_DEG)
    renderer.setup_camera(
        FOV_DEG, target.astype(np.float32), eye.astype(np.float32), np.array([0, 0, 1], np.float32)
    )

    def picture(frame: int) -> np.ndarray:
        stage.show(frame)
        return np.asarray(renderer.render_to_image())

    found = {"vertices": float(len(world.people[0].rig.bind_vertices))}
    found["update_ms"] = _cost(stage.show, time.thread_time)
    for name, samples in (("smooth_ms", 4), ("picture_ms", 1)):
        renderer.scene.view.set_sample_count(samples)
        found[name] = _cost(picture, time.process_time)
    cv2.imwrite(str(out / "viewers.png"), picture(0)[..., ::-1])
    return found


def _cost(act: Callable[[int], object], clock: Callable[[], float], count: int = 20) -> float:
    """Milliseconds by a clock that one call takes, once everything is warm."""
    for frame in range(3):
        act(frame)
    before = clock()
    for frame in range(count):
        act(frame)
    return 1000 * (clock() - before) / count


def window(out: Path, seconds: float, *, empty: bool) -> None:
    """Plays in a window for a while and prints the rates as JSON.

    Args:
        out: folder where Xvfb keeps what its screen shows. empty: with nothing in the scene.
    """
    world, open3d = two_people(), load_open3d()
    application = open3d.visualization.gui.Application.instance
    application.initialize()
    recorder = Recorder(out, open_video=None)  # type: ignore[arg-type]
    shown = ViewerWindow(open3d, [Content(world=world)], recorder=recorder, size=(1280, 800))
    stage, updates = shown.viewports[0].stage, []
    show = stage.show
    stage.show = lambda frame: (updates.append(time.perf_counter()), show(frame))  # type: ignore
    if empty:
        for ids in stage.shown.values():
            ids.clear()
        stage.scene_kinds.clear()
        stage.refresh()

    def drive() -> None:
        time.sleep(3)
        application.post_to_main_thread(shown.window, shown.toggle)
        time.sleep(2)
        before, cost, started = len(updates), time.process_time(), time.perf_counter()
        try:
            pictures = _pictures(out / "Xvfb_screen0", seconds)
        except OSError as error:
            print(error, file=sys.stderr, flush=True)
            os._exit(1)
        took = time.perf_counter() - started
        found = {
            "updates": (len(updates) - before) / took, "pictures": pictures / took,
            "cost_ms": 1000 * (time.process_time() - cost) / max(pictures, 1),
            "load": os.getloadavg()[0],
        }  # fmt: skip
        print(json.dumps(found), flush=True)
        os._exit(0)  # Open3D's own end waits for the display

    threading.Thread(target=drive, daemon=True).start()
    application.run()


def _pictures(screen: Path, seconds: float) -> int:
    """How often what a screen shows changes: Open3D drops pictures, and says nothing of it."""
    shown = np.memmap(screen, np.uint8, mode="r")
    end, last, count = time.perf_counter() + seconds, b"", -1
    while time.perf_counter() < end:
        now = shown[::331].tobytes()
        count += now != last
        last = now
        time.sleep(0.005)
    return count


if __name__ == "__main__":
    if sys.argv[1] == "headless":
        print(json.dumps(headless(Path(sys.argv[2]))), flush=True)
        os._exit(0)  # so does Filament's
    window(Path(sys.argv[2]), float(sys.argv[3]), empty=sys.argv[1] == "empty")
