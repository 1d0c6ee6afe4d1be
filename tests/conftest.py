"""What a marked test needs beyond this repository; where it is missing the test is skipped."""

from __future__ import annotations

import functools

import pytest

from tests.browser import why_no_browser


@functools.cache
def why_no_weights() -> str | None:
    """Why the default networks are not to be had; fetches them into the cache if need be."""
    from recon.core.errors import InputError
    from recon.core.weights import network_path

    try:
        for name in ("person_detector", "pose_landmark_heavy"):
            network_path(name)
    except InputError as error:
        return str(error)
    return None


@functools.cache
def why_no_gpu() -> str | None:
    import torch

    return None if torch.cuda.is_available() else "needs a CUDA device"


def pytest_runtest_setup(item: pytest.Item) -> None:
    marks = (("weights", why_no_weights), ("gpu", why_no_gpu), ("browser", why_no_browser))
    for marker, why in marks:
        if item.get_closest_marker(marker) and (reason := why()) is not None:
            pytest.skip(reason)
