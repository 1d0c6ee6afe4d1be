"""One HTML file that shows what a run found, how sure it is, and every choice it made."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

import av
import cv2
import numpy as np

from recon.core.errors import StaleSceneError
from recon.core.geometry import Array
from recon.core.palette import person_color
from recon.core.scene import Scene
from viewer.measures import PersonMeasures, measure_people
from viewer.page import (
    CAMERA_PAGE,
    conventions,
    decisions,
    header,
    jpeg_text,
    median,
    number,
    relative_link,
    swatch,
    table,
    warnings,
    write_page,
)
from viewer.svg import Line, css, legend, plan, time_plot

MAX_EMBEDDED_BYTES = 15_000_000
_NUM_STILLS = 12
_STILL_WIDTH = 480
_OPEN_PEOPLE = 4
_SLIDE_LIMIT_CM = 2.0
_CAMERA_COLOR = (110, 114, 124)


def write_report(scene: Scene, path: Path) -> None:
    """Writes the report: a single HTML file without requests to any other place.

    The overlay is taken from `overlay.mp4` in the scene folder, if it is there; a large one is
    linked instead of embedded.

    Raises:
        StaleSceneError: the video, people, camera or body stage has not run.
    """
    people = measure_people(scene)
    title = f"{Path(scene.video.path).name or scene.path.name} in 3D"
    overlay = scene.path / "overlay.mp4"
    sections = [
        _header(scene, people, title),
        warnings(scene, scene.manifest["stages"]),
        _video(overlay, Path(path)),
        _plan(scene, people),
        _people_table(people),
        *(_person(p, scene.video.times, k < _OPEN_PEOPLE) for k, p in enumerate(people)),
        decisions(scene, scene.manifest["stages"]),
        _camera_page(scene, Path(path)),
        _stages(scene),
        conventions(scene),
    ]
    write_page(path, title, sections)


# Sections --------------------------------------------------------------------------------------


def _header(scene: Scene, people: list[PersonMeasures], title: str) -> str:
    video, camera = scene.video, scene.camera
    duration = float(video.times[-1] - video.times[0]) + 1 / video.fps
    tiles = [
        ("people", str(len(people)), ""),
        ("clip", f"{duration:.1f} s", f"{len(video.times)} frames, {video.width}×{video.height}"),
        ("camera", camera.kind, f"{camera.intrinsics.fov_deg:.0f}° wide"),
    ]
    if people:
        percent = median(np.concatenate([p.reprojection_percent for p in people]))
        tiles.append(("reprojection", number(percent, "%", 2), "median, of the box height"))
    slides = [p.stance_slide for p in people if p.stance_slide is not None]
    if slides:
        slide = 100 * median(np.concatenate(slides))
        tiles.append(("standing feet", number(slide, "cm", 2), "median movement per frame"))
    if "world" in scene.manifest["stages"]:
        std = scene.placement.scale_log_std
        sure = f"± {100 * np.expm1(std):.0f} %" if np.isfinite(std) and std < 3 else "not measured"
        tiles.append(("metric scale", sure, scene.placement.scale_source))
    return header(title, tiles)


def _video(overlay: Path, report: Path) -> str:
    if not overlay.exists():
        return "<section><h2>Overlay</h2><p>No overlay.mp4 in the scene folder.</p></section>"
    size = overlay.stat().st_size
    relative = relative_link(overlay, report)
    source, note = relative, ""
    if size <= MAX_EMBEDDED_BYTES:
        source = f"data:video/mp4;base64,{base64.b64encode(overlay.read_bytes()).decode()}"
    else:
        note = (
            f"<p>The video ({size / 1e6:.0f} MB) is not inside this file: keep "
            f'<a href="{relative}">overlay.mp4</a> beside it.</p>'
        )
    stills = "".join(
        f'<figure><img alt="overlay at {time:.2f} s" src="data:image/jpeg;base64,{data}">'
        f"<figcaption>{time:.2f} s</figcaption></figure>"
        for time, data in overlay_stills(overlay)
    )
    return (
        f'<section><h2>Overlay</h2><p class="hint">Mesh and dark skeleton: the fitted body. '
        f"White dots: the keypoints that were detected.</p>"
        f'<video controls loop muted playsinline preload="metadata" src="{source}"></video>{note}'
        f'<div class="stills">{stills}</div></section>'
    )


def overlay_stills(overlay: Path, *, count: int = _NUM_STILLS) -> list[tuple[float, str]]:
    """Evenly spaced pictures of a video: seconds, and JPEG data as base64 text.

    Raises:
        StaleSceneError: the file cannot be decoded.
    """
    out: list[tuple[float, str]] = []
    try:
        with av.open(str(overlay)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            total = max(stream.frames, 1)
            wanted = set(np.linspace(0, total - 1, min(count, total)).round().astype(int).tolist())
            for index, frame in enumerate(container.decode(stream)):
                if index in wanted:
                    image = frame.to_ndarray(format="rgb24")
                    height = max(1, round(image.shape[0] * _STILL_WIDTH / image.shape[1]))
                    small = cv2.resize(image, (_STILL_WIDTH, height), interpolation=cv2.INTER_AREA)
                    out.append((frame.time or 0.0, jpeg_text(small)))
    except (av.FFmpegError, IndexError) as error:
        raise StaleSceneError(
            f"expected a playable video {overlay}, got: {error}; run again with --force overlay"
        ) from error
    return out


def _plan(scene: Scene, people: list[PersonMeasures]) -> str:
    if "world" not in scene.manifest["stages"]:
        return ""
    cuts = scene.camera.shot_starts[1:]
    paths = [
        Line(name=f"person {p.track_id}", x=p.track_xy[:, 0], y=p.track_xy[:, 1],
             color=person_color(p.track_id))
        for p in people if p.track_xy is not None
    ]  # fmt: skip
    marks = []
    for motion in scene.world_motions:
        feet = motion.feet_world[motion.contacts > 0.5]
        name = f"standing feet of person {motion.track_id}"
        color = person_color(motion.track_id)
        marks.append(Line(name=name, x=feet[:, 0], y=feet[:, 1], color=color))
    # The worlds of shots have nothing in common: no line joins them.
    ways = [
        Line(name="camera", x=shot[:, 0], y=shot[:, 1], color=_CAMERA_COLOR)
        for shot in np.split(scene.placement.Ts_world_camera[:, :2, 3], cuts)
    ]
    key = [(css(p.color), p.name) for p in paths] + [(css(_CAMERA_COLOR), "camera (dashed)")]
    return (
        '<section><h2>Seen from above</h2><p class="hint">Metres; the floor is level. '
        "Ring: start. Disc: end. Small dots: feet that stand still."
        f"{' Shots lie over each other, each in a world of its own.' if len(cuts) else ''}</p>"
        f"{legend(key)}{plan(paths, marks=marks, dashed=ways)}</section>"
    )


def _people_table(people: list[PersonMeasures]) -> str:
    if not people:
        return "<section><h2>People</h2><p>Nobody was seen in this clip.</p></section>"
    head = (
        "person", "frames", "seen", "stature", "walked", "mean speed", "peak speed",
        "reprojection", "", "stance slide",
    )  # fmt: skip
    rows = []
    for p in people:
        speed = np.zeros(0) if p.speed is None else p.speed
        slide = np.full(1, np.nan) if p.stance_slide is None else p.stance_slide
        rows.append([
            swatch(p.track_id), str(p.num_frames), str(p.num_observed),
            number(p.stature, "m", 2), number(p.distance, "m", 1),
            number(float(speed.mean()) if len(speed) else None, "m/s", 2),
            number(float(speed.max()) if len(speed) else None, "m/s", 2),
            number(median(p.reprojection_percent), "%", 2),
            number(median(p.reprojection_px), "px", 1),
            number(100 * median(slide), "cm/frame", 2),
        ])  # fmt: skip
    note = (
        '<p class="hint">Medians over frames where the person was seen. Reprojection: distance '
        "between fitted and detected joints, in percent of the person's box height and in pixels. "
        "Stance slide: how far standing feet move from frame to frame; 0 would be perfect.</p>"
    )
    return f"<section><h2>People</h2>{table(head, rows)}{note}</section>"


def _person(p: PersonMeasures, times: Array, is_open: bool) -> str:
    span = (float(times[0]), float(times[-1]))
    color = person_color(p.track_id)

    def plot(
        title: str, unit: str, y: Array, *, good: float | None = None, floor: float | None = 0.0
    ) -> str:
        line = Line(name=title, x=p.times, y=y, color=color)
        limits = {} if good is None else {"good": good}
        return time_plot([line], title=title, unit=unit, span=span, limits=limits, floor=floor)

    plots = [
        plot("Reprojection error", "% of box height", p.reprojection_percent, good=2.0),
        plot("Reprojection error", "px", p.reprojection_px),
        plot("Keypoint confidence", "0 to 1", p.confidence),
    ]
    if p.stance_slide is not None and p.pelvis_height is not None and p.speed is not None:
        plots += [
            plot(
                "Standing feet",
                "cm per frame",
                100 * p.stance_slide,
                good=_SLIDE_LIMIT_CM,
            ),
            plot("Pelvis above the floor", "m", p.pelvis_height, floor=None),
            plot("Speed over the floor", "m/s", p.speed),
        ]
    shown = " open" if is_open else ""
    return (
        f"<details{shown}><summary>{swatch(p.track_id)} over time</summary>"
        f'<div class="plots">{"".join(plots)}</div></details>'
    )


def _camera_page(scene: Scene, report: Path) -> str:
    if not (scene.path / CAMERA_PAGE).exists():
        return ""
    link = relative_link(scene.path / CAMERA_PAGE, report)
    return (
        f"<section><h2>Camera</h2><p>The evidence behind the camera is in "
        f'<a href="{link}">{CAMERA_PAGE}</a>: its class and thresholds, its path, lens, depth '
        "and points.</p></section>"
    )


def _stages(scene: Scene) -> str:
    frames, rows, total = len(scene.video.times), [], 0.0
    for stage in scene.manifest["stages"]:
        seconds = scene.seconds(stage) or 0.0
        total += seconds
        rate = f"{frames / seconds:.1f}" if seconds > 0 else "–"
        rows.append([escape(stage), f"{seconds:.1f}", rate])
    rate = f"{frames / total:.1f}" if total > 0 else "–"
    rows.append(["<b>together</b>", f"<b>{total:.1f}</b>", f"<b>{rate}</b>"])
    return (
        f"<section><h2>Time</h2>{table(('stage', 'seconds', 'frames per second'), rows)}</section>"
    )
