"""A page in the browser that shows Gaussians while they are trained."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from types import TracebackType

import numpy as np

from recon.core.errors import MissingDependencyError
from recon.core.geometry import Array
from recon.core.splat_view import SplatCloud

HOST, PORT = "127.0.0.1", 8080
"""This machine alone, and the first port tried: the next free one is taken."""


def check_viser() -> None:
    """Raises MissingDependencyError where the web viewer's package is not installed."""
    try:
        import viser  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingDependencyError("viser", "viewer") from error


def splat_arrays(cloud: SplatCloud) -> tuple[Array, Array, Array, Array]:
    """Gaussians as viser takes them."""
    return cloud.means, cloud.covariances, np.clip(cloud.colors, 0, 1), cloud.opacities[:, None]


class SplatPreview:
    """A web server that shows the Gaussians of the last `show`; closed by `with` or `close`.

    Args:
        T_world_camera: (4, 4) where a browser first looks from. ahead: metres to the point that
            it first turns around.

    Raises:
        MissingDependencyError: viser is not installed.
    """

    def __init__(self, T_world_camera: Array, *, ahead: float = 1.0, port: int = PORT) -> None:
        check_viser()
        import viser  # pyright: ignore[reportMissingImports]

        with redirect_stdout(io.StringIO()):  # viser greets there, where --json must stand alone
            self._server = viser.ViserServer(host=HOST, port=port, label="recon splat")
        eye, axes = T_world_camera[:3, 3], T_world_camera[:3, :3]
        self._server.scene.set_up_direction(tuple(-axes[:, 1]))
        first = self._server.initial_camera
        first.position, first.look_at = tuple(eye), tuple(eye + ahead * axes[:, 2])
        first.up = tuple(-axes[:, 1])
        self._text = self._server.gui.add_markdown("starting")
        self._splats = None

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        return f"http://{HOST}:{self._server.get_port()}"

    def show(self, cloud: SplatCloud, *, text: str) -> None:
        """Replaces what is shown; `text` is beside the picture."""
        parts = splat_arrays(cloud)
        if self._splats is None:
            self._splats = self._server.scene.add_gaussian_splats("/splats", *parts)
        else:
            self._splats.set_gaussians(*parts)
        self._text.content = text

    def close(self) -> None:
        """Stops the server."""
        with redirect_stdout(io.StringIO()):
            self._server.stop()

    def __enter__(self) -> SplatPreview:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
