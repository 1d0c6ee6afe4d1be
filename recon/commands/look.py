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
    """Look at a scene in a window, or render a picture of it without a display.

    Splats (`recon splat`) and avatars (`recon avatar`) that the scene has are shown too.
    """

    scene: Positional[Path]
    """A scene folder."""
    screenshot: Path | None = None
    """Write this PNG instead of opening a window."""
    frame: int = 0
    """Frame of the screenshot."""

    def main(self) -> None:
        from recon.console import TerminalWatcher
        from recon.core.scene import Scene
        from recon.scene_splats import find_scene_splats

        scene = Scene.open(self.scene)
        splats = find_scene_splats(scene, TerminalWatcher())
        if self.screenshot is None:
            from viewer.app import view

            view(scene, splats)
        else:
            from viewer.screenshot import screenshot

            screenshot(scene, self.screenshot, frame=self.frame, splats=splats)
            print(self.screenshot)


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
