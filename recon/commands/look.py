"""Commands that show a scene and measure it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from recon.options import EvaluateOptions


@dataclass(frozen=True, kw_only=True)
class View:
    """Look at a scene in a window, or at two side by side; or render a picture without a display.

    Splats (`recon splat`) and avatars (`recon avatar`) that a scene has are shown too. In the
    window H lists the keys.
    """

    scenes: Positional[tuple[Path, ...]]
    """One scene folder, or two."""
    screenshot: Path | None = None
    """Write this PNG instead of opening a window."""
    frame: int = 0
    """Frame of the screenshot, or the one that the window opens at."""

    def main(self) -> None:
        from recon.console import TerminalWatcher
        from recon.core.errors import InputError
        from recon.core.scene import Scene

        most = 1 if self.screenshot else 2
        if not 1 <= len(self.scenes) <= most:
            what = "one scene for a screenshot" if self.screenshot else "one scene or two"
            raise InputError(f"expected {what}, got {len(self.scenes)}")
        if self.screenshot is None:
            from recon.window import open_window

            open_window(list(self.scenes), TerminalWatcher(), frame=self.frame)
        else:
            from recon.scene_splats import find_scene_splats
            from viewer.screenshot import screenshot

            scene = Scene.open(self.scenes[0])
            splats = find_scene_splats(scene, TerminalWatcher())
            screenshot(scene, self.screenshot, frame=self.frame, splats=splats)
            print(self.screenshot)


@dataclass(frozen=True, kw_only=True)
class Serve:
    """Look at scenes in a web browser: people, camera, points and splats, with a timeline.

    On this machine alone unless --host says otherwise; there is no password.
    """

    scenes: Positional[list[Path]]
    """Scene folders; the page shows one at a time."""
    host: str = "127.0.0.1"
    """Address to answer at; 0.0.0.0 for everybody who reaches this machine."""
    port: int = 8080
    """First port tried: if it is taken, the next free one."""

    def main(self) -> None:
        from recon.console import TerminalWatcher
        from recon.web import serve

        serve(self.scenes, host=self.host, port=self.port, watcher=TerminalWatcher())


@dataclass(frozen=True, kw_only=True)
class Share:
    """Write a scene as one HTML file that plays in any browser, without a server.

    All frames, bodies in full, avatars, splats, curves over time and 5 pictures of the video a
    second, as far as they fit the size; else less of each, which is said.
    """

    scene: Positional[Path]
    """A scene folder."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")]
    """The .html to write."""
    fps: float | None = None
    """Moments a second at most."""
    max_mb: float = 10.0
    """Megabytes that the file may have."""

    def main(self) -> None:
        from recon.console import TerminalWatcher
        from recon.web import share

        share(self.scene, self.out, fps=self.fps, max_mb=self.max_mb, watcher=TerminalWatcher())
        print(self.out)


@dataclass(frozen=True, kw_only=True)
class Evaluate(EvaluateOptions):
    """Measure a scene against the truth: another scene, or a sequence of a data set.

    Figures as the field's papers compute them: MPJPE, PA-MPJPE, PVE, Accel, W- and WA-MPJPE100,
    RTE, ERVE, jitter, foot sliding, ATE, MOT figures, contacts, scale and gravity.
    """

    pred: Annotated[Positional[str], tyro.conf.arg(metavar="PRED")]
    """A scene folder, or a result that `recon import` reads, as wham:FILE, gvhmr:FILE, tram:DIR."""
    truth: Annotated[Positional[str], tyro.conf.arg(metavar="TRUTH")]
    """A scene folder, or emdb:DIR, 3dpw:FILE, rich:DIR#CAMERA or amass:FILE."""

    def main(self) -> None:
        from recon.evaluate.command import evaluate

        evaluate(self.pred, self.truth, self)
