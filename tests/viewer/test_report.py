"""The report says everything the scene knows, safely, in one file."""

import base64
import re
from dataclasses import dataclass, replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from recon.core.errors import StaleSceneError
from recon.core.stage import Decision, StageReport
from recon.export.mp4 import Mp4Writer
from tests.synthetic import make_scene
from viewer import report as report_module
from viewer.measures import floor_speed, measure_people, stance_slide
from viewer.report import write_report
from viewer.svg import Line, Span, nice_ticks, plan, time_plot

VOID = {"meta", "img", "br", "link", "input"}
HOSTILE = '<script>alert("1")</script> & co'


@dataclass(frozen=True)
class Config:
    """Any config."""

    a: int = 1


class Balanced(HTMLParser):
    """Collects tags and text; fails on a tag that is not closed."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(path):
    parser = Balanced()
    parser.feed(path.read_text(encoding="utf-8"))
    assert parser.open == []
    return parser, " ".join(" ".join(parser.text).split())


def red(jpeg_base64):
    image = cv2.imdecode(np.frombuffer(base64.b64decode(jpeg_base64), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image[..., 2].mean()


@pytest.fixture
def scene(tmp_path):
    scene = make_scene(tmp_path / "scene", num_people=2, num_frames=30, camera="moving")
    report = StageReport(
        backend="contacts",
        decisions=(
            Decision(name="metric scale", value="1.07", why="14 steps agree"),
            Decision(name="gravity", value=HOSTILE, why=HOSTILE),
        ),
        warnings=("few steps were seen",),
        numbers={"steps": 14, "residual": 0.012345, HOSTILE: [1, HOSTILE]},
    )
    scene.record("world", Config(), report, seconds=12.5, code_version="0")
    with Mp4Writer(scene.path / "overlay.mp4", (64, 48), fps=30) as video:
        for k in range(30):
            video.write(np.full((48, 64, 3), (8 * k, 30, 30), np.uint8), k / 30)
    return scene


def test_every_decision_warning_and_number_is_told(scene):
    path = scene.path / "report.html"
    write_report(scene, path)
    _, text = read(path)
    for stage in scene.manifest["stages"]:
        said = scene.report(stage)
        for decision in said.decisions:
            for words in (decision.name, decision.value, decision.why):
                assert words in text
        for warning in said.warnings:
            assert warning in text
    assert "steps 14" in text and "0.01235" in text and "12.5 2.4" in text
    for convention in scene.manifest["conventions"].values():
        assert convention in text


def test_the_file_asks_for_nothing_from_elsewhere(scene):
    path = scene.path / "report.html"
    write_report(scene, path)
    raw = path.read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]", raw.replace("data:video/mp4;base64", "")[:3000])
    parser, _ = read(path)
    links = [v for _, attrs in parser.seen for k, v in attrs.items() if k in ("src", "href")]
    assert links and all(link.startswith("data:") for link in links)
    assert {tag for tag, _ in parser.seen}.isdisjoint({"script", "link", "iframe"})
    assert "@import" not in raw and "url(" not in raw


def test_what_comes_from_the_scene_cannot_become_html(scene):
    info = replace(scene.video, path=f"/videos/{HOSTILE.replace('/', '')}.mp4")
    scene.save("video.npz", [info])
    path = scene.path / "report.html"
    write_report(scene, path)
    assert "<script" not in path.read_text(encoding="utf-8")
    assert HOSTILE in read(path)[1]


def test_a_small_overlay_is_inside_with_stills_across_the_clip(scene):
    path = scene.path / "report.html"
    write_report(scene, path)
    parser, _ = read(path)
    images = [a["src"] for tag, a in parser.seen if tag == "img"]
    assert len(images) == 12
    reds = [red(image.split(",")[1]) for image in images]
    assert np.all(np.diff(reds) > 5)
    (video,) = [a for tag, a in parser.seen if tag == "video"]
    assert video["src"].startswith("data:video/mp4;base64,")


def test_a_large_overlay_is_linked_with_a_note(scene, monkeypatch):
    monkeypatch.setattr(report_module, "MAX_EMBEDDED_BYTES", 100)
    path = scene.path / "sub folder" / "report.html"
    write_report(scene, path)
    parser, text = read(path)
    (video,) = [a for tag, a in parser.seen if tag == "video"]
    assert video["src"] == "../overlay.mp4"
    assert (path.parent / video["src"]).resolve() == (scene.path / "overlay.mp4").resolve()
    assert "keep overlay.mp4 beside it" in text


def test_without_an_overlay_or_people_there_is_still_a_report(tmp_path):
    scene = make_scene(tmp_path / "s", num_people=0, num_frames=4)
    write_report(scene, scene.path / "report.html")
    _, text = read(scene.path / "report.html")
    assert "Nobody was seen" in text and "No overlay.mp4" in text


def test_before_the_world_stage_the_camera_numbers_are_shown(tmp_path):
    scene = make_scene(tmp_path / "s", num_frames=8)
    scene.forget("world")
    write_report(scene, scene.path / "report.html")
    _, text = read(scene.path / "report.html")
    assert "Reprojection error" in text and "Seen from above" not in text


def test_a_broken_overlay_and_a_missing_stage_are_clear_errors(scene):
    (scene.path / "overlay.mp4").write_bytes(b"not a video")
    with pytest.raises(StaleSceneError, match="--force overlay"):
        write_report(scene, scene.path / "report.html")
    assert not (scene.path / "report.html").exists()
    scene.forget("body")
    with pytest.raises(StaleSceneError, match="'body'"):
        write_report(scene, scene.path / "report.html")


def test_measures_of_a_known_walk(tmp_path):
    scene = make_scene(tmp_path / "s", num_people=2, num_frames=45, camera="moving")
    first, second = measure_people(scene)
    assert first.speed == pytest.approx(np.full(45, 1.0), rel=1e-6)
    assert second.speed == pytest.approx(np.full(second.num_frames, 0.9), rel=1e-6)
    assert first.distance == pytest.approx(44 / 30, rel=1e-6)
    assert first.stance_slide is not None
    assert np.nanmax(first.stance_slide) < 1e-9
    assert np.isfinite(first.stance_slide).mean() > 0.9  # all but the first and the step changes
    assert 1.6 < first.stature < 1.8


def test_reprojection_is_relative_to_the_box_and_only_where_seen(tmp_path):
    scene = make_scene(tmp_path / "s", num_frames=6)
    seen = np.array([True, False, True, True, True, True])
    motion = replace(scene.camera_motions[0], reprojection_px=np.full(6, 3.0), observed=seen)
    scene.save("body.npz", [motion])
    (measured,) = measure_people(scene)
    height = np.ptp(scene.tracks[0].boxes[:, [1, 3]], axis=1)
    assert measured.reprojection_percent[seen] == pytest.approx((300 / height)[seen])
    assert np.isnan(measured.reprojection_percent[1]) and measured.num_observed == 5


def test_stance_slide_is_that_of_the_fastest_standing_point():
    feet = np.zeros((4, 4, 3))
    feet[1:, 0, 0] = 0.02
    feet[2:, 1, 2] = 0.05
    contacts = np.zeros((4, 4))
    contacts[:3, :2] = 1
    assert stance_slide(feet, contacts) == pytest.approx([np.nan, 0.02, 0.05, np.nan], nan_ok=True)


def test_speed_uses_real_times_across_gaps():
    times = np.array([0.0, 0.1, 0.15, 0.3, 2.3, 2.35])
    xy = np.stack([1.5 * times, 2.0 * times], axis=1)
    assert floor_speed(xy, times) == pytest.approx(np.full(6, 2.5))


def test_plots_break_where_there_is_nothing_and_keep_extremes():
    x = np.linspace(0, 100, 20_000)
    y = np.ones_like(x)
    y[777] = 9.0
    y[5000:9000] = np.nan
    line = Line(name="a<b", x=x, y=y, color=(1, 2, 3))
    svg = time_plot([line], title="t", unit="u", span=(0, 100))
    assert len(svg) < 60_000 and "nan" not in svg and "a&lt;b" in svg
    d = re.findall(r'class="line"[^>]* d="([^"]+)"', svg)[0]
    assert d.count("M") == 2
    ys = [float(v) for v in re.findall(r"[ML][\d.]+ ([\d.]+)", d)]
    assert max(ys) - min(ys) > 10


@pytest.mark.parametrize("values", [[0.0, 0.0], [5.0], [], [np.nan, 1.0], [-1.0, -0.9]])
def test_plots_of_degenerate_data(values):
    y = np.array(values)
    line = Line(name="l", x=np.arange(len(y), dtype=float), y=y, color=(0, 0, 0))
    svg = time_plot([line], title="t", unit="u", span=(0.0, 0.0))
    assert "nan" not in svg and "inf" not in svg


def test_the_plan_has_equal_axes_and_y_up():
    path = Line(name="p", x=np.array([0.0, 2.0]), y=np.array([0.0, 2.0]), color=(0, 0, 0))
    d = re.findall(r'line bold"[^>]* d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"', plan([path]))[0]
    x0, y0, x1, y1 = map(float, d)
    assert x1 - x0 == pytest.approx(y0 - y1, abs=0.2) and x1 - x0 > 50


def test_the_cameras_of_two_shots_are_not_joined(scene):
    path = scene.path / "report.html"
    write_report(scene, path)
    assert path.read_text().count('class="line dashed"') == 1
    scene.save("camera.npz", [replace(scene.camera, shot_starts=np.array([0, 12]))])
    write_report(scene, path)
    assert path.read_text().count('class="line dashed"') == 2
    assert "each in a world of its own" in read(path)[1]


def test_thresholds_and_spans_are_drawn_where_they_are():
    line = Line(name="l", x=np.array([0.0, 10.0]), y=np.array([0.1, 10.0]), color=(0, 0, 0))
    spans = [Span(name="cut", first=5.0, last=5.0)]
    svg = time_plot([line], title="t", unit="u", span=(0, 10), limits={"one": 1.0}, spans=spans,
                    log=True)  # fmt: skip
    (limit,) = (float(y) for y in re.findall(r'class="limit" d="M44 ([\d.]+)', svg))
    (d,) = re.findall(r'class="line"[^>]* d="([^"]+)"', svg)
    x0, y0, x1, y1 = map(float, re.findall(r"[\d.]+", d))
    assert limit == pytest.approx((y0 + y1) / 2, abs=0.2), "1 is halfway from 0.1 to 10"
    ((left, width),) = re.findall(r'class="span" x="([\d.]+)" y="8" width="([\d.]+)"', svg)
    assert float(left) + float(width) / 2 == pytest.approx((x0 + x1) / 2, abs=0.2)


def test_ticks_are_round_and_cover_the_data():
    for low, high in ((0, 1), (0.93, 0.97), (-3, 17), (0, 12345), (2, 2)):
        ticks = nice_ticks(low, high)
        assert ticks[0] <= low and ticks[-1] >= high and 2 <= len(ticks) <= 7
