"""camera.html: the evidence behind the camera's class, path, lens, depth and scale."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from recon.core.depth import KeyframeDepth
from recon.core.geometry import Array
from recon.core.placed import PlacedCamera, placed_camera
from recon.core.scene import Scene, StageName
from recon.core.stage import Check
from recon.core.video import FrameSource
from viewer.cloud import LevelCamera, cloud_along_axis, cloud_in_perspective
from viewer.measures import floor_speed
from viewer.page import (
    conventions,
    decisions,
    header,
    number,
    picture,
    table,
    warnings,
    write_page,
)
from viewer.svg import Line, Span, plan, time_plot

NUM_PICTURES = 4
_PICTURE_WIDTH, _CLOUD_SIZE = 480, (800, 600)
Color = tuple[int, int, int]
_STAGES: tuple[StageName, ...] = ("camera",)
_SECOND, _FRAMES, _PATH = (0, 114, 178), (230, 159, 0), (110, 114, 124)
_UNSEEN_WEIGHT = 0.05
_PX = "px at 640 px width"


def write_camera_page(scene: Scene, frames: FrameSource, path: Path) -> None:
    """Writes camera.html: one file that asks for nothing from elsewhere and needs no scripts.

    Args:
        frames: the scene's video, read once up to the last picture that is shown.

    Raises:
        StaleSceneError: the video, people or camera stage has not run.
    """
    placed = placed_camera(scene)
    level = LevelCamera.of(placed)
    stages = (*_STAGES, "world") if placed.frame == "world" else _STAGES
    title = f"The camera of {Path(scene.video.path).name or scene.path.name}"
    sections = [
        header(title, _tiles(scene, placed, level)),
        warnings(scene, stages),
        _class(scene),
        _evidence(scene),
        _path_checks(scene),
        _path(scene, placed, level),
        _cloud(scene, placed, level),
        _keyframes(scene, placed, frames),
        _scale(scene) if placed.frame == "world" else "",
        decisions(scene, stages),
        _files(placed),
        conventions(scene),
    ]
    write_page(path, title, sections)


# Sections --------------------------------------------------------------------------------------


def _tiles(scene: Scene, placed: PlacedCamera, level: LevelCamera) -> list[tuple[str, str, str]]:
    video, camera, said = scene.video, scene.camera, scene.report("camera")
    seconds = float(video.times[-1] - video.times[0]) + 1 / video.fps
    k, std = camera.intrinsics, said.numbers.get("focal_relative_std")
    sure = f", good to {100 * std:.0f} %" if std is not None else ""
    tiles = [
        ("camera", camera.kind, f"found by {said.backend}"),
        ("clip", f"{seconds:.1f} s", f"{len(video.times)} frames, {video.width}×{video.height}"),
        ("focal length", f"{k.fx:.0f} px", f"{k.fov_deg:.0f}° wide, {k.source}{sure}"),
        ("masked people", str(len(scene.tracks)), "their motion is not the background's"),
    ]
    if camera.kind == "moving" and camera.tracked.any():
        length = float(np.linalg.norm(np.diff(level.path, axis=0), axis=1).sum())
        tiles.append(("path", f"{length:.3g} {placed.unit}", f"{camera.tracked.mean():.0%} of the "
                      "frames tracked"))  # fmt: skip
        tiles.append(("points", f"{len(camera.points_slam)}", "sparse and dense, coloured"))
    return tiles


def _class(scene: Scene) -> str:
    parts = []
    numbers = scene.report("camera").numbers
    shots = numbers.get("shots", [])
    for shot in shots:
        if len(shots) > 1:
            parts.append(f"<h3>frames {shot['start']} to {shot['end'] - 1}</h3>")
        parts.append(f"<p><b>{escape(shot['kind'])}</b>, by {escape(shot['backend'])}: "
                     f"{escape(shot.get('why', ''))}.</p>")  # fmt: skip
        parts.append(_check_table(shot.get("class_checks", [])))
    hint = (
        '<p class="hint">Pixels are those of a 640 px wide picture. The first class whose '
        "conditions all hold is taken, in the order static, rotating, zooming; else the camera "
        "moves.</p>"
    )
    return f"<section><h2>What the camera does</h2>{hint}{''.join(parts)}</section>"


def _check_table(checks: Sequence[dict[str, Any]]) -> str:
    rows = []
    for check in (Check(**c) for c in checks):
        side = "at most" if check.passes == "below" else "at least"
        rows.append([
            escape(check.what), f"<b>{check.text(check.value)}</b>", f"{side} "
            f"{check.text(check.limit)}", escape(check.says), "yes" if check.holds else "no",
            _margin(check),
        ])  # fmt: skip
    if not rows:
        return ""
    return table(("measured", "value", "threshold", "speaks for", "holds", "margin"), rows)


def _margin(check: Check) -> str:
    """How far a value is from its threshold, as a factor."""
    if min(check.value, check.limit) <= 0:
        return "–"
    factor = check.value / check.limit
    return f"{1 / factor:.3g} × below" if factor < 1 else f"{factor:.3g} × above"


def _evidence(scene: Scene) -> str:
    numbers, times = scene.report("camera").numbers, scene.video.times
    long, short = numbers.get("windows_long", {}), numbers.get("windows_short", {})
    if not long.get("frame"):
        return ""
    limits = _limits(numbers)
    spans, words = _marks(numbers, scene.camera.shot_starts, times)

    def plot(title: str, unit: str, key: str, *, log: bool = False, both: bool = False) -> str:
        lines = _window_lines("over 1 s", long, key, scene, _SECOND)
        if both:
            lines += _window_lines("over 1/6 s", short, key, scene, _FRAMES)
        return time_plot(
            lines, title=title, unit=unit, span=(float(times[0]), float(times[-1])), log=log,
            limits=limits.get(key), spans=spans, floor=None,
        )  # fmt: skip

    followed = numbers.get("followed", {"frame": [], "share": []})
    line = Line(name="points", x=times[followed["frame"]] if followed["frame"] else np.zeros(0),
                y=np.array(followed["share"]), color=_SECOND)  # fmt: skip
    plots = [
        plot("Flow of the background (median)", _PX, "flow_px", log=True, both=True),
        plot("Residual of the best rotation (median)", _PX, "residual_px", log=True, both=True),
        plot("Parallax (80th percentile of that residual)", _PX, "parallax_px", log=True,
             both=True),
        plot("Residual of a rotation with zoom", _PX, "zoom_residual_px", log=True),
        plot("Change of focal length within 1 s", "ratio", "zoom"),
        plot("Homography over epipolar inliers", "ratio",
             "homography"),
        time_plot([line], title="Points followed forward and back", unit="share, frame to frame",
                  span=(float(times[0]), float(times[-1])), limits=limits.get("survival"),
                  spans=spans),
    ]  # fmt: skip
    hint = (
        "Each window is drawn at its middle. Dashed: thresholds of the classes. A homography "
        "explains as much as an epipolar geometry (ratio 1) for a plane, a turn or a zoom. "
        f"Shaded: {words or 'cuts, blurred and lost frames, of which there are none'}."
    )
    return (
        f'<section><h2>The evidence over time</h2><p class="hint">{escape(hint)}</p>'
        f'<div class="plots">{"".join(plots)}</div></section>'
    )


def _limits(numbers: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Thresholds by the series they are held against, named after what they speak for."""
    out: dict[str, dict[str, float]] = {}
    for c in [*numbers.get("class_checks", []), *numbers.get("path_checks", [])]:
        out.setdefault(c["key"], {})[c["says"]] = c["limit"]
    return out


def _window_lines(
    name: str, windows: dict[str, list[float]], key: str, scene: Scene, color: Color
) -> list[Line]:
    """A series at its windows' middles, one line per shot."""
    times, shots = scene.video.times, scene.camera.shot_starts
    start, end = np.array(windows["frame"], int), np.array(windows["end"], int)
    x, y = (times[start] + times[end]) / 2, np.array(windows[key], float)
    shot = np.searchsorted(shots, start, side="right")
    return [Line(name=name, x=x[shot == k], y=y[shot == k], color=color) for k in np.unique(shot)]


def _marks(
    numbers: dict[str, Any], shot_starts: np.ndarray, times: Array
) -> tuple[list[Span], str]:
    """Cuts, blurred and lost frames as spans, and in words."""
    spans = [Span(name="cut", first=float(times[s]), last=float(times[s])) for s in shot_starts[1:]]
    words = [f"cut at {', '.join(f'{s.first:.2f} s' for s in spans)}"] if spans else []
    for key, name in (("blurred_frames", "blurred"), ("lost_frames", "lost")):
        runs = numbers.get(key, [])
        if not isinstance(runs, list) or not runs:
            continue
        spans += [Span(name=name, first=float(times[a]), last=float(times[b])) for a, b in runs]
        shown = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs[:12])
        words.append(f"{name} frames {shown}{' …' if len(runs) > 12 else ''}")
    return spans, "; ".join(words)


def _path_checks(scene: Scene) -> str:
    said = scene.report("camera")
    checks = _check_table(said.numbers.get("path_checks", []))
    why = "".join(
        f"<p><b>{escape(d.value)}</b>: {escape(d.why)}</p>"
        for d in said.decisions
        if d.name == "camera path"
    )
    if not checks and not why:
        return ""
    return f"<section><h2>Why the path is believed</h2>{why}{checks}</section>"


def _path(scene: Scene, placed: PlacedCamera, level: LevelCamera) -> str:
    if scene.camera.kind != "moving":
        return "<section><h2>Path</h2><p>The camera's place is taken not to change.</p></section>"
    if not placed.tracked.any():
        words = "The camera's place changes, but its path is not known: only its turning is used."
        return f"<section><h2>Path</h2><p>{words}</p></section>"
    times, unit = scene.video.times, placed.unit
    x, y, z = level.path.T
    least = float(max(np.ptp(level.path, axis=0).max(), 1e-6))
    maps = [
        plan([Line(name="camera", x=a, y=b, color=_PATH)], unit=unit, axes=axes, least=least)
        for a, b, axes in ((x, y, ("right", "ahead")), (y, z, ("ahead", "up")))
    ]
    own, span = times[level.frames], (float(times[0]), float(times[-1]))

    def plot(title: str, unit: str, values: Array) -> str:
        line = Line(name=title, x=own, y=values, color=_PATH)
        return time_plot([line], title=title, unit=unit, span=span)

    ahead = level.Ts_level_camera[:, :3, 2]
    plots = [
        plot("Speed", f"{unit}/s, over half a second", floor_speed(level.path, own)),
        plot("Turning", "degrees/s, over half a second", np.degrees(floor_speed(ahead, own))),
    ]
    axes = (
        "World axes: x to the first camera's right, y ahead of it, z up."
        if placed.frame == "world"
        else "Axes: up is the mean of the cameras' own; ahead and the origin are the first "
        "camera's. Lengths are in the tracker's own unit, not metres: only bodies or a depth "
        "network tell those (--metric)."
    )
    return (
        f'<section><h2>Path</h2><p class="hint">Ring: start. Disc: end. {escape(axes)}</p>'
        f'<div class="pair"><div><h3>from above</h3>{maps[0]}</div>'
        f"<div><h3>from the side</h3>{maps[1]}</div></div>"
        f'<div class="plots">{"".join(plots)}</div></section>'
    )


def _cloud(scene: Scene, placed: PlacedCamera, level: LevelCamera) -> str:
    if len(level.points) == 0:
        return ""
    k = scene.camera.intrinsics
    views = [
        ("from behind and above", cloud_in_perspective(level, k, size=_CLOUD_SIZE)),
        ("from above, ahead is up", cloud_along_axis(level, k, "above", size=_CLOUD_SIZE)),
        ("from the side, ahead is left", cloud_along_axis(level, k, "side", size=_CLOUD_SIZE)),
    ]
    low, high = level.bounds
    wide, deep, tall = high - low
    hint = (
        f"{len(level.points)} points. The views hold {wide:.3g} × {deep:.3g} × {tall:.3g} "
        f"{placed.unit} (right, ahead, up). Orange: the camera; green: its start."
    )
    figures = "".join(picture(image, words) for words, image in views)
    return (
        f'<section><h2>Points</h2><p class="hint">{escape(hint)}</p>'
        f'<div class="clouds">{figures}</div></section>'
    )


def _keyframes(scene: Scene, placed: PlacedCamera, frames: FrameSource) -> str:
    depth, total = scene.keyframe_depth, len(scene.video.times)
    indices = np.arange(total) if depth is None else depth.frame_idx
    chosen = np.unique(np.linspace(0, len(indices) - 1, NUM_PICTURES).round().astype(int))
    images = small_frames(frames, indices[chosen].tolist())
    figures = []
    for row in chosen.tolist():
        index = int(indices[row])
        image = images[index]
        figures.append(picture(image, f"frame {index}, {scene.video.times[index]:.2f} s"))
        if depth is not None:
            figures.append(picture(*_depth_picture(depth, row, placed, image.shape[:2])))
    if depth is None:
        words = "Frames of the clip. A camera that does not change its place measures no depth."
    else:
        words = (
            f"{len(chosen)} of {len(depth.frame_idx)} keyframes with their depth: warm is near, "
            "blue is far; grey was not measured (people, no texture, no parallax) and is "
            "filled in."
        )
    return (
        f'<section><h2>Keyframes</h2><p class="hint">{escape(words)}</p>'
        f'<div class="pairs">{"".join(figures)}</div></section>'
    )


def small_frames(frames: FrameSource, wanted: Collection[int]) -> dict[int, np.ndarray]:
    """The wanted frames by index, at most 480 px wide; reads no further than the last of them."""
    out: dict[int, np.ndarray] = {}
    walk = iter(frames)
    for frame in walk:
        if frame.index in wanted:
            height, width = frame.image.shape[:2]
            scale = min(1.0, _PICTURE_WIDTH / width)
            size = max(1, round(width * scale)), max(1, round(height * scale))
            out[frame.index] = cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA)
        if len(out) == len(wanted):
            break
    return out


def _depth_picture(
    depth: KeyframeDepth, row: int, placed: PlacedCamera, shape: tuple[int, int]
) -> tuple[np.ndarray, str]:
    """A depth map in colours at the size of its picture, and its range in words."""
    inverse = np.maximum(depth.inverse_depth[row].astype(np.float32), 1e-4)
    seen = depth.weights[row] > _UNSEEN_WEIGHT
    within = inverse[seen] if seen.any() else inverse
    near, far = np.quantile(within, [0.97, 0.03])
    level = np.log(inverse / far) / max(float(np.log(near / far)), 1e-6)
    shade = (255 * np.clip(level, 0, 1)).astype(np.uint8)
    colors = cv2.cvtColor(cv2.applyColorMap(shade, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    gray = np.repeat((90 + 0.5 * shade[..., None]).astype(np.uint8), 3, axis=2)
    image = np.where(seen[..., None], colors, gray)
    words = (
        f"depth {placed.scale / near:.3g} to {placed.scale / far:.3g} {placed.unit}, "
        f"{np.mean(seen):.0%} measured"
    )
    return cv2.resize(image, shape[::-1], interpolation=cv2.INTER_NEAREST), words


def _scale(scene: Scene) -> str:
    numbers, placement = scene.report("world").numbers, scene.placement
    rows = [
        [escape(e["source"]), number(e["scale"], "", 4), f"± {100 * e['log_std']:.1f} %",
         "yes" if e["used"] else "no, it contradicts the more certain one"]
        for e in numbers.get("scales", [])
    ]  # fmt: skip
    std = placement.scale_log_std
    sure = f"± {100 * std:.1f} %" if np.isfinite(std) else "not measured"
    rows.append([f"<b>taken</b>: {escape(placement.scale_source)}",
                 f"<b>{placement.scale:.4f}</b>", f"<b>{sure}</b>", ""])  # fmt: skip
    gravity = [
        [escape(name), f"{angle:.2f}°"]
        for name, angle in numbers.get("gravity_disagreement_deg", {}).items()
    ]
    spread = f"± {np.degrees(placement.gravity_std):.1f}°"
    head = ("evidence", "metres per slam unit", "standard deviation", "used")
    angles = table(("evidence", f"distance from the vertical that was taken ({spread})"), gravity)
    return (
        f"<section><h2>Scale and gravity</h2>{table(head, rows)}"
        f"{angles if gravity else ''}</section>"
    )


def _files(placed: PlacedCamera) -> str:
    rows = [
        ["camera.tum", "every frame's time, place and quaternion (x y z w), camera to frame"],
        ["colmap/", "COLMAP model of the tracked frames (their number in the image's name) and "
         "the points"],
        ["points.ply", "the coloured points, if there are any"],
    ]  # fmt: skip
    words = escape(placed.frame_words)
    return (
        f"<section><h2>Files and their frame</h2><p>All files in <code>exports/</code> are in the "
        f"<b>{words}</b>; poses are of OpenCV cameras (x right, y down, z forward).</p>"
        f"{table(('file', 'holds'), rows, kind='words')}</section>"
    )
