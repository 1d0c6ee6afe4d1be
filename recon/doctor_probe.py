"""Imports packages one by one and says what came of it: a process of its own, which may crash.

`python -m recon.doctor_probe NAME …` prints a JSON line before each import and one after it, so
that whoever reads them knows at which package the process died.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any

_VIDEO_DECODERS = ("h264", "hevc", "av1", "vp9", "mpeg4", "prores", "mjpeg", "gif")


def main(names: list[str]) -> None:
    """Probes every module of `names`."""
    for name in names:
        _say({"name": name, "begun": True})
        try:
            module = import_module(name)
            facts = _FACTS[name](module) if name in _FACTS else {}
        except BaseException as error:  # a broken package may raise anything, SystemExit too
            text = " ".join(f"{type(error).__name__}: {error}".split())
            _say({"name": name, "error": text[:300]})
        else:
            _say({"name": name, "facts": facts})


def _say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


def _torch_facts(torch: Any) -> dict[str, Any]:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    gpus = [torch.cuda.get_device_properties(i) for i in range(count)]
    return {
        "built_for": f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU",
        "gpus": [f"{gpu.name}, {gpu.total_memory / 1e9:.0f} GB" for gpu in gpus],
    }


def _av_facts(av: Any) -> dict[str, Any]:
    decoders = [name for name in _VIDEO_DECODERS if _has_codec(av, name, "r")]
    return {
        "ffmpeg": getattr(av, "ffmpeg_version_info", "unknown"),
        "decoders": decoders,
        "missing_decoders": [name for name in _VIDEO_DECODERS if name not in decoders],
        "libx264": _has_codec(av, "libx264", "w"),
    }


def _has_codec(av: Any, name: str, mode: str) -> bool:
    try:
        av.codec.Codec(name, mode)
    except ValueError:  # av's UnknownCodecError
        return False
    return True


def _open3d_facts(_open3d: Any) -> dict[str, Any]:
    from viewer.app import missing_packages

    return {"missing_system_packages": missing_packages() if sys.platform == "linux" else []}


_FACTS = {"torch": _torch_facts, "av": _av_facts, "open3d": _open3d_facts}

if __name__ == "__main__":
    main(sys.argv[1:])
