"""`recon splat --video`: a clip as Gaussians that move before a camera that stands."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recon.core.errors import InputError
from recon.options_video import VideoSplatOptions
from recon.runner import Silent, Watcher
from recon.splat_watch import Teller
from recon.video_clip import load_clip
from recon.video_results import write_results

if TYPE_CHECKING:
    from splatting.training import Status
    from splatting.video.model import VideoGaussians
    from splatting.video.training import VideoConfig, VideoTraining

_BREAK = (
    "after {:.2f} s hardly anything can be followed into the next frame, which may be a cut: "
    "Gaussians cannot move across it; choose one shot with --start and --frames"
)


def splat_video(
    source: Path,
    out: Path | None = None,
    options: VideoSplatOptions | None = None,
    *,
    watcher: Watcher | None = None,
) -> dict[str, Any]:
    """Trains video Gaussians and draws what they are for; what is in video.json, and "folder".

    Args:
        source: a video, a folder of images, or a scene, whose depth and people are then used.
        out: default SCENE/video_splats, or a folder named after the video.

    Raises:
        ReconError: the source, an option or the output folder cannot be used; nothing was written.
    """
    from splatting.rasterize import device_of
    from splatting.video.flow import breaks
    from splatting.video.training import VideoTraining

    options, watcher = options or VideoSplatOptions(video=True), watcher or Silent()
    device = device_of(options.backend)
    out = out or default_folder(source)
    if out.exists() and not out.is_dir():
        raise InputError(f"expected a folder to write to, got the file {out}; use --out DIR")
    loaded = load_clip(source, options, watcher)
    clip = loaded.clip
    rows, held_out = clip.split(options.held_out)
    width, height = clip.size
    with watcher.stage("flow", f"{len(rows)} frames of {width}x{height}"):
        training = VideoTraining(clip.take(rows), video_config(options), device=device)
    cuts = [float(clip.times[rows[k]]) for k in breaks(training.flows)]
    notes = [*loaded.notes, *map(_BREAK.format, cuts)]
    for note in notes:
        watcher.note(f"splat: {note}")
    video = _train(training, watcher)
    result = {
        "source": str(source), "notes": notes, "steps": training.steps_done,
        "seconds": round(training.seconds_done, 1), "held_out": held_out.tolist(),
        "memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }  # fmt: skip
    return write_results(video, clip, out, options, record=result, watcher=watcher)


def default_folder(source: Path) -> Path:
    """Where the results of a scene or of a video go."""
    if (source / "scene.json").exists():
        return source / "video_splats"
    return Path(f"{source.resolve().stem}_video_splats")


def video_config(options: VideoSplatOptions) -> VideoConfig:
    """The options as the trainer takes them."""
    from splatting.video.training import VideoConfig

    minutes = options.minutes
    if minutes is None and options.iterations is None:
        minutes = options.default_minutes
    default = VideoConfig()
    return VideoConfig(
        steps=options.iterations or default.steps, minutes=minutes, most=options.gaussians,
        backend=options.backend, seed=options.seed,
    )  # fmt: skip


def _train(training: VideoTraining, watcher: Watcher) -> VideoGaussians:
    """To the end of the budget; nothing is written before."""
    tell = Teller()
    why = f"{len(training.clip)} frames, {len(training.parameters)} Gaussians"
    with watcher.stage("splat", why) as progress:

        def watch(status: Status) -> None:
            watcher.status(tell(status))
            progress(round(1000 * status.progress), 1000)

        return training.run(watch)
