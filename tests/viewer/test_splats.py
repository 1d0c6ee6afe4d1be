"""The preview in the browser: a real server on this machine alone."""

from __future__ import annotations

import sys
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import pytest

from recon.core.errors import MissingDependencyError
from recon.core.splat_view import SplatCloud
from viewer.splats import HOST, SplatPreview, check_viser


def test_it_serves_what_was_shown_last_and_stops(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("viser")
    rng = np.random.default_rng(0)
    with SplatPreview(np.eye(4), ahead=2.0) as preview:
        for count in (5, 8):
            means = rng.normal(size=(count, 3))
            cloud = SplatCloud(
                means=means, covariances=np.tile(0.01 * np.eye(3), (count, 1, 1)),
                colors=rng.uniform(-0.5, 1.5, size=(count, 3)), opacities=np.full(count, 0.5),
            )  # fmt: skip
            preview.show(cloud, text=f"step {count}")
        assert preview.url.startswith(f"http://{HOST}:")
        with urlopen(preview.url) as page:
            assert page.status == 200 and b"<html" in page.read()
        assert preview._splats is not None
        np.testing.assert_allclose(preview._splats.centers, means, rtol=1e-6)
        assert preview._text.content == "step 8"
        with SplatPreview(np.eye(4)) as second:
            assert second.url != preview.url, "a taken port is left to who has it"
    with pytest.raises(URLError):
        urlopen(preview.url)
    assert capsys.readouterr().out == ""


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "viser", None)
    with pytest.raises(MissingDependencyError, match=r"'viser'.*recon3d\[viewer\]"):
        check_viser()
