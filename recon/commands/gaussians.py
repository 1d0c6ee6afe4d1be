"""Commands that train and draw Gaussians."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from recon.options import RenderOptions, SplatOptions
from recon.options_avatars import AnimateOptions, AvatarOptions, ComposeOptions
from recon.options_video import VideoSplatOptions


@dataclass(frozen=True, kw_only=True)
class Splat(VideoSplatOptions):
    """Train 3D Gaussians on a scene's video without its people, or on posed photographs.

    Writes splats.ply, splats.json (PSNR, SSIM, LPIPS on held-out pictures), held_out.jpg and a
    checkpoint: the same command goes on from there, further with more --minutes.

    With --video the clip itself, people and all, for which no camera need be known: writes
    video_gaussians.npz, tracks.npz, video.json, frames.jpg, reconstruction.mp4, stereo.mp4 and
    sway.mp4. Stopped before its end it leaves nothing, and starts anew.
    """

    source: Positional[Path]
    """A scene, a folder with transforms.json, or a COLMAP folder; with --video a scene or a
    video."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="DIR")] = None
    """Folder to write; by default SCENE/splats, or FOLDER_splats here; with --video
    SCENE/video_splats, or NAME_video_splats here."""
    json: bool = False
    """Print the metrics as JSON on stdout and nothing else."""

    @property
    def resumes(self) -> bool:
        """A training of video Gaussians starts anew; the other goes on from its checkpoint."""
        return not self.video

    def main(self) -> None:
        if self.video:
            return self._video()
        return self._place()

    def _video(self) -> None:
        from recon.console import TerminalWatcher
        from recon.splat_video import splat_video
        from recon.video_results import figures

        chosen = {f.name: getattr(self, f.name) for f in fields(VideoSplatOptions)}
        watcher = TerminalWatcher(quiet=self.json)
        result = splat_video(self.source, self.out, VideoSplatOptions(**chosen), watcher=watcher)
        if self.json:
            print(json.dumps(result, indent=1))
            return
        print(f"splats   {result['folder']}: {result['gaussians']} moving Gaussians")
        print(f"shown    {result['frames']} frames: {figures(result)}")
        print(f"films    {', '.join(result['films'])}")

    def _place(self) -> None:
        from recon.console import TerminalWatcher
        from recon.splat import splat
        from recon.splat_results import figures

        options = SplatOptions(**{f.name: getattr(self, f.name) for f in fields(SplatOptions)})
        watcher = TerminalWatcher(quiet=self.json)
        result = splat(self.source, self.out, options, watcher=watcher)
        if self.json:
            print(json.dumps({k: v for k, v in result.items() if k != "cameras"}, indent=1))
            return
        print(f"splats   {result['folder']}: {result['gaussians']} Gaussians")
        if result["psnr"] is not None:
            print(f"held out {len(result['held_out'])} pictures: {figures(result)}")
        if result["fitted"] is not None:
            print(f"         their own poses or exposure found first: {figures(result['fitted'])}")


@dataclass(frozen=True, kw_only=True)
class Render(RenderOptions):
    """Render new views of trained Gaussians, along a camera path."""

    source: Positional[Path]
    """A scene or folder that `recon splat` worked on, or a file of Gaussians."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE_OR_DIR")]
    """A video if it ends with .mp4, else a folder for PNGs."""

    def main(self) -> None:
        from recon.console import TerminalWatcher
        from recon.render import render

        options = RenderOptions(**{f.name: getattr(self, f.name) for f in fields(RenderOptions)})
        for path in render(self.source, self.out, options, watcher=TerminalWatcher()):
            print(path)


@dataclass(frozen=True, kw_only=True)
class Avatar(AvatarOptions):
    """Make an avatar of one person that any motion can move (see `recon animate`).

    Writes person_N.npz (the avatar), person_N_motion.npz (the person's motion as the pictures
    corrected it, where they are dense enough, which compose and animate then show), person_N.json
    (PSNR and SSIM on held-out frames, what was never seen) and person_N.jpg (frames beside ours,
    and views around).
    """

    scene: Positional[Path]
    """A scene that `recon run` made."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="DIR")] = None
    """Folder to write; by default SCENE/avatars."""
    json: bool = False
    """Print the figures as JSON on stdout and nothing else."""

    def main(self) -> None:
        from recon.avatar import avatar
        from recon.console import TerminalWatcher

        options = AvatarOptions(**{f.name: getattr(self, f.name) for f in fields(AvatarOptions)})
        result = avatar(self.scene, self.out, options, watcher=TerminalWatcher(quiet=self.json))
        if self.json:
            print(json.dumps(result, indent=1))
            return
        unseen = f"{100 * result['unseen']:.0f} % of it never seen"
        print(f"avatar   {result['file']}: {result['gaussians']} Gaussians, {unseen}")
        if "psnr" in result:
            print(
                f"held out {result['held_out']} pictures: PSNR {result['psnr']:.1f} dB "
                f"({result['psnr_person']:.1f} over the person), SSIM {result['ssim']:.3f}"
            )


@dataclass(frozen=True, kw_only=True)
class Animate(AnimateOptions):
    """Let an avatar make any motion: a scene's, AMASS's, a BVH file's, or a procedural one."""

    avatar: Positional[Path]
    """An avatar's .npz, or a scene that `recon avatar` worked on."""
    motion: Positional[str]
    """A scene, an AMASS .npz, a .bvh, a personN_motion.npz of `recon export`, or one of stand,
    walk, run, turn, squat, jump, reach, sit, climb, dance."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE_OR_DIR")]
    """A video (.mp4), one rigged file (.npz: rest Gaussians, skinning weights, motion), one moment
    as glTF (.glb, KHR_gaussian_splatting), or a folder for a .ply per frame."""

    def main(self) -> None:
        from recon.animate import animate
        from recon.console import TerminalWatcher

        options = AnimateOptions(**{f.name: getattr(self, f.name) for f in fields(AnimateOptions)})
        for path in animate(self.avatar, self.motion, self.out, options, watcher=TerminalWatcher()):
            print(path)


@dataclass(frozen=True, kw_only=True)
class Compose(ComposeOptions):
    """Show a scene's place and its people together, over time, from anywhere."""

    scene: Positional[Path]
    """A scene that `recon splat` and `recon avatar` worked on."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE_OR_DIR")]
    """A video if it ends with .mp4, else a folder for PNGs."""

    def main(self) -> None:
        from recon.compose import compose
        from recon.console import TerminalWatcher

        options = ComposeOptions(**{f.name: getattr(self, f.name) for f in fields(ComposeOptions)})
        for path in compose(self.scene, self.out, options, watcher=TerminalWatcher()):
            print(path)
