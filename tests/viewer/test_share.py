"""One HTML file with everything in it: what it holds, and how it gets small enough."""

import base64
import re
from collections.abc import Set
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest

from recon.core.errors import InputError
from recon.core.splat_view import SplatCloud
from tests.synthetic import make_scene
from viewer.share import Detail, details, record, share, spaced
from viewer.web_world import WebContent
from viewer.world import World

pytest.importorskip("viser")
msgspec = pytest.importorskip("msgspec")
zstandard = pytest.importorskip("zstandard")


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    times = 5 + np.cumsum(np.tile([0.03, 0.05], 12))
    scene = make_scene(tmp_path_factory.mktemp("s") / "<a&b>", times=times)
    noise = np.random.default_rng(0).integers(0, 255, (24, 90, 160, 3), np.uint8)
    pictures = {k: cv2.imencode(".jpg", image)[1].tobytes() for k, image in enumerate(noise)}
    return WebContent(world=World.from_scene(scene), pictures=pictures)


def recording(html):
    """What a page plays: (seconds, message) pairs, and how long."""
    (text,) = re.findall(r'__VISER_EMBED_DATA__="([^"]+)"', html)
    data = base64.b64decode(text)
    inner = zstandard.ZstdDecompressor().decompress(data[8:])
    length = int.from_bytes(inner[:8], "little")
    played = msgspec.msgpack.decode(inner[8 : 8 + length])
    return played["messages"], played["durationSeconds"]


def test_it_plays_every_frame_at_its_time(content):
    page = record(content, Detail())
    messages, seconds = recording(page.html)
    times = content.world.times
    moved = {
        round(at, 6) for at, m in messages
        if m["type"] == "SetBonePositionMessage" and m["name"] == "/person 1/body/mesh"
    }  # fmt: skip
    np.testing.assert_allclose(sorted(moved), times - times[0], atol=1e-5)
    assert times[-1] - times[0] < seconds < times[-1] - times[0] + 0.06
    assert (page.num_moments, page.num_pictures) == (24, 24)


def test_it_asks_for_nothing_from_elsewhere_and_names_the_scene_safely(content):
    html = share(content).html
    assert "<title>&lt;a&amp;b&gt;</title>" in html and "<a&b>" not in html
    head = re.sub(r'__VISER_EMBED_DATA__="[^"]+"', "", html)
    assert not re.search(r'<(script|link|img)[^>]+(src|href)="(?!data:)', head)


def test_it_has_everybodys_curves(content):
    confidence = {1: np.linspace(0.2, 0.9, len(content.world.times))}
    html = record(replace(content, confidence=confidence), Detail()).html
    drawn = html[html.index('<details id="plots">') :]
    assert re.findall("<h4>(.+?)</h4>", drawn) == ["person 1"]
    assert re.findall("<figcaption>(.+?) <small>", drawn) == [
        "speed, m/s", "feet standing: left blue, right red", "confidence"
    ]  # fmt: skip
    assert len(re.findall('<path class="line"', drawn)) == 4


def test_less_goes_in_until_it_fits_and_it_says_what(content, monkeypatch):
    steps = [Detail(), Detail(pictures=0.5)]
    monkeypatch.setattr("viewer.share.details", lambda fps: iter(steps))
    whole = share(content)
    assert (whole.num_moments, whole.num_pictures) == (24, 24)
    small = share(content, max_mb=len(whole.html) / 1e6 - 0.05)
    assert (small.num_moments, small.num_pictures) == (24, 2)
    assert "24 of 24 frames" in small.words and "2 pictures" in small.words
    steps.pop()
    with pytest.raises(InputError, match=r"--max-mb: expected to fit 0.5 MB, got .* use a larger"):
        share(content, max_mb=0.5)


class Gaussians:
    """A place of a hundred Gaussians, and person 1 as one."""

    people = frozenset({1})

    def _cloud(self, count):
        return SplatCloud(
            means=np.random.default_rng(count).normal(size=(count, 3)),
            covariances=np.tile(0.01 * np.eye(3), (count, 1, 1)),
            colors=np.full((count, 3), 0.5), opacities=np.full(count, 0.9),
        )  # fmt: skip

    def place(self):
        return self._cloud(100)

    def cast(self, frame, without: Set[int] = frozenset()):
        return None if 1 in without else self._cloud(1)

    def picture(self, frame, T_world_camera, K, size):
        raise AssertionError("a browser draws for itself")


@pytest.mark.parametrize(("num_splats", "avatars"), [(1000, True), (40, True), (0, False)])
def test_gaussians_go_in_as_far_as_is_asked(content, num_splats, avatars):
    page = record(
        replace(content, splats=Gaussians()), Detail(num_splats=num_splats, avatars=avatars)
    )
    sent = [m for _, m in recording(page.html)[0] if m["type"] == "GaussianSplatsMessage"]
    names = {m["name"] for m in sent}
    assert ("/splats" in names) == (num_splats > 0) and ("/avatar 1/0" in names) == avatars
    words = f"{min(num_splats, 100)} Gaussians, {int(avatars)} avatars"
    assert (words in page.words) == (num_splats > 0)


def test_every_step_holds_less_and_none_goes_faster_than_asked():
    for fps in (None, 12.0, 100.0):
        steps = list(details(fps))
        for more, less in pairwise(steps):
            assert (less.fps or 1e9) <= (more.fps or 1e9) and less.pictures >= more.pictures
            assert (less.num_faces or 1e9) <= (more.num_faces or 1e9)
            assert less.num_splats <= more.num_splats and less.avatars <= more.avatars
        assert all((step.fps or 1e9) <= (fps or 1e9) for step in steps)


def test_the_rate_is_about_the_asked_one(content):
    page = share(content, fps=10)
    assert page.num_moments < 24 and page.rate < 11


@pytest.mark.parametrize(("fps", "wanted"), [(30, 20), (60, 40), (24, 30)])
def test_spaced_frames_keep_the_mean_rate(fps, wanted):
    times = 3 + np.arange(10 * fps) / fps
    kept = spaced(range(len(times)), times, 1 / wanted)
    assert kept[0] == 0 and np.all(np.diff(kept) >= 1)
    assert abs(len(kept) - min(10 * wanted, 10 * fps)) <= 1
    assert spaced(range(5), times, 0.0) == [0, 1, 2, 3, 4]
    assert spaced(range(5), times, np.inf) == []
