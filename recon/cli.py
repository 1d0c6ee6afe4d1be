"""The command `recon`. Imports nothing heavy before a command has been chosen."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import tyro

from recon import __version__
from recon.commands.exchange import Convert, Export, Import
from recon.commands.gaussians import Animate, Avatar, Compose, Render, Splat
from recon.commands.look import Evaluate, Serve, Share, View
from recon.commands.many import Batch
from recon.commands.reconstruct import Camera, Demo, Run, Tracks
from recon.commands.tools import Doctor, Synth, TrainPrior, Weights
from recon.core.errors import ReconError, user_message

EXIT_KNOWN_ERROR = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141

Command = (
    Annotated[Run, tyro.conf.subcommand("run")]
    | Annotated[Batch, tyro.conf.subcommand("batch")]
    | Annotated[Camera, tyro.conf.subcommand("camera")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Import, tyro.conf.subcommand("import")]
    | Annotated[Convert, tyro.conf.subcommand("convert")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Splat, tyro.conf.subcommand("splat")]
    | Annotated[Render, tyro.conf.subcommand("render")]
    | Annotated[Avatar, tyro.conf.subcommand("avatar")]
    | Annotated[Animate, tyro.conf.subcommand("animate")]
    | Annotated[Compose, tyro.conf.subcommand("compose")]
    | Annotated[View, tyro.conf.subcommand("view")]
    | Annotated[Serve, tyro.conf.subcommand("serve")]
    | Annotated[Share, tyro.conf.subcommand("share")]
    | Annotated[Tracks, tyro.conf.subcommand("tracks")]
    | Annotated[Weights, tyro.conf.subcommand("weights")]
    | Annotated[Doctor, tyro.conf.subcommand("doctor")]
    | Annotated[TrainPrior, tyro.conf.subcommand("train-prior")]
    | Annotated[Synth, tyro.conf.subcommand("synth")]
    | Annotated[Demo, tyro.conf.subcommand("demo")]
)


def main(args: list[str] | None = None) -> None:
    """Runs the command line `args` (default: the process's own) and exits."""
    args = sys.argv[1:] if args is None else args
    if args == ["--version"]:
        print(__version__)
        return
    command: Any = None
    try:
        command = tyro.cli(Command, prog="recon", description=_DESCRIPTION, args=args)  # type: ignore[arg-type]
        command.main()
    except KeyboardInterrupt:
        goes_on = "; the same command goes on from here" if _resumes(command) else ""
        sys.exit(_fail(f"interrupted{goes_on}", EXIT_INTERRUPTED))
    except BrokenPipeError:  # `recon … | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_BROKEN_PIPE)
    except (ReconError, OSError) as error:
        message = user_message(error)
        if message is None:
            raise
        sys.exit(_fail(message, EXIT_KNOWN_ERROR))


_DESCRIPTION = "An ordinary video into 3D people and a camera in one metric world."


def _resumes(command: Any) -> bool:
    """Whether a command says of itself that it goes on where it was stopped."""
    return getattr(command, "resumes", False)


def _fail(message: str, code: int) -> int:
    print(f"recon: {' '.join(message.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
