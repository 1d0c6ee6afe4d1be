"""In a real browser the body moves: with the slider where it is served, by itself where shared."""

import time
from collections.abc import Set
from dataclasses import replace

import numpy as np
import pytest

from recon.core.palette import person_color
from recon.core.splat_view import SplatCloud
from tests.browser import opened, picture
from tests.synthetic import make_scene
from viewer.share import share
from viewer.web import WebViewer
from viewer.web_world import WebContent
from viewer.world import World

pytest.importorskip("viser")
pytestmark = [pytest.mark.browser, pytest.mark.slow]

_SECONDS = 90
"""That software may take to draw what it should."""
_SIZE, _SERVED_WIDTH, _HEIGHT = (640, 400), 290, 350
"""Of the window; of what is left of the panel, and above the bar of a shared page, blue as well."""


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """A person who walks two metres past a camera that stands."""
    scene = make_scene(tmp_path_factory.mktemp("scenes") / "walk", num_frames=60)
    return WebContent(world=World.from_scene(scene))


def body(page, width):
    """Where the person's colour is in the page's left `width` px: its middle (2,), or None."""
    image = picture(page).astype(int)[:_HEIGHT, :width]
    red, _, blue = person_color(1)
    assert blue - red > 100, "the colour that is looked for"
    rows, columns = np.nonzero(image[..., 2] - image[..., 0] > 40)
    return np.array([columns.mean(), rows.mean()]) if len(rows) > 200 else None


def wait_for_body(page, good=lambda place: True, *, width=_SERVED_WIDTH):
    """The first place where `good(place)` holds."""
    end, place = time.monotonic() + _SECONDS, None
    while time.monotonic() < end:
        place = body(page, width)
        if place is not None and good(place):
            return place
        page.wait_for_timeout(100)
    raise AssertionError(f"not drawn within {_SECONDS} s; last seen at {place}")


def away_from(start, pixels):
    return lambda place: np.linalg.norm(place - start) > pixels


def test_the_body_moves_with_the_slider(content):
    with (
        WebViewer({"walk": lambda: content}, port=8320) as viewer,
        opened(viewer.url, size=_SIZE) as page,
    ):
        start = wait_for_body(page)
        slider = page.get_by_role("slider").first
        slider.focus()
        page.keyboard.press("End")
        wait_for_body(page, away_from(start, 40))
        assert viewer.frame == 59
        page.keyboard.press("Home")
        wait_for_body(page, lambda place: np.linalg.norm(place - start) < 3)
        assert viewer.frame == 0
        page.get_by_role("button", name="Play").click()
        wait_for_body(page, away_from(start, 20))


class Place:
    """Two Gaussians at the floor, nobody as an avatar."""

    people = frozenset()

    def place(self):
        return SplatCloud(
            means=np.array([[1.0, 0, 0], [2.0, 0, 0]]), opacities=np.full(2, 0.9),
            covariances=np.tile(0.01 * np.eye(3), (2, 1, 1)), colors=np.full((2, 3), 0.5),
        )  # fmt: skip

    def cast(self, frame, without: Set[int] = frozenset()):
        return None

    def picture(self, frame, T_world_camera, K, size):
        raise AssertionError("a browser draws for itself")


def test_gaussians_are_sorted_from_a_disk_too(content, tmp_path):
    path = tmp_path / "walk.html"
    path.write_text(share(replace(content, splats=Place())).html, encoding="utf-8")
    with opened(path.as_uri(), size=_SIZE) as page:
        wait_for_body(page, width=_SIZE[0])
        page.wait_for_timeout(1000)
        assert len(page.workers) == 1, "the sorter runs"


def test_the_shared_file_plays_from_a_disk(content, tmp_path):
    path = tmp_path / "walk.html"
    path.write_text(share(content).html, encoding="utf-8")
    with opened(path.as_uri(), size=_SIZE) as page:
        first = wait_for_body(page, width=_SIZE[0])
        wait_for_body(page, away_from(first, 20), width=_SIZE[0])
