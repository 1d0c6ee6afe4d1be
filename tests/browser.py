"""A real browser without a display: Debian's Chromium driven by Playwright, WebGL in software."""

from __future__ import annotations

import functools
import importlib.util
import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Page  # pyright: ignore[reportMissingImports]

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox")
"""Without a graphics card, and as root in a container."""


@functools.cache
def why_no_browser() -> str | None:
    """What is missing for tests in a browser, and how to get it."""
    if importlib.util.find_spec("playwright") is None:
        return "needs Playwright (pip install playwright)"
    if _executable() is None:
        return "needs Chromium (apt-get install chromium)"
    return None


def _executable() -> str | None:
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


@contextmanager
def opened(url: str, *, size: tuple[int, int] = (640, 400)) -> Iterator[Page]:
    """A page in a window of width x height pixels; what goes wrong on it fails the test."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_executable(), args=list(_FLAGS))
        try:
            page = browser.new_page(viewport={"width": size[0], "height": size[1]})
            errors: list[str] = []
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.goto(url)
            yield page
            assert not errors
        finally:
            browser.close()


def picture(page: Page) -> np.ndarray:
    """What the page shows, (H, W, 3) uint8 RGB."""
    data = page.screenshot(timeout=60_000)
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
