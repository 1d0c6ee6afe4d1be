"""The web viewer: scenes in a browser, with a timeline, plots and switches."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from types import TracebackType
from typing import TYPE_CHECKING, Any

from recon.core.errors import InputError, ReconError
from viewer.splats import HOST, PORT, check_viser
from viewer.web_scene import FOV, FOV_DEG, LARGEST_START, UP, ShownScene, look_from
from viewer.web_world import WebContent
from viewer.world import World

if TYPE_CHECKING:
    from viser import ViserServer  # pyright: ignore[reportMissingImports]

_TICK_SECONDS = 1 / 120
_PANEL_PX = 340


def open_server(*, host: str, port: int, label: str) -> ViserServer:
    """A quiet viser server; a taken port is left to who has it, and the next free one used.

    Raises:
        MissingDependencyError: viser is not installed. InputError: the host is none of ours.
    """
    check_viser()
    import viser  # pyright: ignore[reportMissingImports]

    if not 0 < port < 2**16:
        raise InputError(f"--port: expected 1 to {2**16 - 1}, got {port}")
    try:
        # Viser waits for ever where it cannot listen.
        socket.create_server((host, 0)).close()
    except OSError as error:
        raise InputError(
            f"--host: expected an IPv4 address of this machine, got {host}; leave it out for {HOST}"
        ) from error
    with redirect_stdout(io.StringIO()):  # viser greets there
        return viser.ViserServer(host=host, port=port, label=label, verbose=False)


def close_server(server: ViserServer) -> None:
    """Stops a server without a word."""
    with redirect_stdout(io.StringIO()):
        server.stop()


def look_first(server: ViserServer, world: World, *, largest: float = LARGEST_START) -> None:
    """Sets where a browser first looks from; see `World.start`."""
    eye, target = world.start(fov_deg=FOV_DEG, largest=largest)
    first = server.initial_camera
    first.position, first.look_at, first.up, first.fov = eye, target, UP, FOV


class WebViewer:
    """A web server that shows scenes, one at a time; closed by `with` or `close`.

    Args:
        scenes: what to show by name, each loaded when it is first chosen. host: whom it answers:
            127.0.0.1 is this machine alone.

    Raises:
        MissingDependencyError: viser is not installed. InputError: the host is none of ours.
    """

    def __init__(
        self, scenes: Mapping[str, Callable[[], WebContent]], *, host: str = HOST, port: int = PORT
    ) -> None:
        self._scenes, self._loaded = scenes, dict[str, WebContent]()
        self._host = host
        # Callbacks come from viser's own threads.
        self._lock = threading.RLock()
        self._closed = threading.Event()
        name = next(iter(scenes))
        content = self._load(name)
        self._server = open_server(host=host, port=port, label=name)
        self._shown: ShownScene | None = None
        if len(scenes) > 1:
            self._add_chooser(name)
        self._server.gui.main_panel.dock_right()
        self._server.gui.main_panel.set_width(_PANEL_PX)
        self._server.gui.configure_theme(show_logo=False, show_share_button=False)
        self._show_scene(name, content)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        return f"http://{self._host}:{self._server.get_port()}"

    @property
    def frame(self) -> int:
        """The frame that is on show."""
        assert self._shown is not None
        return self._shown.playback.frame

    def play(self) -> None:
        """Plays on, for everybody who looks."""
        with self._lock:
            assert self._shown is not None
            self._shown.play()

    def pause(self) -> None:
        """Stands still."""
        with self._lock:
            assert self._shown is not None
            self._shown.pause()

    def seek(self, frame: int) -> None:
        """Goes to a frame, clipped to the clip."""
        with self._lock:
            assert self._shown is not None
            self._shown.seek(frame)

    def choose(self, name: str) -> None:
        """Shows another scene from its first frame.

        Raises:
            ReconError: what its loading says; the scene before stays on show.
        """
        with self._lock:
            content = self._load(name)
            self._show_scene(name, content)
            for client in self._server.get_clients().values():
                look_from(client, *content.world.start(fov_deg=FOV_DEG, largest=LARGEST_START))

    def wait(self) -> None:
        """Returns when it is closed."""
        while not self._closed.wait(1.0):  # Windows hears no Ctrl-C in a longer one
            pass

    def close(self) -> None:
        """Stops the server."""
        self._closed.set()
        self._thread.join()
        close_server(self._server)

    def __enter__(self) -> WebViewer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    def _add_chooser(self, first: str) -> None:
        box = self._server.gui.add_dropdown("Scene", tuple(self._scenes), initial_value=first)
        shown = first

        def choose(event: Any) -> None:
            nonlocal shown
            if event.client is None:  # it is our own doing
                return
            try:
                self.choose(box.value)
                shown = box.value
            except ReconError as error:
                event.client.add_notification(f"{box.value} cannot be shown", str(error))
                box.value = shown

        box.on_update(choose)

    def _load(self, name: str) -> WebContent:
        if name not in self._loaded:
            self._loaded[name] = self._scenes[name]()
        return self._loaded[name]

    def _show_scene(self, name: str, content: WebContent) -> None:
        with self._server.atomic():
            if self._shown is not None:
                self._shown.remove()
            self._shown = ShownScene(self._server, content, self._lock)
            self._server.gui.set_panel_label(name)
            look_first(self._server, content.world)

    def _run(self) -> None:
        while not self._closed.wait(_TICK_SECONDS):
            with self._lock:
                if self._shown is not None:
                    self._shown.tick(time.monotonic())
