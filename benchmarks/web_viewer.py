"""The web viewer: what a frame costs its server, and what a shared file weighs and takes to load.

The people are the full bodies of a staged world, the video's pictures those of a real clip.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from benchmarks.common import DATA, Row, main, row
from recon.synth import WorldSpec, stage_world, true_world
from recon.web import JPEG_QUALITY, SHARED_PICTURES, SHARED_WIDTH
from tests.browser import opened, picture, why_no_browser
from viewer.playback import Playback
from viewer.share import MEGABYTE, share
from viewer.web import HOST, PORT, close_server, open_server
from viewer.web_world import WebContent, WebWorld
from viewer.world import World, WorldPerson

PICTURES = DATA / "videos" / "walker_moving.mp4"
_DRAWN_SECONDS = 120


def measure(quick: bool, pictures: Path | None) -> Iterator[Row]:
    """Server and file for one person and two, load time where there is a browser."""
    frames = 90 if quick else 300
    one, two = (content(people, frames) for people in (1, 2))
    for people, each in ((1, one), (2, two)):
        name = f"{people} x {len(each.world.people[0].rig.bind_vertices)} vertices"
        milliseconds = server_cost(each)
        yield row(f"server, {name}: CPU a frame", milliseconds, "ms")
        yield row(f"server, {name}: updates a CPU second", 1000 / milliseconds, "Hz", at_least=30)
    started = time.process_time()
    page = share(one)
    yield row(f"share, 1 person, {frames} frames: CPU", time.process_time() - started, "s")
    yield row(f"share, 1 person, {frames} frames", len(page.html) / MEGABYTE, "MB", at_most=10)
    yield row(f"share, 1 person, {frames} frames: moments", page.num_moments, "", at_least=frames)
    yield row("share, 2 people: size", len(share(two).html) / MEGABYTE, "MB", at_most=10)
    if (why := why_no_browser()) is not None:
        print(f"no load time: {why}")
        return
    with tempfile.TemporaryDirectory(prefix="recon_web_") as folder:
        path = (pictures or Path(folder)) / "shared.html"
        path.write_text(page.html, encoding="utf-8")
        parsed, drawn = load_seconds(path)
        yield row("shared file in Chromium, no graphics card: loaded", parsed, "s")
        yield row("shared file in Chromium, no graphics card: body drawn", drawn, "s")


def content(people: int, frames: int) -> WebContent:
    """A staged world's people as the truth has them, with pictures of a real clip."""
    staged = stage_world(WorldSpec(seed=7, camera="swaying", people=people, frames=frames))
    truth = true_world(staged)
    camera, placement = truth.camera, truth.placement
    world = World(
        name="staged", times=staged.times, intrinsics=camera.intrinsics,
        Ts_world_camera=placement.Ts_world_camera,
        people=tuple(WorldPerson(motion=m, rig=rig)
                     for m, rig in zip(truth.world_motions, truth.rigs, strict=True)),
        points=placement.scale * camera.points_slam @ placement.R_world_slam.T
        + placement.t_world_slam,
        point_colors=camera.point_colors,
    )  # fmt: skip
    confidence = {m.track_id: m.confidence for m in truth.motions}
    step = round(1 / (SHARED_PICTURES * float(np.median(np.diff(staged.times)))))
    jpegs = clip_pictures(len(range(0, frames, step)))
    shown = dict(zip(range(0, frames, step), jpegs, strict=True))
    return WebContent(world=world, pictures=shown, confidence=confidence)


def clip_pictures(count: int) -> list[bytes]:
    """`count` pictures of a real clip, as small as `recon share` makes them."""
    out, video = [], cv2.VideoCapture(str(PICTURES))
    while len(out) < count:
        _, image = video.read()
        size = SHARED_WIDTH, round(image.shape[0] * SHARED_WIDTH / image.shape[1])
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        out.append(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1])
    return [data.tobytes() for data in out]


def server_cost(shown: WebContent) -> float:
    """Milliseconds of CPU that the server takes to show a frame of a playing scene."""
    server = open_server(host=HOST, port=PORT, label="benchmark")
    try:
        web = WebWorld(server.scene, shown)
        playback = Playback(times=shown.world.times)
        playback.play(0.0)
        started = time.process_time()
        for k, at in enumerate(shown.world.times - shown.world.times[0]):
            with server.atomic():
                web.show(playback.tick(float(at)))
            assert playback.frame == k
        return 1000 * (time.process_time() - started) / len(shown.world.times)
    finally:
        close_server(server)


def load_seconds(path: Path) -> tuple[float, float]:
    """Seconds until a file's page has loaded, and until it shows somebody."""
    started = time.monotonic()
    with opened(path.as_uri()) as page:
        parsed = time.monotonic() - started
        while time.monotonic() - started < _DRAWN_SECONDS:
            image = picture(page).astype(int)[:350]
            if np.count_nonzero(image[..., 2] - image[..., 0] > 40) > 200:
                return parsed, time.monotonic() - started
    return parsed, float("nan")


if __name__ == "__main__":
    main("Web viewer", measure)
