"""Commands around the main job: networks, priors, worlds with truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional

from recon.core.errors import InputError
from recon.options import SynthOptions, TrainPriorOptions


@dataclass(frozen=True, kw_only=True)
class Weights:
    """List the open networks, or fetch some into the cache."""

    action: Positional[Literal["list", "add"]] = "list"
    """What to do."""
    names: Positional[tuple[str, ...]] = ()
    """Networks to add."""

    def main(self) -> None:
        from recon.console import TerminalWatcher
        from recon.core.weights import add_network, list_networks

        if self.action == "add":
            if not self.names:
                raise InputError("expected the name of a network, got none; see: recon weights")
            for name in self.names:
                with TerminalWatcher().stage(name, "fetching") as progress:
                    print(add_network(name, progress))
            return
        if self.names:
            raise InputError(f"expected no names after 'list', got {' '.join(self.names)}")
        for status in list_networks():
            network = status.network
            print(
                f"{network.name:22} {network.size / 1e6:6.1f} MB  {network.licence:13} "
                f"{'present' if status.path else 'absent ':8} {network.package.spec}\n"
                f"{'':22} {network.purpose}"
            )


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Say what is installed, what is missing, and the command that mends it."""

    body_model_path: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Also try the files of smplx, smplh, smpl and mhr in this folder."""
    json: bool = False
    """Print everything as JSON on stdout and nothing else."""

    def main(self) -> None:
        from recon.doctor_command import doctor

        doctor(body_model_path=self.body_model_path, as_json=self.json)


@dataclass(frozen=True, kw_only=True)
class TrainPrior(TrainPriorOptions):
    """Train a motion prior on mocap (AMASS .npz, .bvh), or on procedural motion without folders."""

    folders: Positional[tuple[Path, ...]] = ()
    """Folders of motion files, searched with all below."""

    def main(self) -> None:
        from recon.console import TerminalWatcher
        from recon.train_prior import train_prior

        print(train_prior(self.folders, self, watcher=TerminalWatcher()))


@dataclass(frozen=True, kw_only=True)
class Synth(SynthOptions):
    """Render a world whose truth is known: video.mp4 and a scene folder with everything in it."""

    out: Positional[Path]
    """Folder to write, new or empty."""

    def main(self) -> None:
        from recon.synth.command import synth

        synth(self.out, self)
