"""Peak memory of a whole run on clips of growing length: one runner at 1920x1088, looped.

Uses the faster landmark network: memory does not depend on which, and it saves minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import av

from benchmarks.common import DATA, Row, main, row

RUNNER = DATA / "videos" / "runner_moving.mp4"
_LIMIT_GB = 3.0
_PER_FRAME_MB = 0.2
"""Results of one person are about 10 kB a frame on disk; the camera keeps background tracks."""


def measure(quick: bool, _pictures: Path | None) -> Iterator[Row]:
    """Peak resident memory of `recon run` for two lengths, and its growth per frame."""
    lengths = (180, 540) if quick else (750, 3000)
    with tempfile.TemporaryDirectory(prefix="recon_memory_") as name:
        peaks = []
        for num_frames in lengths:
            clip = loop(RUNNER, Path(name) / f"{num_frames}.mp4", num_frames)
            peak, seconds = _run(clip, overlay=not quick)
            peaks.append(peak)
            yield row(f"{num_frames} frames of 1080p: peak", peak / 1e9, "GB", at_most=_LIMIT_GB)
            yield row(f"{num_frames} frames of 1080p: whole run", seconds, "s")
        growth = (peaks[1] - peaks[0]) / (lengths[1] - lengths[0]) / 1e6
        yield row("growth", growth, "MB/frame", at_most=_PER_FRAME_MB)


def loop(source: Path, target: Path, num_frames: int) -> Path:
    """The packets of a video again and again, without decoding, until there are `num_frames`."""
    with av.open(str(source)) as video, av.open(str(target), "w") as out:
        stream = video.streams.video[0]
        packets = [p for p in video.demux(stream) if p.size]
        assert stream.time_base is not None
        copied = out.add_stream_from_template(stream)
        shown = [p.pts for p in packets if p.pts is not None]
        length = max(shown) - min(shown) + (packets[0].duration or 1)
        for k in range(num_frames):
            turn, place = divmod(k, len(packets))
            packet = av.Packet(bytes(packets[place]))
            packet.time_base, packet.is_keyframe = stream.time_base, packets[place].is_keyframe
            packet.pts = shown[place] + turn * length
            packet.dts = (packets[place].dts or 0) + turn * length
            packet.stream = copied
            out.mux(packet)
    return target


def _run(clip: Path, *, overlay: bool) -> tuple[int, float]:
    """Peak resident bytes and seconds of a run on one person."""
    flags = ["--people", "largest", "--keypoints", "blazepose-full"]
    flags += [] if overlay else ["--no-overlay"]
    command = [sys.executable, "-m", "recon.cli", "run", str(clip), *flags]
    started = time.monotonic()
    command += ["--scene", str(clip.with_suffix(""))]
    nowhere = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=nowhere, stderr=nowhere) as run:
        _, status, usage = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
    if run.returncode:
        raise SystemExit(f"expected the run on {clip} to end well, got exit {run.returncode}")
    per_unit = 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * per_unit, time.monotonic() - started


if __name__ == "__main__":
    main("Memory against clip length", measure)
