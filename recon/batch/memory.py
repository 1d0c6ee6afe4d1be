"""How much memory this machine, or the container we are in, has and has left."""

from __future__ import annotations

from pathlib import Path

import psutil

_CGROUP = Path("/sys/fs/cgroup")


def total_bytes() -> int:
    """Memory that programs here may use in all."""
    limit = _cgroup("memory.max")
    total = psutil.virtual_memory().total
    return total if limit is None else min(total, limit)


def available_bytes() -> int:
    """Memory that programs here may still take without swapping."""
    free = psutil.virtual_memory().available
    limit, used = _cgroup("memory.max"), _cgroup("memory.current")
    if limit is None or used is None:
        return free
    # A container's page cache counts as used there, though it would give way.
    return min(free, max(0, limit - used + _reclaimable()))


def _cgroup(name: str) -> int | None:
    """A number of the container's own control group (version 2); None where there is none."""
    try:
        return int((_CGROUP / name).read_text())
    except (OSError, ValueError):  # "max": no limit
        return None


def _reclaimable() -> int:
    try:
        lines = (_CGROUP / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("inactive_file ")), 0)
